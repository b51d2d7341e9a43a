//go:build linux

package session_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/session"
)

// confinement makes a state directory read-only, in a process that may mount
// file systems.
func confinement(name, dir string) error {
	switch name {
	case "full":
		f, err := os.Create(filepath.Join(dir, "filler"))
		if err != nil {
			return err
		}
		for err == nil {
			_, err = f.Write(make([]byte, 512))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return err
		}
		return f.Close()
	case "out of files":
		for i := 0; ; i++ {
			f, err := os.Create(filepath.Join(dir, fmt.Sprint("filler-", i)))
			if errors.Is(err, syscall.ENOSPC) {
				return nil
			}
			if err != nil {
				return err
			}
			_ = f.Close()
		}
	case "forbidden":
		return os.Chmod(dir, 0o500)
	case "read-only":
		return syscall.Mount("", filepath.Dir(dir), "", syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
	}
	return nil
}

// asConfined requests a token where nothing can be stored, and prints the
// result.
func asConfined(dir string) int {
	if uid, err := strconv.Atoi(os.Getenv("SESSION_TEST_UID")); err == nil {
		if err := errors.Join(os.Chown(dir, uid, -1), syscall.Setuid(uid)); err != nil {
			fmt.Print("cannot become another user: ", err)
			return 2
		}
	} else if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,nr_inodes=20"); err != nil {
		fmt.Print("cannot mount: ", err)
		return 2
	}
	dir = filepath.Join(dir, "state")
	store, ctx := session.Open(dir), context.Background()
	one := example()
	one.ObtainedAt, one.ExpiresAt = time.Now().Add(-time.Hour), time.Now().Add(-time.Minute)
	switch os.Getenv("SESSION_TEST_SESSION") {
	case "living":
		one.ExpiresAt = time.Now().Add(20 * time.Second)
	case "client credentials":
		one.RefreshToken, one.Grant = secret.String{}, "client_credentials"
	}
	err := store.Save(ctx, one)
	if err == nil {
		err = confinement(os.Getenv("SESSION_TEST_CONFINE"), dir)
	}
	if err != nil {
		fmt.Print("preparing: ", err)
		return 1
	}
	_, unprepared := store.Prepare(ctx) // as before a login opens the browser
	renewals := 0
	source := &session.Source{Store: store, Profile: "default", Renew: func(_ context.Context, s *session.Session) (*session.Session, error) {
		renewals++
		next := *s
		next.AccessToken, next.ObtainedAt, next.ExpiresAt = secret.New("access-2"), time.Now(), time.Now().Add(time.Hour)
		return &next, nil
	}}
	got, warning, err := get(ctx, source, session.Want{})
	stored, lost := store.Load("default")
	if lost != nil {
		fmt.Print("the store: ", lost)
		return 1
	}
	value := "none"
	if got != nil {
		value = got.AccessToken.Reveal()
	}
	fmt.Printf("%s, warning %q, error %q, %d renewals, stored %s, prepared %q", value, idOf(warning), idOf(err), renewals, stored.AccessToken.Reveal(), idOf(unprepared))
	return 0
}

// If the new session cannot be stored, no refresh token is sent: a server that
// rotates would treat the next use as theft. A valid token is used, and a grant
// that uses up no refresh token proceeds.
func TestUnwritableStoreSendsNoRefreshToken(t *testing.T) {
	const (
		refused = `none, warning "", error "STORE_UNWRITABLE", 0 renewals, stored access-1, prepared "STORE_UNWRITABLE"`
		lives   = `access-1, warning "STORE_UNWRITABLE", error "", 0 renewals, stored access-1, prepared "STORE_UNWRITABLE"`
		goesOn  = `access-2, warning "STORE_UNWRITABLE", error "", 1 renewals, stored access-1, prepared "STORE_UNWRITABLE"`
		stored  = `access-2, warning "", error "", 1 renewals, stored access-2, prepared ""`
	)
	for _, tt := range []struct{ confine, session, want string }{
		{"full", "expired", refused},
		{"full", "living", lives},
		{"full", "client credentials", goesOn},
		{"out of files", "expired", refused},
		{"out of files", "living", lives},
		{"out of files", "client credentials", goesOn},
		{"read-only", "expired", refused},
		{"read-only", "living", lives},
		{"read-only", "client credentials", goesOn},
		{"forbidden", "expired", refused},
		{"forbidden", "living", lives},
		{"forbidden", "client credentials", goesOn},
		{"control", "expired", stored},
		{"control", "living", stored},
		{"control", "client credentials", stored},
	} {
		t.Run(tt.confine+", "+tt.session, func(t *testing.T) {
			dir := t.TempDir()
			t.Cleanup(func() { _ = os.Chmod(filepath.Join(dir, "state"), 0o700) })
			c := child(t, "confined", dir, "SESSION_TEST_CONFINE="+tt.confine, "SESSION_TEST_SESSION="+tt.session)
			switch {
			case tt.confine != "forbidden":
				c.SysProcAttr = withMounts()
			case os.Getuid() == 0: // not restricted by file modes
				if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil {
					t.Fatal(err)
				}
				c.Env = append(c.Env, "SESSION_TEST_UID=12345")
			default:
				c.Env = append(c.Env, "SESSION_TEST_UID="+strconv.Itoa(os.Getuid()))
			}
			out, err := c.CombinedOutput()
			var exit *exec.ExitError
			if errors.As(err, &exit) && exit.ExitCode() == 2 || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EINVAL) {
				t.Skipf("no name space to mount in: %v, %s", err, out)
			}
			if err != nil || strings.TrimSpace(string(out)) != tt.want {
				t.Errorf("got %s, %v\nwant %s", out, err, tt.want)
			}
		})
	}
}

// withMounts lets a child process mount file systems that only it can see.
func withMounts() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
}
