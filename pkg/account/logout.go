package account

import (
	"context"
	"errors"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/provider"
	"github.com/oauthctl/oauthctl/pkg/session"
)

// LoggedOut is the result of a logout.
type LoggedOut struct {
	Profile string
	// Forgotten reports whether there was a session, which is now removed.
	Forgotten bool
	// Revoked reports whether the server revoked every token of it.
	Revoked bool
	// LivesUntil is when an access token that was not revoked expires, or zero
	// if it is not known.
	LivesUntil time.Time
	// EndSessionURL is the URL at which the user can end the session at the
	// server, or "" if it was not requested.
	EndSessionURL string
}

// Logout revokes the session's tokens at the server (RFC 7009) and removes them
// here, even if the revocation fails. With endSession, it also returns the URL at
// which the user can end the session at the server (OpenID Connect RP-Initiated
// Logout 1.0). A registered client is retained for the next login, see
// [Account.Delete].
//
// Errors are Diagnoses: NOT_REVOKED if the tokens were removed here but are still
// valid at the server, with the underlying reason, and those of the store.
func (a *Account) Logout(ctx context.Context, endSession bool) (LoggedOut, error) {
	out := LoggedOut{Profile: a.profile.Name()}
	s, err := a.store.Load(a.profile.Name())
	if errors.Is(err, session.ErrNotFound) {
		return out, nil
	}
	var failed error
	if err == nil {
		failed = a.end(ctx, s, endSession, &out)
	}
	// A session that cannot be read can still be removed.
	if err := a.store.Delete(ctx, a.profile.Name()); err != nil {
		return out, err
	}
	out.Forgotten = true
	if failed != nil && !out.Revoked && ctx.Err() == nil {
		failed = &diagnosis.Diagnosis{ID: diagnosis.NotRevoked, Got: diagnosis.Values{serverOf(s)}, Err: failed}
	}
	return out, failed
}

// end revokes a session's tokens.
func (a *Account) end(ctx context.Context, s *session.Session, endSession bool, out *LoggedOut) error {
	client, err := a.sessionClient(ctx, s)
	if err != nil {
		return err
	}
	if client.Server.RevocationEndpoint == "" {
		out.LivesUntil = s.ExpiresAt
		a.warn(&diagnosis.Diagnosis{ID: diagnosis.RevocationUnsupported, Got: diagnosis.Values{serverOf(s)}})
	} else if err := revokeAll(ctx, client, s); err != nil {
		return err
	}
	out.Revoked = client.Server.RevocationEndpoint != ""
	if endSession {
		out.EndSessionURL, err = client.EndSessionURL()
	}
	return err
}

// revokeAll revokes both tokens of a session, because a failure for one does
// not affect the other. A token that the server does not know counts as
// revoked.
func revokeAll(ctx context.Context, client *oauth.Client, s *session.Session) error {
	var failed error
	if !s.RefreshToken.IsZero() {
		if err := client.Revoke(ctx, s.RefreshToken, "refresh_token"); !gone(err) {
			failed = err
		}
	}
	err := client.Revoke(ctx, s.AccessToken, "access_token")
	var refused *oauth.Error
	switch {
	case gone(err), errors.As(err, &refused) && refused.Code == "unsupported_token_type":
		// A JWT that APIs verify offline is valid until it expires.
	case failed == nil:
		failed = err
	}
	return failed
}

// Delete removes everything that is stored for the profile: the session, which
// is revoked first, and the registered client.
func (a *Account) Delete(ctx context.Context) (LoggedOut, error) {
	out, failed := a.Logout(ctx, false)
	return out, errors.Join(failed, a.store.DeleteRegistration(ctx, a.profile.Name()))
}

// replacedSession is a session that a new login replaces, with its client.
type replacedSession struct {
	session      *session.Session
	registration *session.Registration
}

// replaced returns the session that the next login replaces.
func (a *Account) replaced(ctx context.Context) (*replacedSession, error) {
	s, err := a.store.Load(a.profile.Name())
	if err != nil || s.RefreshToken.IsZero() {
		return nil, nil //nolint:nilerr // a login recovers from any session
	}
	r, err := a.registration(ctx, s)
	if err != nil {
		return nil, nil //nolint:nilerr // nor can its token be revoked without its client
	}
	return &replacedSession{s, r}, nil
}

// revokeTime is the time limit for revoking a refresh token that is no longer
// needed.
const revokeTime = 5 * time.Second

// revokeReplaced revokes the refresh token of the replaced session, which is no
// longer stored. A failure is a warning.
func (a *Account) revokeReplaced(ctx context.Context, old *replacedSession, next *session.Session, warn func(error)) {
	if old == nil || old.session.RefreshToken.Equal(next.RefreshToken) || provider.RevokesWholeGrant(old.session.Issuer) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, revokeTime)
	defer cancel()
	client, err := a.clientOf(ctx, old.session, old.registration)
	if err == nil && client.Server.RevocationEndpoint == "" {
		return
	}
	if err == nil {
		err = client.Revoke(ctx, old.session.RefreshToken, "refresh_token")
	}
	if err != nil && !gone(err) {
		warn(&diagnosis.Diagnosis{ID: diagnosis.NotRevoked, Got: diagnosis.Values{serverOf(old.session)}, Err: err})
	}
}
