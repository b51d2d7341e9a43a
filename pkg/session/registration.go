package session

import (
	"context"
	"time"

	"github.com/oauthctl/oauthctl/pkg/secret"
)

// Registration is a client that an authorization server registered for a
// profile (RFC 7591, RFC 7592). It is stored separately from the profile's
// session and survives it: the server still knows the client after a logout.
type Registration struct {
	Profile         string
	Issuer          string
	ClientID        string
	ClientSecret    secret.String
	SecretExpiresAt time.Time // zero if the secret does not expire, or there is none
	AuthMethod      string
	RedirectURI     string
	// RegistrationURI and RegistrationToken give access to the registration at
	// the server (RFC 7592, section 3).
	RegistrationURI   string
	RegistrationToken secret.String
	RegisteredAt      time.Time
}

// SaveRegistration stores the client of a profile and replaces an earlier one.
// It is encrypted if sessions are. Errors are Diagnoses of kind Store, or that
// of the context.
func (s *Store) SaveRegistration(ctx context.Context, r *Registration) error { return s.save(ctx, r) }

// LoadRegistration returns the client that a server registered for a profile.
// It takes no lock. Errors are [ErrNotFound], Diagnoses of kind Store, or that
// of the context.
func (s *Store) LoadRegistration(ctx context.Context, profile string) (*Registration, error) {
	plain, _, err := s.open(ctx, clientOf(profile))
	if err != nil {
		return nil, err
	}
	return decodeClient(plain, clientOf(profile))
}

// DeleteRegistration removes the client of a profile. It is not an error if
// there is none.
func (s *Store) DeleteRegistration(ctx context.Context, profile string) error {
	return s.delete(ctx, clientOf(profile))
}
