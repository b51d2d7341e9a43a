package account

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/oauthctl/oauthctl/pkg/apicall"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/dpop"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/session"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// Token is an access token with its properties.
type Token struct {
	Value     secret.String
	Type      string    // Bearer or DPoP
	ExpiresAt time.Time // zero if it is not known
	Scope     []string
	// IDToken is the ID token of the same response, or empty.
	IDToken secret.String
	// Given reports whether the token is Config.AccessToken and not from a
	// session.
	Given bool

	prover *dpop.Prover
	from   *session.Session
}

// Bound reports whether the token needs a proof with each request (RFC 9449),
// which only this process can create.
func (t *Token) Bound() bool { return t.prover != nil }

// ForAPI returns the token as package apicall sends it.
func (t *Token) ForAPI() apicall.AccessToken {
	return apicall.AccessToken{Type: t.Type, Value: t.Value, Prover: t.prover}
}

// Stored returns the access token, expired or not, for display: nothing is
// refreshed and no request is sent. Errors are those of [Account.Session].
func (a *Account) Stored() (*Token, error) {
	if !a.config.AccessToken.IsZero() {
		return given(a.config.AccessToken), nil
	}
	s, err := a.Session()
	if err != nil {
		return nil, err
	}
	return a.tokenOf(s)
}

// Want describes the required token.
type Want struct {
	// MinTTL is the minimum remaining lifetime; 0 means a share of its lifetime.
	MinTTL time.Duration
	// Rejected is a token that must not be returned, for example because an API
	// refused it.
	Rejected secret.String
	// Refresh requests a new token in any case.
	Refresh bool
}

// Token returns a valid access token, and refreshes it first if it is about to
// expire. N concurrent processes send one refresh request. If a refresh fails
// temporarily while the token is valid, this is a warning.
//
// Errors are Diagnoses: LOGIN_REQUIRED, SESSION_ELSEWHERE, GRANT_INVALID,
// REFRESH_REFUSED, NO_REFRESH_TOKEN, those of package oauth, discovery, safehttp
// and of the store; a [RefreshError] adds that the token had expired.
func (a *Account) Token(ctx context.Context, w Want) (*Token, error) {
	if !a.config.AccessToken.IsZero() {
		return given(a.config.AccessToken), nil
	}
	if w.Refresh {
		if s, err := a.Session(); err == nil && s.RefreshToken.IsZero() && !a.actsForItself(s) && !a.presentsAgain(s) {
			return nil, &diagnosis.Diagnosis{ID: diagnosis.NoRefreshToken, Got: diagnosis.Values{"profile " + a.profile.Name()}}
		}
	}
	before, _ := a.store.Load(a.profile.Name())
	result, err := a.source().Session(ctx, session.Want{MinTTL: w.MinTTL, Rejected: w.Rejected, Fresh: w.Refresh})
	if err != nil {
		return nil, a.refreshFailed(before, w.Rejected, err)
	}
	a.warn(result.Warning)
	return a.tokenOf(result.Session)
}

func (a *Account) tokenOf(s *session.Session) (*Token, error) {
	prover, err := a.proverOf(s)
	if err != nil {
		return nil, err
	}
	return &Token{
		Value: s.AccessToken, Type: s.TokenType, ExpiresAt: s.ExpiresAt, Scope: s.Scope, IDToken: s.IDToken, prover: prover, from: s,
	}, nil
}

// given is a token from outside. Only a JWT shows when it expires.
func given(value secret.String) *Token {
	return &Token{Value: value, Type: "Bearer", ExpiresAt: ExpiryOf(value), Given: true}
}

// ExpiryOf returns the exp of an access token that is a JWT, or zero. It is only
// used to decide when to refresh.
func ExpiryOf(value secret.String) time.Time {
	t, err := token.Decode(value.Reveal())
	if err != nil {
		return time.Time{}
	}
	return t.Expiry()
}

// RefreshError means that an expired access token could not be refreshed, with
// the reason.
type RefreshError struct {
	ExpiredAt time.Time
	Err       error
}

// Error returns both halves.
func (e *RefreshError) Error() string {
	return fmt.Sprintf("the access token expired at %s and could not be refreshed: %v", e.ExpiredAt.UTC().Format(time.RFC3339), e.Err)
}

// Unwrap returns why.
func (e *RefreshError) Unwrap() error { return e.Err }

// refreshFailed adds the operation, if the reason alone does not show it.
func (a *Account) refreshFailed(before *session.Session, rejected secret.String, err error) error {
	var d *diagnosis.Diagnosis
	if before == nil || before.ExpiresAt.IsZero() || before.ExpiresAt.After(a.now()) || !rejected.IsZero() || !errors.As(err, &d) || d.Kind() != diagnosis.Unavailable {
		return err
	}
	return &RefreshError{ExpiredAt: before.ExpiresAt, Err: err}
}

// source returns the profile's session and refreshes it if needed.
func (a *Account) source() *session.Source {
	return &session.Source{
		Store: a.store, Profile: a.profile.Name(), Now: a.config.Now,
		Renew: a.renew, Fits: a.fits, RenewTime: max(renewTime, a.http.Timeout+renewTime/2),
	}
}

// renewTime is the time limit for a refresh with its requests for metadata,
// tokens and keys, unless the HTTP client's Timeout is longer. If the response is
// not awaited, a rotated refresh token is lost.
const renewTime = 30 * time.Second

// fits returns an error if a session does not match the profile. One without a user
// is ignored if the account can get another one.
func (a *Account) fits(s *session.Session) error {
	difference := a.difference(s)
	if difference == nil || !a.replaces(s) {
		return difference
	}
	return fmt.Errorf("account: %w: %w", session.ErrNotFound, difference)
}

// replaces reports whether a new session, without a user, can replace one that no
// user logged in for. A session with a refresh token stays: the token would be lost
// and remain valid. So does one of a presented token, which may be a user's, if the
// profile does not say that the client acts for itself.
func (a *Account) replaces(s *session.Session) bool {
	if s.Grant != GrantClientCredentials && !a.presentsAgain(s) {
		return false
	}
	grantType := a.profile.Get(profile.GrantType)
	if key, presents := Presents(grantType); presents {
		return a.profile.Get(key) != "" && a.profile.Server() != ""
	}
	return a.actsForItself(nil) && (s.Grant == GrantClientCredentials || grantType != "")
}

// ownAPI returns the API that a session without a user is for. With a credential of
// the profile file, an API that is configured only in the environment does not
// count: see [Account.TokenSource].
func (a *Account) ownAPI() string {
	p := a.profile
	saved := func(key profile.Key) bool { return p.Origin(key) == profile.Saved }
	if p.Origin(profile.API) == profile.Environment && slices.ContainsFunc(credentials, saved) {
		p = p.Without(profile.Environment, profile.API)
	}
	return p.Get(profile.API)
}

// credentials lists the settings with which an account gets tokens without a user.
var credentials = []profile.Key{
	profile.ClientSecret, profile.SigningKey, profile.ClientAssertion, profile.ClientCert, profile.ClientKey, profile.Assertion, profile.SubjectToken,
}

// difference returns how a session differs from the profile, or nil.
func (a *Account) difference(s *session.Session) error {
	p := a.profile
	elsewhere := func(what, want, has string) error {
		return &diagnosis.Diagnosis{ID: diagnosis.SessionElsewhere, Expected: diagnosis.Values{what + " " + want}, Got: diagnosis.Values{has}}
	}
	if server := p.Server(); server != "" && server != serverOf(s) {
		return elsewhere("a session at", server, serverOf(s))
	}
	if id := p.Get(profile.ClientID); id != "" && id != s.ClientID {
		return elsewhere("a session of client", id, s.ClientID)
	}
	for _, asked := range []struct {
		key  profile.Key
		what string
		has  []string
	}{
		{profile.Scope, "a session with the scope", s.Asked.Scope},
		{profile.Audience, "a session for the audience", s.Asked.Audience},
		{profile.Resource, "a session for the resource", s.Asked.Resource},
	} {
		want := p.List(asked.key)
		if len(want) > 0 && p.Origin(asked.key) > profile.Saved && !sameSet(want, asked.has) {
			return elsewhere(asked.what, profile.JoinList(want), profile.JoinList(asked.has))
		}
	}
	if api := a.ownAPI(); (s.Grant == GrantClientCredentials || a.replaces(s)) && api != "" && s.API != "" && originOf(api) != originOf(s.API) {
		return elsewhere("a session for the API", api, s.API)
	}
	return nil
}

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

// recentFor is for how long a program that sends many requests uses a token
// without reading the store again.
const recentFor = time.Second

// TokenSource returns the account's access token to package apicall, for
// requests to the profile's API and other allowed origins. A session's token is
// not sent to an API that is configured only in the environment:
// ORIGIN_REFUSED. A refresh or logout by another process is noticed within a
// second.
func (a *Account) TokenSource(allowOrigins ...string) apicall.TokenSource {
	return apicall.Recent(&apiTokens{account: a, allowed: allowOrigins}, apicall.RecentOptions{Age: recentFor, Now: a.config.Now})
}

type apiTokens struct {
	account *Account
	allowed []string
}

// Token implements [apicall.TokenSource].
func (s *apiTokens) Token(ctx context.Context, rejected secret.String) (apicall.AccessToken, error) {
	t, err := s.account.Token(ctx, Want{Rejected: rejected})
	if err == nil {
		err = s.account.allowAPI(t, s.allowed)
	}
	if err != nil {
		return apicall.AccessToken{}, err
	}
	return t.ForAPI(), nil
}

// CheckAPI returns the error ORIGIN_REFUSED of [Account.TokenSource] for the
// profile's API, without refreshing the token. Without a session it returns nil.
func (a *Account) CheckAPI(allowOrigins ...string) error {
	s, err := a.Session()
	if err != nil {
		return nil //nolint:nilerr // the request itself will say so
	}
	return a.allowAPI(&Token{Given: !a.config.AccessToken.IsZero(), from: s}, allowOrigins)
}

// allowAPI returns an error if a session's token would be sent to an API other
// than that of the profile file or the session. The environment may come from
// another person's directory.
func (a *Account) allowAPI(t *Token, allowed []string) error {
	p := a.profile
	api := originOf(p.Get(profile.API))
	if t.Given || api == "" || p.Origin(profile.API) != profile.Environment {
		return nil
	}
	saved := p.Without(profile.Environment, profile.API).Get(profile.API)
	for _, known := range append([]string{saved, t.from.API}, allowed...) {
		if originOf(known) == api {
			return nil
		}
	}
	expected := saved
	if expected == "" {
		expected = t.from.API
	}
	if expected == "" {
		expected = "an API in the profile"
	}
	return &diagnosis.Diagnosis{ID: diagnosis.OriginRefused, Expected: diagnosis.Values{expected}, Got: diagnosis.Values{api}}
}

// Revoke revokes a token at the server (RFC 7009). If it is the session's
// access token, the next use refreshes it.
func (a *Account) Revoke(ctx context.Context, value secret.String) error {
	s, client, err := a.signedIn(ctx)
	if err != nil {
		return err
	}
	err = client.Revoke(ctx, value, "")
	var refused *oauth.Error
	switch {
	case gone(err):
		err = nil // RFC 7009, section 2.2: an invalid token is the goal reached
	case errors.As(err, &refused) && refused.Code == "unsupported_token_type":
		return &diagnosis.Diagnosis{ID: diagnosis.RevocationUnsupported, Got: validUntil(ExpiryOf(value)), Err: refused, As: diagnosis.Unavailable}
	}
	if err == nil && value.Equal(s.AccessToken) {
		err = a.store.MarkRevoked(ctx, s.Profile, value)
	}
	return err
}

// validUntil describes when a token that was not revoked expires.
func validUntil(expires time.Time) diagnosis.Values {
	if expires.IsZero() {
		return nil
	}
	return diagnosis.Values{"a token that is valid until " + expires.UTC().Format(time.RFC3339)}
}

// Introspect asks the server whether a token is active (RFC 7662), as the
// session's client. If no session matches, it uses the client in the profile,
// because an API has its own credentials (section 2.1). If the session's own token
// is not active, its next use refreshes it.
func (a *Account) Introspect(ctx context.Context, value secret.String) (*oauth.Introspection, error) {
	s, client, err := a.signedIn(ctx)
	if d, ok := errors.AsType[*diagnosis.Diagnosis](err); ok && (d.ID == diagnosis.LoginRequired || d.ID == diagnosis.SessionElsewhere) && a.canAuthenticate() {
		return a.IntrospectAsClient(ctx, value)
	}
	if err != nil {
		return nil, err
	}
	answer, err := client.Introspect(ctx, value, "access_token")
	if err == nil && !answer.Active && value.Equal(s.AccessToken) {
		err = a.store.MarkRevoked(ctx, s.Profile, value)
	}
	return answer, err
}

// IntrospectAsClient is like [Account.Introspect] with the client in the
// profile, whether or not there is a session.
func (a *Account) IntrospectAsClient(ctx context.Context, value secret.String) (*oauth.Introspection, error) {
	server, err := a.Server(ctx)
	if err != nil {
		return nil, err
	}
	client, err := a.configuredClient(ctx, server)
	if err != nil {
		return nil, err
	}
	return client.Introspect(ctx, value, "access_token")
}

// Userinfo returns the server's claims about the user, who must be the one that
// logged in (OpenID Connect Core, section 5.3).
func (a *Account) Userinfo(ctx context.Context) (*oauth.Userinfo, error) {
	t, err := a.Token(ctx, Want{})
	if err != nil {
		return nil, err
	}
	s := t.from
	if s == nil {
		if s, err = a.Session(); err != nil {
			return nil, err
		}
	}
	client, err := a.sessionClient(ctx, s)
	if err != nil {
		return nil, err
	}
	return client.Userinfo(ctx, t.Value, s.Subject)
}

// signedIn returns the account's session and its client.
func (a *Account) signedIn(ctx context.Context) (*session.Session, *oauth.Client, error) {
	s, err := a.Session()
	if err != nil {
		return nil, nil, err
	}
	client, err := a.sessionClient(ctx, s)
	return s, client, err
}

// gone reports whether a revocation failed because the server no longer knows
// the token (RFC 7009, section 2.2).
func gone(err error) bool {
	var refused *oauth.Error
	if !errors.As(err, &refused) {
		return false
	}
	switch refused.Code {
	case "invalid_token", "invalid_grant", "token_not_found", "token_expired", "not_found":
		return true
	}
	return refused.Status == 404
}

// params parses settings of the form NAME=VALUE.
func params(list []string) (url.Values, error) {
	values := url.Values{}
	for _, p := range list {
		name, value, ok := cutParam(p)
		if !ok {
			return nil, &diagnosis.Diagnosis{ID: diagnosis.ConfigInvalid, Expected: diagnosis.Values{string(profile.Param) + " to be NAME=VALUE"}, Got: diagnosis.Values{fmt.Sprintf("%.200q", p)}}
		}
		values.Add(name, value)
	}
	return values, nil
}
