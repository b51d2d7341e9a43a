package cmd_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/cmd"
	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// lockedBuffer is a buffer that the command writes while the test reads it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// guard is a running guard command.
type guard struct {
	t       *testing.T
	address string
	stderr  *lockedBuffer
	stop    func()
}

// startGuard runs the command on a free port until the test ends.
func startGuard(t *testing.T, home string, args ...string) *guard {
	t.Helper()
	return startGuardIn(t, home, nil, args...)
}

// startGuardIn is like startGuard, with environment variables.
func startGuardIn(t *testing.T, home string, variables map[string]string, args ...string) *guard {
	t.Helper()
	g := &guard{t: t, stderr: &lockedBuffer{}}
	env := &cmd.Env{
		Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: g.stderr, Getenv: func(name string) string { return variables[name] }, Now: time.Now,
		ConfigDir: home, StateDir: home, IsTerminal: func(any) bool { return false },
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	ended := make(chan int, 1)
	go func() { ended <- cmd.Run(ctx, env, append([]string{"guard", "--listen", "127.0.0.1:0"}, args...)) }()
	g.stop = sync.OnceFunc(func() {
		cancel()
		if code := <-ended; code != 0 {
			t.Errorf("guard ended with %d: %s", code, g.stderr)
		}
	})
	t.Cleanup(g.stop)
	for g.address == "" {
		if m := regexp.MustCompile(`at (http://\S+)`).FindStringSubmatch(g.stderr.String()); m != nil {
			g.address = m[1]
		} else if ctx.Err() != nil || len(ended) > 0 {
			t.Fatalf("guard did not start: %s", g.stderr)
		}
		time.Sleep(time.Millisecond)
	}
	return g
}

// ask sends one request, with a header that only the guard may send to the API.
func (g *guard) ask(path, token string) (status int, body string) {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, g.address+path, http.NoBody)
	if err != nil {
		g.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.Header.Set("X-Auth-Subject", "root")
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	data, _ := io.ReadAll(res.Body)
	if res.StatusCode == http.StatusServiceUnavailable && res.Header.Get("Retry-After") == "" {
		g.t.Error("a 503 without Retry-After")
	}
	return res.StatusCode, string(data)
}

// The command alone protects an API that checks nothing.
func TestGuardProtectsAnyAPI(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %s, token %q", r.Header.Get("X-Auth-Subject"), r.Header.Get("Authorization"))
	}))
	defer upstream.Close()
	file := filepath.Join(t.TempDir(), "policy.yaml")
	text := fmt.Sprintf("issuer: %s\naudience: %s\nroutes:\n  \"GET /a\": {scopes: [items:read]}\n  \"GET /b\": {scopes: [users:delete]}\n", w.issuer, w.api)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := w.run("login", w.api, "--browser", "-q"); code != 0 {
		t.Fatalf("login: %d %s", code, &w.stderr)
	}
	w.run("token")
	token := strings.TrimSpace(w.stdout.String())

	guard := startGuard(t, w.home, "--upstream", upstream.URL, "--policy", file)
	for _, tt := range []struct {
		path, token string
		status      int
		body        string
	}{
		{"/a", token, 200, `hello alice, token ""`},
		{"/a", "", 401, "CREDENTIALS_MISSING"},
		{"/b", token, 403, "SCOPE_MISSING"},
		{"/c", token, 403, ""},
		{"/a", "nonsense", 401, "OPAQUE_TOKEN"},
	} {
		status, body := guard.ask(tt.path, tt.token)
		if status != tt.status || !strings.Contains(body, tt.body) {
			t.Errorf("%s: %d %s, want %d %s", tt.path, status, body, tt.status, tt.body)
		}
	}
	guard.stop()
	if strings.Contains(guard.stderr.String(), token) {
		t.Error("the log holds the token")
	}
}
