package account

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/session"
	"github.com/oauthctl/oauthctl/pkg/token"
)

func cutParam(p string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(p, "=")
	return name, value, ok && name != ""
}

// renew obtains new tokens for a session from its server, or the first tokens of
// a client without a user. A session that is returned with an error must be
// stored too, because it has the valid refresh token.
func (a *Account) renew(ctx context.Context, s *session.Session) (*session.Session, error) {
	switch {
	case a.actsForItself(s):
		return a.clientCredentials(ctx, s)
	case a.presentsAgain(s):
		return a.presentAgain(ctx, s)
	case s == nil:
		return nil, a.loginRequired()
	case s.RefreshToken.IsZero():
		return nil, &diagnosis.Diagnosis{ID: diagnosis.NoRefreshToken, Got: diagnosis.Values{"profile " + a.profile.Name()}}
	}
	return a.refresh(ctx, s)
}

// presentsAgain reports whether a new token comes for one that another server
// issued, rather than for a refresh token: in a session that began so, and in a
// profile of such a grant before there is one.
func (a *Account) presentsAgain(s *session.Session) bool {
	grantType := a.profile.Get(profile.GrantType)
	if s != nil {
		grantType = s.Grant
	}
	_, ok := Presents(grantType)
	// A refresh token belongs to a client (RFC 6749, section 6).
	return ok && (s == nil || s.RefreshToken.IsZero() || s.ClientID == "")
}

// refresh uses the refresh token (RFC 6749, section 6).
func (a *Account) refresh(ctx context.Context, s *session.Session) (*session.Session, error) {
	client, err := a.sessionClient(ctx, s)
	if err != nil {
		return nil, err
	}
	answer, err := client.Token(ctx, oauth.Refresh(s.RefreshToken, nil, s.Resource).With(s.Asked.Param))
	if err != nil {
		return rotated(s, answer), a.refusedRefresh(ctx, s, err)
	}
	next := *s
	a.take(&next, answer)
	if answer.IDToken.IsZero() {
		return &next, nil
	}
	// The user must be the same as at login.
	var want oauth.IDTokenExpectation
	if before, err := token.Decode(s.IDToken.Reveal()); err == nil {
		want.Previous = before
	}
	if _, err := client.VerifyIDToken(ctx, answer, want); err != nil {
		if otherUser(err) {
			return rotated(s, answer), err
		}
		// The response came from the token endpoint, so its tokens are genuine. A
		// failed check of times, keys or optional claims does not matter.
		next.IDToken = s.IDToken
		a.warn(err)
	}
	return &next, nil
}

// errNarrowed ends a refresh whose access token is only for the caller.
var errNarrowed = errors.New("account: the session keeps its own access token")

// Narrowed returns an access token with fewer scopes than the session's (RFC 6749,
// section 6). The session keeps its access token, and stores the new refresh token
// if the server rotates them. Errors are those of [Account.Token].
func (a *Account) Narrowed(ctx context.Context, scope []string) (*Token, error) {
	var narrowed *session.Session
	source := a.source()
	source.Renew = func(ctx context.Context, s *session.Session) (*session.Session, error) {
		if s == nil || s.RefreshToken.IsZero() {
			return nil, &diagnosis.Diagnosis{ID: diagnosis.NoRefreshToken, Got: diagnosis.Values{"profile " + a.profile.Name()}}
		}
		client, err := a.sessionClient(ctx, s)
		if err != nil {
			return nil, err
		}
		answer, err := client.Token(ctx, oauth.Refresh(s.RefreshToken, scope, s.Resource).With(s.Asked.Param))
		if err != nil {
			return rotated(s, answer), a.refusedRefresh(ctx, s, err)
		}
		taken, kept := *s, *s
		a.take(&taken, answer)
		kept.RefreshToken, kept.RefreshExpiresAt = taken.RefreshToken, taken.RefreshExpiresAt
		narrowed = &taken
		return &kept, errNarrowed
	}
	if _, err := source.Session(ctx, session.Want{Fresh: true}); !errors.Is(err, errNarrowed) {
		return nil, err
	}
	return a.tokenOf(narrowed)
}

// rotated returns a session with only the refresh token of a response that
// cannot be used otherwise, or nil if it has none.
func rotated(s *session.Session, answer *oauth.TokenResponse) *session.Session {
	if answer == nil || answer.RefreshToken.IsZero() {
		return nil
	}
	next := *s
	next.RefreshToken = answer.RefreshToken
	return &next
}

// otherUser reports whether an ID token is about another user, issuer or client
// than before. Then the access token must not be used (OpenID Connect Core,
// section 12.2).
func otherUser(err error) bool {
	for _, id := range []diagnosis.ID{diagnosis.SubjectChanged, diagnosis.IssMismatch, diagnosis.IssSlash, diagnosis.IssHost, diagnosis.AudMismatch, diagnosis.AudMissing, diagnosis.AudInvalid, diagnosis.SignatureInvalid} {
		for e := err; e != nil; {
			var d *diagnosis.Diagnosis
			if !errors.As(e, &d) {
				break
			}
			if d.ID == id {
				return true
			}
			e = d.Err
		}
	}
	return false
}

// refusedRefresh interprets a refused refresh. The session ends only if the error
// is certainly about the refresh token. If this is only likely, a login is
// required but the session is retained.
func (a *Account) refusedRefresh(ctx context.Context, s *session.Session, err error) error {
	var d *diagnosis.Diagnosis
	var answer *oauth.Error
	if !errors.As(err, &answer) || !errors.As(err, &d) {
		return err
	}
	if refused, certain := answer.RefusesRefreshToken(); refused && !certain {
		return &diagnosis.Diagnosis{ID: diagnosis.RefreshRefused, Err: answer}
	}
	if d.ID != diagnosis.ClientRefused {
		return err
	}
	if r, _ := a.registration(ctx, s); r == nil {
		return err // the user has to fix a configured client
	}
	return &diagnosis.Diagnosis{ID: diagnosis.ClientForgotten, Got: diagnosis.Values{s.ClientID}, Err: answer}
}

// clientCredentials obtains a token for the client itself (RFC 6749, section
// 4.4), with the request of the earlier session.
func (a *Account) clientCredentials(ctx context.Context, before *session.Session) (*session.Session, error) {
	p := a.profile
	asked := session.Asked{Scope: p.List(profile.Scope), Audience: a.audiences(), Resource: p.List(profile.Resource)}
	var err error
	if asked.Param, err = params(p.List(profile.Param)); err != nil {
		return nil, err
	}
	var client *oauth.Client
	if before != nil {
		client, err = a.sessionClient(ctx, before)
	} else {
		server, serverErr := a.Server(ctx)
		if serverErr != nil {
			return nil, serverErr
		}
		client, err = a.configuredClient(ctx, server)
	}
	if err != nil {
		return nil, err
	}
	s := a.newSession(client, GrantClientCredentials, asked)
	s.API = a.ownAPI()
	if before != nil {
		s.API = cmp.Or(s.API, before.API)
		s.DPoPKey, s.ClientSecret, s.Origins = before.DPoPKey, before.ClientSecret, before.Origins
	}
	if client.DPoP, err = a.proverOf(s); err != nil {
		return nil, err
	}
	answer, err := client.Token(ctx, oauth.ClientCredentials(asked.Scope, asked.Audience, asked.Resource).With(asked.Param))
	if err != nil {
		return nil, err
	}
	a.take(s, answer)
	return s, nil
}

// newSession returns a session without tokens.
func (a *Account) newSession(client *oauth.Client, grant string, asked session.Asked) *session.Session {
	return &session.Session{
		Profile: a.profile.Name(), Issuer: client.Server.Issuer, TokenEndpoint: client.Server.TokenEndpoint,
		ClientID: client.ID, AuthMethod: client.AuthMethod, Origins: origins(client.Server), API: a.profile.Get(profile.API),
		Grant: grant, Asked: asked, Resource: asked.Resource, ClientSecret: a.config.ClientSecret,
	}
}

// audiences returns the audience parameters to send: the configured ones. The
// audience of an API is requested as its resource.
func (a *Account) audiences() []string {
	p := a.profile
	resources := p.List(profile.Resource)
	var named []string
	for _, audience := range p.List(profile.Audience) {
		if audience != p.Get(profile.API) && !contains(resources, audience) {
			named = append(named, audience)
		}
	}
	return named
}

func contains(list []string, value string) bool {
	for _, v := range list {
		if v == value {
			return true
		}
	}
	return false
}

// take stores a token response in a session. Values that are missing in the
// response do not change: a server may retain the refresh token and omits an
// unchanged scope (RFC 6749, sections 5.1 and 6).
func (a *Account) take(s *session.Session, answer *oauth.TokenResponse) {
	now := a.now()
	s.AccessToken, s.TokenType, s.ExpiresAt, s.ObtainedAt, s.Revoked = answer.AccessToken, answer.TokenType, answer.ExpiresAt, now, false
	if s.ExpiresAt.IsZero() {
		s.ExpiresAt = a.assumedExpiry(answer, now)
	}
	if !answer.RefreshToken.IsZero() {
		s.RefreshToken, s.RefreshExpiresAt = answer.RefreshToken, answer.RefreshExpiresAt
	}
	if !answer.IDToken.IsZero() {
		s.IDToken = answer.IDToken
	}
	if answer.ScopeGiven || s.Scope == nil {
		s.Scope = answer.Scope
	}
}

// assumedExpiry returns the expiry of a token whose response has none: that of
// a JWT, or the configured lifetime.
func (a *Account) assumedExpiry(answer *oauth.TokenResponse, now time.Time) time.Time {
	if expires := ExpiryOf(answer.AccessToken); !expires.IsZero() {
		return expires
	}
	if life, err := time.ParseDuration(a.profile.Get(profile.AccessTokenTTL)); err == nil && life > 0 {
		return now.Add(life)
	}
	return time.Time{}
}
