package cmd

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/session"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// finish checks what came, keeps it, and tells the user. Nothing is kept unless
// every check passed.
func (l *login) finish(ctx context.Context, answer *oauth.TokenResponse, expected oauth.IDTokenExpectation) error {
	id, err := l.identify(ctx, answer, expected)
	if err != nil {
		return err
	}
	s := &session.Session{
		Profile: l.profile.name, Issuer: l.client.Server.Issuer, ClientID: l.client.ID, TokenEndpoint: l.client.Server.TokenEndpoint,
		AuthMethod: l.client.AuthMethod, Resource: l.resources, Grant: l.grant.name, DPoPKey: l.key,
	}
	if l.registered || l.secretFile == "-" {
		s.ClientSecret = l.client.Secret
	}
	if id != nil {
		s.Subject, s.Name = id.Subject(), nameOf(id)
	}
	take(s, answer, l.env.Now())
	if err := l.store.Save(ctx, s); err != nil {
		return err
	}
	if err := l.saveProfile(); err != nil {
		return err
	}
	l.tell(s)
	return l.printAsked(answer)
}

// identify verifies the ID token. That there is none matters only if the user
// asked for openid; if only we added it, it is a warning.
func (l *login) identify(ctx context.Context, answer *oauth.TokenResponse, expected oauth.IDTokenExpectation) (*token.Token, error) {
	if !slices.Contains(l.scopes, "openid") && answer.IDToken.IsZero() {
		return nil, nil
	}
	id, err := l.client.VerifyIDToken(ctx, answer, expected)
	if errors.Is(err, &diagnosis.Diagnosis{ID: diagnosis.IDTokenMissing}) && slices.Contains(l.implied, "openid") {
		l.env.warn("the server sent no ID token, so it is not known who logged in")
		return nil, nil
	}
	return id, err
}

// nameOf returns what a person calls the user, as far as the ID token tells.
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

// saveProfile keeps what was found, so that later commands need no flags. The
// environment's values are not the profile's.
func (l *login) saveProfile() error {
	c, err := l.env.openConfig()
	if err != nil {
		return err
	}
	p := l.profile.profile
	for _, s := range settings() {
		if l.profile.from[s.key] == variable(s.key) {
			*s.field(&p) = ""
			if old := c.profiles[l.profile.name]; old != nil {
				*s.field(&p) = *s.field(old)
			}
		}
	}
	p.Scope = strings.Join(l.scopes, " ")
	return c.saveProfile(l.profile.name, &p)
}

// tell says who logged in, what was granted, for how long, and where it is kept.
func (l *login) tell(s *session.Session) {
	if l.env.global.quiet {
		return
	}
	out := l.env.stderr()
	who := s.Name
	switch {
	case l.grant.name == grantClient:
		out.line("%s as client %s", out.good("Logged in"), clean(s.ClientID))
	case who == "" && s.Subject == "":
		out.line("%s", out.good("Logged in"))
	case who == "" || who == s.Subject:
		out.line("%s as %s", out.good("Logged in"), clean(s.Subject))
	default:
		out.line("%s as %s (%s)", out.good("Logged in"), clean(who), clean(s.Subject))
	}
	expires := "not known"
	if !s.ExpiresAt.IsZero() {
		expires = ago(s.ExpiresAt, l.env.Now())
	}
	if s.RefreshToken.IsZero() && l.grant.name != grantClient {
		expires += ", then log in again: no refresh token came"
	} else {
		expires += ", renewed by itself"
	}
	bound := ""
	if !s.DPoPKey.IsZero() {
		bound = "to a key of this session (DPoP)"
	}
	out.table([][2]string{
		{"issuer", clean(s.Issuer)},
		{"API", clean(l.profile.API)},
		{"scopes", clean(strings.Join(s.Scope, " "))},
		{"expires", expires},
		{"bound", bound},
		{"kept in", clean(placeText(l.store.PlaceOf(s.Profile)))},
		{"profile", l.profile.name},
	})
	var missing []string
	for _, scope := range l.scopes {
		if !slices.Contains(s.Scope, scope) && scope != "openid" && scope != "offline_access" {
			missing = append(missing, scope)
		}
	}
	if len(missing) > 0 {
		l.env.warn("asked for, but not granted: %s", clean(strings.Join(missing, " ")))
	}
	if s.RefreshToken.IsZero() && slices.Contains(l.scopes, "offline_access") && l.prompt == "" && l.grant.name == grantCode {
		l.env.warn("no refresh token came; some servers give one only with `oauthctl login --prompt consent`")
	}
	if l.profile.API != "" {
		out.line("Next: %s", out.name("oauthctl call GET PATH"))
	}
}

// printAsked prints what --print names, for scripts.
func (l *login) printAsked(answer *oauth.TokenResponse) error {
	s := l.env.stdout()
	switch l.print {
	case "access_token":
		l.env.mask(answer.AccessToken)
		s.line("%s", answer.AccessToken.Reveal())
	case "id_token":
		if answer.IDToken.IsZero() {
			return &diagnosis.Diagnosis{ID: diagnosis.IDTokenMissing, Hint: "ask for it: --scope openid"}
		}
		l.env.mask(answer.IDToken)
		s.line("%s", answer.IDToken.Reveal())
	case "response":
		for _, token := range []secret.String{answer.AccessToken, answer.RefreshToken, answer.IDToken} {
			l.env.mask(token)
		}
		s.line("%s", answer.Raw.Reveal())
	}
	return nil
}
