package account

import (
	"context"
	"errors"

	"github.com/oauthctl/oauthctl/pkg/session"
)

// Status is what an account could do now.
type Status struct {
	// Session is the stored session after what Status did to it, nil if there is
	// none.
	Session *session.Session
	// Given says that Config.AccessToken is used in place of a session.
	Given bool
	// Err is why no API could be called now, nil where one could.
	Err error
}

// Status reports whether an API could be called now. An access token that has
// expired is refreshed, as a call would do it; one that lives is believed, and
// nothing is sent. Errors are those of the store; why a call would fail
// is Status.Err.
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
