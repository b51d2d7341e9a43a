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

// lockedBuffer is written by the command while the test reads it.
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

// An API that checks nothing is protected by the command alone.
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

	var stderr lockedBuffer
	env := &cmd.Env{
		Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: &stderr, Getenv: func(string) string { return "" }, Now: time.Now,
		ConfigDir: w.home, StateDir: w.home, IsTerminal: func(any) bool { return false },
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	ended := make(chan int, 1)
	go func() {
		ended <- cmd.Run(ctx, env, []string{"guard", "--upstream", upstream.URL, "--policy", file, "--listen", "127.0.0.1:0"})
	}()
	address := ""
	for address == "" {
		if m := regexp.MustCompile(`at (http://\S+)`).FindStringSubmatch(stderr.String()); m != nil {
			address = m[1]
		} else if ctx.Err() != nil {
			t.Fatalf("guard did not start: %s", stderr.String())
		}
		time.Sleep(time.Millisecond)
	}
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
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+tt.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if tt.token != "" {
			req.Header.Set("Authorization", "Bearer "+tt.token)
		}
		req.Header.Set("X-Auth-Subject", "root")
		transport := &http.Transport{DisableKeepAlives: true}
		res, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != tt.status || !strings.Contains(string(body), tt.body) {
			t.Errorf("%s: %d %s, want %d %s", tt.path, res.StatusCode, body, tt.status, tt.body)
		}
	}
	cancel()
	if code := <-ended; code != 0 {
		t.Errorf("guard ended with %d: %s", code, stderr.String())
	}
	if strings.Contains(stderr.String(), token) {
		t.Error("the log holds the token")
	}
}
