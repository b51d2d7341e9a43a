package session_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/session"
)

// ring is a keychain in memory.
type ring struct {
	mu   sync.Mutex
	keys map[string][]byte
	// hang, if not nil, is received from before each call returns.
	hang chan struct{}
	err  error
}

func (r *ring) answer() error {
	if r.hang != nil {
		<-r.hang
	}
	return r.err
}

func (r *ring) Key(name string) ([]byte, error) {
	err := r.answer()
	r.mu.Lock()
	defer r.mu.Unlock()
	key, ok := r.keys[name]
	if err == nil && !ok {
		err = session.ErrNoKey
	}
	return key, err
}

func (r *ring) SetKey(name string, key []byte) error {
	err := r.answer()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.keys[name] = bytes.Clone(key)
	}
	return err
}

func (r *ring) DeleteKey(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.keys, name)
	return nil
}

func (r *ring) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.keys)
}

// openSealed returns a store that seals.
func openSealed(t testing.TB, kind session.Kind, keys *ring) (*session.Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	if keys.keys == nil {
		keys.keys = map[string][]byte{}
	}
	store, err := session.New(session.Options{Dir: dir, Kind: kind, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	wait := 30 * time.Second // a busy machine must not look like a keychain that hangs
	if keys.hang != nil {
		wait = 50 * time.Millisecond
	}
	store.Hasten(30*time.Second, wait)
	return store, dir
}

func TestSealed(t *testing.T) {
	keys := &ring{}
	store, dir := openSealed(t, session.Keyring, keys)
	want := example()
	want.DPoPKey = secret.New("key-1")
	save(t, store, want)
	data, err := os.ReadFile(filepath.Join(dir, "default.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, canary := range []string{"access-1", "refresh-1", "id-1", "key-1", "alice", "items:read"} {
		if bytes.Contains(data, []byte(canary)) {
			t.Errorf("the file shows %q", canary)
		}
	}
	got, err := store.Load("default")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Load (-want +got):\n%s", diff)
	}
	if !store.Place().Sealed || !store.PlaceOf("default").Sealed {
		t.Errorf("Place = %v, %v", store.Place(), store.PlaceOf("default"))
	}
	save(t, store, want)
	if again, err := os.ReadFile(filepath.Join(dir, "default.json")); err != nil || bytes.Equal(again, data) {
		t.Error("the same session is sealed to the same bytes")
	}
	if keys.len() != 1 {
		t.Errorf("%d keys for one session", keys.len())
	}
	if err := store.Delete(t.Context(), "default"); err != nil || keys.len() != 0 {
		t.Errorf("Delete: %v, %d keys left", err, keys.len())
	}
}

// A refreshed session stays in its form: sealed with its key, or plain.
func TestRefreshKeepsTheForm(t *testing.T) {
	keys := &ring{}
	sealing, dir := openSealed(t, session.Keyring, keys)
	auto, err := session.New(session.Options{Dir: dir, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		begins *session.Store
		sealed bool
	}{"sealed": {sealing, true}, "plain": {session.Open(dir), false}} {
		t.Run(name, func(t *testing.T) {
			save(t, tt.begins, example())
			source := &session.Source{Store: auto, Profile: "default", Now: func() time.Time { return now }, Renew: func(_ context.Context, s *session.Session) (*session.Session, error) {
				next := *s
				next.AccessToken, next.ExpiresAt = secret.New("access-2"), now.Add(time.Hour)
				return &next, nil
			}}
			if _, warning, err := get(t.Context(), source, session.Want{MinTTL: 10 * time.Minute}); err != nil || warning != nil {
				t.Fatalf("Session: %v, %v", warning, err)
			}
			got, err := auto.Load("default")
			if err != nil || got.AccessToken.Reveal() != "access-2" || auto.PlaceOf("default").Sealed != tt.sealed {
				t.Errorf("afterwards: %v, %v", err, auto.PlaceOf("default"))
			}
		})
	}
}

// Every changed bit of a sealed file is detected by the encryption or by the
// format.
func TestSealedBitFlips(t *testing.T) {
	store, dir := openSealed(t, session.Keyring, &ring{})
	save(t, store, example())
	path := filepath.Join(dir, "default.json")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole = bytes.TrimSpace(whole)
	for i := range whole {
		for bit := range 8 {
			spoilt := bytes.Clone(whole)
			spoilt[i] ^= 1 << bit
			if err := os.WriteFile(path, spoilt, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := store.Load("default"); idOf(err) != diagnosis.StoreUnreadable {
				t.Fatalf("bit %d of byte %d flipped: %v", bit, i, err)
			}
		}
	}
	for n := range whole {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Load("default"); idOf(err) != diagnosis.StoreUnreadable {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Load("default"); err != nil {
		t.Errorf("positive control: %v", err)
	}
	t.Logf("%d bits flipped, %d lengths", 8*len(whole), len(whole))
}

// The plain members of a sealed file are authenticated: it cannot be moved to
// another profile, and its key name cannot be changed.
func TestSealedIsBound(t *testing.T) {
	keys := &ring{}
	store, dir := openSealed(t, session.Keyring, keys)
	save(t, store, example())
	path := filepath.Join(dir, "default.json")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][3]string{
		"profile": {`"profile":"default"`, `"profile":"other"`, "other"},
		"issuer":  {`"issuer":"https://auth.`, `"issuer":"https://evil.`, "default"},
		"client":  {`"client_id":"app"`, `"client_id":"apq"`, "default"},
		"control": {"", "", "default"},
	} {
		text := strings.Replace(string(whole), change[0], change[1], 1)
		if err := os.WriteFile(filepath.Join(dir, change[2]+".json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Load(change[2]); idOf(err) != diagnosis.StoreUnreadable && name != "control" || name == "control" && err != nil {
			t.Errorf("another %s: %v", name, err)
		}
	}
	for name := range keys.keys {
		keys.keys[name] = make([]byte, 32)
	}
	if _, err := store.Load("default"); idOf(err) != diagnosis.StoreUnreadable {
		t.Errorf("another key: %v", err)
	}
	clear(keys.keys)
	if _, err := store.Load("default"); idOf(err) != diagnosis.StoreUnreadable {
		t.Errorf("no key: %v", err)
	}
}

func TestKeychainFails(t *testing.T) {
	never := make(chan struct{})
	defer close(never)
	for name, keys := range map[string]*ring{"is locked": {err: errors.New("locked")}, "never answers": {hang: never}} {
		t.Run(name, func(t *testing.T) {
			must, _ := openSealed(t, session.Keyring, keys)
			if _, err := must.Prepare(t.Context()); idOf(err) != diagnosis.KeyringUnavailable {
				t.Errorf("keyring falls back: %v", err)
			}
			if err := must.Save(t.Context(), example()); idOf(err) != diagnosis.KeyringUnavailable {
				t.Errorf("keyring saves: %v", err)
			}
			auto, dir := openSealed(t, session.Auto, keys)
			if warning, err := auto.Prepare(t.Context()); err != nil || idOf(warning) != diagnosis.KeyringUnavailable {
				t.Errorf("auto: %v, %v", warning, err)
			}
			save(t, auto, example())
			if _, err := session.Open(dir).Load("default"); err != nil || auto.Place().Kind != session.File {
				t.Errorf("auto did not fall back to a file: %v, %v", err, auto.Place())
			}
		})
	}
	good := &ring{}
	store, dir := openSealed(t, session.Auto, good)
	if warning, err := store.Prepare(t.Context()); err != nil || warning != nil {
		t.Errorf("positive control: %v, %v", warning, err)
	}
	save(t, store, example())
	locked, err := session.New(session.Options{Dir: dir, Keys: &ring{err: errors.New("locked")}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := locked.Load("default"); idOf(err) != diagnosis.KeyringUnavailable {
		t.Errorf("a sealed session with a locked keychain: %v", err)
	}
	if err := locked.Delete(t.Context(), "default"); err != nil {
		t.Errorf("it can be forgotten all the same: %v", err)
	}
}

// A locked keychain does not cost a refresh token. A keychain that is locked
// after the key was read is not needed: the refreshed session keeps its key.
func TestKeychainLocksBeforeARenewal(t *testing.T) {
	keys := &ring{}
	store, dir := openSealed(t, session.Auto, keys)
	s := example()
	s.ExpiresAt = now.Add(-time.Minute)
	save(t, store, s)
	renewals := 0
	source := &session.Source{Store: store, Profile: "default", Now: func() time.Time { return now }, Renew: counted(&renewals)}
	keys.err = errors.New("locked")
	if _, _, err := get(t.Context(), source, session.Want{}); idOf(err) != diagnosis.KeyringUnavailable || renewals != 0 {
		t.Errorf("locked: %v after %d renewals", err, renewals)
	}
	keys.err = nil
	source.Renew = func(ctx context.Context, s *session.Session) (*session.Session, error) {
		keys.err = errors.New("locked")
		return counted(&renewals)(ctx, s)
	}
	if _, warning, err := get(t.Context(), source, session.Want{}); err != nil || warning != nil || renewals != 1 {
		t.Errorf("locked during the renewal: %v, %v", warning, err)
	}
	keys.err = nil
	fresh, err := session.New(session.Options{Dir: dir, Kind: session.Keyring, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := fresh.Load("default"); err != nil || got.AccessToken.Reveal() != "access-2" || keys.len() != 1 {
		t.Errorf("stored: %v, %d keys", err, keys.len())
	}
}
