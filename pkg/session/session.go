// Package session keeps a signed-in session between runs: its tokens, where they
// came from, and when they have to be renewed.
//
// Start with [Open] for a [Store], and a [Source] to get an access token from it.
// Any number of processes may share a store: the one that renews holds a lock
// and looks again before it asks, so N processes with one expired session send
// one refresh request. Readers take no lock. A session is replaced in one step,
// so a crash leaves the old one or the new one.
//
// The package sends no request itself; what renews a session is given to it.
package session

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
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
	// host only.
	TokenEndpoint string
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
}

// formatVersion is the version of the stored form.
const formatVersion = 1

// stored is a session as it is written. It is the one place where secrets are
// written out.
type stored struct {
	Version       int       `json:"version"`
	Profile       string    `json:"profile"`
	Issuer        string    `json:"issuer"`
	ClientID      string    `json:"client_id"`
	ClientSecret  string    `json:"client_secret,omitempty"`
	AuthMethod    string    `json:"auth_method,omitempty"`
	TokenEndpoint string    `json:"token_endpoint"`
	TokenType     string    `json:"token_type"`
	AccessToken   string    `json:"access_token"`
	RefreshToken  string    `json:"refresh_token,omitempty"`
	IDToken       string    `json:"id_token,omitempty"`
	Scope         []string  `json:"scope,omitempty"`
	Resource      []string  `json:"resource,omitempty"`
	Subject       string    `json:"subject,omitempty"`
	Name          string    `json:"name,omitempty"`
	ExpiresAt     time.Time `json:"expires_at,omitzero"`
	ObtainedAt    time.Time `json:"obtained_at,omitzero"`
}

func encode(s *Session) ([]byte, error) {
	data, err := json.Marshal(stored{
		formatVersion, s.Profile, s.Issuer, s.ClientID, s.ClientSecret.Reveal(), s.AuthMethod, s.TokenEndpoint, s.TokenType,
		s.AccessToken.Reveal(), s.RefreshToken.Reveal(), s.IDToken.Reveal(), s.Scope, s.Resource, s.Subject, s.Name, s.ExpiresAt, s.ObtainedAt,
	})
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	return append(data, '\n'), nil
}

// decode reads a stored session. Its errors quote nothing of the text.
func decode(data []byte) (*Session, error) {
	var s stored
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, unreadable("a session in JSON", "something else")
	}
	if s.Version != formatVersion {
		return nil, unreadable(fmt.Sprintf("format version %d", formatVersion), fmt.Sprintf("version %d", s.Version))
	}
	if s.AccessToken == "" {
		return nil, unreadable("an access token", "none")
	}
	return &Session{
		s.Profile, s.Issuer, s.ClientID, secret.New(s.ClientSecret), s.AuthMethod, s.TokenEndpoint, s.TokenType,
		secret.New(s.AccessToken), secret.New(s.RefreshToken), secret.New(s.IDToken), s.Scope, s.Resource, s.Subject, s.Name, s.ExpiresAt, s.ObtainedAt,
	}, nil
}

func unreadable(expected, got string) error {
	return &diagnosis.Diagnosis{ID: diagnosis.StoreUnreadable, Expected: expected, Got: got}
}

// Lives reports whether the access token is good for at least ttl after now. One
// whose expiry is not known counts as living.
func (s *Session) Lives(now time.Time, ttl time.Duration) bool {
	return s.ExpiresAt.IsZero() || now.Add(ttl).Before(s.ExpiresAt)
}
