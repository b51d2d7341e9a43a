package session_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/session"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func example() *session.Session {
	return &session.Session{
		Profile: "default", Issuer: "https://auth.example.com", ClientID: "app", TokenEndpoint: "https://auth.example.com/token", Grant: "authorization_code", TokenType: "Bearer",
		AccessToken: secret.New("access-1"), RefreshToken: secret.New("refresh-1"), IDToken: secret.New("id-1"),
		Scope: []string{"items:read"}, Resource: []string{"https://api.example.com"}, Subject: "alice", Name: "Alice",
		ExpiresAt: now.Add(time.Minute), ObtainedAt: now,
	}
}

func openStore(t testing.TB) (*session.Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	return session.Open(dir), dir
}

func save(t testing.TB, store *session.Store, s *session.Session) {
	t.Helper()
	if err := store.Save(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

// get calls Source.Session and returns the result in parts.
func get(ctx context.Context, source *session.Source, want session.Want) (s *session.Session, warning, err error) {
	result, err := source.Session(ctx, want)
	return result.Session, result.Warning, err
}

func idOf(err error) diagnosis.ID {
	var d *diagnosis.Diagnosis
	if errors.As(err, &d) {
		return d.ID
	}
	return ""
}

func TestSaveLoadDelete(t *testing.T) {
	store, dir := openStore(t)
	if _, err := store.Load("default"); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("before: %v", err)
	}
	want := example()
	save(t, store, want)
	got, err := store.Load("default")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Load (-want +got):\n%s", diff)
	}
	for path, mode := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "default.json"): 0o600, filepath.Join(dir, "default.lock"): 0o600} {
		if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if names, err := store.Profiles(); err != nil || len(names) != 1 || names[0] != "default" {
		t.Errorf("Profiles = %v, %v", names, err)
	}
	if err := store.Delete(t.Context(), "default"); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Load("default"); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("after: %v", err)
	}
	if err := store.Delete(t.Context(), "default"); err != nil {
		t.Errorf("deleting nothing: %v", err)
	}
	for _, name := range []string{"", "..", "a/b", ".hidden", strings.Repeat("x", 65)} {
		if _, err := store.Load(name); err == nil || errors.Is(err, session.ErrNotFound) {
			t.Errorf("Load(%q): %v", name, err)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no mode bits and no links without rights on Windows")
	}
	tests := map[string]struct {
		spoil func(path string) error
		want  diagnosis.ID
	}{
		"control":         {func(string) error { return nil }, ""},
		"group may read":  {func(p string) error { return os.Chmod(p, 0o640) }, diagnosis.StoreInsecure},
		"others may read": {func(p string) error { return os.Chmod(p, 0o604) }, diagnosis.StoreInsecure},
		"a link":          {func(p string) error { return errors.Join(os.Rename(p, p+".real"), os.Symlink(p+".real", p)) }, diagnosis.StoreInsecure},
		"a directory":     {func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) }, diagnosis.StoreInsecure},
		"truncated":       {func(p string) error { return os.Truncate(p, 40) }, diagnosis.StoreUnreadable},
		"empty":           {func(p string) error { return os.Truncate(p, 0) }, diagnosis.StoreUnreadable},
		"newer format":    {replace(`"version":2`, `"version":3`), diagnosis.StoreUnreadable},
		"older format":    {replace(`"version":2`, `"version":0`), diagnosis.StoreUnreadable},
		"no version":      {replace(`"version":2,`, ``), diagnosis.StoreUnreadable},
		"unknown member":  {replace(`"version":2`, `"version":2,"more":1`), diagnosis.StoreUnreadable},
		"huge":            {func(p string) error { return os.WriteFile(p, make([]byte, 2<<20), 0o600) }, diagnosis.StoreUnreadable},
		"another profile": {replace(`"profile":"default"`, `"profile":"other"`), diagnosis.StoreUnreadable},
		"doubled member":  {replace(`"version":2`, `"version":2,"version":2`), diagnosis.StoreUnreadable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			store, dir := openStore(t)
			save(t, store, example())
			if err := tt.spoil(filepath.Join(dir, "default.json")); err != nil {
				t.Fatal(err)
			}
			_, err := store.Load("default")
			if idOf(err) != tt.want || (err == nil) != (tt.want == "") {
				t.Errorf("Load = %v, want %q", err, tt.want)
			}
			if err == nil {
				return
			}
			if strings.Contains(err.Error(), "refresh-1") {
				t.Errorf("the error shows a token: %v", err)
			}
			var d *diagnosis.Diagnosis
			if errors.As(err, &d) && (d.Kind() != diagnosis.Store) {
				t.Errorf("%s, kind %v", d.ID, d.Kind())
			}
			if name == "a directory" {
				return
			}
			save(t, store, example()) // a login replaces any record
			if _, err := store.Load("default"); err != nil {
				t.Errorf("after a login: %v", err)
			}
		})
	}
}

func replace(from, to string) func(string) error {
	return func(path string) error {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, []byte(strings.Replace(string(data), from, to, 1)), 0o600)
	}
}

func TestSource(t *testing.T) {
	passing := &diagnosis.Diagnosis{ID: diagnosis.Unreachable}
	gone := &diagnosis.Diagnosis{ID: diagnosis.GrantInvalid}
	tests := map[string]struct {
		lives    time.Duration
		minTTL   time.Duration
		rejected string
		renewErr error
		want     string // the access token
		renewals int
		warning  bool
		err      diagnosis.ID
		left     bool // a session is still stored
	}{
		"lives long enough":        {lives: time.Hour, minTTL: time.Minute, want: "access-1", left: true},
		"about to expire":          {lives: 30 * time.Second, minTTL: time.Minute, want: "access-2", renewals: 1, left: true},
		"expired":                  {lives: -time.Minute, want: "access-2", renewals: 1, left: true},
		"rejected":                 {lives: time.Hour, rejected: "access-1", want: "access-2", renewals: 1, left: true},
		"another one was rejected": {lives: time.Hour, rejected: "access-0", want: "access-1", left: true},
		"server away, still lives": {lives: 30 * time.Second, minTTL: time.Minute, renewErr: passing, want: "access-1", renewals: 1, warning: true, left: true},
		"server away, expired":     {lives: -time.Second, renewErr: passing, renewals: 1, err: diagnosis.Unreachable, left: true},
		"server away, rejected":    {lives: time.Hour, rejected: "access-1", renewErr: passing, renewals: 1, err: diagnosis.Unreachable, left: true},
		"the grant is gone":        {lives: -time.Second, renewErr: gone, renewals: 1, err: diagnosis.GrantInvalid},
		"another fault keeps it":   {lives: -time.Second, renewErr: &diagnosis.Diagnosis{ID: diagnosis.TokenEndpointShape}, renewals: 1, err: diagnosis.TokenEndpointShape, left: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			store, _ := openStore(t)
			s := example()
			s.ExpiresAt = now.Add(tt.lives)
			save(t, store, s)
			renewals := 0
			source := &session.Source{Store: store, Profile: "default", Now: func() time.Time { return now }, Renew: func(_ context.Context, s *session.Session) (*session.Session, error) {
				renewals++
				if tt.renewErr != nil {
					return nil, tt.renewErr
				}
				next := *s
				next.AccessToken, next.RefreshToken, next.ExpiresAt = secret.New("access-2"), secret.New("refresh-2"), now.Add(time.Hour)
				return &next, nil
			}}
			got, warning, err := get(t.Context(), source, session.Want{MinTTL: tt.minTTL, Rejected: secret.New(tt.rejected)})
			if idOf(err) != tt.err || (err == nil) != (tt.err == "") || (warning != nil) != tt.warning || renewals != tt.renewals {
				t.Fatalf("Session = %v, %v after %d renewals", warning, err, renewals)
			}
			if err == nil && got.AccessToken.Reveal() != tt.want {
				t.Errorf("access token %s, want %s", got.AccessToken.Reveal(), tt.want)
			}
			stored, err := store.Load("default")
			if (err == nil) != tt.left || err == nil && tt.want != "" && stored.AccessToken.Reveal() != tt.want {
				t.Errorf("stored: %v", err)
			}
		})
	}
}

func TestFailedWriteStillDelivers(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Log("root may write anywhere, so the directory is replaced instead")
	}
	store, dir := openStore(t)
	s := example()
	s.ExpiresAt = now.Add(-time.Minute)
	save(t, store, s)
	source := &session.Source{Store: store, Profile: "default", Now: func() time.Time { return now }, Renew: func(_ context.Context, s *session.Session) (*session.Session, error) {
		next := *s
		next.AccessToken, next.ExpiresAt = secret.New("access-2"), now.Add(time.Hour)
		return &next, os.RemoveAll(dir)
	}}
	got, warning, err := get(t.Context(), source, session.Want{})
	if err != nil || got.AccessToken.Reveal() != "access-2" || idOf(warning) != diagnosis.StoreUnwritable {
		t.Errorf("Session = %v, %v, %v", got, warning, err)
	}
}

func TestSameHost(t *testing.T) {
	s := example()
	if err := s.SameHost("https://auth.example.com/oauth2/token"); err != nil {
		t.Errorf("positive control: %v", err)
	}
	for _, moved := range []string{"https://evil.example.com/token", "http://auth.example.com/token", "https://auth.example.com:8443/token", ""} {
		if err := s.SameHost(moved); idOf(err) != diagnosis.EndpointMoved {
			t.Errorf("SameHost(%q) = %v", moved, err)
		}
	}
}

// Damage is detected as far as the format allows, and a login replaces the
// record.
func TestBitFlips(t *testing.T) {
	store, dir := openStore(t)
	save(t, store, example())
	path := filepath.Join(dir, "default.json")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		spoilt := append([]byte(nil), whole...)
		spoilt[i] ^= 0x80
		if err := os.WriteFile(path, spoilt, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Load("default"); idOf(err) != diagnosis.StoreUnreadable {
			t.Fatalf("bit flipped in byte %d: %v", i, err)
		}
	}
	save(t, store, example()) // a login replaces the record
	if _, err := store.Load("default"); err != nil {
		t.Errorf("after saving again: %v", err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(`{"version":1,"profile":"default","access_token":"a"}`))
	f.Add([]byte(`{"version":2,"profile":"default","access_token":"a","asked":{"param":{"tenant":["blue"]}}}`))
	f.Add([]byte(`{"version":1,"profile":"default","client_id":"c"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		for _, name := range []string{"default.json", "default.client"} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		store := session.Open(dir)
		s, err := store.Load("default")
		if err == nil && s.AccessToken.IsZero() && !s.Revoked {
			t.Error("a session without a token")
		}
		r, clientErr := store.LoadRegistration(t.Context(), "default")
		if clientErr == nil && (r.ClientID == "" || err == nil) {
			t.Error("a registration without a client, or one that is a session as well")
		}
	})
}
