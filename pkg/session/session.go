// Package session stores sessions between runs: the tokens, their origin, and
// when to refresh them.
//
// Start with [New] for a [Store], and a [Source] to get an access token from it.
// Any number of processes may share a store. A process that refreshes takes a
// lock and reads the session again before it sends its request, so N processes
// with one expired session send one refresh request. Readers take no lock. A
// session is replaced atomically, so a crash leaves the old one or the new one.
//
// With a keychain, files are sealed: encrypted with a key in the keychain.
// Without one they are plain and readable only by their owner, because a key
// next to the file would protect nothing. [Store.Place] and [Store.PlaceOf]
// return which of them applies.
//
// A store also holds the client that a server registered for a profile, see
// [Registration].
//
// The package sends no requests: the caller provides the function that refreshes
// a session.
package session

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// ErrNotFound means that a store has no session, or no registration, of a
// profile.
var ErrNotFound = errors.New("session: not found")

// Session is the result of one login.
type Session struct {
	Profile  string
	Issuer   string
	API      string // the base URL of the session's API, or ""
	ClientID string
	// ClientSecret is a secret that was read once from standard input; other
	// secrets are in the profile or in a [Registration].
	ClientSecret secret.String
	AuthMethod   string
	// TokenEndpoint is the endpoint that issued the tokens. A refresh token is
	// sent only to its origin, see [Session.SameHost].
	TokenEndpoint string
	// Origins lists the origins of the endpoints that may receive the session's
	// tokens or the client secret, as they were at login, in the form of
	// safehttp.Origin.
	Origins []string
	Grant   string // the grant type of the session
	Asked   Asked

	TokenType string
	// AccessToken may be empty only in a revoked session.
	AccessToken  secret.String
	RefreshToken secret.String
	IDToken      secret.String
	Scope        []string
	Resource     []string
	Subject      string
	Name         string // a readable name of the subject, or ""
	ExpiresAt    time.Time
	ObtainedAt   time.Time
	// RefreshExpiresAt is when the refresh token expires and a new login is
	// needed, or the zero time if it is not known.
	RefreshExpiresAt time.Time
	// Revoked means that the access token was revoked, or that an API refused
	// it and it could not be replaced.
	Revoked bool
	// DPoPKey is the private key, as a JWK, that the tokens are bound to (RFC
	// 9449). It is empty for Bearer tokens.
	DPoPKey secret.String
}

// Asked holds the parameters of a grant, so that a grant such as client
// credentials can be repeated with the same request.
type Asked struct {
	Scope    []string
	Audience []string
	Resource []string
	Param    url.Values // additional parameters
}

// skew is the clock error that is tolerated at login.
const skew = time.Minute

// Lives reports whether the access token is valid for at least ttl after now. A
// token without a known expiry counts as valid. A revoked token does not, nor
// does one that was obtained more than a minute after now: the clock was wrong
// then, and so is the computed expiry.
func (s *Session) Lives(now time.Time, ttl time.Duration) bool {
	switch {
	case s.Revoked:
		return false
	case s.ExpiresAt.IsZero():
		return true
	case s.ObtainedAt.After(now.Add(skew)):
		return false
	}
	return now.Add(ttl).Before(s.ExpiresAt)
}

// margin returns the default remaining lifetime at which a token is refreshed: a
// fifth of its lifetime, at most a minute.
func (s *Session) margin() time.Duration {
	if s.ObtainedAt.IsZero() || s.ExpiresAt.IsZero() {
		return time.Minute
	}
	return min(max(s.ExpiresAt.Sub(s.ObtainedAt)/5, 0), time.Minute)
}

// SameHost returns an error unless endpoint has the origin of the session's
// token endpoint. Call it before a refresh token is sent. The error is a
// Diagnosis ENDPOINT_MOVED.
func (s *Session) SameHost(endpoint string) error {
	before, err := url.Parse(s.TokenEndpoint)
	if err != nil || before.Host == "" {
		return unreadable("the token endpoint that the session came from", "none")
	}
	now, err := url.Parse(endpoint)
	if err != nil || safehttp.Origin(now) != safehttp.Origin(before) {
		got := "text that is not a URL"
		if err == nil {
			got = fmt.Sprintf("%.200q", now.Scheme+"://"+now.Host)
		}
		return &diagnosis.Diagnosis{
			ID: diagnosis.EndpointMoved, Expected: diagnosis.Values{before.Scheme + "://" + before.Host}, Got: diagnosis.Values{got},
		}
	}
	return nil
}

func (s *Session) clone() *Session {
	c := *s
	c.Origins, c.Scope, c.Resource = slices.Clone(s.Origins), slices.Clone(s.Scope), slices.Clone(s.Resource)
	c.Asked.Scope, c.Asked.Audience, c.Asked.Resource = slices.Clone(s.Asked.Scope), slices.Clone(s.Asked.Audience), slices.Clone(s.Asked.Resource)
	c.Asked.Param = maps.Clone(s.Asked.Param)
	for name, values := range c.Asked.Param {
		c.Asked.Param[name] = slices.Clone(values)
	}
	return &c
}
