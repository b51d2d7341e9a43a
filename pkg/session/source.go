package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// renewTime bounds a renewal by default.
const renewTime = 10 * time.Second

// Source gives the access token of a profile's session, refreshed when it is
// due. It covers every grant: one without a refresh token, such as client
// credentials, begins a new session when it is asked to renew.
type Source struct {
	Store   *Store
	Profile string
	// Fits reports whether the stored session is for what is in force: nil if it
	// is, an error that wraps [ErrNotFound] if it is for something else and counts
	// as none, so that Renew begins a new one in its place. Any other error is
	// returned to the caller as it is. A nil Fits accepts every session.
	Fits func(s *Session) error
	// Renew asks the authorization server for new tokens. It is given a copy of
	// the session, nil if there is none, and returns the one to store in its
	// place. A refresh token is sent only after a call to [Session.SameHost].
	//
	// Renew is called by one process at a time, with a context that outlives the
	// caller's by up to RenewTime. If it returns both a session and an error, the
	// session is stored, so that a rotated refresh token is not lost, and the
	// error is returned to the caller; a new access token in it counts as revoked,
	// so that the next use renews again. A nil Renew renews nothing.
	Renew func(ctx context.Context, s *Session) (*Session, error)
	// RenewTime is the time limit of Renew; 0 means 10 seconds. It holds even if
	// the caller gives up: the server may already have rotated the refresh token,
	// and the new one must be stored.
	RenewTime time.Duration
	Now       func() time.Time // nil means time.Now
}

// Want is what a caller needs of an access token.
type Want struct {
	// MinTTL is for how long the token must be valid. 0 means the default, which
	// depends on the token: a fifth of its whole life, at most one minute. A caller
	// to whom any living token will do sets a nanosecond.
	MinTTL time.Duration
	// Rejected is a token that an API has just refused, empty if there is none.
	Rejected secret.String
	// Fresh asks for another token than the one that is stored now, even if that is
	// valid.
	Fresh bool

	not secret.String // with Fresh, the token that was stored at the beginning
}

// excludes reports whether the token of a session is one that is not wanted.
func (w *Want) excludes(s *Session) bool {
	return !w.Rejected.IsZero() && s.holds(w.Rejected) || w.Fresh && s.holds(w.not)
}

// Result is a session with a valid access token.
type Result struct {
	Session *Session
	// Warning says what is not as it should be although the token is valid: the
	// renewal failed for a transient reason, the session could not be stored, or
	// is no longer sealed. It is a Diagnosis, or nil.
	Warning error
}

// Session returns a session whose access token is as want says.
//
// Errors are Diagnoses: LOGIN_REQUIRED where the profile has no session, what
// Fits and Renew returned, and those of kind Store; or the context's error. A
// refresh token is not sent where the session that comes back could not be
// stored. A rejected token that cannot be replaced is marked as revoked in the
// store.
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

// patience is for how long to wait for another process: longer than its renewal
// may take, which is taken to have the same time limit.
func (s *Source) patience() time.Duration {
	if s.RenewTime == 0 {
		return s.Store.lockWait
	}
	return max(s.Store.lockWait, s.RenewTime+5*time.Second)
}

// loaded is what the store holds for a source.
type loaded struct {
	session *Session // nil if there is none, or none that fits
	seal    seal     // of the file that is there
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

// satisfies reports whether a session is what a caller wants.
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

// suffices reports whether what the store holds now will do for a caller who
// found something else first. What another process got in the meantime will do
// even if its whole life is shorter than the caller wants, or N processes would
// send N requests.
func (s *Source) suffices(now, first loaded, want Want) bool {
	renewed := now.session != nil && (first.session == nil || !now.session.holds(first.session.AccessToken))
	return s.satisfies(now.session, want) || renewed && s.satisfies(now.session, anyTTL(want))
}

// usable reports whether a session that could not be renewed will do: its token
// has not expired. Unlike [Session.Lives] it takes an expiry that was computed by
// a wrong clock, since there is nothing better.
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

// spends reports whether a renewal of the session uses up a refresh token.
func (s *Session) spends() bool {
	return s != nil && !s.RefreshToken.IsZero() && s.Grant != "client_credentials"
}

// unlocked is Session where nothing can be stored. What spends nothing goes on,
// unless another process is about to do the same.
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

// renew renews and stores under the lock.
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
	// The tokens are valid even where they could not be stored, and the old ones
	// may be spent.
	return Result{Session: next, Warning: unable}, nil
}

// ask calls Renew. It waits for the server's answer even if the caller does not.
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
		return nil, &diagnosis.Diagnosis{ID: diagnosis.Timeout, Expected: diagnosis.Values{"an answer of the authorization server within " + limit.String()}, Got: diagnosis.None}
	case next == nil && err != nil:
		return nil, err
	case next == nil || next.AccessToken.IsZero() && err == nil:
		return nil, errors.New("session: the renewal gave no access token")
	case current != nil && !current.RefreshToken.IsZero():
		if moved := current.SameHost(next.TokenEndpoint); moved != nil {
			return nil, moved
		}
	}
	next.Profile = s.Profile
	switch {
	case err == nil:
		next.Revoked = false // a copy of the session before may say otherwise
	case current == nil || !next.holds(current.AccessToken):
		next.Revoked = true
	}
	return next, err
}

// failed decides what a failed renewal means: a server that says the grant is
// gone ends the session; a transient reason leaves a token that still lives.
func (s *Source) failed(ctx context.Context, current loaded, want Want, err error) (Result, error) {
	result, err := s.outcome(ctx, current, want, err)
	if ctx.Err() != nil {
		return Result{}, fmt.Errorf("session: %w", ctx.Err())
	}
	if err != nil && !want.Rejected.IsZero() {
		// The renewal's error says more than one of the store would.
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
// another one has been stored in the meantime by a process that does not use the
// lock.
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
