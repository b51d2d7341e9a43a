package cmd_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/cmd"
	"github.com/oauthctl/oauthctl/pkg/devserver"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// world is a user with a home directory, a browser and a development server.
type world struct {
	t              *testing.T
	issuer, api    string
	home           string
	browse         func(address string) error
	codesSent      atomic.Int64 // requests to the token endpoint
	stdout, stderr bytes.Buffer
	getenv         map[string]string
	stdin          string
	now            func() time.Time
	terminal       io.Reader // the input, if all three streams are a terminal
	network        *ledger   // records the requests, if not nil
	direct         bool      // the command makes its own connections, with the TLS settings that it finds
	offline        bool      // all connections fail
}

type deferrer struct{ *testing.T }

func (d deferrer) Defer(f func()) { d.Cleanup(f) }

func newWorld(t *testing.T, config devserver.Config) *world {
	t.Helper()
	issuer, api, err := startDevServer(deferrer{t}, config)
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, issuer: issuer, api: api, home: t.TempDir(), getenv: map[string]string{}, now: time.Now, browse: func(address string) error {
		_, err := clickThrough(t.Context(), address, person{Login: "alice"})
		return err
	}}
}

// RoundTrip is the network of the command: the real one, which counts the requests to the token endpoint.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == "/token" {
		w.codesSent.Add(1)
	}
	if w.offline {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ENETUNREACH}
	}
	if w.network != nil {
		return w.network.RoundTrip(r)
	}
	transport := safehttp.NewTransport(nil)
	transport.DisableKeepAlives = true
	return transport.RoundTrip(r)
}

func (w *world) run(args ...string) int {
	w.t.Helper()
	w.stdout.Reset()
	w.stderr.Reset()
	env := &cmd.Env{
		Stdin: strings.NewReader(w.stdin), Stdout: &w.stdout, Stderr: &w.stderr,
		Getenv: func(name string) string { return w.getenv[name] },
		Now:    w.now, HTTP: w, Browse: w.browse,
		ConfigDir: filepath.Join(w.home, "config"), StateDir: filepath.Join(w.home, "state"),
		IsTerminal: func(any) bool { return w.terminal != nil },
	}
	if w.terminal != nil {
		env.Stdin = w.terminal
	}
	if w.direct {
		env.HTTP = nil
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	return cmd.Run(ctx, env, args)
}

func (w *world) stored() []string {
	files, err := filepath.Glob(filepath.Join(w.home, "state", "*.json"))
	if err != nil {
		w.t.Fatal(err)
	}
	return files
}

// callback sends a request to the loopback listener, made from the parameters of
// the authorization URL.
func callback(address, method string, change func(q url.Values, r *http.Request)) (int, error) {
	u, err := url.Parse(address)
	if err != nil {
		return 0, err
	}
	r, err := http.NewRequest(method, u.Query().Get("redirect_uri"), nil)
	if err != nil {
		return 0, err
	}
	q := url.Values{"state": {u.Query().Get("state")}, "code": {"forged"}, "iss": {u.Scheme + "://" + u.Host}}
	change(q, r)
	r.URL.RawQuery = q.Encode()
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(r)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

// Requests that anyone can send to a loopback port change nothing: each gets its status, and the login completes with
// the real response.
func TestLoginSurvivesForgedCallbacks(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	strays := []struct {
		name, method string
		change       func(q url.Values, r *http.Request)
		want         int
	}{
		{"wrong state", "GET", func(q url.Values, _ *http.Request) { q.Set("state", "other") }, 303},
		{"no state", "GET", func(q url.Values, _ *http.Request) { q.Del("state") }, 303},
		{"state twice", "GET", func(q url.Values, _ *http.Request) { q.Add("state", "other") }, 303},
		{"error with a wrong state", "GET", func(q url.Values, _ *http.Request) { q.Set("state", "x"); q.Set("error", "access_denied") }, 303},
		{"no code", "GET", func(q url.Values, _ *http.Request) { q.Del("code") }, 303},
		{"another path", "GET", func(_ url.Values, r *http.Request) { r.URL.Path = "/favicon.ico" }, 404},
		{"foreign Host", "GET", func(_ url.Values, r *http.Request) { r.Host = "evil.example" }, 421},
		{"POST", "POST", func(url.Values, *http.Request) {}, 405},
	}
	real := w.browse
	w.browse = func(address string) error {
		for _, s := range strays {
			if got, err := callback(address, s.method, s.change); err != nil || got != s.want {
				t.Errorf("%s: %d, %v, want %d", s.name, got, err, s.want)
			}
		}
		return real(address)
	}
	if code := w.run("login", w.api, "--browser"); code != 0 || !strings.Contains(w.stderr.String(), "Logged in as alice") {
		t.Fatalf("login: %d\n%s", code, &w.stderr)
	}
	if n := w.codesSent.Load(); n != 1 {
		t.Errorf("%d token requests", n)
	}
}

// The correct state with a wrong or missing iss ends the login, and the code is not sent.
func TestLoginRefusesAnotherIssuer(t *testing.T) {
	for name, change := range map[string]func(q url.Values, _ *http.Request){
		"wrong iss":                 func(q url.Values, _ *http.Request) { q.Set("iss", "https://evil.example") },
		"iss with a slash":          func(q url.Values, _ *http.Request) { q.Set("iss", q.Get("iss")+"/") },
		"announced but missing":     func(q url.Values, _ *http.Request) { q.Del("iss") },
		"an error from another one": func(q url.Values, _ *http.Request) { q.Del("code"); q.Set("error", "access_denied"); q.Set("iss", "x") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, devserver.Config{})
			w.browse = func(address string) error {
				_, err := callback(address, "GET", change)
				return err
			}
			if code := w.run("login", w.api, "--browser"); code != 7 || !strings.Contains(w.stderr.String(), "ISS_PARAM") {
				t.Errorf("login: %d\n%s", code, &w.stderr)
			}
			if w.codesSent.Load() != 0 || len(w.stored()) != 0 {
				t.Errorf("%d token requests, stored %v", w.codesSent.Load(), w.stored())
			}
		})
	}
}

// For each fault of a server during the login: the exit code, and nothing is stored.
func TestLoginAgainstFaults(t *testing.T) {
	for _, tt := range []struct {
		fault string
		code  int
		id    string
	}{
		{"", 0, ""},
		{"wrong-state", 7, "STATE_MISMATCH"},
		{"wrong-iss-param", 7, "ISS_PARAM"},
		{"no-iss-param", 7, "ISS_PARAM"},
		{"wrong-nonce", 7, "NONCE_MISMATCH"},
		{"discovery-issuer-mismatch", 7, "ISS_DISCOVERY_MISMATCH"},
		{"token-500", 6, "SERVER_ERROR"},
		{"token-429", 6, "RATE_LIMITED"},
		{"token-html", 7, "TOKEN_ENDPOINT_SHAPE"},
		{"consent-denied", 5, "ACCESS_DENIED"},
		{"narrower-scope", 0, ""},
		{"no-expires-in", 0, ""},
	} {
		t.Run("fault "+tt.fault, func(t *testing.T) {
			config := devserver.Config{}
			if tt.fault != "" {
				config.Faults = []string{tt.fault}
			}
			w := newWorld(t, config)
			code := w.run("login", w.api, "--browser", "--login-timeout", "2s")
			if code != tt.code || !strings.Contains(w.stderr.String(), tt.id) {
				t.Errorf("login: %d, want %d %s\n%s", code, tt.code, tt.id, &w.stderr)
			}
			if (len(w.stored()) == 1) != (tt.code == 0) || w.stdout.Len() > 0 {
				t.Errorf("stored %v, stdout %q", w.stored(), &w.stdout)
			}
		})
	}
}

// Nothing that a command prints or writes outside the store has a token.
func TestNoTokenLeaks(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	var printed strings.Builder
	for _, args := range [][]string{
		{"login", w.api, "--browser", "-v"},
		{"status", "--json"},
		{"verify", "-v", "--json"},
		{"call", "GET", "/api/items", "-v", "-i"},
		{"call", "DELETE", "/api/users/1", "-v"},
		{"check", "--scope", "x", "-v"},
		{"profile", "show", "--explain"},
	} {
		w.run(args...)
		fmt.Fprintf(&printed, "%s\n%s\n", &w.stdout, &w.stderr)
	}
	session, err := os.ReadFile(w.stored()[0])
	if err != nil {
		t.Fatal(err)
	}
	profile, err := os.ReadFile(filepath.Join(w.home, "config", "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	canaries := 0
	for _, field := range strings.Split(string(session), `"`) {
		if len(field) < 20 || strings.ContainsAny(field, ":/ ") || !strings.Contains(string(session), `token":"`+field) {
			continue
		}
		canaries++
		if strings.Contains(printed.String(), field) || strings.Contains(string(profile), field) {
			t.Errorf("a token of %d bytes was printed", len(field))
		}
	}
	if canaries != 3 {
		t.Errorf("%d tokens in the store, want access, refresh and ID token", canaries)
	}
	w.run("token")
	if !strings.Contains(string(session), strings.TrimSpace(w.stdout.String())) {
		t.Error("positive control: token prints it")
	}
}
