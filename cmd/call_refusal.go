package cmd

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/oauthctl/oauthctl/pkg/apicall"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// notRepeated says why a request was not sent again.
func notRepeated(why error) string {
	var long *apicall.TooLong
	switch {
	case errors.Is(why, apicall.ErrBodySpent):
		return "the request is not repeated: its body was read from a stream; a file (-d @FILE) can be sent again"
	case errors.As(why, &long):
		return "the request is not repeated: " + long.Error()
	}
	return "the request is not repeated with another token: " + why.Error()
}

// explainRefusal says what a response that is not a success means, and which
// command helps.
func (env *Env) explainRefusal(ctx context.Context, res *http.Response, refusal *apicall.Refusal, o *callOptions) error {
	sent, carried := apicall.SentToken(res)
	if refusal.ID == diagnosis.ScopeMissing && carried {
		refusal.Scopes = lacking(refusal.Scopes, sent)
	}
	hint, c := "", env.hintContext(nil)
	if flags := loginFlags(refusal); flags != nil {
		hint = c.run(append([]string{"login"}, flags...)...)
	}
	if refusal.ID == diagnosis.CredentialsMissing {
		hint = "leave out --no-token to send the session's token"
		if !o.noToken {
			hint = "the token is not sent to the origin that a redirect led to; call that one, with --allow-origin"
		}
	}
	bare := refusal.ID == diagnosis.APIUnauthorized || refusal.ID == diagnosis.APIForbidden
	if bare && !refusal.Reason && carried {
		hint = env.examine(ctx, sent, c)
	}
	if refusal.ID == diagnosis.APIUnauthorized && carried && hint == "" {
		hint = env.logInAgain(c)
	}
	return withHint(refusal, hint, c.named.text...)
}

// logInAgain returns the hint for a session whose token the API does not accept
// any longer, or "" without a session. The login starts at the API, because it
// may use another authorization server now.
func (env *Env) logInAgain(c hintContext) string {
	p := env.resolved
	if p == nil || p.Get(profile.API) == "" || !env.environmentToken().IsZero() {
		return ""
	}
	return "log in again: " + c.run("login", p.Get(profile.API)) + "; if that does not help, verify the token: " + c.run("verify")
}

// loginFlags returns the flags of a login that would get an accepted token, or
// nil if no login helps.
func loginFlags(r *apicall.Refusal) []string {
	var flags []string
	for _, scope := range r.Scopes {
		flags = append(flags, "--add-scope", scope)
	}
	for _, acr := range r.ACRValues {
		flags = append(flags, "--acr-values", acr)
	}
	if r.MaxAge >= 0 {
		flags = append(flags, "--max-age", r.MaxAge.String())
	}
	return flags
}

// lacking returns the scopes that a token does not have, all of them if that is
// unknown or none is missing.
func lacking(scopes []string, sent apicall.AccessToken) []string {
	t, err := token.Decode(sent.Value.Reveal())
	if err != nil {
		return scopes
	}
	has := t.Scopes()
	missing := slices.DeleteFunc(slices.Clone(scopes), func(scope string) bool { return slices.Contains(has, scope) })
	if len(missing) == 0 {
		return scopes
	}
	return missing
}

// examine verifies a token that the API refused without a reason, as `oauthctl
// verify` would with the profile's issuer and API, and returns the result as
// text. It returns "" for an opaque token and for an unknown issuer.
func (env *Env) examine(ctx context.Context, sent apicall.AccessToken, c hintContext) string {
	t, err := token.Decode(sent.Value.Reveal())
	if err != nil {
		return ""
	}
	p, err := env.profile()
	if err != nil || p.Get(profile.Issuer) == "" {
		return ""
	}
	var o verifyingOptions
	if api := p.Get(profile.API); p.Get(profile.Audience) == "" && api != "" {
		o.audience = []string{api}
	}
	inspector, err := env.inspector(o, sent.Value)
	if err != nil {
		return ""
	}
	report := inspector.Report(ctx, sent.Value.Reveal())
	d, failed := errors.AsType[*diagnosis.Diagnosis](report.Err())
	switch {
	case !failed:
		return "the token is valid here: the API may expect another issuer or audience, or have an old key set"
	case d.ID == diagnosis.Expired:
		return "the token expired " + ago(t.Expiry(), env.Now()) + "; refresh it with " + c.run("token", "--refresh")
	case d.Kind() != diagnosis.Rejected:
		return "" // the keys are unavailable
	}
	return "the token that was sent is not valid here either: " + d.Error()
}
