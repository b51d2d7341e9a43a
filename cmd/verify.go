package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

type verifyOptions struct {
	verifyingOptions
	batch string
}

func newVerify(env *Env) *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:         "verify [TOKEN]",
		Annotations: map[string]string{onlyShows: "yes"},
		Long: `Verify a JWT access token: the signature with the issuer's keys, issuer,
audience and times. Issuer and audience come from the profile unless given.
Every check is shown with what was expected and what was found. A check that was
not configured is shown as not checked, never as passed. With --quiet only the
exit code shows the result.

The exit code of a batch is 3 if a token was rejected, else 7 if a response of
an issuer is not safe to use, else 2 if the configuration is wrong, else 6 if a
token could not be checked, else 0.` + "\n\n" + longTokenArg,
		Example: `  # Verify the profile's access token
  oauthctl verify

  # Verify a token for an API of your own
  oauthctl verify @token.txt --issuer https://auth.example.com \
    --audience https://api.example.com

  # Verify offline, with a key set in a file
  oauthctl verify @token.txt --jwks keys.json --jq .valid

  # Verify one token per line
  oauthctl verify --batch=tokens.txt`,
		Args: upTo(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.checkOpaque(); err != nil {
				return err
			}
			if o.batch == "" {
				return env.withReport(func(ctx context.Context, env *Env, raw secret.String) error {
					return runVerify(ctx, env, raw, o)
				})(cmd, args)
			}
			if len(args) > 0 {
				return &usageError{what: "--batch cannot be combined with a TOKEN argument", hint: "a file is given as --batch=FILE"}
			}
			return runVerifyBatch(cmd.Context(), env, o)
		},
	}
	f := cmd.Flags()
	addGroup(f, "Common flags", o.verifyingOptions.addFlags)
	addGroup(f, "Key flags", o.addKeyFlags)
	addGroup(f, "Input flags", o.addInputFlags)
	return cmd
}

func (o *verifyOptions) addInputFlags(f *pflag.FlagSet) {
	f.StringVar(&o.batch, "batch", "", "verify one token per line, from `FILE` or standard input, and print one result per line")
	f.Lookup("batch").NoOptDefVal = "-"
	f.BoolVar(&o.opaque, "jws", false, "treat the payload as opaque bytes; check only the header and the signature")
}

// checkOpaque refuses flags about claims together with --jws, whose payload has
// none.
func (o *verifyOptions) checkOpaque() error {
	if o.opaque && (o.audience != nil || o.require != nil || o.rfc9068 || o.leeway != 0 || o.at != "") {
		return usage("--jws checks no claims: it cannot be combined with --audience, --require, --rfc9068, --leeway and --at")
	}
	return nil
}

func runVerify(ctx context.Context, env *Env, raw secret.String, o verifyOptions) error {
	inspector, err := env.inspector(o.verifyingOptions, raw)
	if err != nil {
		return err
	}
	report := inspector.Report(ctx, raw.Reveal())
	failure := o.withSecretForm(env, withIssuerFirst(report), raw)
	return env.showReport(report, statusOf(failure), failure)
}

// withSecretForm returns the error of a token that is signed with the shared
// secret in another form than the file has it, with a hint that says so.
func (o *verifyingOptions) withSecretForm(env *Env, err error, raw secret.String) error {
	if o.secretFile == "" || o.secretFile == "-" || !errors.Is(err, &diagnosis.Diagnosis{ID: diagnosis.SignatureInvalid}) {
		return err
	}
	t, wrong := token.Decode(raw.Reveal())
	data, unread := env.readInput(o.secretFile, maxSecretFile)
	if wrong != nil || unread != nil {
		return err
	}
	for _, one := range jwks.EncodedSecrets(data) {
		if t.VerifySignature(one.Key) == nil {
			return withHint(err, "the signature is valid with the secret decoded from "+one.Encoding+": put the decoded bytes into the file")
		}
	}
	return err
}

// withIssuerFirst returns the report's error. If the token claims another issuer
// than the expected one, a hint says so, since that explains most other errors.
func withIssuerFirst(report *token.Report) error {
	err := report.Err()
	d, ok := errors.AsType[*diagnosis.Diagnosis](err)
	i := slices.IndexFunc(report.Unverified, func(c token.Check) bool { return c.Check == "issuer" })
	if !ok || i < 0 || d.Kind() != diagnosis.Rejected {
		return err
	}
	iss := report.Unverified[i]
	return withHint(err, "the token claims to be from "+iss.Got.String()+" (not verified), expected "+iss.Expected.Or())
}

// The status values of verify and check in JSON.
const (
	statusValid     = "valid"
	statusPublic    = "public"    // the route needs no token
	statusDenied    = "denied"    // valid, but does not allow the operation
	statusInvalid   = "invalid"   // rejected
	statusUnchecked = "unchecked" // could not be checked
)

func statusOf(failure error) string {
	d, ok := errors.AsType[*diagnosis.Diagnosis](failure)
	switch {
	case failure == nil:
		return statusValid
	case ok && d.Kind() == diagnosis.Rejected:
		return statusInvalid
	case ok && d.Kind() == diagnosis.Denied:
		return statusDenied
	}
	return statusUnchecked
}

// shownReport is what verify and check print with --json, also after an error.
type shownReport struct {
	Status string `json:"status"`
	Valid  *bool  `json:"valid,omitzero"` // absent if it could not be checked, or if the operation is not allowed
	token.Report
	Error *failure `json:"error,omitempty"`
}

func (env *Env) shownReport(report *token.Report, status string, failure error) shownReport {
	shown := shownReport{Status: status, Report: *report}
	switch shown.Status {
	case statusValid, statusInvalid:
		valid := failure == nil
		shown.Valid = &valid
	}
	if failure != nil {
		f := env.classify(failure)
		env.withoutSecrets(&f)
		shown.Error = &f
	}
	return shown
}

// failedReport returns what verify and check print with --json if they failed
// before there was a report.
func failedReport(env *Env, f failure) (io.Writer, any) {
	return env.Stdout, shownReport{Status: statusUnchecked, Report: token.Report{Checks: []token.Check{}}, Error: &f}
}

// showReport prints a report with its status and returns failure, the reason why
// the token is not valid, or nil.
func (env *Env) showReport(report *token.Report, status string, failure error) error {
	if env.global.wantsJSON() {
		if err := env.printJSON(env.shownReport(report, status, failure)); err != nil {
			return err
		}
		return alreadyPrinted(failure)
	}
	if env.global.quiet {
		return alreadyPrinted(failure)
	}
	s := env.stdout()
	switch status {
	case statusValid:
		s.line("%s", s.good("valid"))
	case statusPublic:
		s.line("%s", s.good("public: no token is needed"))
	case statusDenied:
		s.line("%s", s.bad("valid, but does not allow this"))
	case statusInvalid:
		s.line("%s", s.bad("not valid"))
	default:
		s.line("%s", s.warn("could not be checked"))
	}
	showChecks(s, report.Checks)
	if len(report.Unverified) > 0 {
		s.line("%s", s.faint("the token's claims, not verified:"))
		showChecks(s, report.Unverified)
	}
	for _, w := range report.Warnings {
		s.line("%s %s %s", s.warn("warning:"), clean(w.Text()), s.faint(string(w.ID)))
	}
	return failure
}

func alreadyPrinted(failure error) error {
	if failure != nil {
		return printedError{failure}
	}
	return nil
}

// showChecks prints a line for each check, and below it what differed.
func showChecks(s *screen, checks []token.Check) {
	width := 0
	for _, c := range checks {
		width = max(width, len(c.Check))
	}
	for _, c := range checks {
		name := fmt.Sprintf("%-*s", width, clean(c.Check))
		indent := strings.Repeat(" ", width+4)
		switch c.Status {
		case token.Passed:
			s.line("%s %s  %s", s.good(s.marks.pass), name, clean(c.Got.String()))
		case token.Failed:
			s.line("%s %s  %s %s", s.bad(s.marks.fail), s.strong(name), clean(c.Message), s.faint(string(c.ID)))
			if c.Expected != nil {
				s.line("%s%s %s", indent, s.faint("expected"), clean(c.Expected.Or()))
			}
			if c.Got != nil {
				s.line("%s%s %s", indent, s.faint("got     "), clean(c.Got.String()))
			}
		default:
			s.line("%s %s  %s", s.faint(s.marks.none), s.faint(name), s.faint(strings.TrimSpace("not checked "+clean(c.Message))))
		}
	}
}
