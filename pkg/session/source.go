package session

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// renewTime bounds a renewal. It goes on when the caller gives up: the server may
// already have rotated the refresh token, and the new one must be kept.
const renewTime = 10 * time.Second

// Source gives the access token of a profile's session, renewed when it is due.
type Source struct {
	Store   *Store
	Profile string
	// Renew asks the authorization server for new tokens. It is given the session
	// as it is, nil if there is none, and returns the one to keep in its place.
	// It is called by one process at a time.
	Renew func(ctx context.Context, s *Session) (*Session, error)
	Now   func() time.Time // nil means time.Now
}

// Session returns a session whose access token lives for at least minTTL and is
// not rejected, a token that an API has just refused (empty if there is none).
//
// A warning comes beside a session that is good but not as it should be: its
// renewal failed for a passing reason, or it could not be saved. Errors are
// Diagnoses: LOGIN_REQUIRED where nobody is signed in, what Renew returned, and
// those of kind Store.
func (s *Source) Session(ctx context.Context, minTTL time.Duration, rejected secret.String) (session *Session, warning, err error) {
	current, err := s.load()
	if err != nil {
		return nil, nil, err
	}
	if s.good(current, minTTL, rejected) {
		return current, nil, nil
	}
	unlock, err := s.Store.lock(ctx, s.Profile)
	if err != nil {
		return nil, nil, err
	}
	defer unlock()
	// Somebody else may have renewed it while this process waited.
	if current, err = s.load(); err != nil {
		return nil, nil, err
	}
	if s.good(current, minTTL, rejected) {
		return current, nil, nil
	}
	return s.renew(ctx, current, rejected)
}

func (s *Source) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

func (s *Source) good(current *Session, minTTL time.Duration, rejected secret.String) bool {
	return current != nil && current.Lives(s.now(), minTTL) && (rejected.IsZero() || !current.AccessToken.Equal(rejected))
}

func (s *Source) load() (*Session, error) {
	current, err := s.Store.Load(s.Profile)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return current, err
}

// renew renews and saves under the lock.
func (s *Source) renew(ctx context.Context, current *Session, rejected secret.String) (*Session, error, error) {
	renewing, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewTime)
	defer cancel()
	next, err := s.Renew(renewing, current)
	if err != nil {
		return s.failed(current, rejected, err)
	}
	next.Profile = s.Profile
	var warning error
	if err := s.Store.write(next); err != nil {
		// The tokens are good all the same, and the old ones may be spent.
		warning = err
	}
	if ctx.Err() != nil {
		return nil, nil, fmt.Errorf("session: %w", ctx.Err())
	}
	return next, warning, nil
}

// failed decides what a failed renewal means: a server that says the grant is
// gone ends the session; a passing reason leaves a token that still lives.
func (s *Source) failed(current *Session, rejected secret.String, err error) (*Session, error, error) {
	var d *diagnosis.Diagnosis
	if !errors.As(err, &d) || current == nil {
		return nil, nil, err
	}
	switch {
	case d.ID == diagnosis.GrantInvalid:
		// The stored refresh token is the one that was sent: the lock was held.
		if removed := s.Store.remove(s.Profile); removed != nil {
			return nil, nil, errors.Join(err, removed)
		}
	case d.Kind() == diagnosis.Unavailable && s.good(current, 0, rejected):
		return current, err, nil
	}
	return nil, nil, err
}

// SameHost errs unless endpoint is on the host that the session's tokens came
// from: a refresh token goes nowhere else. The error is a Diagnosis,
// ENDPOINT_MOVED.
func (s *Session) SameHost(endpoint string) error {
	before, err := url.Parse(s.TokenEndpoint)
	if err != nil {
		return unreadable("a token endpoint", "something else")
	}
	now, err := url.Parse(endpoint)
	if err != nil || now.Host != before.Host || now.Scheme != before.Scheme {
		return &diagnosis.Diagnosis{ID: diagnosis.EndpointMoved, Expected: before.Scheme + "://" + before.Host, Got: fmt.Sprintf("%.200q", endpoint)}
	}
	return nil
}
