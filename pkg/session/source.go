package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// renewTime bounds a renewal. It goes on when the caller gives up: the server may
// already have rotated the refresh token, and the new one must be kept.
const renewTime = 10 * time.Second

// room is how much longer than the old one a renewed session is expected to be.
const room = 4 << 10

// Source gives the access token of a profile's session, renewed when it is due.
// It covers every grant: one without a refresh token, such as client
// credentials, simply begins a new session when it is asked to renew.
type Source struct {
	Store   *Store
	Profile string
	// Renew asks the authorization server for new tokens. It is given the session
	// as it is, nil if there is none, and returns the one to keep in its place.
	// It is called by one process at a time, with a context that outlives the
	// caller's by up to 10 seconds. A refresh token goes out only after
	// [Session.SameHost] was asked. A nil Renew renews nothing.
	Renew func(ctx context.Context, s *Session) (*Session, error)
	Now   func() time.Time // nil means time.Now
}

// Session returns a session whose access token lives for at least minTTL and is
// not rejected, a token that an API has just refused (empty if there is none).
//
// A warning comes beside a session that is good but not as it should be: its
// renewal failed for a passing reason, or it could not be saved. Errors are
// Diagnoses: LOGIN_REQUIRED where nobody is signed in, what Renew returned, and
// those of kind Store; or the context's error.
func (s *Source) Session(ctx context.Context, minTTL time.Duration, rejected secret.String) (session *Session, warning, err error) {
	first, _, err := s.load(ctx)
	if err != nil {
		return nil, nil, err
	}
	if s.good(first, minTTL, rejected) {
		return first, nil, nil
	}
	var current *Session
	var with seal
	// settled looks again: what somebody else got meanwhile will do even if its
	// whole life is shorter than minTTL, or N processes would ask N times.
	settled := func() bool {
		if current, with, err = s.load(ctx); err != nil {
			return false
		}
		renewed := current != nil && (first == nil || !current.AccessToken.Equal(first.AccessToken))
		return s.good(current, minTTL, rejected) || renewed && s.good(current, 0, rejected)
	}
	unlock, failed := s.Store.lock(ctx, s.Profile, settled)
	switch {
	case failed != nil:
		return nil, nil, failed
	case unlock == nil:
		return current, nil, nil
	}
	defer unlock()
	if settled() || err != nil {
		return current, nil, err
	}
	return s.renew(ctx, current, with, rejected)
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

func (s *Source) load(ctx context.Context) (*Session, seal, error) {
	current, with, err := s.Store.load(ctx, s.Profile)
	if errors.Is(err, ErrNotFound) {
		return nil, seal{}, nil
	}
	return current, with, err
}

// renew renews and saves under the lock.
func (s *Source) renew(ctx context.Context, current *Session, with seal, rejected secret.String) (*Session, error, error) {
	write, unable := s.Store.begin(ctx, s.Profile, current, with)
	if unable != nil && s.good(current, 0, rejected) {
		// Nothing was sent: the refresh token is not spent for what cannot be kept.
		return current, unable, nil
	}
	next, err := s.ask(ctx, current)
	if err != nil {
		if unable == nil {
			write(nil)
		}
		next, warning, err := s.failed(ctx, current, rejected, err)
		if ctx.Err() != nil {
			return nil, nil, fmt.Errorf("session: %w", ctx.Err())
		}
		return next, warning, err
	}
	next.Profile = s.Profile
	if unable == nil {
		unable = write(next)
	}
	if ctx.Err() != nil {
		return nil, nil, fmt.Errorf("session: %w", ctx.Err())
	}
	// The tokens are good even where they could not be kept, and the old ones may
	// be spent.
	return next, unable, nil
}

// ask calls Renew. The server's answer is waited for even if nobody else does.
func (s *Source) ask(ctx context.Context, current *Session) (*Session, error) {
	if s.Renew == nil {
		return nil, &diagnosis.Diagnosis{ID: diagnosis.LoginRequired, Got: "profile " + s.Profile, Hint: login(s.Profile)}
	}
	renewing, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewTime)
	defer cancel()
	var before *Session
	if current != nil {
		before = current.clone()
	}
	next, err := s.Renew(renewing, before)
	switch {
	case err != nil && renewing.Err() != nil && errors.Is(err, context.DeadlineExceeded):
		return nil, &diagnosis.Diagnosis{ID: diagnosis.Timeout, Expected: "an answer of the authorization server within " + renewTime.String(), Got: "none"}
	case err != nil:
		return nil, err
	case next == nil || next.AccessToken.IsZero():
		return nil, errors.New("session: the renewal gave no access token")
	case current != nil && !current.RefreshToken.IsZero():
		err = current.SameHost(next.TokenEndpoint)
	}
	return next, err
}

// failed decides what a failed renewal means: a server that says the grant is
// gone ends the session; a passing reason leaves a token that still lives.
func (s *Source) failed(ctx context.Context, current *Session, rejected secret.String, err error) (*Session, error, error) {
	var d *diagnosis.Diagnosis
	if !errors.As(err, &d) || current == nil {
		return nil, nil, err
	}
	switch {
	case d.ID == diagnosis.GrantInvalid && !current.RefreshToken.IsZero():
		return s.spent(ctx, current, rejected, err)
	case (d.Kind() == diagnosis.Unavailable || d.ID == diagnosis.LoginRequired) && s.good(current, 0, rejected):
		return current, err, nil
	}
	return nil, nil, err
}

// spent ends a session whose refresh token the server no longer takes, unless
// another one has been stored meanwhile by somebody who does not know the lock.
func (s *Source) spent(ctx context.Context, sent *Session, rejected secret.String, err error) (*Session, error, error) {
	stored, _, loadErr := s.load(context.WithoutCancel(ctx))
	switch {
	case loadErr != nil || stored == nil:
		return nil, nil, err
	case !stored.RefreshToken.Equal(sent.RefreshToken):
		reused := &diagnosis.Diagnosis{ID: diagnosis.RefreshReused, Got: "profile " + s.Profile}
		if s.good(stored, 0, rejected) {
			return stored, reused, nil
		}
		reused.Err = err
		return nil, nil, reused
	}
	if removed := s.Store.remove(s.Profile); removed != nil {
		err = errors.Join(err, removed)
	}
	return nil, nil, err
}
