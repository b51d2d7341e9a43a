//go:build linux

package session_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/session"
)

// TestKeychain stores sessions with the Secret Service of this machine, in a
// separate session bus and home directory: unlocked, locked, not created,
// absent, and hanging.
func TestKeychain(t *testing.T) {
	for _, program := range []string{"dbus-run-session", "gnome-keyring-daemon", "dbus-send"} {
		if _, err := exec.LookPath(program); err != nil {
			if strings.Contains(os.Getenv("OAUTHCTL_TEST_REQUIRE"), "dbus") {
				t.Fatalf("%v, and OAUTHCTL_TEST_REQUIRE names dbus", err)
			}
			t.Skipf("%v (Debian: dbus, gnome-keyring)", err)
		}
	}
	t.Run("unlocked then locked", func(t *testing.T) {
		// The daemon ends with the bus.
		const script = `printf password | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1 && "$0" -test.run='^$'`
		inKeychain(t, "with", exec.CommandContext(t.Context(), "dbus-run-session", "--", "sh", "-c", script, os.Args[0]))
	})
	t.Run("none was made", func(t *testing.T) {
		inKeychain(t, "without", exec.CommandContext(t.Context(), "dbus-run-session", "--", os.Args[0], "-test.run=^$"))
	})
	t.Run("no bus", func(t *testing.T) {
		c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
		c.Env = []string{"DBUS_SESSION_BUS_ADDRESS=unix:path=" + filepath.Join(t.TempDir(), "none")}
		inKeychain(t, "without", c)
	})
	t.Run("never answers", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "bus")
		silent, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
		c.Env = []string{"DBUS_SESSION_BUS_ADDRESS=unix:path=" + path}
		inKeychain(t, "without", c)
	})
}

func inKeychain(t *testing.T, role string, c *exec.Cmd) {
	t.Helper()
	home := t.TempDir()
	runtime := filepath.Join(home, "run")
	if err := os.Mkdir(runtime, 0o700); err != nil {
		t.Fatal(err)
	}
	c.Env = append(c.Env, "PATH="+os.Getenv("PATH"), "HOME="+home, "XDG_RUNTIME_DIR="+runtime, "XDG_DATA_HOME="+filepath.Join(home, "data"),
		"SESSION_TEST_ROLE=keychain", "SESSION_TEST_DIR="+filepath.Join(home, "state"), "SESSION_TEST_KEYCHAIN="+role)
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil || !strings.Contains(string(out), "all good") {
		t.Errorf("%v\n%s%s", err, out, &stderr)
	} else {
		t.Logf("%s", out)
	}
}

// asKeychain stores, refreshes and deletes a session with a keychain, or checks
// the fallback without one.
func asKeychain(dir string) int {
	check := withoutKeychain
	if os.Getenv("SESSION_TEST_KEYCHAIN") == "with" {
		check = withKeychain
	}
	if err := check(dir); err != nil {
		fmt.Println("failed:", err)
		return 1
	}
	fmt.Println("all good")
	return 0
}

func withKeychain(dir string) error {
	ctx := context.Background()
	store, err := session.New(session.Options{Dir: dir, Kind: session.Keyring})
	if err != nil {
		return err
	}
	// The daemon may still be starting.
	for range 100 {
		if store, err = session.New(session.Options{Dir: dir, Kind: session.Keyring}); err != nil {
			return err
		}
		if _, err = store.Prepare(ctx); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		return fmt.Errorf("Prepare: %w", err)
	}
	if err := store.Save(ctx, example()); err != nil {
		return fmt.Errorf("Save: %w", err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "default.json"))
	if err != nil || bytes.Contains(data, []byte("refresh-1")) {
		return fmt.Errorf("the file: %v, %s", err, data)
	}
	source := &session.Source{Store: store, Profile: "default", Renew: func(_ context.Context, s *session.Session) (*session.Session, error) {
		next := *s
		next.AccessToken, next.RefreshToken = secret.New("access-2"), secret.New("refresh-2")
		return &next, nil
	}}
	if _, warning, err := get(ctx, source, session.Want{Rejected: secret.New("access-1")}); err != nil || warning != nil {
		return fmt.Errorf("Session: %v, %w", warning, err)
	}
	fresh, err := session.New(session.Options{Dir: dir})
	if err != nil {
		return err
	}
	if s, err := fresh.Load("default"); err != nil || s.RefreshToken.Reveal() != "refresh-2" {
		return fmt.Errorf("Load: %w", err)
	}
	if warning, err := fresh.Prepare(ctx); err != nil || warning != nil || !fresh.Place().Sealed {
		return fmt.Errorf("auto: %v, %w, %v", warning, err, fresh.Place())
	}
	fmt.Println("unlocked: kept in", fresh.PlaceOf("default"))
	return locked(dir)
}

func locked(dir string) error {
	lock := exec.Command("dbus-send", "--session", "--dest=org.freedesktop.secrets", "--print-reply", "/org/freedesktop/secrets",
		"org.freedesktop.Secret.Service.Lock", "array:objpath:/org/freedesktop/secrets/collection/login")
	if out, err := lock.CombinedOutput(); err != nil {
		return fmt.Errorf("locking: %w\n%s", err, out)
	}
	store, err := session.New(session.Options{Dir: dir})
	if err != nil {
		return err
	}
	if _, err := store.Load("default"); idOf(err) != diagnosis.KeyringUnavailable {
		return fmt.Errorf("locked: Load: %w", err)
	}
	return withoutKeychain(dir)
}

func withoutKeychain(dir string) error {
	ctx := context.Background()
	must, err := session.New(session.Options{Dir: dir, Kind: session.Keyring})
	if err != nil {
		return err
	}
	_, err = must.Prepare(ctx)
	if idOf(err) != diagnosis.KeyringUnavailable {
		return fmt.Errorf("keyring: %w", err)
	}
	fmt.Println("keyring:", err)
	auto, err := session.New(session.Options{Dir: dir})
	if err != nil {
		return err
	}
	warning, err := auto.Prepare(ctx)
	if err != nil || idOf(warning) != diagnosis.KeyringUnavailable {
		return fmt.Errorf("auto: %v, %w", warning, err)
	}
	if err := auto.Save(ctx, example()); err != nil {
		return fmt.Errorf("auto: Save: %w", err)
	}
	if s, err := session.Open(dir).Load("default"); err != nil || s.RefreshToken.Reveal() != "refresh-1" {
		return fmt.Errorf("auto: Load: %w", err)
	}
	fmt.Println("auto: kept in", auto.PlaceOf("default"))
	return nil
}
