package account

import (
	"context"
	"errors"

	"github.com/oauthctl/oauthctl/pkg/session"
)

// Status is the state of an account.
type Status struct {
	// Session is the stored session after the check, or nil.
	Session *session.Session
	// Given reports whether Config.AccessToken is used instead of a session.
	Given bool
	// Err is why no API can be called, or nil.
	Err error
}

// Status reports whether an API can be called. An expired access token is
// refreshed, as for a call; a token that has not expired is not checked, and
// nothing is sent. Errors are those of the store; Status.Err is why a call
// would fail.
func (a *Account) Status(ctx context.Context) (Status, error) {
	if !a.config.AccessToken.IsZero() {
		return Status{Given: true}, nil
	}
	s, err := a.store.Load(a.profile.Name())
	switch {
	case errors.Is(err, session.ErrNotFound):
		s = nil
	case err != nil:
		return Status{}, err
	}
	if s != nil && s.Lives(a.now(), 0) {
		return Status{Session: s, Err: a.fits(s)}, nil
	}
	t, err := a.Token(ctx, Want{})
	if err == nil {
		return Status{Session: t.from}, nil
	}
	return Status{Session: s, Err: err}, nil
}
