//go:build unix

package session_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/session"
)

// roles are the functions that this binary runs as a child of its own tests.
func roles() map[string]func(dir string) int {
	return map[string]func(string) int{"token": asToken, "loop": asLoop, "small": asSmall, "signalled": asSignalled, "keychain": asKeychain, "confined": asConfined}
}

// asLoop refreshes until it is killed.
func asLoop(dir string) int {
	source := &session.Source{Store: session.Open(dir), Profile: "default", Renew: refresh}
	var rejected secret.String
	for {
		s, warning, err := get(context.Background(), source, session.Want{Rejected: rejected})
		if err != nil || warning != nil {
			fmt.Println("failed:", warning, err)
			return 1
		}
		rejected = s.AccessToken
		fmt.Println(rejected.Reveal())
	}
}

// After a crash the store can be read, and has the last saved session, or the
// one before the response that was on its way.
func TestKilled(t *testing.T) {
	n := trials(200)
	server := newRotation(t)
	store, dir := openStore(t)
	server.begin(t, store)
	alive, onItsWay := 0, 0
	for i := range n {
		c := child(t, "loop", dir)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		read := bufio.NewReader(out)
		if line, err := read.ReadString('\n'); err != nil || !strings.HasPrefix(line, "access-") {
			t.Fatalf("trial %d: the child began with %q, %v", i, line, err)
		}
		go func() { _, _ = read.WriteTo(discard{}) }()
		time.Sleep(rand.N(15 * time.Millisecond))
		_ = c.Process.Kill()
		_ = c.Wait()
		server.settle(t) // its last request may still be running
		s, err := store.Load("default")
		if err != nil {
			t.Fatalf("trial %d: %v", i, err)
		}
		current, _, dead := server.state()
		switch generation := strings.TrimPrefix(s.RefreshToken.Reveal(), "refresh-"); {
		case dead:
			t.Fatalf("trial %d: a refresh token was used twice", i)
		case generation == strconv.Itoa(current):
			alive++
		case generation == strconv.Itoa(current-1):
			onItsWay++ // a client cannot keep what was not on its disk yet
			server.begin(t, store)
		default:
			t.Fatalf("trial %d: stored generation %s, the server is at %d", i, generation, current)
		}
	}
	t.Logf("killed %d times: the store was readable each time, %d sessions alive, %d killed between the rotation at the server and the end of the write", n, alive, onItsWay)
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// asSmall may write no file larger than a few bytes.
func asSmall(dir string) int {
	limit, _ := strconv.ParseUint(os.Getenv("SESSION_TEST_LIMIT"), 10, 64)
	signal.Ignore(syscall.SIGXFSZ) // the test needs the error, not the signal
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &r); err != nil {
		fmt.Print(err)
		return 1
	}
	setLimit(&r, limit)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &r); err != nil {
		fmt.Print(err)
		return 1
	}
	return asToken(dir)
}

// With a full disk, the refresh token is not sent, and the stored session does
// not change.
func TestDiskFull(t *testing.T) {
	for _, limit := range []int{0, 1, 100, 400, 600, 1000, 4000, 1 << 20} {
		t.Run(strconv.Itoa(limit), func(t *testing.T) {
			server := newRotation(t)
			store, dir := openStore(t)
			server.begin(t, store)
			c := child(t, "small", dir, "SESSION_TEST_LIMIT="+strconv.Itoa(limit))
			var warning strings.Builder
			c.Stderr = &warning
			out, err := c.Output()
			s, loadErr := store.Load("default")
			if loadErr != nil {
				t.Fatalf("the store: %v", loadErr)
			}
			_, requests, _ := server.state()
			want := "access-2"
			if limit < 1<<20 {
				want = "the session cannot be written"
			}
			if full := limit < 1<<20; !strings.HasPrefix(string(out), want) || full == (err == nil) || full == (requests == 1) || warning.Len() > 0 {
				t.Errorf("the command printed %q, %v, after %d requests; warning %q", out, err, requests, warning.String())
			}
			if !isAlive(t, s) {
				t.Error("the session is dead")
			}
			if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestDiskFullSendsNoRefreshToken(t *testing.T) {
	store, dir := openStore(t)
	s := example()
	s.ExpiresAt = now.Add(30 * time.Second)
	save(t, store, s)
	// The draft cannot replace a directory that is not empty.
	if err := os.MkdirAll(filepath.Join(dir, ".default.new", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	renewals := 0
	source := &session.Source{Store: store, Profile: "default", Now: func() time.Time { return now }, Renew: func(context.Context, *session.Session) (*session.Session, error) {
		renewals++
		return nil, errors.New("must not be asked")
	}}
	got, warning, err := get(t.Context(), source, session.Want{MinTTL: time.Minute})
	if err != nil || idOf(warning) != diagnosis.StoreUnwritable || got.AccessToken.Reveal() != "access-1" || renewals != 0 {
		t.Errorf("Session = %v, %v, %v after %d renewals", got, warning, err, renewals)
	}
}

// asSignalled requests the token and gives up at a signal, like a command.
func asSignalled(dir string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	source := &session.Source{Store: session.Open(dir), Profile: "default", Renew: refresh}
	_, _, err := get(ctx, source, session.Want{})
	if errors.Is(err, context.Canceled) {
		return 130
	}
	fmt.Print("not interrupted: ", err)
	return 0
}

// A signal during a refresh: the command waits until the new tokens are stored.
func TestInterrupted(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			n, alive := trials(60), 0
			for range n {
				server := newRotation(t)
				server.after = 5*time.Millisecond + rand.N(40*time.Millisecond)
				store, dir := openStore(t)
				server.begin(t, store)
				c := child(t, "signalled", dir)
				var out strings.Builder
				c.Stdout = &out
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
				<-server.arrived
				_ = c.Process.Signal(sig)
				var exit *exec.ExitError
				if err := c.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 130 {
					t.Errorf("the command ended with %v: %s", err, out.String())
				}
				if s, err := store.Load("default"); err == nil && isAlive(t, s) {
					alive++
				}
				server.Close()
			}
			t.Logf("%d of %d sessions alive", alive, n)
			if alive != n {
				t.Fail()
			}
		})
	}
}

func TestForeignOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file to somebody else")
	}
	store, dir := openStore(t)
	save(t, store, example())
	path := filepath.Join(dir, "default.json")
	if err := os.Chown(path, 12345, -1); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Load("default"); idOf(err) != diagnosis.StoreInsecure {
		t.Errorf("Load = %v", err)
	}
	if err := os.Chown(path, 0, -1); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Load("default"); err != nil {
		t.Errorf("positive control: %v", err)
	}
	if err := os.Chown(dir, 12345, -1); err != nil {
		t.Fatal(err)
	}
	if err := store.Save(t.Context(), example()); idOf(err) != diagnosis.StoreInsecure {
		t.Errorf("Save into another's directory: %v", err)
	}
}

// A directory that others may write to is refused before anything is written,
// and so is one that is not writable.
func TestSaveRefuses(t *testing.T) {
	store, dir := openStore(t)
	save(t, store, example())
	if err := os.Chmod(dir, 0o720); err != nil {
		t.Fatal(err)
	}
	err := store.Save(t.Context(), example())
	var found *session.FileError
	if idOf(err) != diagnosis.StoreInsecure || !errors.As(err, &found) || found.Path != dir || !found.Dir || !found.Owned || found.Mode.Perm() != 0o720 {
		t.Errorf("a directory others may write to: %v, %+v", err, found)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := session.Open(filepath.Join(file, "state")).Save(t.Context(), example()); idOf(err) != diagnosis.StoreUnwritable {
		t.Errorf("below a file: %v", err)
	}
	if os.Geteuid() == 0 {
		t.Log("root may write anywhere; a read-only directory is not tried")
		return
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if err := store.Save(t.Context(), example()); idOf(err) != diagnosis.StoreUnwritable {
		t.Errorf("read-only: %v", err)
	}
}
