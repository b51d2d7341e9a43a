// Package session keeps a signed-in session between runs: its tokens, where they
// came from, and when they have to be renewed.
//
// Start with [New] for a [Store], and a [Source] to get an access token from it.
// Any number of processes may share a store: the one that renews holds a lock
// and looks again before it asks, so N processes with one expired session send
// one refresh request. Readers take no lock. A session is replaced in one step,
// so a crash leaves the old one or the new one.
//
// With a keychain the files are sealed with a key that lies there; without one
// they are plain, readable by their owner only: a key beside its lock would be
// theatre. [Store.Place] and [Store.PlaceOf] say which.
//
// The package sends no request itself; what renews a session is given to it.
package session

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// ErrNotFound says that there is no session of that profile.
var ErrNotFound = errors.New("session: there is none")

// Session is one signed-in session.
type Session struct {
	Profile  string
	Issuer   string
	ClientID string
	// ClientSecret and AuthMethod belong to a client that was registered for this
	// session; a client configured elsewhere keeps its secret there.
	ClientSecret secret.String
	AuthMethod   string
	// TokenEndpoint is where the tokens came from. A refresh token goes to its
	// host only; see [Session.SameHost].
	TokenEndpoint string
	Grant         string // the grant type that the session was obtained by
	TokenType     string
	AccessToken   secret.String
	RefreshToken  secret.String
	IDToken       secret.String
	Scope         []string
	Resource      []string
	Subject       string
	Name          string // what a person calls the subject, "" if not known
	ExpiresAt     time.Time
	ObtainedAt    time.Time
	// DPoPKey is the private key, as a JWK, that the tokens are bound to (RFC
	// 9449); empty for Bearer tokens.
	DPoPKey secret.String
}

// Lives reports whether the access token is good for at least ttl after now. One
// whose expiry is not known counts as living.
func (s *Session) Lives(now time.Time, ttl time.Duration) bool {
	return s.ExpiresAt.IsZero() || now.Add(ttl).Before(s.ExpiresAt)
}

// SameHost errs unless endpoint is of the origin that the session's tokens came
// from: a refresh token goes nowhere else. Ask it before the refresh token is
// sent. The error is a Diagnosis, ENDPOINT_MOVED.
func (s *Session) SameHost(endpoint string) error {
	before, err := url.Parse(s.TokenEndpoint)
	if err != nil || before.Host == "" {
		return unreadable(s.Profile, "the token endpoint that the session came from", "none")
	}
	now, err := url.Parse(endpoint)
	if err != nil || safehttp.Origin(now) != safehttp.Origin(before) {
		got := "something that is no URL"
		if err == nil {
			got = fmt.Sprintf("%.200q", now.Scheme+"://"+now.Host)
		}
		return &diagnosis.Diagnosis{
			ID: diagnosis.EndpointMoved, Expected: fmt.Sprintf("%.200q", before.Scheme+"://"+before.Host), Got: got, Hint: login(s.Profile),
		}
	}
	return nil
}

// login is the command that begins the session of a profile anew.
func login(profile string) string {
	if profile == "" || profile == "default" {
		return "oauthctl login"
	}
	return "oauthctl login -p " + profile
}

func newer(profile string, version int) error {
	return &diagnosis.Diagnosis{
		ID: diagnosis.StoreUnreadable, Expected: fmt.Sprintf("format version %d", formatVersion), Got: fmt.Sprintf("version %d, of a newer oauthctl", version),
		Hint: "use the newer oauthctl, or begin a session that this one can read: " + login(profile),
	}
}

func unreadable(profile, expected, got string) error {
	return &diagnosis.Diagnosis{ID: diagnosis.StoreUnreadable, Expected: expected, Got: got, Hint: login(profile)}
}

// checkName refuses a profile's name that is not fit to be a file's.
func checkName(name string) error {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
	if name == "" || len(name) > 64 || strings.Trim(name, letters+".") != "" || strings.HasPrefix(name, ".") {
		return fmt.Errorf("session: %.200q cannot be a profile's name: expected at most 64 letters, digits, dots, dashes and underscores", name)
	}
	return nil
}
