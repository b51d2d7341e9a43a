package cmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

type verifyOptions struct {
	judgingOptions
	batch string
}

func newVerify(env *Env) *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use: "verify [TOKEN]",
		Long: `Verify a JWT access token: signature with the issuer's keys, issuer, audience,
times. Issuer and audience come from the profile unless given. Every check is
shown with what was expected and what was found; one that was not asked for is
shown as not checked, never as passed.

` + longTokenArg,
		Example: `  oauthctl verify
  oauthctl token | oauthctl verify -
  oauthctl verify @token.txt --issuer https://auth.example.com --audience https://api.example.com
  oauthctl verify - --jwks keys.json --json --jq .valid < token.txt
  oauthctl verify --batch=tokens.txt --jwks keys.json --issuer https://auth.example.com`,
		Args: upTo(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.checkOpaque(); err != nil {
				return err
			}
			if o.batch != "" {
				return runVerifyBatch(cmd.Context(), env, o)
			}
			return env.withToken(func(ctx context.Context, env *Env, raw secret.String) error {
				return runVerify(ctx, env, raw, o)
			})(cmd, args)
		},
	}
	f := cmd.Flags()
	o.judgingOptions.addFlags(f)
	f.StringVar(&o.batch, "batch", "", "judge one token a line, from `FILE` or standard input; one line answers each")
	f.Lookup("batch").NoOptDefVal = "-"
	f.BoolVar(&o.opaque, "jws", false, "take the payload for bytes that are no claims; check header and signature only")
	return cmd
}

// checkOpaque refuses to expect claims of a payload that has none.
func (o *verifyOptions) checkOpaque() error {
	if o.opaque && (o.audience != nil || o.require != nil || o.rfc9068 || o.leeway != 0 || o.at != "") {
		return usage("--jws checks no claims: --audience, --require, --rfc9068, --leeway and --at do not go with it")
	}
	return nil
}

func runVerify(ctx context.Context, env *Env, raw secret.String, o verifyOptions) error {
	inspector, err := env.inspector(ctx, o.judgingOptions, raw)
	if err != nil {
		return err
	}
	report := inspector.Report(ctx, raw.Reveal())
	return env.showReport(report, report.Err())
}

// showReport prints a report and returns verdict, the reason why the token is
// not good, or nil.
func (env *Env) showReport(report *token.Report, verdict error) error {
	if env.global.wantsJSON() {
		shown := struct {
			*token.Report
			Error *failure `json:"error,omitempty"`
		}{Report: report}
		if verdict != nil {
			f := env.judge(verdict)
			shown.Error = &f
		}
		if err := env.printJSON(shown); err != nil {
			return err
		}
		if verdict != nil {
			return told{verdict}
		}
		return nil
	}
	s := env.stdout()
	if report.Valid && verdict == nil {
		s.line("%s", s.good("valid"))
	} else {
		s.line("%s", s.bad("not valid"))
	}
	showChecks(s, report.Checks)
	return verdict
}

// showChecks prints one line a check, with what differed below it.
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
			s.line("%s %s  %s", s.good("✓"), name, clean(c.Got.String()))
		case token.Failed:
			s.line("%s %s  %s %s", s.bad("✗"), s.strong(name), clean(c.Message), s.faint(string(c.ID)))
			if c.Expected != nil {
				s.line("%s%s %s", indent, s.faint("expected"), clean(c.Expected.Or()))
			}
			if c.Got != nil {
				s.line("%s%s %s", indent, s.faint("got     "), clean(c.Got.String()))
			}
		default:
			s.line("%s %s  %s", s.faint("·"), s.faint(name), s.faint(strings.TrimSpace("not checked "+clean(c.Message))))
		}
	}
}
