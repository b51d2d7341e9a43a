package cmd

import (
	"cmp"
	"context"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/profile"
)

type exchangeOptions struct {
	clientOptions
	grantType        string
	subjectToken     string
	subjectTokenType string
	actorToken       string
	actorTokenType   string
	requestedType    string
	param            []string
	assertion        string
	audience         []string
	resource         []string
	scope            []string
}

// The values of --grant-type.
const (
	grantExchange  = account.GrantTokenExchange
	grantJWTBearer = account.GrantJWTBearer
)

func newExchange(env *Env) *cobra.Command {
	var o exchangeOptions
	cmd := &cobra.Command{
		Use: "exchange",
		Long: `Exchange a token for another at the profile's authorization server (RFC 8693),
as the profile's client, and print it. The profile's session does not change.
Without --subject-token its access token is exchanged. With --grant-type
jwt-bearer an assertion is sent instead (RFC 7523).

` + longCredential,
		Example: `  # Exchange the session's token for one with fewer scopes
  oauthctl exchange --scope items:read

  # Exchange the token in a file for one for another API
  oauthctl exchange --subject-token @token.txt \
    --audience https://api.example.com

  # Use the identity token of a GitHub Actions job
  oauthctl exchange --subject-token ci:github --scope items:read`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runExchange(cmd.Context(), env, o) },
	}
	f := cmd.Flags()
	addGroup(f, "Common flags", o.addFlags)
	addGroup(f, "Client flags", o.clientOptions.addFlags)
	return cmd
}

func (o *exchangeOptions) addFlags(f *pflag.FlagSet) {
	f.StringArrayVar(&o.audience, "audience", nil, "request a token for this `AUDIENCE` (repeatable)")
	f.StringArrayVar(&o.scope, "scope", nil, "request this `SCOPE` (repeatable)")
	f.StringArrayVar(&o.resource, "resource", nil, "request a token for the resource with this `URL` (RFC 8707; repeatable)")
	f.StringVar(&o.subjectToken, "subject-token", "", "`TOKEN` to exchange (default: the profile's access token)")
	f.StringVar(&o.subjectTokenType, "subject-token-type", "", "`TYPE` of the subject token: access_token, refresh_token, id_token, jwt or a URI (default access_token; jwt for the token of a CI job)")
	f.StringVar(&o.actorToken, "actor-token", "", "`TOKEN` of the party that acts for the subject")
	f.StringVar(&o.actorTokenType, "actor-token-type", "", "`TYPE` of the actor token, like --subject-token-type")
	f.StringVar(&o.requestedType, "requested-token-type", "", "`TYPE` of the new token: access_token, refresh_token, id_token, jwt, id-jag or a URI (default: the server's choice)")
	o.grantType = grantExchange
	oneOf(f, &o.grantType, "grant-type", []string{grantExchange, grantJWTBearer}, "`GRANT`: token-exchange or jwt-bearer")
	f.StringVar(&o.assertion, "assertion", "", "the JWT for --grant-type jwt-bearer, a `TOKEN`")
	f.StringArrayVar(&o.param, "param", nil, "add the parameter `NAME=VALUE` to the request (repeatable)")
}

// check returns an error for flags that cannot be combined.
func (o *exchangeOptions) check() error {
	switch {
	case o.grantType == grantExchange && o.assertion != "":
		return &usageError{what: "--assertion: a token exchange has none", hint: "--subject-token TOKEN, or --grant-type jwt-bearer"}
	case o.grantType == grantExchange:
		return nil
	case o.assertion == "":
		return &usageError{what: "--grant-type jwt-bearer needs an assertion", hint: "--assertion @FILE, or - for standard input"}
	case o.subjectToken != "" || o.actorToken != "" || o.subjectTokenType != "" || o.actorTokenType != "" || o.requestedType != "":
		return usage("--grant-type jwt-bearer has an assertion, but no subject, no actor and no requested token type")
	}
	return nil
}

func runExchange(ctx context.Context, env *Env, o exchangeOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	p, err := env.profile()
	if err != nil {
		return err
	}
	a, err := env.account(p, credentials{})
	if err != nil {
		return err
	}
	options, err := o.options(env)
	if err != nil {
		return err
	}
	if o.clientOptions != (clientOptions{}) {
		given, once, err := o.clientOptions.given(env)
		if err != nil {
			return err
		}
		if options.As, err = env.account(p.With(profile.Flag, given), once); err != nil {
			return err
		}
	}
	answer, err := a.Exchange(ctx, options)
	if err != nil {
		return err
	}
	env.mask(answer.AccessToken)
	return env.printExchanged(answer)
}

// options returns the request that the flags describe.
func (o *exchangeOptions) options(env *Env) (account.ExchangeOptions, error) {
	options := account.ExchangeOptions{
		SubjectTokenType: o.subjectTokenType, ActorTokenType: o.actorTokenType, RequestedTokenType: o.requestedType,
		Scope: fields(o.scope), Audience: o.audience, Resource: o.resource, Param: url.Values{},
	}
	for _, t := range []struct {
		token *account.TokenFunc
		arg   string
	}{{&options.Subject, o.subjectToken}, {&options.Actor, o.actorToken}, {&options.Assertion, o.assertion}} {
		var err error
		if *t.token, err = env.credentialFor(t.arg); err != nil {
			return options, err
		}
	}
	for _, p := range o.param {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return options, usage("--param: expected NAME=VALUE, got %q", p)
		}
		options.Param.Add(name, value)
	}
	options.SubjectTokenType = cmp.Or(options.SubjectTokenType, account.TypeOf(o.subjectToken))
	options.ActorTokenType = cmp.Or(options.ActorTokenType, account.TypeOf(o.actorToken))
	return options, nil
}

func (env *Env) printExchanged(answer *oauth.TokenResponse) error {
	if !env.global.wantsJSON() {
		env.stdout().line("%s", answer.AccessToken.Reveal())
		return nil
	}
	shown := struct {
		AccessToken     string `json:"access_token"`
		TokenType       string `json:"token_type"`
		IssuedTokenType string `json:"issued_token_type,omitempty"`
		ExpiresAt       string `json:"expires_at,omitempty"`
		Scope           string `json:"scope,omitempty"`
	}{AccessToken: answer.AccessToken.Reveal(), TokenType: answer.TokenType, IssuedTokenType: answer.IssuedTokenType, Scope: strings.Join(answer.Scope, " ")}
	shown.ExpiresAt = timestamp(answer.ExpiresAt)
	return env.printJSON(shown)
}
