package cmd

import (
	"cmp"
	"context"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

type introspectOptions struct {
	clientOptions
	issuer   string
	audience []string
	scope    []string
}

func newIntrospect(env *Env) *cobra.Command {
	var o introspectOptions
	cmd := &cobra.Command{
		Use:         "introspect [TOKEN]",
		Annotations: map[string]string{onlyShows: "yes"},
		Long: `Ask the authorization server whether a token is active (RFC 7662), and check the
response as an API does: issuer, audience, times and the kind of token. The
request is sent with the client of the session. An API uses its own client:
configure it in the profile, with variables or with flags.` + "\n\n" + longTokenArg,
		Example: `  # Ask about the profile's access token
  oauthctl introspect

  # As an API, without a login
  oauthctl introspect @token.txt --client-id service \
    --client-secret-file secret.txt --issuer https://auth.example.com \
    --audience https://api.example.com`,
		Args: upTo(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.withReport(func(ctx context.Context, env *Env, raw secret.String) error {
				return runIntrospect(ctx, env, raw, o)
			})(cmd, args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.issuer, "issuer", "", "ask and expect this issuer `URL` (default: the profile's)")
	f.StringArrayVar(&o.audience, "audience", nil, "expect this `AUDIENCE` (repeatable, one must match; default: the profile's)")
	f.StringArrayVar(&o.scope, "scope", nil, "require this `SCOPE` (repeatable, all are required)")
	o.clientOptions.addFlags(f)
	return cmd
}

func runIntrospect(ctx context.Context, env *Env, raw secret.String, o introspectOptions) error {
	if err := checkIssuerFlag(o.issuer); err != nil {
		return err
	}
	p, err := env.profile()
	if err != nil {
		return err
	}
	audience := o.audience
	if len(audience) == 0 {
		audience = p.List(profile.Audience)
	}
	inspector, err := token.NewResponseInspector(cmp.Or(o.issuer, p.Get(profile.Issuer)), audience, token.Options{Now: env.Now})
	if err != nil {
		return usage("%w", err)
	}
	answer := &oauth.Introspection{}
	if !raw.IsZero() { // else the report says that it is empty
		if answer, err = env.introspect(ctx, p, raw, o); err != nil {
			return err
		}
	}
	report := inspector.Report(raw, answer.Raw)
	failure := report.Err()
	if failure == nil && len(o.scope) > 0 {
		decision := policy.Requirement{Scopes: fields(o.scope)}.Decide(report.Token)
		report.Checks = append(report.Checks, decision.Checks...)
		if !decision.Allowed {
			failure = decision.Diagnosis
		}
	}
	return env.showIntrospection(report, answer, failure)
}

// introspect sends the token to the server, as the client in the flags if they
// name one.
func (env *Env) introspect(ctx context.Context, p *profile.Profile, raw secret.String, o introspectOptions) (*oauth.Introspection, error) {
	given, once, err := o.clientOptions.given(env)
	if err != nil {
		return nil, err
	}
	if o.issuer != "" {
		given[profile.Issuer] = o.issuer
	}
	a, err := env.account(p.With(profile.Flag, given), once)
	if err != nil {
		return nil, err
	}
	ask := (*account.Account).Introspect
	if o.clientOptions != (clientOptions{}) {
		ask = (*account.Account).IntrospectAsClient
	}
	answer, err := ask(a, ctx, raw)
	if errors.Is(err, &diagnosis.Diagnosis{ID: diagnosis.LoginRequired}) {
		err = withHint(err, "log in, or ask as the API's own client: --issuer URL --client-id ID --client-secret-file FILE")
	}
	return answer, err
}

// shownIntrospection is what introspect prints with --json, also after an
// error; docs/reference/introspect.schema.json describes it.
type shownIntrospection struct {
	Status   string          `json:"status"`
	Valid    *bool           `json:"valid,omitzero"`
	Active   *bool           `json:"active,omitzero"` // absent unless the server answered
	Response jsontext.Value  `json:"response,omitempty"`
	Checks   []token.Check   `json:"checks"`
	Warnings []token.Warning `json:"warnings,omitempty"`
	Error    *failure        `json:"error,omitempty"`
}

// failedIntrospection is what introspect prints where there is no response.
func failedIntrospection(env *Env, f failure) (io.Writer, any) {
	return env.Stdout, shownIntrospection{Status: statusUnchecked, Checks: []token.Check{}, Error: &f}
}

// showIntrospection prints the results of the checks, and the response.
func (env *Env) showIntrospection(report *token.Report, answer *oauth.Introspection, failure error) error {
	if env.global.wantsJSON() {
		one := env.shownReport(report, statusOf(failure), failure)
		shown := shownIntrospection{
			Status: one.Status, Valid: one.Valid, Response: answer.Raw, Checks: one.Checks, Warnings: one.Warnings, Error: one.Error,
		}
		if answer.Raw != nil {
			shown.Active = &answer.Active
		}
		if err := env.printJSON(shown); err != nil {
			return err
		}
		return alreadyPrinted(failure)
	}
	failure = env.showReport(report, statusOf(failure), failure)
	if answer.Raw == nil || env.global.quiet {
		return failure
	}
	s := env.stdout()
	s.line("%s", s.faint("what the server says:"))
	if err := env.printJSON(answer.Raw); err != nil {
		return err
	}
	return failure
}
