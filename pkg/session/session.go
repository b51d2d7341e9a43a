// Package session stores a session between runs: its tokens, where they came
// from, and when they have to be refreshed.
//
// Start with [New] for a [Store], and a [Source] to get an access token from it.
// Any number of processes may share a store: the one that refreshes holds a lock
// and looks again before it sends its request, so N processes with one expired
// session send one refresh request. Readers take no lock. A session is replaced
// in one step, so a crash leaves the old one or the new one.
//
// With a keychain the files are sealed with a key that is stored there; without
// one they are plain, readable by their owner only, since a key next to the file
// that it opens would protect nothing. [Store.Place] and [Store.PlaceOf] return
// which.
//
// A store also keeps the client that a server registered for a profile, see
// [Registration].
//
// The package sends no request: what refreshes a session is given to it.
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

// ErrNotFound says that a store holds no session, or no registration, of a
// profile.
var ErrNotFound = errors.New("session: not found")

// Session is the result of one login.
type Session struct {
	Profile  string
	Issuer   string
	API      string // the base URL of the API that the session was obtained for, "" if none
	ClientID string
	// ClientSecret is a secret that was read once from standard input; others are
	// in the profile or in a [Registration].
	ClientSecret secret.String
	AuthMethod   string
	// TokenEndpoint is where the tokens came from. A refresh token is sent to its
	// origin only; see [Session.SameHost].
	TokenEndpoint string
	// Origins are those of the endpoints that may receive the session's tokens or
	// its client's secret, as they were at the login, in the form of
	// safehttp.Origin.
	Origins []string
	Grant   string // the grant type that the session was obtained by
	Asked   Asked

	TokenType string
	// AccessToken may be empty only in a session that is revoked.
	AccessToken  secret.String
	RefreshToken secret.String
	IDToken      secret.String
	Scope        []string
	Resource     []string
	Subject      string
	Name         string // what a person calls the subject, "" if not known
	ExpiresAt    time.Time
	ObtainedAt   time.Time
	// RefreshExpiresAt is when the refresh token expires and a new login is due,
	// the zero time if the server does not say.
	RefreshExpiresAt time.Time
	// Revoked says that the access token was revoked, or that an API refused it
	// and it could not be replaced.
	Revoked bool
	// DPoPKey is the private key, as a JWK, that the tokens are bound to (RFC
	// 9449); empty for Bearer tokens.
	DPoPKey secret.String
}

// Asked is what a grant requested, so that one which can be repeated, such as
// client credentials, repeats the same request.
type Asked struct {
	Scope    []string
	Audience []string
	Resource []string
	Param    url.Values // further parameters
}

// skew is by how much a clock may have been ahead at the login.
const skew = time.Minute

// Lives reports whether the access token is valid for at least ttl after now. A
// token whose expiry is not known counts as living. A revoked one does not, and
// neither does one that was obtained more than a minute after now: the clock was
// wrong then, and so is the expiry that was computed from it.
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

// margin is for how long an access token has to live by default: a fifth of its
// whole life, so that a short-lived one is used more than once, at most a minute.
func (s *Session) margin() time.Duration {
	if s.ObtainedAt.IsZero() || s.ExpiresAt.IsZero() {
		return time.Minute
	}
	return min(max(s.ExpiresAt.Sub(s.ObtainedAt)/5, 0), time.Minute)
}

// SameHost returns an error unless endpoint is of the origin that the session's
// tokens came from: a refresh token is sent to no other. Call it before a
// refresh token is sent. The error is a Diagnosis, ENDPOINT_MOVED.
func (s *Session) SameHost(endpoint string) error {
	before, err := url.Parse(s.TokenEndpoint)
	if err != nil || before.Host == "" {
		return unreadable("the token endpoint that the session came from", "none")
	}
	now, err := url.Parse(endpoint)
	if err != nil || safehttp.Origin(now) != safehttp.Origin(before) {
		got := "something that is no URL"
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
