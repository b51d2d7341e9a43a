package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// renewTime is the default time limit of Renew.
const renewTime = 10 * time.Second

// Source returns the access token of a profile's session and refreshes it if
// needed. It supports every grant: for one without a refresh token, such as
// client credentials, Renew starts a new session.
type Source struct {
	Store   *Store
	Profile string
	// Fits reports whether the stored session matches the configuration. It
	// returns nil if it does, or an error that wraps [ErrNotFound] if the session
	// does not match; then Renew starts a new one. Any other error is returned to
	// the caller. If Fits is nil, every session matches.
	Fits func(s *Session) error
	// Renew requests new tokens from the authorization server. It receives a copy
	// of the session, or nil if there is none, and returns the session to store
	// instead. Call [Session.SameHost] before sending a refresh token.
	//
	// Renew is called by one process at a time, with a context that outlives the
	// caller's by up to RenewTime. If it returns both a session and an error, the
	// session is stored, so that a rotated refresh token is not lost, and the
	// error is returned to the caller; its access token counts as revoked, so that
	// the next call refreshes again. If Renew is nil, nothing is refreshed.
	Renew func(ctx context.Context, s *Session) (*Session, error)
	// RenewTime is the time limit of Renew; 0 means 10 seconds. It applies even
	// if the caller's context ends, because the server may already have rotated
	// the refresh token, and the new one must be stored.
	RenewTime time.Duration
	Now       func() time.Time // nil means time.Now
}

// Want describes the access token that a caller needs.
type Want struct {
	// MinTTL is the minimum remaining lifetime of the token. 0 means a fifth of its
	// lifetime, at most one minute. A caller that accepts any valid token sets a
	// nanosecond.
	MinTTL time.Duration
	// Rejected is a token that an API has just refused, or empty.
	Rejected secret.String
	// Fresh requests a token other than the stored one, even if that is valid.
	Fresh bool

	not secret.String // with Fresh, the token that was stored at the beginning
}

// excludes reports whether the session's token is excluded by Rejected or
// Fresh.
func (w *Want) excludes(s *Session) bool {
	return !w.Rejected.IsZero() && s.holds(w.Rejected) || w.Fresh && s.holds(w.not)
}

// Result is a session with a valid access token.
type Result struct {
	Session *Session
	// Warning is a fault that does not affect the token: the refresh failed for
	// a transient reason, the session could not be stored, or it is no longer
	// encrypted. It is a Diagnosis, or nil.
	Warning error
}

// Session returns a session whose access token satisfies want.
//
// Errors are Diagnoses: LOGIN_REQUIRED if the profile has no session, the
// errors of Fits and Renew, and those of kind Store; or the error of the
// context. A refresh token is not sent if the new session could not be stored.
// A rejected token that cannot be replaced is marked as revoked in the store.
func (s *Source) Session(ctx context.Context, want Want) (Result, error) {
	first, err := s.load(ctx)
	if err != nil {
		return Result{}, err
	}
	if want.Fresh && first.session != nil {
		want.not = first.session.AccessToken
	}
	if s.satisfies(first.session, want) {
		return first.result(), nil
	}
	unlock, found, err := s.Store.lock(ctx, sessionOf(s.Profile), s.patience(), func() *Session {
		now, err := s.load(ctx)
		if err != nil || !s.suffices(now, first, want) {
			return nil
		}
		return now.session
	})
	switch {
	case ofStore(err):
		return s.unlocked(ctx, first, want, err)
	case err != nil:
		return Result{}, err
	case found != nil:
		return Result{Session: found}, nil
	}
	defer unlock()
	current, err := s.load(ctx)
	if err != nil {
		return Result{}, err
	}
	if s.suffices(current, first, want) {
		return current.result(), nil
	}
	return s.renew(ctx, current, want)
}

// patience returns how long to wait for another process: longer than its
// refresh may take, assuming the same time limit.
func (s *Source) patience() time.Duration {
	if s.RenewTime == 0 {
		return s.Store.lockWait
	}
	return max(s.Store.lockWait, s.RenewTime+5*time.Second)
}

// loaded is the stored session of a source.
type loaded struct {
	session *Session // nil if there is none, or none that matches
	seal    seal     // of the existing file
	warning error
}

func (l loaded) result() Result { return Result{Session: l.session, Warning: l.warning} }

func (s *Source) load(ctx context.Context) (loaded, error) {
	current, with, err := s.Store.load(ctx, s.Profile)
	if err == nil && s.Fits != nil {
		err = s.Fits(current.clone())
	}
	switch {
	case errors.Is(err, ErrNotFound):
		return loaded{seal: with}, nil
	case err != nil:
		return loaded{}, err
	}
	l := loaded{session: current, seal: with}
	if with.id == "" && s.Store.marked(sessionOf(s.Profile)) {
		l.warning = &diagnosis.Diagnosis{ID: diagnosis.StoreUnsealed, Err: &FileError{Path: s.Store.path(sessionOf(s.Profile)), Owned: true}}
	}
	return l, nil
}

// satisfies reports whether a session is acceptable to a caller.
func (s *Source) satisfies(current *Session, want Want) bool {
	if current == nil || want.excludes(current) {
		return false
	}
	ttl := want.MinTTL
	if ttl == 0 {
		ttl = current.margin()
	}
	return current.Lives(s.now(), ttl)
}

// suffices reports whether the session that is stored now is acceptable to a
// caller that read a different one first. A token that another process obtained
// meanwhile is acceptable even if its lifetime is shorter than required;
// otherwise N processes would send N requests.
func (s *Source) suffices(now, first loaded, want Want) bool {
	renewed := now.session != nil && (first.session == nil || !now.session.holds(first.session.AccessToken))
	return s.satisfies(now.session, want) || renewed && s.satisfies(now.session, anyTTL(want))
}

// usable reports whether a session that could not be refreshed can be used: its
// token has not expired. Unlike [Session.Lives], it accepts an expiry that was
// computed with a wrong clock, because nothing better is available.
func (s *Source) usable(current *Session, want Want) bool {
	if current == nil || current.Revoked || want.excludes(current) {
		return false
	}
	return current.ExpiresAt.IsZero() || s.now().Before(current.ExpiresAt)
}

func anyTTL(want Want) Want {
	want.MinTTL = 1
	return want
}

func (s *Source) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

// holds reports whether token is the session's access token.
func (s *Session) holds(token secret.String) bool { return s.AccessToken.Equal(token) }

// spends reports whether refreshing the session uses up a refresh token.
func (s *Session) spends() bool {
	return s != nil && !s.RefreshToken.IsZero() && s.Grant != "client_credentials"
}

// unlocked is Session for a store that cannot be written. Grants that use up no
// refresh token proceed, unless another process is about to do the same.
func (s *Source) unlocked(ctx context.Context, current loaded, want Want, unable error) (Result, error) {
	switch {
	case s.usable(current.session, want):
		return Result{Session: current.session, Warning: unable}, nil
	case current.session.spends(), errors.Is(unable, &diagnosis.Diagnosis{ID: diagnosis.StoreLocked}):
		return Result{}, unable
	}
	next, err := s.ask(ctx, current.session)
	switch {
	case ctx.Err() != nil:
		return Result{}, fmt.Errorf("session: %w", ctx.Err())
	case err != nil:
		return Result{}, err
	}
	return Result{Session: next, Warning: unable}, nil
}

// renew refreshes and stores the session. The caller holds the lock.
func (s *Source) renew(ctx context.Context, current loaded, want Want) (Result, error) {
	write, unable := s.Store.begin(ctx, s.Profile, current.session, current.seal)
	if unable != nil {
		if ctx.Err() != nil {
			return Result{}, fmt.Errorf("session: %w", ctx.Err())
		}
		return s.unlocked(ctx, current, want, unable)
	}
	next, err := s.ask(ctx, current.session)
	if next == nil {
		_ = write(nil)
		return s.failed(ctx, current, want, err)
	}
	unable = write(next)
	switch {
	case ctx.Err() != nil:
		return Result{}, fmt.Errorf("session: %w", ctx.Err())
	case err != nil && unable != nil:
		return Result{}, errors.Join(err, unable)
	case err != nil:
		return Result{}, err
	}
	// The tokens are valid even if they could not be stored, and the old ones
	// may be used up.
	return Result{Session: next, Warning: unable}, nil
}

// ask calls Renew. It waits for the response even if the caller's context ends.
// It may return both a session to store and an error.
func (s *Source) ask(ctx context.Context, current *Session) (*Session, error) {
	if s.Renew == nil {
		return nil, &diagnosis.Diagnosis{ID: diagnosis.LoginRequired, Got: diagnosis.Values{"profile " + s.Profile}}
	}
	limit := s.RenewTime
	if limit == 0 {
		limit = renewTime
	}
	renewing, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	var before *Session
	if current != nil {
		before = current.clone()
	}
	next, err := s.Renew(renewing, before)
	switch {
	case next == nil && err != nil && renewing.Err() != nil && errors.Is(err, context.DeadlineExceeded):
		return nil, &diagnosis.Diagnosis{ID: diagnosis.Timeout, Expected: diagnosis.Values{"a response from the authorization server within " + limit.String()}, Got: diagnosis.None}
	case next == nil && err != nil:
		return nil, err
	case next == nil || next.AccessToken.IsZero() && err == nil:
		return nil, errors.New("session: the refresh returned no access token")
	case current != nil && !current.RefreshToken.IsZero():
		if moved := current.SameHost(next.TokenEndpoint); moved != nil {
			return nil, moved
		}
	}
	next.Profile = s.Profile
	switch {
	case err == nil:
		next.Revoked = false // may be true in the copy of the previous session
	case current == nil || !next.holds(current.AccessToken):
		next.Revoked = true
	}
	return next, err
}

// failed handles a failed refresh. If the server says that the grant has ended,
// so does the session. After a transient failure, a valid token is used.
func (s *Source) failed(ctx context.Context, current loaded, want Want, err error) (Result, error) {
	result, err := s.outcome(ctx, current, want, err)
	if ctx.Err() != nil {
		return Result{}, fmt.Errorf("session: %w", ctx.Err())
	}
	if err != nil && !want.Rejected.IsZero() {
		// The error of the refresh is more useful than that of the store.
		_ = s.Store.markRevoked(context.WithoutCancel(ctx), s.Profile, want.Rejected)
	}
	return result, err
}

func (s *Source) outcome(ctx context.Context, current loaded, want Want, err error) (Result, error) {
	var d *diagnosis.Diagnosis
	if !errors.As(err, &d) || current.session == nil {
		return Result{}, err
	}
	switch {
	case d.ID == diagnosis.GrantInvalid && !current.session.RefreshToken.IsZero():
		return s.spent(ctx, current.session, want, err)
	case (d.Kind() == diagnosis.Unavailable || d.ID == diagnosis.LoginRequired) && s.usable(current.session, want):
		return Result{Session: current.session, Warning: err}, nil
	}
	return Result{}, err
}

// spent ends a session whose refresh token the server no longer accepts, unless
// a process that does not use the lock has stored another one meanwhile.
func (s *Source) spent(ctx context.Context, sent *Session, want Want, err error) (Result, error) {
	stored, _, loadErr := s.Store.load(context.WithoutCancel(ctx), s.Profile)
	switch {
	case loadErr != nil:
		return Result{}, err
	case !stored.RefreshToken.Equal(sent.RefreshToken):
		reused := &diagnosis.Diagnosis{ID: diagnosis.RefreshReused, Got: diagnosis.Values{"profile " + s.Profile}}
		if s.satisfies(stored, anyTTL(want)) {
			return Result{Session: stored, Warning: reused}, nil
		}
		reused.Err = err
		return Result{}, reused
	}
	if removed := s.Store.remove(sessionOf(s.Profile)); removed != nil {
		err = errors.Join(err, removed)
	}
	return Result{}, err
}
