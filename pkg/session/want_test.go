package session_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/session"
)

// counted is a Renew function that returns access-2 for an hour, and counts its
// calls.
func counted(n *int) func(context.Context, *session.Session) (*session.Session, error) {
	return func(_ context.Context, s *session.Session) (*session.Session, error) {
		*n++
		if s == nil {
			s = example()
		}
		next := *s
		next.AccessToken, next.RefreshToken, next.ObtainedAt, next.ExpiresAt = secret.New("access-2"), secret.New("refresh-2"), now, now.Add(time.Hour)
		return &next, nil
	}
}

func TestLives(t *testing.T) {
	at := func(d time.Duration) time.Time { return now.Add(d) }
	for name, tt := range map[string]struct {
		s    session.Session
		ttl  time.Duration
		want bool
	}{
		"long enough":                          {session.Session{ObtainedAt: now, ExpiresAt: at(time.Hour)}, time.Minute, true},
		"not long enough":                      {session.Session{ObtainedAt: now, ExpiresAt: at(59 * time.Second)}, time.Minute, false},
		"expires now":                          {session.Session{ObtainedAt: at(-time.Hour), ExpiresAt: now}, 0, false},
		"no expiry known":                      {session.Session{ObtainedAt: now}, time.Hour, true},
		"revoked":                              {session.Session{ObtainedAt: now, ExpiresAt: at(time.Hour), Revoked: true}, 0, false},
		"revoked, no expiry known":             {session.Session{Revoked: true}, 0, false},
		"obtained in the future":               {session.Session{ObtainedAt: at(365 * 24 * time.Hour), ExpiresAt: at(365*24*time.Hour + time.Hour)}, 0, false},
		"obtained two minutes ahead":           {session.Session{ObtainedAt: at(2 * time.Minute), ExpiresAt: at(time.Hour)}, 0, false},
		"obtained ahead, within the tolerance": {session.Session{ObtainedAt: at(50 * time.Second), ExpiresAt: at(time.Hour)}, 0, true},
		"obtained ahead, no expiry known":      {session.Session{ObtainedAt: at(time.Hour)}, 0, true},
		"when it was obtained is not known":    {session.Session{ExpiresAt: at(time.Hour)}, 0, true},
	} {
		if got := tt.s.Lives(now, tt.ttl); got != tt.want {
			t.Errorf("%s: Lives = %v", name, got)
		}
	}
}

// By default, a token is used for four fifths of its lifetime, and refreshed at
// most a minute before its expiry. MinTTL is exact.
func TestMargin(t *testing.T) {
	for _, tt := range []struct {
		life, left, want time.Duration
		renewed          bool
	}{
		{45 * time.Second, 44 * time.Second, 0, false},
		{45 * time.Second, 10 * time.Second, 0, false},
		{45 * time.Second, 9 * time.Second, 0, true},
		{5 * time.Second, 2 * time.Second, 0, false},
		{time.Second, 100 * time.Millisecond, 0, true},
		{5 * time.Minute, 61 * time.Second, 0, false},
		{5 * time.Minute, 60 * time.Second, 0, true},
		{24 * time.Hour, 61 * time.Second, 0, false},
		{24 * time.Hour, 59 * time.Second, 0, true},
		{45 * time.Second, 44 * time.Second, time.Minute, true},
		{time.Hour, 59 * time.Minute, time.Hour, true},
		{time.Hour, time.Second, 1, false},
		{time.Hour, 90 * time.Second, 90*time.Second + 1, true},
		{time.Hour, 90 * time.Second, 90*time.Second - 1, false},
	} {
		t.Run(fmt.Sprintf("%s of %s, wanted %s", tt.left, tt.life, tt.want), func(t *testing.T) {
			store, _ := openStore(t)
			s := example()
			s.ExpiresAt, s.ObtainedAt = now.Add(tt.left), now.Add(tt.left-tt.life)
			save(t, store, s)
			renewals := 0
			source := &session.Source{Store: store, Profile: "default", Now: func() time.Time { return now }, Renew: counted(&renewals)}
			if _, err := source.Session(t.Context(), session.Want{MinTTL: tt.want}); err != nil || (renewals == 1) != tt.renewed {
				t.Errorf("%d renewals, %v", renewals, err)
			}
		})
	}
	t.Run("a server that forgets when it was obtained", func(t *testing.T) {
		store, _ := openStore(t)
		s := example()
		s.ObtainedAt, s.ExpiresAt = time.Time{}, now.Add(50*time.Second)
		save(t, store, s)
		renewals := 0
		source := &session.Source{Store: store, Profile: "default", Now: func() time.Time { return now }, Renew: counted(&renewals)}
		if _, err := source.Session(t.Context(), session.Want{}); err != nil || renewals != 1 {
			t.Errorf("%d renewals, %v", renewals, err)
		}
	})
}

// A token that an API refused and that could not be replaced is not returned
// again. After a transient failure, it is.
func TestRejected(t *testing.T) {
	for name, tt := range map[string]struct {
		want    session.Want
		err     error
		revoked bool
		keeps   string // the refresh token
	}{
		"server away":                 {session.Want{Rejected: secret.New("access-1")}, &diagnosis.Diagnosis{ID: diagnosis.Unreachable}, true, "refresh-1"},
		"no way to renew":             {session.Want{Rejected: secret.New("access-1")}, &diagnosis.Diagnosis{ID: diagnosis.LoginRequired}, true, "refresh-1"},
		"an error without id":         {session.Want{Rejected: secret.New("access-1")}, errors.New("odd"), true, "refresh-1"},
		"another one was rejected":    {session.Want{Rejected: secret.New("access-0"), MinTTL: 2 * time.Hour}, &diagnosis.Diagnosis{ID: diagnosis.Unreachable}, false, "refresh-1"},
		"a fresh one was wanted":      {session.Want{Fresh: true}, &diagnosis.Diagnosis{ID: diagnosis.Unreachable}, false, "refresh-1"},
		"nothing is wrong with it":    {session.Want{MinTTL: 2 * time.Hour}, &diagnosis.Diagnosis{ID: diagnosis.Unreachable}, false, "refresh-1"},
		"replaced":                    {session.Want{Rejected: secret.New("access-1")}, nil, false, "refresh-2"},
		"a fresh one, replaced":       {session.Want{Fresh: true}, nil, false, "refresh-2"},
		"a fresh one that lives long": {session.Want{Fresh: true, MinTTL: time.Minute}, nil, false, "refresh-2"},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, store *session.Store, _ string) {
				s := example()
				s.ExpiresAt = now.Add(time.Hour)
				save(t, store, s)
				renewals := 0
				source := &session.Source{Store: store, Profile: "default", Now: func() time.Time { return now }, Renew: func(ctx context.Context, s *session.Session) (*session.Session, error) {
					if tt.err != nil {
						renewals++
						return nil, tt.err
					}
					return counted(&renewals)(ctx, s)
				}}
				got, _, err := get(t.Context(), source, tt.want)
				excluded := tt.want.Fresh || tt.want.Rejected.Equal(s.AccessToken)
				if renewals != 1 || (err != nil) != (tt.err != nil && excluded) || err == nil && excluded && got.AccessToken.Equal(s.AccessToken) {
					t.Errorf("%d renewals: %v", renewals, err)
				}
				stored, err := store.Load("default")
				if err != nil || stored.Revoked != tt.revoked || stored.RefreshToken.Reveal() != tt.keeps {
					t.Fatalf("stored: %v, revoked %v, %s", err, stored.Revoked, stored.RefreshToken.Reveal())
				}
				if !tt.revoked {
					return
				}
				// The next call refreshes at once and returns a valid token.
				source.Renew = counted(&renewals)
				if got, _, err := get(t.Context(), source, session.Want{}); err != nil || got.AccessToken.Reveal() != "access-2" || got.Revoked || renewals != 2 {
					t.Errorf("the next command: %v after %d renewals", err, renewals)
				}
				if stored, err := store.Load("default"); err != nil || stored.Revoked {
					t.Errorf("stored after that: %v, revoked %v", err, stored.Revoked)
				}
			})
		})
	}
}

func TestMarkRevoked(t *testing.T) {
	each(t, func(t *testing.T, store *session.Store, _ string) {
		ctx := t.Context()
		if err := store.MarkRevoked(ctx, "default", secret.New("access-1")); err != nil {
			t.Errorf("without a session: %v", err)
		}
		save(t, store, example())
		if err := store.MarkRevoked(ctx, "default", secret.New("access-0")); err != nil {
			t.Error(err)
		}
		if s, err := store.Load("default"); err != nil || s.Revoked {
			t.Errorf("another token: %v, revoked %v", err, s.Revoked)
		}
		for range 2 {
			if err := store.MarkRevoked(ctx, "default", secret.New("access-1")); err != nil {
				t.Error(err)
			}
			if s, err := store.Load("default"); err != nil || !s.Revoked || s.Lives(now, 0) || s.RefreshToken.Reveal() != "refresh-1" {
				t.Errorf("Load: %v", err)
			}
		}
		// Without a Renew function it is not returned, although it has not
		// expired.
		source := &session.Source{Store: store, Profile: "default", Now: func() time.Time { return now }}
		if _, err := source.Session(ctx, session.Want{}); idOf(err) != diagnosis.LoginRequired {
			t.Errorf("Session = %v", err)
		}
		if err := store.MarkRevoked(ctx, "a/b", secret.New("x")); err == nil {
			t.Error("an impossible name is accepted")
		}
	})
}

// A refresh whose response fails a check returns the session with the error:
// the rotated refresh token is stored, the access token is not returned.
func TestRenewalWithAnError(t *testing.T) {
	failed := &diagnosis.Diagnosis{ID: diagnosis.IDTokenInvalid}
	for name, change := range map[string]func(next *session.Session){
		"a new access token":        func(next *session.Session) { next.AccessToken = secret.New("access-2") },
		"the old access token":      func(*session.Session) {},
		"no access token":           func(next *session.Session) { next.AccessToken = secret.String{} },
		"one that it calls revoked": func(next *session.Session) { next.AccessToken, next.Revoked = secret.New("access-2"), true },
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, store *session.Store, _ string) {
				s := example()
				s.ExpiresAt = now.Add(-time.Minute)
				save(t, store, s)
				source := &session.Source{Store: store, Profile: "default", Now: func() time.Time { return now }, Renew: func(_ context.Context, s *session.Session) (*session.Session, error) {
					next := *s
					next.RefreshToken = secret.New("refresh-2")
					change(&next)
					if !next.AccessToken.Equal(s.AccessToken) {
						next.ExpiresAt = now.Add(time.Hour)
					}
					return &next, failed
				}}
				result, err := source.Session(t.Context(), session.Want{})
				if idOf(err) != diagnosis.IDTokenInvalid || result.Session != nil || result.Warning != nil {
					t.Errorf("Session = %v, %v", result, err)
				}
				stored, err := store.Load("default")
				if err != nil || stored.RefreshToken.Reveal() != "refresh-2" || stored.Lives(now, 0) {
					t.Fatalf("stored: %v, %v", stored, err)
				}
				// The second refresh works, with the new refresh token.
				var sent string
				renewals := 0
				source.Renew = func(ctx context.Context, s *session.Session) (*session.Session, error) {
					sent = s.RefreshToken.Reveal()
					return counted(&renewals)(ctx, s)
				}
				if got, _, err := get(t.Context(), source, session.Want{}); err != nil || got.Revoked || sent != "refresh-2" {
					t.Errorf("the second renewal: %v, sent %s", err, sent)
				}
			})
		})
	}
	t.Run("from another host", func(t *testing.T) {
		store, _ := openStore(t)
		s := example()
		s.ExpiresAt = now.Add(-time.Minute)
		save(t, store, s)
		source := &session.Source{Store: store, Profile: "default", Now: func() time.Time { return now }, Renew: func(_ context.Context, s *session.Session) (*session.Session, error) {
			next := *s
			next.RefreshToken, next.TokenEndpoint = secret.New("refresh-2"), "https://evil.example/token"
			return &next, failed
		}}
		if _, err := source.Session(t.Context(), session.Want{}); idOf(err) != diagnosis.EndpointMoved {
			t.Errorf("Session = %v", err)
		}
		if stored, err := store.Load("default"); err != nil || stored.RefreshToken.Reveal() != "refresh-1" {
			t.Errorf("it was stored: %v", err)
		}
	})
}

// A session is used only if it matches the configuration.
func TestFits(t *testing.T) {
	other := &diagnosis.Diagnosis{ID: diagnosis.LoginRequired, Got: diagnosis.Text("the session is for another issuer")}
	for name, tt := range map[string]struct {
		fits     error
		given    bool // whether Renew received a session
		renewals int
		want     string
		err      diagnosis.ID
	}{
		"fits":             {nil, false, 0, "access-1", ""},
		"counts as none":   {fmt.Errorf("the scope is another: %w", session.ErrNotFound), false, 1, "access-2", ""},
		"refused":          {other, false, 0, "", diagnosis.LoginRequired},
		"refused, wrapped": {fmt.Errorf("profile x: %w", other), false, 0, "", diagnosis.LoginRequired},
	} {
		t.Run(name, func(t *testing.T) {
			keys := &ring{}
			store, dir := openSealed(t, session.Keyring, keys)
			s := example()
			s.ExpiresAt = now.Add(time.Hour)
			save(t, store, s)
			renewals, given := 0, false
			source := &session.Source{
				Store: store, Profile: "default", Now: func() time.Time { return now },
				Fits: func(s *session.Session) error {
					defer func() { s.Scope[0] = "changed" }() // it is a copy
					if s.ClientID != "app" {
						return nil
					}
					return tt.fits
				},
				Renew: func(ctx context.Context, s *session.Session) (*session.Session, error) {
					given = given || s != nil
					next, err := counted(&renewals)(ctx, s)
					next.ClientID = "in force"
					return next, err
				},
			}
			for range 2 {
				got, warning, err := get(t.Context(), source, session.Want{})
				if idOf(err) != tt.err || warning != nil || renewals != tt.renewals || given != tt.given || err == nil && (got.AccessToken.Reveal() != tt.want || got.Scope[0] != "items:read") {
					t.Fatalf("Session = %v, %v after %d renewals", warning, err, renewals)
				}
			}
			stored, err := store.Load("default")
			if err != nil || tt.want != "" && stored.AccessToken.Reveal() != tt.want {
				t.Errorf("stored: %v", err)
			}
			if keys.len() != 1 {
				t.Errorf("%d keys for one session in %s", keys.len(), dir)
			}
		})
	}
}

// A failed refresh of a session that does not match leaves the stored session
// and its key unchanged.
func TestFitsFailedRenewal(t *testing.T) {
	keys := &ring{}
	store, _ := openSealed(t, session.Keyring, keys)
	save(t, store, example())
	source := &session.Source{
		Store: store, Profile: "default", Fits: func(*session.Session) error { return session.ErrNotFound },
		Renew: func(context.Context, *session.Session) (*session.Session, error) {
			return nil, &diagnosis.Diagnosis{ID: diagnosis.ClientRefused}
		},
	}
	if _, err := source.Session(t.Context(), session.Want{}); idOf(err) != diagnosis.ClientRefused {
		t.Errorf("Session = %v", err)
	}
	if s, err := store.Load("default"); err != nil || s.RefreshToken.Reveal() != "refresh-1" || keys.len() != 1 {
		t.Errorf("stored: %v, %d keys", err, keys.len())
	}
}

// The time limit of Renew is that of the source, and applies after the caller's
// context has ended.
func TestRenewTime(t *testing.T) {
	store, _ := openStore(t)
	s := example()
	s.ExpiresAt = now.Add(-time.Minute)
	save(t, store, s)
	var left time.Duration
	source := &session.Source{Store: store, Profile: "default", Now: func() time.Time { return now }, Renew: func(ctx context.Context, _ *session.Session) (*session.Session, error) {
		end, _ := ctx.Deadline()
		left = time.Until(end)
		return nil, &diagnosis.Diagnosis{ID: diagnosis.Unreachable}
	}}
	for limit, want := range map[time.Duration]time.Duration{0: 10 * time.Second, time.Hour: time.Hour, 3 * time.Second: 3 * time.Second} {
		source.RenewTime = limit
		if _, err := source.Session(t.Context(), session.Want{}); idOf(err) != diagnosis.Unreachable || left > want || left < want-2*time.Second {
			t.Errorf("limit %s: %s were left, %v", limit, left, err)
		}
	}
	source.RenewTime = time.Millisecond
	source.Renew = func(ctx context.Context, _ *session.Session) (*session.Session, error) {
		<-ctx.Done()
		return nil, fmt.Errorf("asking: %w", ctx.Err())
	}
	_, err := source.Session(t.Context(), session.Want{})
	if idOf(err) != diagnosis.Timeout {
		t.Errorf("no answer: %v", err)
	}
}

// A clock that was ahead at login does not extend the lifetime of a token. A
// token that cannot be replaced is used until it has expired by the current
// clock too.
func TestClockWasAhead(t *testing.T) {
	store, _ := openStore(t)
	s := example()
	s.ObtainedAt, s.ExpiresAt = now.AddDate(1, 0, 0), now.AddDate(1, 0, 0).Add(time.Hour)
	save(t, store, s)
	renewals := 0
	source := &session.Source{Store: store, Profile: "default", Now: func() time.Time { return now }, Renew: counted(&renewals)}
	for range 3 {
		if got, _, err := get(t.Context(), source, session.Want{}); err != nil || got.AccessToken.Reveal() != "access-2" || renewals != 1 {
			t.Errorf("%d renewals, %v", renewals, err)
		}
	}
	save(t, store, s)
	source.Renew = nil
	if got, warning, err := get(t.Context(), source, session.Want{}); err != nil || idOf(warning) != diagnosis.LoginRequired || got.AccessToken.Reveal() != "access-1" {
		t.Errorf("nothing can replace it: %v, %v", warning, err)
	}
}
