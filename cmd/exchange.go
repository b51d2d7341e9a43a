package cmd

import (
	"cmp"
	"context"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/secret"
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

// The grants of exchange, as --grant-type names them.
const (
	grantExchange  = account.GrantTokenExchange
	grantJWTBearer = account.GrantJWTBearer
)

func newExchange(env *Env) *cobra.Command {
	var o exchangeOptions
	cmd := &cobra.Command{
		Use: "exchange",
		Long: `Exchange a token for another at the profile's authorization server (RFC 8693),
as the profile's client, and print it. The profile's own session stays as it is;
its access token is the one exchanged unless --subject-token names another.
With --grant-type jwt-bearer an assertion is presented instead (RFC 7523).

` + longCredential,
		Example: `  oauthctl exchange --audience https://orders.example.com
  oauthctl exchange --subject-token @user.jwt --actor-token @service.jwt
  oauthctl exchange --subject-token ci:github --scope deploy
  oauthctl exchange --grant-type jwt-bearer --assertion ci:gitlab:ID_TOKEN`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runExchange(cmd.Context(), env, o) },
	}
	f := cmd.Flags()
	o.clientOptions.addFlags(f)
	f.StringVar(&o.grantType, "grant-type", grantExchange, "the grant: token-exchange or jwt-bearer")
	f.StringVar(&o.subjectToken, "subject-token", "", "the `TOKEN` to exchange (default: the profile's access token)")
	f.StringVar(&o.subjectTokenType, "subject-token-type", "", "what it is: access_token, refresh_token, id_token, jwt or a `URI`\n(default access_token, for a CI job's token jwt)")
	f.StringVar(&o.actorToken, "actor-token", "", "the `TOKEN` of who acts for the subject")
	f.StringVar(&o.actorTokenType, "actor-token-type", "", "what it is, as --subject-token-type (default access_token, for a CI job's\ntoken jwt)")
	f.StringVar(&o.requestedType, "requested-token-type", "", "the type of token to get: access_token, refresh_token, id_token, jwt, id-jag\nor a `URI` (default: the server's choice)")
	f.StringArrayVar(&o.param, "param", nil, "add the parameter `NAME=VALUE` to the request (repeatable)")
	f.StringVar(&o.assertion, "assertion", "", "the JWT that --grant-type jwt-bearer presents, a `TOKEN`")
	f.StringArrayVar(&o.audience, "audience", nil, "ask for a token for this audience (repeatable)")
	f.StringArrayVar(&o.resource, "resource", nil, "ask for a token for this resource, RFC 8707 (repeatable)")
	f.StringArrayVar(&o.scope, "scope", nil, "ask for these scopes (repeatable)")
	return cmd
}

// check finds what does not go together before anybody is asked for anything.
func (o *exchangeOptions) check() error {
	stdin := 0
	for _, arg := range []string{o.secretFile, o.clientOptions.assertion, o.subjectToken, o.actorToken, o.assertion} {
		if arg == "-" {
			stdin++
		}
	}
	switch {
	case stdin > 1:
		return usage("standard input holds one value: only one flag may be -")
	case o.grantType == grantExchange && o.assertion != "":
		return &usageError{what: "--assertion: a token exchange has none", hint: "--subject-token TOKEN, or --grant-type jwt-bearer"}
	case o.grantType == grantExchange:
		return nil
	case o.grantType != grantJWTBearer:
		return usage("--grant-type: expected %s or %s, got %q", grantExchange, grantJWTBearer, o.grantType)
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

// options are what the exchange asks for.
func (o *exchangeOptions) options(env *Env) (account.ExchangeOptions, error) {
	from := func(arg string) account.TokenFunc {
		if arg == "" {
			return nil
		}
		return func(ctx context.Context, audience string) (secret.String, error) {
			return env.credential(ctx, arg, audience)
		}
	}
	options := account.ExchangeOptions{
		Subject: from(o.subjectToken), SubjectTokenType: o.subjectTokenType,
		Actor: from(o.actorToken), ActorTokenType: o.actorTokenType, Assertion: from(o.assertion),
		RequestedTokenType: o.requestedType,
		Scope:              fields(o.scope), Audience: o.audience, Resource: o.resource, Param: url.Values{},
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
