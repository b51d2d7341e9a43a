package account

import (
	"context"
	"errors"
	"slices"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/session"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// finish verifies and stores the result.
func (l *login) finish(ctx context.Context, want wanted, got authorized) (*LoggedIn, error) {
	id, err := l.identify(ctx, want, got)
	if err != nil {
		return nil, err
	}
	l.observe(Step{Name: Verified, Client: got.client, Request: got.request, Response: got.response, Identity: id})
	s := l.newSession(got.client, l.grant.name, session.Asked{Scope: want.scopes, Audience: want.audiences, Resource: want.resources, Param: want.params})
	s.DPoPKey = want.key
	if id != nil {
		s.Subject, s.Name = id.Subject(), nameOf(id)
	}
	l.take(s, got.response)
	if err := l.store.Save(ctx, s); err != nil {
		return nil, err
	}
	if err := l.saveProfile(ctx); err != nil {
		l.ui.Warn(err) // the session is stored, and later commands report what they lack
	}
	l.compareAudience(want, got.response)
	done := &LoggedIn{Session: s, Response: got.response, Asked: want.scopes}
	for _, scope := range want.scopes {
		if !slices.Contains(s.Scope, scope) && scope != "openid" && scope != "offline_access" {
			done.Missing = append(done.Missing, scope)
		}
	}
	if s.RefreshToken.IsZero() && slices.Contains(want.scopes, "offline_access") && l.options.Prompt == "" && l.grant.name == GrantAuthorizationCode {
		l.ui.Warn(&diagnosis.Diagnosis{ID: diagnosis.NoRefreshToken, Got: diagnosis.Values{"profile " + l.profile.Name()}})
	}
	return done, nil
}

// compareAudience warns if the access token is a JWT for another audience than the
// requested one.
func (l *login) compareAudience(want wanted, response *oauth.TokenResponse) {
	t, err := token.Decode(response.AccessToken.Reveal())
	requested := slices.Concat(want.audiences, want.resources)
	if err != nil || len(requested) == 0 || len(t.Audience()) == 0 {
		return
	}
	for _, one := range t.Audience() {
		if slices.Contains(requested, one) {
			return
		}
	}
	l.ui.Warn(&diagnosis.Diagnosis{ID: diagnosis.AudienceNotGranted, Expected: requested, Got: t.Audience()})
}

// identify verifies the ID token. If there is none, it is an error only if the
// user requested openid; if openid was added by default, it is a warning.
func (l *login) identify(ctx context.Context, want wanted, got authorized) (*token.Token, error) {
	if !slices.Contains(want.scopes, "openid") && got.response.IDToken.IsZero() {
		return nil, nil
	}
	id, err := got.client.VerifyIDToken(ctx, got.response, got.expected)
	if errors.Is(err, &diagnosis.Diagnosis{ID: diagnosis.IDTokenMissing}) && slices.Contains(want.implied, "openid") {
		l.ui.Warn(&diagnosis.Diagnosis{ID: diagnosis.UserUnknown})
		return nil, nil
	}
	return id, err
}

// nameOf returns a readable name of the user from the ID token, or "".
func nameOf(id *token.Token) string {
	for _, claim := range []string{"preferred_username", "email", "name"} {
		if v, ok := id.Claim(claim); ok {
			if name, ok := v.(string); ok && name != "" {
				return name
			}
		}
	}
	return ""
}

// saveProfile stores the discovered settings, so that later runs need no
// options.
func (l *login) saveProfile(ctx context.Context) error {
	p := l.profile
	if p.Path() == "" {
		return nil
	}
	return profile.Update(ctx, p.Path(), func(f *profile.File) error {
		before, _ := f.Values(p.Name())
		f.Set(p.Name(), p.Changes(before))
		return nil
	})
}
