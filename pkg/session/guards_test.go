package session_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/session"
)

// A store of kind keyring reads only sealed files: a process that can write to
// the directory could put its own session there.
func TestKeyringRefusesPlainFiles(t *testing.T) {
	keys := &ring{}
	store, dir := openSealed(t, session.Keyring, keys)
	ctx := t.Context()
	plain := session.Open(dir)
	save(t, plain, example())
	if err := plain.SaveRegistration(ctx, registered("default")); err != nil {
		t.Fatal(err)
	}
	renewals := 0
	source := &session.Source{Store: store, Profile: "default", Now: func() time.Time { return now }, Renew: counted(&renewals)}
	_, loaded := store.Load("default")
	_, registration := store.LoadRegistration(ctx, "default")
	_, used := source.Session(ctx, session.Want{})
	_, renewed := source.Session(ctx, session.Want{MinTTL: time.Hour})
	for what, err := range map[string]error{"Load": loaded, "LoadRegistration": registration, "Session": used, "renewing": renewed} {
		var d *diagnosis.Diagnosis
		if !errors.As(err, &d) || d.ID != diagnosis.StoreUnsealed || d.Kind() != diagnosis.Store {
			t.Errorf("%s: %v", what, err)
		}
	}
	if renewals != 0 {
		t.Error("its refresh token was sent")
	}
	if place := store.PlaceOf("default"); place.Sealed || place.Kind != session.File {
		t.Errorf("PlaceOf = %+v", place)
	}
	if names, err := store.Profiles(); err != nil || len(names) != 1 {
		t.Errorf("it cannot be found to be removed: %v, %v", names, err)
	}
	// The session can be deleted, and a login replaces it.
	if err := errors.Join(store.Delete(ctx, "default"), store.DeleteRegistration(ctx, "default")); err != nil {
		t.Error(err)
	}
	save(t, plain, example())
	save(t, store, example())
	if _, err := store.Load("default"); err != nil {
		t.Errorf("after a login: %v", err)
	}
	// The other kinds of stores read both.
	auto, err := session.New(session.Options{Dir: dir, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	for _, writer := range []*session.Store{store, plain} {
		save(t, writer, example())
		if _, err := auto.Load("default"); err != nil {
			t.Errorf("auto: %v", err)
		}
	}
}

// With auto, a session that was sealed and is now plain is used with a warning.
// There is no warning if the user made it plain.
func TestAutoWarnsIfTheSealIsGone(t *testing.T) {
	other, _ := openStore(t)
	save(t, other, example())
	for name, tt := range map[string]struct {
		happens func(t *testing.T, sealing *session.Store, dir string)
		want    diagnosis.ID
	}{
		"nothing":                   {func(*testing.T, *session.Store, string) {}, ""},
		"a plain file is put there": {func(t *testing.T, _ *session.Store, dir string) { putPlain(t, dir) }, diagnosis.StoreUnsealed},
		"a login with store file":   {func(t *testing.T, _ *session.Store, dir string) { save(t, session.Open(dir), example()) }, ""},
		"a logout, then a login with store file": {func(t *testing.T, sealing *session.Store, dir string) {
			if err := sealing.Delete(t.Context(), "default"); err != nil {
				t.Error(err)
			}
			save(t, session.Open(dir), example())
		}, ""},
		"a plain file, then a login": {func(t *testing.T, sealing *session.Store, dir string) {
			putPlain(t, dir)
			save(t, sealing, example())
		}, ""},
		"a new session while the keychain is locked": {func(t *testing.T, _ *session.Store, dir string) {
			if err := os.Remove(filepath.Join(dir, "default.json")); err != nil {
				t.Error(err)
			}
			locked, err := session.New(session.Options{Dir: dir, Keys: &ring{err: errors.New("locked")}})
			if err != nil {
				t.Fatal(err)
			}
			renewals := 0
			source := &session.Source{Store: locked, Profile: "default", Now: func() time.Time { return now }, Renew: counted(&renewals)}
			if _, warning, err := get(t.Context(), source, session.Want{}); err != nil || warning != nil {
				t.Error(warning, err)
			}
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			keys := &ring{}
			sealing, dir := openSealed(t, session.Auto, keys)
			save(t, sealing, example())
			if !sealing.PlaceOf("default").Sealed {
				t.Fatal("it was not sealed to begin with")
			}
			tt.happens(t, sealing, dir)
			auto, err := session.New(session.Options{Dir: dir, Keys: keys})
			if err != nil {
				t.Fatal(err)
			}
			renewals := 0
			source := &session.Source{Store: auto, Profile: "default", Now: func() time.Time { return now }, Renew: counted(&renewals)}
			for _, want := range []session.Want{{}, {MinTTL: 30 * time.Minute}, {}} {
				if _, warning, err := get(t.Context(), source, want); err != nil || idOf(warning) != tt.want && (want.MinTTL == 0 || warning != nil) {
					t.Errorf("MinTTL %s: %v, %v", want.MinTTL, warning, err)
				}
			}
		})
	}
}

// putPlain copies a plain session into a state directory.
func putPlain(t *testing.T, dir string) {
	t.Helper()
	other, from := openStore(t)
	save(t, other, example())
	data, err := os.ReadFile(filepath.Join(from, "default.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "default.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Reading checks the state directory as writing does.
func TestDirectoryIsChecked(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no mode bits on Windows")
	}
	root := os.Geteuid() == 0
	for name, tt := range map[string]struct {
		spoil func(dir string) error
		want  diagnosis.ID
		root  bool // needs root
		owned bool
	}{
		"0700":             {func(d string) error { return os.Chmod(d, 0o700) }, "", false, true},
		"others may read":  {func(d string) error { return os.Chmod(d, 0o755) }, "", false, true},
		"a link of ours":   {func(d string) error { return errors.Join(os.Rename(d, d+".real"), os.Symlink(d+".real", d)) }, "", false, true},
		"0777":             {func(d string) error { return os.Chmod(d, 0o777) }, diagnosis.StoreInsecure, false, true},
		"group may write":  {func(d string) error { return os.Chmod(d, 0o770) }, diagnosis.StoreInsecure, false, true},
		"others may write": {func(d string) error { return os.Chmod(d, 0o702) }, diagnosis.StoreInsecure, false, true},
		"sticky":           {func(d string) error { return os.Chmod(d, os.ModeSticky|0o777) }, diagnosis.StoreInsecure, false, true},
		"another's":        {func(d string) error { return os.Chown(d, 12345, -1) }, diagnosis.StoreInsecure, true, false},
		"another's, writable for a group of ours": {func(d string) error {
			return errors.Join(os.Chown(d, 12345, -1), os.Chmod(d, 0o2770))
		}, diagnosis.StoreInsecure, true, false},
		"a link to another's": {func(d string) error {
			return errors.Join(os.Rename(d, d+".real"), os.Symlink(d+".real", d), os.Chown(d+".real", 12345, -1))
		}, diagnosis.StoreInsecure, true, false},
		"another's link": {func(d string) error {
			return errors.Join(os.Rename(d, d+".real"), os.Symlink(d+".real", d), os.Lchown(d, 12345, -1))
		}, diagnosis.StoreInsecure, true, false},
		"a link to a directory that others may write to": {func(d string) error {
			return errors.Join(os.Rename(d, d+".real"), os.Symlink(d+".real", d), os.Chmod(d+".real", 0o777))
		}, diagnosis.StoreInsecure, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.root && !root {
				t.Skip("only root can give a file to another user")
			}
			store, dir := openStore(t)
			save(t, store, example())
			if err := store.SaveRegistration(t.Context(), registered("default")); err != nil {
				t.Fatal(err)
			}
			if err := tt.spoil(dir); err != nil {
				t.Fatal(err)
			}
			renewals := 0
			source := &session.Source{Store: store, Profile: "default", Now: func() time.Time { return now }, Renew: counted(&renewals)}
			_, loaded := store.Load("default")
			_, registration := store.LoadRegistration(t.Context(), "default")
			_, used := source.Session(t.Context(), session.Want{})
			_, prepared := store.Prepare(t.Context())
			for what, err := range map[string]error{
				"Load": loaded, "LoadRegistration": registration, "Session": used, "Prepare": prepared,
				"Save": store.Save(t.Context(), example()), "MarkRevoked": store.MarkRevoked(t.Context(), "default", secret.New("access-1")),
			} {
				if idOf(err) != tt.want || (err == nil) != (tt.want == "") {
					t.Errorf("%s: %v", what, err)
				}
				var found *session.FileError
				if tt.want != "" && (!errors.As(err, &found) || found.Path != dir || !found.Dir || found.Owned != tt.owned) {
					t.Errorf("%s: the evidence is %+v", what, found)
				}
			}
			if renewals != 0 {
				t.Error("a refresh token was sent")
			}
		})
	}
}

// Several processes can prepare at the same time, and none leaves a file
// behind.
func TestPrepareTogether(t *testing.T) {
	keys := &recorder{ring: &ring{keys: map[string][]byte{}}, probes: map[string]int{}}
	dir := filepath.Join(t.TempDir(), "state")
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			store, err := session.New(session.Options{Dir: dir, Keys: keys})
			if err == nil {
				var warning error
				warning, err = store.Prepare(t.Context())
				err = errors.Join(warning, err)
			}
			one := example()
			one.Profile = fmt.Sprint("p", i)
			if err = errors.Join(err, store.Save(t.Context(), one)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if left, _ := filepath.Glob(filepath.Join(dir, ".*probe*")); len(left) > 0 || keys.len() != 60 {
		t.Errorf("left behind: %v, %d keys", left, keys.len())
	}
	if len(keys.probes) != 60 {
		t.Errorf("%d names for 60 probes of the keychain", len(keys.probes))
	}
	for name, n := range keys.probes {
		if n != 1 {
			t.Errorf("%d probes are called %s", n, name)
		}
	}
}

// recorder is a keychain that notes the names of its probes.
type recorder struct {
	*ring
	probes map[string]int
}

func (r *recorder) SetKey(name string, key []byte) error {
	if strings.HasPrefix(name, "probe") {
		r.mu.Lock()
		r.probes[name]++
		r.mu.Unlock()
	}
	return r.ring.SetKey(name, key)
}

// A file system without locks is noticed before the login. A stored session is
// used as far as that is safe.
func TestWithoutLocks(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has errors of its own")
	}
	for _, errno := range []error{syscall.ENOLCK, syscall.ENOSYS, syscall.EOPNOTSUPP, &os.PathError{Op: "flock", Path: "x", Err: syscall.ENOLCK}, syscall.EIO, syscall.EACCES} {
		want := diagnosis.StoreNoLocks
		if errors.Is(errno, syscall.EIO) || errors.Is(errno, syscall.EACCES) {
			want = diagnosis.StoreUnwritable
		}
		t.Run(errno.Error(), func(t *testing.T) {
			store, dir := openStore(t)
			if _, err := store.Prepare(t.Context()); err != nil {
				t.Errorf("positive control: %v", err)
			}
			store.FailLocks(errno)
			_, err := store.Prepare(t.Context())
			var found *session.FileError
			if idOf(err) != want || !errors.As(err, &found) || !errors.Is(err, errno) && found.Err == nil || !strings.HasPrefix(found.Path, dir) {
				t.Errorf("Prepare = %v, %+v", err, found)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, ".probe*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			if err := store.Save(t.Context(), example()); idOf(err) != want {
				t.Errorf("Save = %v", err)
			}
			for name, tt := range map[string]struct {
				lives    time.Duration
				refresh  string
				renewals int
				warning  diagnosis.ID
				err      diagnosis.ID
			}{
				"lives":          {30 * time.Second, "refresh-1", 0, want, ""},
				"lives long":     {time.Hour, "refresh-1", 0, "", ""},
				"expired":        {-time.Minute, "refresh-1", 0, "", want},
				"spends nothing": {-time.Minute, "", 1, want, ""},
			} {
				s := example()
				s.ObtainedAt, s.ExpiresAt, s.RefreshToken = now.Add(-time.Hour), now.Add(tt.lives), secret.New(tt.refresh)
				save(t, session.Open(dir), s)
				renewals := 0
				source := &session.Source{Store: store, Profile: "default", Now: func() time.Time { return now }, Renew: counted(&renewals)}
				if _, warning, err := get(t.Context(), source, session.Want{}); idOf(warning) != tt.warning || idOf(err) != tt.err || renewals != tt.renewals {
					t.Errorf("%s: %v, %v after %d renewals", name, warning, err, renewals)
				}
			}
		})
	}
}

// Client credentials need no directory: the token is returned with a warning. If
// the user has to log in, the error says so.
func TestNowhereToStore(t *testing.T) {
	store := session.Open(filepath.Join(t.TempDir(), "x"))
	store.FailLocks(syscall.EROFS)
	renewals := 0
	source := &session.Source{Store: store, Profile: "default", Now: func() time.Time { return now }, Renew: counted(&renewals)}
	got, warning, err := get(t.Context(), source, session.Want{})
	if err != nil || idOf(warning) != diagnosis.StoreUnwritable || got.AccessToken.Reveal() != "access-2" || renewals != 1 {
		t.Errorf("Session = %v, %v", warning, err)
	}
	source.Renew = nil
	if _, _, err := get(t.Context(), source, session.Want{}); idOf(err) != diagnosis.LoginRequired {
		t.Errorf("nobody to ask: %v", err)
	}
	locked, _ := openSealed(t, session.Keyring, &ring{err: errors.New("locked")})
	source = &session.Source{Store: locked, Profile: "default", Now: func() time.Time { return now }, Renew: counted(&renewals)}
	if _, warning, err := get(t.Context(), source, session.Want{}); err != nil || idOf(warning) != diagnosis.KeyringUnavailable {
		t.Errorf("a locked keychain: %v, %v", warning, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := get(ctx, source, session.Want{}); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}
