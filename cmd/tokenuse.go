package cmd

import (
	"context"
	"strings"
	"time"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// usableToken is a token as the commands print it or pass it on.
type usableToken struct {
	value   secret.String
	kind    string // Bearer or DPoP
	expires time.Time
	scope   []string
	api     string // the profile's API
}

// wantedToken is which token a command needs.
type wantedToken struct {
	minTTL  time.Duration
	refresh bool
	id      bool // the ID token
	// bearer names what passes the token on to a program that cannot make the proofs
	// that a bound one needs, "" if nothing does.
	bearer string
}

// usableToken returns the profile's access token, or its ID token, refreshed as
// wanted.
func (env *Env) usableToken(ctx context.Context, w wantedToken) (*usableToken, error) {
	p, err := env.profile()
	if err != nil {
		return nil, err
	}
	t, err := env.accessToken(ctx, account.Want{MinTTL: w.minTTL, Refresh: w.refresh})
	if err != nil {
		return nil, err
	}
	if w.bearer != "" {
		if err := unbound(t, w.bearer); err != nil {
			return nil, err
		}
	}
	api := p.Get(profile.API)
	switch {
	case w.id && t.Given:
		return nil, usage("OAUTHCTL_TOKEN holds an access token, and there is no session with an ID token")
	case w.id:
		return env.idToken(ctx, api, w, t)
	case t.Given:
		return env.givenToken(api, t.Value), nil
	}
	return &usableToken{value: t.Value, kind: t.Type, expires: t.ExpiresAt, scope: t.Scope, api: api}, nil
}

// givenToken describes a token from the environment by what it says itself.
func (env *Env) givenToken(api string, value secret.String) *usableToken {
	u := &usableToken{value: value, kind: "Bearer", api: api}
	t, err := token.Decode(value.Reveal())
	if err != nil {
		return u
	}
	u.expires, u.scope = t.Expiry(), t.Scopes()
	if !u.expires.IsZero() && !u.expires.After(env.Now()) {
		env.warn("the token in OAUTHCTL_TOKEN expired %s", ago(u.expires, env.Now()))
	}
	return u
}

// idToken returns the session's ID token. It is refreshed with the session, if the
// server's answer to a refresh has one.
func (env *Env) idToken(ctx context.Context, api string, w wantedToken, t *account.Token) (*usableToken, error) {
	if t.IDToken.IsZero() {
		login := env.command("login", "--add-scope", "openid")
		return nil, &usageError{what: "the session has no ID token", hint: "log in with the scope openid: " + login, commands: []string{login}}
	}
	expires := account.ExpiryOf(t.IDToken)
	if !expires.IsZero() && expires.Sub(env.Now()) < w.minTTL+time.Second && !w.refresh {
		fresh, err := env.accessToken(ctx, account.Want{Refresh: true})
		if err != nil && !expires.After(env.Now()) {
			return nil, err
		}
		if err == nil {
			t, expires = fresh, account.ExpiryOf(fresh.IDToken)
		}
	}
	switch left := expires.Sub(env.Now()); {
	case expires.IsZero():
	case left <= 0:
		return nil, &diagnosis.Diagnosis{ID: diagnosis.LoginRequired, Got: diagnosis.Values{"the ID token expired, and a refresh brought no new one"}}
	case left < w.minTTL:
		env.warn("the refresh brought no new ID token; the one from the login expires %s", ago(expires, env.Now()))
	}
	return &usableToken{value: t.IDToken, kind: "Bearer", expires: expires, scope: t.Scope, api: api}, nil
}

// pastedToken reads the token of the environment, as it is or with what was copied
// with it: quotes, and the field name and scheme of a header.
func (env *Env) pastedToken() (secret.String, error) {
	text := env.Getenv(variableToken)
	if text == "" {
		return secret.String{}, nil
	}
	value := strings.TrimSpace(text)
	for _, quote := range []string{`"`, `'`} {
		if inner, ok := strings.CutPrefix(value, quote); ok {
			value = strings.TrimSpace(strings.TrimSuffix(inner, quote))
		}
	}
	if rest, ok := cutFold(value, "Authorization:"); ok {
		value = strings.TrimSpace(rest)
	}
	if rest, ok := cutFold(value, "Bearer "); ok {
		value = strings.TrimSpace(rest)
	}
	_, bound := cutFold(value, "DPoP ")
	switch {
	case bound:
		return secret.String{}, &usageError{what: variableToken + " holds a token that is bound to a key (DPoP), and the key is missing", hint: "log in here: oauthctl login --dpop", commands: []string{"oauthctl login --dpop"}}
	case value == "":
		return secret.String{}, &usageError{what: variableToken + " is set, and holds no token", hint: "unset it, or set it to an access token"}
	case !isToken68(value):
		return secret.String{}, &usageError{what: variableToken + " holds a character that cannot be part of a token, such as a space or a line break", hint: "set it to the access token alone"}
	}
	return secret.New(value), nil
}

// cutFold is strings.CutPrefix in any letter case.
func cutFold(text, prefix string) (string, bool) {
	if len(text) < len(prefix) || !strings.EqualFold(text[:len(prefix)], prefix) {
		return text, false
	}
	return text[len(prefix):], true
}

// isToken68 reports whether text is a token68 of RFC 9110, section 11.2: what can
// follow Bearer.
func isToken68(text string) bool {
	const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/"
	core := strings.TrimRight(text, "=")
	return core != "" && !strings.ContainsFunc(core, func(r rune) bool { return !strings.ContainsRune(alphabet, r) })
}
