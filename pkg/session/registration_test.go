package session_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/session"
)

func registered(profile string) *session.Registration {
	return &session.Registration{
		Profile: profile, Issuer: "https://auth.example.com", ClientID: "c-" + profile, ClientSecret: secret.New("s3cr3t-" + profile),
		SecretExpiresAt: now.Add(24 * time.Hour), AuthMethod: "client_secret_basic", RedirectURI: "http://127.0.0.1/callback",
		RegistrationURI: "https://auth.example.com/register/c", RegistrationToken: secret.New("manage-" + profile), RegisteredAt: now,
	}
}

// each runs a test with each kind of store.
func each(t *testing.T, test func(t *testing.T, store *session.Store, dir string)) {
	t.Helper()
	t.Run("file", func(t *testing.T) {
		store, dir := openStore(t)
		test(t, store, dir)
	})
	t.Run("keyring", func(t *testing.T) {
		store, dir := openSealed(t, session.Keyring, &ring{})
		test(t, store, dir)
	})
	t.Run("memory", func(t *testing.T) {
		store, err := session.New(session.Options{Kind: session.Memory})
		if err != nil {
			t.Fatal(err)
		}
		test(t, store, "")
	})
}

func TestRegistration(t *testing.T) {
	each(t, func(t *testing.T, store *session.Store, dir string) {
		ctx := t.Context()
		if _, err := store.LoadRegistration(ctx, "default"); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("before: %v", err)
		}
		want := registered("default")
		if err := store.SaveRegistration(ctx, want); err != nil {
			t.Fatal(err)
		}
		got, err := store.LoadRegistration(ctx, "default")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("LoadRegistration (-want +got):\n%s", diff)
		}
		if names, err := store.Profiles(); err != nil || len(names) != 0 {
			t.Errorf("a registration counts as a session: %v, %v", names, err)
		}
		if dir != "" && runtime.GOOS != "windows" {
			if info, err := os.Stat(filepath.Join(dir, "default.client")); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the file: %v, %v", info, err)
			}
		}
		if err := store.DeleteRegistration(ctx, "default"); err != nil {
			t.Fatal(err)
		}
		if _, err := store.LoadRegistration(ctx, "default"); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("after: %v", err)
		}
		if err := store.DeleteRegistration(ctx, "default"); err != nil {
			t.Errorf("deleting nothing: %v", err)
		}
		for _, name := range []string{"", "../x", "con", ".a"} {
			if _, err := store.LoadRegistration(ctx, name); err == nil || errors.Is(err, session.ErrNotFound) {
				t.Errorf("LoadRegistration(%q): %v", name, err)
			}
			if err := store.DeleteRegistration(ctx, name); err == nil {
				t.Errorf("DeleteRegistration(%q) accepts it", name)
			}
			if err := store.SaveRegistration(ctx, registered(name)); err == nil {
				t.Errorf("SaveRegistration(%q) accepts it", name)
			}
		}
	})
}

// A registration belongs to the client and survives the session, however the
// session ends.
func TestRegistrationOutlivesTheSession(t *testing.T) {
	each(t, func(t *testing.T, store *session.Store, dir string) {
		ctx := t.Context()
		if err := store.SaveRegistration(ctx, registered("default")); err != nil {
			t.Fatal(err)
		}
		ends := map[string]func(){
			"logout": func() {
				if err := store.Delete(ctx, "default"); err != nil {
					t.Error(err)
				}
			},
			"invalid_grant": func() {
				source := &session.Source{Store: store, Profile: "default", Renew: func(context.Context, *session.Session) (*session.Session, error) {
					return nil, &diagnosis.Diagnosis{ID: diagnosis.GrantInvalid}
				}}
				if _, err := source.Session(ctx, session.Want{Fresh: true}); idOf(err) != diagnosis.GrantInvalid {
					t.Error(err)
				}
			},
			"a damaged file": func() {
				if dir != "" {
					if err := os.WriteFile(filepath.Join(dir, "default.json"), []byte("{"), 0o600); err != nil {
						t.Error(err)
					}
				}
			},
			"another login": func() { save(t, store, example()) },
		}
		for name, end := range ends {
			save(t, store, example())
			end()
			if got, err := store.LoadRegistration(ctx, "default"); err != nil || got.ClientSecret.Reveal() != "s3cr3t-default" {
				t.Errorf("%s: %v", name, err)
			}
		}
		// A session survives the deletion of the registration.
		save(t, store, example())
		if err := store.DeleteRegistration(ctx, "default"); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Load("default"); err != nil {
			t.Errorf("the session went with the registration: %v", err)
		}
	})
}

// Profile names may contain dots. No two records use the same file.
func TestRecordsHaveDifferentFiles(t *testing.T) {
	names := []string{"a", "a.client", "a.client.json", "a.json", "a.lock", "a.new", "a.client-new", "a.client-lock", "a.sealed", "a.client-sealed", "a.client.client"}
	each(t, func(t *testing.T, store *session.Store, _ string) {
		ctx := t.Context()
		for _, name := range names {
			one := example()
			one.Profile, one.ClientID = name, "of-"+name
			save(t, store, one)
			if err := store.SaveRegistration(ctx, registered(name)); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if err := errors.Join(store.Delete(ctx, "a"), store.DeleteRegistration(ctx, "a.client")); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			s, err := store.Load(name)
			if gone := errors.Is(err, session.ErrNotFound); gone != (name == "a") || !gone && (err != nil || s.ClientID != "of-"+name) {
				t.Errorf("the session of %s: %v", name, err)
			}
			r, err := store.LoadRegistration(ctx, name)
			if gone := errors.Is(err, session.ErrNotFound); gone != (name == "a.client") || !gone && (err != nil || r.ClientID != "c-"+name) {
				t.Errorf("the registration of %s: %v", name, err)
			}
		}
	})
}

// A file of one kind is not accepted as the other, sealed or not, even for the
// same profile, issuer and client.
func TestKindsAreDistinct(t *testing.T) {
	for _, kind := range []session.Kind{session.File, session.Keyring} {
		t.Run(string(kind), func(t *testing.T) {
			keys := &ring{}
			store, dir := openSealed(t, kind, keys)
			r := registered("default")
			s := example()
			s.ClientID = r.ClientID
			save(t, store, s)
			if err := store.SaveRegistration(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			a, b := filepath.Join(dir, "default.json"), filepath.Join(dir, "default.client")
			both := [2][]byte{}
			for i, path := range []string{a, b} {
				data, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				both[i] = data
				if kind == session.Keyring && (bytes.Contains(data, []byte("s3cr3t-default")) || bytes.Contains(data, []byte("manage-default"))) {
					t.Error("a sealed file shows a secret")
				}
			}
			// The versions are the same, so that only the kind differs.
			versions := [2][]byte{bytes.Replace(both[0], []byte(`"version":2`), []byte(`"version":1`), 1), both[0]}
			for _, asClient := range versions {
				if err := os.WriteFile(b, asClient, 0o600); err != nil {
					t.Fatal(err)
				}
				if _, err := store.LoadRegistration(t.Context(), "default"); idOf(err) != diagnosis.StoreUnreadable {
					t.Errorf("a session as a registration: %v", err)
				}
			}
			if err := os.WriteFile(a, both[1], 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := store.Load("default"); idOf(err) != diagnosis.StoreUnreadable {
				t.Errorf("a registration as a session: %v", err)
			}
			if err := errors.Join(os.WriteFile(a, both[0], 0o600), os.WriteFile(b, both[1], 0o600)); err != nil {
				t.Fatal(err)
			}
			if _, err := store.Load("default"); err != nil {
				t.Errorf("positive control: %v", err)
			}
			if _, err := store.LoadRegistration(t.Context(), "default"); err != nil {
				t.Errorf("positive control: %v", err)
			}
		})
	}
}

func TestRegistrationRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(path string) error
		want  diagnosis.ID
	}{
		"control":          {func(string) error { return nil }, ""},
		"truncated":        {func(p string) error { return os.Truncate(p, 30) }, diagnosis.StoreUnreadable},
		"newer format":     {replace(`"version":1`, `"version":2`), diagnosis.StoreUnreadable},
		"no version":       {replace(`"version":1,`, ``), diagnosis.StoreUnreadable},
		"another profile":  {replace(`"profile":"default"`, `"profile":"defau1t"`), diagnosis.StoreUnreadable},
		"no client id":     {replace(`"client_id":"c-default"`, `"client_id":""`), diagnosis.StoreUnreadable},
		"unknown member":   {replace(`"version":1`, `"version":1,"scope":["x"]`), diagnosis.StoreUnreadable},
		"a date that none": {replace(`"registered_at":"2026`, `"registered_at":"x026`), diagnosis.StoreUnreadable},
	} {
		t.Run(name, func(t *testing.T) {
			store, dir := openStore(t)
			if err := store.SaveRegistration(t.Context(), registered("default")); err != nil {
				t.Fatal(err)
			}
			if err := tt.spoil(filepath.Join(dir, "default.client")); err != nil {
				t.Fatal(err)
			}
			if _, err := store.LoadRegistration(t.Context(), "default"); idOf(err) != tt.want || (err == nil) != (tt.want == "") {
				t.Errorf("LoadRegistration = %v, want %q", err, tt.want)
			}
			if err := store.SaveRegistration(t.Context(), registered("default")); err != nil {
				t.Errorf("saving again: %v", err)
			}
		})
	}
}

// The kind is authenticated: a sealed session is not accepted as a
// registration, even if its text is a registration.
func TestKindIsSealed(t *testing.T) {
	const text = `{"version":1,"profile":"default","issuer":"https://auth.example.com","client_id":"app"}`
	for kind, want := range map[string]diagnosis.ID{"client": "", "session": diagnosis.StoreUnreadable} {
		keys := &ring{}
		data := sealedAsVersionOne(t, kind, text, keys)
		store, dir := openSealed(t, session.Keyring, keys)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "default.client"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := store.LoadRegistration(t.Context(), "default"); idOf(err) != want || (err == nil) != (want == "") {
			t.Errorf("sealed as a %s: %v", kind, err)
		}
	}
}
