package session_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/session"
)

// If a process that ignores the lock, or a copied file, used the refresh token
// first, the session that is stored now is used and not removed.
func TestReusedRefreshToken(t *testing.T) {
	invalid := &diagnosis.Diagnosis{ID: diagnosis.GrantInvalid}
	for name, tt := range map[string]struct {
		lives   time.Duration
		warning diagnosis.ID
		err     diagnosis.ID
	}{"newer one lives": {time.Hour, diagnosis.RefreshReused, ""}, "newer one has expired": {-time.Hour, "", diagnosis.RefreshReused}} {
		t.Run(name, func(t *testing.T) {
			store, dir := openStore(t)
			s := example()
			s.ExpiresAt = now.Add(-time.Minute)
			save(t, store, s)
			other, otherDir := openStore(t)
			newer := example()
			newer.AccessToken, newer.RefreshToken, newer.ExpiresAt = secret.New("access-9"), secret.New("refresh-9"), now.Add(tt.lives)
			save(t, other, newer)
			source := &session.Source{Store: store, Profile: "default", Now: func() time.Time { return now }, Renew: func(context.Context, *session.Session) (*session.Session, error) {
				if err := os.Rename(filepath.Join(otherDir, "default.json"), filepath.Join(dir, "default.json")); err != nil {
					t.Error(err)
				}
				return nil, invalid
			}}
			got, warning, err := get(t.Context(), source, session.Want{})
			if idOf(warning) != tt.warning || idOf(err) != tt.err || err == nil && got.AccessToken.Reveal() != "access-9" {
				t.Errorf("Session = %v, %v, %v", got, warning, err)
			}
			if kept, err := store.Load("default"); err != nil || kept.RefreshToken.Reveal() != "refresh-9" {
				t.Errorf("the newer session was not kept: %v", err)
			}
		})
	}
}

// A token endpoint on another host does not receive a refresh token.
func TestMovedEndpoint(t *testing.T) {
	var received atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { received.Add(1) }))
	defer elsewhere.Close()
	home := newRotation(t)
	store, _ := openStore(t)
	home.begin(t, store)
	endpoint := elsewhere.URL
	source := &session.Source{Store: store, Profile: "default", Renew: func(ctx context.Context, s *session.Session) (*session.Session, error) {
		if err := s.SameHost(endpoint); err != nil {
			return nil, err
		}
		return refresh(ctx, s)
	}}
	_, _, err := get(t.Context(), source, session.Want{})
	var d *diagnosis.Diagnosis
	if !errors.As(err, &d) || d.ID != diagnosis.EndpointMoved || d.Kind() != diagnosis.Unsafe {
		t.Errorf("moved: %v", err)
	}
	if received.Load() != 0 {
		t.Error("the other host was asked")
	}
	// Tokens that Renew obtained there anyway are not stored.
	source.Renew = func(context.Context, *session.Session) (*session.Session, error) {
		next := example()
		next.TokenEndpoint = elsewhere.URL
		return next, nil
	}
	if _, _, err := get(t.Context(), source, session.Want{}); idOf(err) != diagnosis.EndpointMoved {
		t.Errorf("renewed elsewhere: %v", err)
	}
	endpoint = home.URL
	source.Renew = func(ctx context.Context, s *session.Session) (*session.Session, error) {
		if err := s.SameHost(endpoint); err != nil {
			return nil, err
		}
		return refresh(ctx, s)
	}
	if s, _, err := get(t.Context(), source, session.Want{}); err != nil || s.AccessToken.Reveal() != "access-2" {
		t.Errorf("positive control: %v", err)
	}
}

func TestLockIsHeld(t *testing.T) {
	store, _ := openStore(t)
	s := example()
	s.ExpiresAt = now.Add(-time.Minute)
	save(t, store, s)
	holding, release := make(chan struct{}), make(chan struct{})
	held := &session.Source{Store: store, Profile: "default", Now: func() time.Time { return now }, Renew: func(context.Context, *session.Session) (*session.Session, error) {
		close(holding)
		<-release
		return nil, &diagnosis.Diagnosis{ID: diagnosis.Unreachable}
	}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _, _ = get(context.WithoutCancel(t.Context()), held, session.Want{})
	}()
	<-holding
	store.Hasten(30*time.Millisecond, time.Second)
	err := store.Save(t.Context(), example())
	if idOf(err) != diagnosis.StoreLocked {
		t.Errorf("Save = %v", err)
	}
	if _, err := store.Load("default"); err != nil {
		t.Errorf("a reader waits for nobody: %v", err)
	}
	for lives, want := range map[time.Duration][2]diagnosis.ID{-time.Minute: {"", diagnosis.StoreLocked}, 5 * time.Second: {diagnosis.StoreLocked, ""}} {
		waiting := &session.Source{Store: store, Profile: "default", Now: func() time.Time { return s.ExpiresAt.Add(-lives) }}
		if _, warning, err := get(t.Context(), waiting, session.Want{}); idOf(warning) != want[0] || idOf(err) != want[1] {
			t.Errorf("a token that lives for %s: %v, %v", lives, warning, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := store.Save(ctx, example()); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	close(release)
	<-done
	if err := store.Save(t.Context(), example()); err != nil {
		t.Errorf("positive control: %v", err)
	}
}

// A process whose refresh may take long waits equally long for another process.
func TestLockIsWaitedForAsLongAsARenewalTakes(t *testing.T) {
	store, _ := openStore(t)
	s := example()
	s.ExpiresAt = now.Add(-time.Minute)
	save(t, store, s)
	store.Hasten(30*time.Millisecond, time.Second)
	holding, release := make(chan struct{}), make(chan struct{})
	renewals := 0
	begin := func(limit time.Duration) <-chan error {
		source := &session.Source{Store: store, Profile: "default", RenewTime: limit, Now: func() time.Time { return now }, Renew: func(ctx context.Context, s *session.Session) (*session.Session, error) {
			close(holding)
			<-release
			return counted(&renewals)(ctx, s)
		}}
		done := make(chan error, 1)
		go func() {
			_, err := source.Session(context.WithoutCancel(t.Context()), session.Want{})
			done <- err
		}()
		return done
	}
	holder := begin(time.Minute)
	<-holding
	patient, hasty := begin(time.Minute), begin(0)
	if err := <-hasty; idOf(err) != diagnosis.StoreLocked {
		t.Errorf("with the default limit: %v", err)
	}
	select {
	case err := <-patient:
		t.Errorf("it did not wait: %v", err)
	default:
	}
	close(release)
	if err := errors.Join(<-holder, <-patient); err != nil || renewals != 1 {
		t.Errorf("%v after %d renewals", err, renewals)
	}
}

// Without a Renew function, a valid token is returned with a warning. Without a
// session, a login is needed.
func TestWithoutRenewal(t *testing.T) {
	store, _ := openStore(t)
	source := &session.Source{Store: store, Profile: "default", Now: func() time.Time { return now }}
	_, _, err := get(t.Context(), source, session.Want{})
	var d *diagnosis.Diagnosis
	if !errors.As(err, &d) || d.ID != diagnosis.LoginRequired {
		t.Errorf("no session: %v", err)
	}
	save(t, store, example())
	if s, warning, err := get(t.Context(), source, session.Want{MinTTL: time.Hour}); err != nil || idOf(warning) != diagnosis.LoginRequired || s.AccessToken.Reveal() != "access-1" {
		t.Errorf("still lives: %v, %v", warning, err)
	}
	if _, _, err := get(t.Context(), source, session.Want{MinTTL: time.Hour, Rejected: secret.New("access-1")}); idOf(err) != diagnosis.LoginRequired {
		t.Errorf("rejected: %v", err)
	}
}

func TestMemoryKeepsNothing(t *testing.T) {
	dir := t.TempDir()
	store, err := session.New(session.Options{Dir: dir, Kind: session.Memory})
	if err != nil {
		t.Fatal(err)
	}
	save(t, store, example())
	got, err := store.Load("default")
	if err != nil {
		t.Fatal(err)
	}
	got.Scope[0] = "changed"
	if again, err := store.Load("default"); err != nil || again.Scope[0] != "items:read" {
		t.Errorf("a caller changes what is kept: %v", err)
	}
	if names, err := store.Profiles(); err != nil || len(names) != 1 {
		t.Errorf("Profiles = %v, %v", names, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("files: %v, %v", entries, err)
	}
	if err := store.Delete(t.Context(), "default"); err != nil {
		t.Error(err)
	}
	if _, err := store.Load("default"); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("deleted: %v", err)
	}
}

func TestNew(t *testing.T) {
	if _, err := session.New(session.Options{Dir: "x", Kind: "cloud"}); err == nil {
		t.Error("an unknown kind is taken")
	}
	if _, err := session.New(session.Options{Kind: session.File}); idOf(err) != diagnosis.StoreUnwritable {
		t.Errorf("no directory: %v", err)
	}
	store, err := session.New(session.Options{Dir: filepath.Join(t.TempDir(), "state"), Kind: session.File})
	if err != nil {
		t.Fatal(err)
	}
	if warning, err := store.Prepare(t.Context()); err != nil || warning != nil {
		t.Errorf("Prepare: %v, %v", warning, err)
	}
	if names, err := store.Profiles(); err != nil || names != nil {
		t.Errorf("Prepare leaves something behind: %v, %v", names, err)
	}
}
