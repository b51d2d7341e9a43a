package cmd

import (
	"context"
	"net/url"
	"slices"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/audit"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// profileTokens returns the tokens of the session of -p: the access token and, if
// it has them, an expired one and an ID token. They are sent to the profile's own
// API only.
func (env *Env) profileTokens(ctx context.Context, run *auditRun) (audit.Tokens, error) {
	a, err := env.currentAccount()
	if err != nil {
		return nil, err
	}
	api, err := url.Parse(a.Profile().Get(profile.API))
	if err != nil || safehttp.Origin(api) != safehttp.Origin(run.target) {
		return nil, &diagnosis.Diagnosis{
			ID: diagnosis.OriginRefused, Expected: diagnosis.Values{a.Profile().Get(profile.API)}, Got: diagnosis.Values{safehttp.Origin(run.target)},
		}
	}
	others := map[string]string{}
	if before, err := a.Session(); err == nil && !before.ExpiresAt.IsZero() && before.ExpiresAt.Before(env.Now()) {
		others["expired"] = before.AccessToken.Reveal()
	}
	t, err := a.Token(ctx, account.Want{})
	if err != nil {
		return nil, err
	}
	if err := unbound(t, "audit"); err != nil {
		return nil, err
	}
	if !t.IDToken.IsZero() {
		others["id-token-as-access-token"] = t.IDToken.Reveal()
	}
	tokens := &audit.RealTokens{
		From: "the real token of profile " + a.Profile().Name(), Others: others,
		NarrowsScopes: run.options.allowRefresh,
		Fetch: func(ctx context.Context, scopes []string, _ string) (string, []string, error) {
			narrower := slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return !slices.Contains(t.Scope, s) })
			if !run.options.allowRefresh || len(narrower) == 0 {
				return t.Value.Reveal(), t.Scope, nil
			}
			fewer, err := a.Narrowed(ctx, narrower)
			if err != nil {
				return "", nil, err
			}
			return fewer.Value.Reveal(), fewer.Scope, nil
		},
	}
	if server, err := a.Server(ctx); err == nil && server.JWKSURI != "" {
		if client, err := env.client(); err == nil {
			tokens.Public = env.publicKey(ctx, client, server.JWKSURI)
		}
	}
	return tokens, nil
}
