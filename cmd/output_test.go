package cmd_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const givenToken = "given-token-canary.0123456789"

// apiWorld returns a user with a token in the environment, and an API.
func apiWorld(t *testing.T, api http.HandlerFunc) (w *world, requests *atomic.Int64) {
	t.Helper()
	var served atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		served.Add(1)
		api(rw, r)
	}))
	t.Cleanup(server.Close)
	w = &world{t: t, api: server.URL, home: t.TempDir(), now: time.Now, getenv: map[string]string{"OAUTHCTL_TOKEN": givenToken, "OAUTHCTL_API": server.URL}}
	return w, &served
}

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// A file that is not regular is written in place, a link is followed, every hard link has the new content, and modes do
// not change.
func TestOutputFiles(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs modes and links of Unix")
	}
	w, requests := apiWorld(t, func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, "content") })
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"target", "old", "private", "other"} {
		write(t, in(name), "before", 0o660)
	}
	write(t, in("readonly"), "before", 0o400)
	for link, target := range map[string]string{"link": "target", "dangling": "made", "chain": "link"} {
		if err := os.Symlink(target, in(link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(in("private"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(in("other"), in("second")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path, holds string
		code        int
		mode        os.FileMode
	}{
		{"old", "old", 0, 0o660},
		{"private", "private", 0, 0o640},
		{"link", "target", 0, 0o660},
		{"chain", "target", 0, 0o660},
		{"dangling", "made", 0, 0},
		{"new", "new", 0, 0},
		{"other", "second", 0, 0o660},
		{"readonly", "", 2, 0o400},
		{".", "", 2, 0},
		{"no/such/folder", "", 2, 0},
	} {
		before := requests.Load()
		code := w.run("call", "GET", "/x", "-o", in(tt.path))
		if code != tt.code {
			t.Errorf("%s: %d, %s", tt.path, code, &w.stderr)
		}
		if sent := requests.Load() - before; (sent == 0) != (tt.code == 2) {
			t.Errorf("%s: %d requests", tt.path, sent)
		}
		if tt.holds != "" && read(t, in(tt.holds)) != "content" {
			t.Errorf("%s: %s holds %q", tt.path, tt.holds, read(t, in(tt.holds)))
		}
		if info, err := os.Stat(in(tt.path)); tt.mode != 0 && (err != nil || info.Mode().Perm() != tt.mode) {
			t.Errorf("%s: %v, %v, want %o", tt.path, info.Mode(), err, tt.mode)
		}
	}
	if info, err := os.Lstat(in("link")); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(in(".*.part")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

// A pipe gets the body unchanged, and remains a pipe.
func TestOutputIntoAPipe(t *testing.T) {
	w, _ := apiWorld(t, func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, "content") })
	path := filepath.Join(t.TempDir(), "pipe")
	makePipe(t, path)
	got := make(chan string, 1)
	go func() {
		f, err := os.Open(path)
		if err != nil {
			got <- err.Error()
			return
		}
		defer f.Close()
		data, _ := io.ReadAll(f)
		got <- string(data)
	}()
	if code := w.run("call", "GET", "/x", "-o", path); code != 0 {
		t.Fatalf("%d, %s", code, &w.stderr)
	}
	if text := <-got; text != "content" {
		t.Errorf("the pipe had %q", text)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		t.Errorf("%v, %v", info, err)
	}
}

// Only a complete body replaces a file. The missing part can be requested later.
func TestOutputKeepsWhatIsNotReplaced(t *testing.T) {
	const whole = "0123456789abcdef"
	w, _ := apiWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/304":
			rw.WriteHeader(http.StatusNotModified)
		case "/204":
			rw.WriteHeader(http.StatusNoContent)
		case "/302":
			http.Redirect(rw, r, "/elsewhere", http.StatusFound)
		case "/whole":
			fmt.Fprint(rw, whole)
		case "/wrong":
			rw.Header().Set("Content-Range", "bytes 3-5/16")
			rw.WriteHeader(http.StatusPartialContent)
			fmt.Fprint(rw, "345")
		default:
			http.ServeContent(rw, r, "", time.Time{}, strings.NewReader(whole))
		}
	})
	for _, tt := range []struct {
		before, args string
		code         int
		after, says  string
	}{
		{"old", "GET /304", 0, "old", "304 Not Modified"},
		{"old", "GET /204", 0, "old", "204 No Content"},
		{"old", "POST /302", 9, "old", "REDIRECT_NOT_FOLLOWED"},
		{"old", "GET /x Range:bytes=0-3", 9, "old", "206"},
		{"old", "GET /whole", 0, whole, "16 bytes written"},
		{"0123", "GET /x -C", 0, whole, "12 bytes written"},
		{"", "GET /x -C", 0, whole, "16 bytes"},
		{whole, "GET /x -C", 0, whole, "is complete"},
		{whole + "more", "GET /x -C", 9, whole + "more", "416"},
		{"old", "GET /whole -C", 0, whole, "16 bytes"},
		{"01234", "GET /wrong -C", 9, "01234", "Content-Range"},
		{"old", "HEAD /x", 2, "old", "HEAD"},
	} {
		path := filepath.Join(t.TempDir(), "file")
		write(t, path, tt.before, 0o600)
		code := w.run(append([]string{"call", "-o", path}, strings.Fields(tt.args)...)...)
		if got := read(t, path); code != tt.code || got != tt.after || !strings.Contains(w.stderr.String(), tt.says) {
			t.Errorf("%s on %q: %d, %q\n%s", tt.args, tt.before, code, got, &w.stderr)
		}
	}
}

// A download that failed starts again, or continues where it ended.
func TestOutputAfterABreak(t *testing.T) {
	const whole = "0123456789abcdef"
	breaks := 1
	w, requests := apiWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		if breaks--; breaks >= 0 {
			rw.Header().Set("Content-Length", fmt.Sprint(len(whole)))
			fmt.Fprint(rw, whole[:7])
			_ = http.NewResponseController(rw).Flush()
			panic(http.ErrAbortHandler)
		}
		http.ServeContent(rw, r, "", time.Time{}, strings.NewReader(whole))
	})
	path := filepath.Join(t.TempDir(), "file")
	if code := w.run("call", "GET", "/x", "-o", path, "--retry", "2"); code != 0 || read(t, path) != whole || requests.Load() != 2 {
		t.Errorf("--retry: %d, %d requests\n%s", code, requests.Load(), &w.stderr)
	}
	breaks = 1
	other := filepath.Join(t.TempDir(), "file")
	if code := w.run("call", "GET", "/x", "-o", other, "-C"); code != 6 || read(t, other) != whole[:7] {
		t.Errorf("-C, broken: %d\n%s", code, &w.stderr)
	}
	if code := w.run("call", "GET", "/x", "-o", other, "-C"); code != 0 || read(t, other) != whole {
		t.Errorf("-C, again: %d, %q\n%s", code, read(t, other), &w.stderr)
	}
}

// A failed write to standard output is a failure, for every command.
func TestFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("needs /dev/full: ", err)
	}
	api := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, `{"a":1}`) }))
	defer api.Close()
	home := t.TempDir()
	for _, args := range []string{
		"token", "token --format header", "explain TIMEOUT", "version", "decode eyJhbGciOiJub25lIn0.e30.",
		"call GET /x", "call GET /x -i", "call GET /x --curl", "call GET /x --dry-run", "call GET /x --json", "call GET /x --jq .a", "completion bash", "help exit-codes",
	} {
		got, err := runScript(t, home, "OAUTHCTL_TOKEN="+givenToken+" OAUTHCTL_API="+api.URL+" exec oauthctl "+args+" >/dev/full")
		if err != nil || got.code != 1 || !strings.Contains(got.stderr, "standard output") {
			t.Errorf("%s: %v, %+v", args, err, got)
		}
		got, err = runScript(t, home, "OAUTHCTL_TOKEN="+givenToken+" OAUTHCTL_API="+api.URL+" exec oauthctl "+args+" >/dev/null")
		if err != nil || got.code != 0 {
			t.Errorf("positive control: %s: %v, %+v", args, err, got)
		}
	}
}

// runScript runs a shell script with a separate home directory.
func runScript(t *testing.T, home, script string, environ ...string) (outcome, error) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "/bin/sh", "-c", script)
	c.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_CONFIG_HOME=" + filepath.Join(home, "config"), "XDG_STATE_HOME=" + filepath.Join(home, "state"),
	}, environ...)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	err := c.Run()
	if c.ProcessState == nil {
		return outcome{}, err
	}
	return outcome{c.ProcessState.ExitCode(), stdout.String(), stderr.String()}, nil
}
