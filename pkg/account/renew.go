package account

import (
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

// renew gets new tokens for a session from the server that issued it, or the
// first ones for a client that acts for itself. A session that comes with an
// error is to be kept all the same: its refresh token is the one that counts now.
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
	// What the refresh says about the user must be what the login said.
	var want oauth.IDTokenExpectation
	if before, err := token.Decode(s.IDToken.Reveal()); err == nil {
		want.Previous = before
	}
	if _, err := client.VerifyIDToken(ctx, answer, want); err != nil {
		if otherUser(err) {
			return rotated(s, answer), err
		}
		// The response came from the token endpoint, so its tokens are genuine. A
		// check of times, keys or optional claims says nothing against them.
		next.IDToken = s.IDToken
		a.warn(err)
	}
	return &next, nil
}

// errNarrowed ends a refresh whose access token is for the caller alone.
var errNarrowed = errors.New("account: the session keeps its own access token")

// Narrowed returns an access token with fewer scopes than the session's (RFC 6749,
// section 6), by its refresh token. The session keeps its own access token, and
// the new refresh token where the server rotates them. Errors are those of
// [Account.Token].
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

// rotated is a session with nothing new but the refresh token of an answer that
// cannot be used otherwise, nil if the answer has none.
func rotated(s *session.Session, answer *oauth.TokenResponse) *session.Session {
	if answer == nil || answer.RefreshToken.IsZero() {
		return nil
	}
	next := *s
	next.RefreshToken = answer.RefreshToken
	return &next
}

// otherUser reports that an ID token is about another user, issuer or client
// than before, where the access token must not be used (OpenID Connect Core,
// section 12.2).
func otherUser(err error) bool {
	for _, id := range []diagnosis.ID{diagnosis.SubjectChanged, diagnosis.IssuerMismatch, diagnosis.IssuerSlash, diagnosis.IssuerHost, diagnosis.AudienceMismatch, diagnosis.AudienceMissing, diagnosis.AudienceInvalid, diagnosis.SignatureInvalid} {
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

// refusedRefresh says what the refusal of a refresh means. Only a refusal that is
// certain to be about the refresh token ends the session; one that is likely to
// be keeps it and asks for a login all the same.
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
		return err // a client that the user configured is the user's to look at
	}
	return &diagnosis.Diagnosis{ID: diagnosis.ClientForgotten, Got: diagnosis.Values{s.ClientID}, Err: answer}
}

// clientCredentials gets a token of the client's own (RFC 6749, section 4.4),
// with the request that an earlier session was obtained by.
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
	if before != nil {
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

// newSession is a session without tokens.
func (a *Account) newSession(client *oauth.Client, grant string, asked session.Asked) *session.Session {
	return &session.Session{
		Profile: a.profile.Name(), Issuer: client.Server.Issuer, TokenEndpoint: client.Server.TokenEndpoint,
		ClientID: client.ID, AuthMethod: client.AuthMethod, Origins: origins(client.Server), API: a.profile.Get(profile.API),
		Grant: grant, Asked: asked, Resource: asked.Resource, ClientSecret: a.config.ClientSecret,
	}
}

// audiences are the audience parameters to send: those that were named. The
// audience that was found with the API is asked for as its resource.
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

// take puts a token response into a session. What the response leaves out stays
// as it was: a server may keep the refresh token, and repeats no scope that did
// not change (RFC 6749, sections 5.1 and 6).
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

// assumedExpiry is when to refresh a token whose response does not say how long
// it lives: what a JWT shows, or what the profile assumes.
func (a *Account) assumedExpiry(answer *oauth.TokenResponse, now time.Time) time.Time {
	if expires := ExpiryOf(answer.AccessToken); !expires.IsZero() {
		return expires
	}
	if life, err := time.ParseDuration(a.profile.Get(profile.AccessTokenTTL)); err == nil && life > 0 {
		return now.Add(life)
	}
	return time.Time{}
}
