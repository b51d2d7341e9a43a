package cmd_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// redirectOf returns the target of the server's redirect, without following it.
func redirectOf(address string) (string, error) {
	r, err := http.NewRequest(http.MethodGet, address, http.NoBody)
	if err != nil {
		return "", err
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	if res.Header.Get("Location") == "" {
		return "", fmt.Errorf("%s without a redirect", res.Status)
	}
	return res.Header.Get("Location"), nil
}

// A browser that cannot reach the loopback address shows an error page. Its address can be pasted, and is checked like
// the browser's own request.
func TestLoginByPaste(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lines func(redirect string) string
		code  int
		says  string
	}{
		{"pasted", func(r string) string { return r + "\n" }, 0, "Logged in as alice"},
		{"spaces and empty lines", func(r string) string { return "\n  \n " + r + " \r\n" }, 0, "Logged in as alice"},
		{"something else first", func(r string) string { return "yes\n" + r + "\n" }, 0, "expected http://127.0.0.1:"},
		{"another login's first", func(r string) string {
			return strings.Replace(r, "state=", "state=x", 1) + "\n" + r + "\n"
		}, 0, "belongs to another login"},
		{"in two lines", func(r string) string { return r[:len(r)-30] + "\n" + r[len(r)-30:] + "\n" }, 0, "Logged in as alice"},
		{"in three lines, with white space", func(r string) string { return r[:40] + " \n  " + r[40:90] + "\r\n" + r[90:] + "\n" }, 0, "Logged in as alice"},
		{"something else, then in two lines", func(r string) string { return "yes\n" + r[:60] + "\n" + r[60:] + "\n" }, 0, "the address has no parameters"},
		{"cut in the state", func(r string) string { return r[:strings.Index(r, "state=")+20] + "\n" }, 7, "its end is missing"},
		{"cut before iss", func(r string) string { return regexp.MustCompile(`iss=[^&]*&?`).ReplaceAllString(r, "") + "\n" }, 5, "it has no iss"},
		{"another host", func(r string) string { return strings.Replace(r, "127.0.0.1", "127.0.0.2", 1) + "\n" }, 5, "LOGIN_TIMEOUT"},
		{"another issuer", func(r string) string { return strings.Replace(r, "iss=http", "iss=https", 1) + "\n" }, 7, "ISS_PARAM"},
		{"only another state", func(r string) string { return strings.Replace(r, "state=", "state=x", 1) + "\n" }, 7, "STATE_MISMATCH"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, devserver.Config{AutoApprove: true})
			typed, keyboard := io.Pipe()
			w.terminal = typed
			w.browse = func(address string) error {
				redirect, err := redirectOf(address)
				if err == nil {
					_, err = keyboard.Write([]byte(tt.lines(redirect)))
				}
				return err
			}
			w.getenv["DISPLAY"], w.getenv["NO_COLOR"] = ":0", "1"
			code := w.run("login", w.api, "--login-timeout", "1s")
			if code != tt.code || !strings.Contains(w.stderr.String(), tt.says) {
				t.Errorf("login: %d, want %d %q\n%s", code, tt.code, tt.says, &w.stderr)
			}
			if (len(w.stored()) == 1) != (tt.code == 0) {
				t.Errorf("stored %v", w.stored())
			}
		})
	}
}

// If the terminal is closed, the login still waits for the browser.
func TestLoginWithStdinClosed(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	w.terminal = strings.NewReader("")
	w.getenv["DISPLAY"], w.getenv["NO_COLOR"] = ":0", "1"
	if code := w.run("login", w.api); code != 0 {
		t.Errorf("login: %d\n%s", code, &w.stderr)
	}
}

// Without a graphical display no browser is started, because some browsers would take over the terminal. Over SSH, the
// command that forwards the port is shown.
func TestLoginOverSSH(t *testing.T) {
	w := newWorld(t, devserver.Config{AutoApprove: true})
	w.terminal = strings.NewReader("")
	opened := atomic.Bool{}
	w.browse = func(string) error { opened.Store(true); return nil }
	w.getenv["SSH_CONNECTION"], w.getenv["NO_COLOR"] = "192.0.2.1 50000 192.0.2.2 22", "1"
	if code := w.run("login", w.api, "--login-timeout", "10ms"); code != 5 || opened.Load() {
		t.Errorf("login: %d, a browser was opened: %v", code, opened.Load())
	}
	if got := w.stderr.String(); !strings.Contains(got, "ssh -N -L ") || !strings.Contains(got, " 192.0.2.2\n") {
		t.Errorf("no line for ssh:\n%s", got)
	}
	w.getenv["SSH_CONNECTION"] = ""
	if w.run("login", "--login-timeout", "10ms"); strings.Contains(w.stderr.String(), "ssh -N") {
		t.Errorf("a line for ssh on the machine itself:\n%s", &w.stderr)
	}
}

// Without a terminal and a browser, login fails at once and shows the alternatives.
func TestLoginWithoutTerminalOrBrowser(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	start := time.Now()
	code := w.run("login", w.api)
	for _, way := range []string{"--device", "paste the redirect URL", "ssh -L"} {
		if !strings.Contains(w.stderr.String(), way) {
			t.Errorf("%s is not named:\n%s", way, &w.stderr)
		}
	}
	if code != 5 || time.Since(start) > 10*time.Second || w.codesSent.Load() > 0 {
		t.Errorf("login: %d after %s", code, time.Since(start))
	}
}

// If the server no longer knows the registered client, a new one is registered, and only then.
func TestLoginAfterTheServerForgot(t *testing.T) {
	var server atomic.Pointer[devserver.Server]
	pick := func(of func(*devserver.Server) http.Handler) *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { of(server.Load()).ServeHTTP(rw, r) }))
		t.Cleanup(s.Close)
		return s
	}
	as, api := pick((*devserver.Server).AuthorizationServer), pick((*devserver.Server).API)
	restart := func() {
		fresh, err := devserver.New(devserver.Config{Issuer: as.URL, API: api.URL})
		if err != nil {
			t.Fatal(err)
		}
		server.Store(fresh)
	}
	restart()
	w := newWorld(t, devserver.Config{})
	for i, want := range []bool{true, false} {
		if code := w.run("login", api.URL, "--browser"); code != 0 || strings.Contains(w.stderr.String(), "registered as client") != want {
			t.Errorf("login %d: %d\n%s", i+1, code, &w.stderr)
		}
	}
	restart()
	if code := w.run("login", "--browser", "--login-timeout", "5s"); code != 0 || !strings.Contains(w.stderr.String(), "no longer knows the client") {
		t.Errorf("after the restart: %d\n%s", code, &w.stderr)
	}
	if code := w.run("call", "GET", "/api/items"); code != 0 {
		t.Errorf("call: %d\n%s", code, &w.stderr)
	}
	// A client that the user configured is not replaced: the user may have mistyped it.
	restart()
	w.getenv["OAUTHCTL_CLIENT_ID"] = "no-such-client"
	if w.run("login", "--browser", "--login-timeout", "200ms"); strings.Contains(w.stderr.String(), "registered as client") {
		t.Errorf("a client that was named was replaced:\n%s", &w.stderr)
	}
}

// If the key endpoint is unreachable during a refresh, the session continues, because the new refresh token is stored.
func TestRenewalWithoutKeys(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	if code := w.run("login", w.api, "--browser"); code != 0 {
		t.Fatalf("login: %d\n%s", code, &w.stderr)
	}
	fault := func(name string) {
		t.Helper()
		res, err := http.PostForm(w.issuer+"/_control/fault", url.Values{"fault": {name}})
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%v, %v", res, err)
		}
		res.Body.Close()
	}
	fault("jwks-500")
	for range 2 {
		if code := w.run("token", "--refresh"); code != 0 {
			t.Errorf("token: %d\n%s", code, &w.stderr)
		}
	}
	fault("wrong-issuer") // of access tokens, which do not identify the user
	if code := w.run("token", "--refresh"); code != 0 {
		t.Errorf("token: %d\n%s", code, &w.stderr)
	}
}

// A profile can have the endpoints of a server without metadata.
func TestLoginWithoutMetadata(t *testing.T) {
	w := newWorld(t, devserver.Config{Faults: []string{"no-iss-param"}})
	for _, setting := range []string{
		"authorization_endpoint=" + w.issuer + "/authorize", "token_endpoint=" + w.issuer + "/token", "client_id=oauthctl-dev",
		"scope=items:read offline_access", "api=" + w.api,
	} {
		if code := w.run("profile", "set", setting); code != 0 {
			t.Fatalf("profile set %s: %d\n%s", setting, code, &w.stderr)
		}
	}
	for _, args := range [][]string{{"login", "--browser"}, {"call", "GET", "/api/items"}, {"token", "--refresh"}} {
		if code := w.run(args...); code != 0 {
			t.Errorf("%v: %d\n%s", args, code, &w.stderr)
		}
	}
	w.getenv["OAUTHCTL_TOKEN_ENDPOINT"] = "https://elsewhere.example/token"
	if code := w.run("token", "--refresh"); code != 5 || !strings.Contains(w.stderr.String(), "SESSION_ELSEWHERE") {
		t.Errorf("a moved endpoint: %d\n%s", code, &w.stderr)
	}
}

// With localhost and port 0, a port is used that is free for IPv4 and IPv6.
func TestLoginAtLocalhost(t *testing.T) {
	if l, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Skip("needs IPv6: ", err)
	} else {
		l.Close()
	}
	w := newWorld(t, devserver.Config{})
	if code := w.run("login", w.api, "--browser", "--redirect-uri", "http://localhost:0/cb"); code != 0 {
		t.Errorf("login: %d\n%s", code, &w.stderr)
	}
}

// The secret that a login reads from standard input is stored, and later commands use it.
func TestClientSecretFromStdin(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	w.stdin = "secret\n"
	login := []string{"login", w.issuer, "--grant-type", "client_credentials", "--client-id", "service", "--scope", "items:read", "--client-secret-file", "-"}
	if code := w.run(login...); code != 0 || !strings.Contains(w.stderr.String(), "Logged in as client service") {
		t.Fatalf("login: %d\n%s", code, &w.stderr)
	}
	w.stdin = ""
	for range 2 {
		if code := w.run("token", "--refresh"); code != 0 {
			t.Errorf("token: %d\n%s", code, &w.stderr)
		}
	}
	if config, err := os.ReadFile(filepath.Join(w.home, "config", "config.yaml")); err != nil || strings.Contains(string(config), "client_secret:") {
		t.Errorf("%v\n%s", err, config)
	}
	w.stdin = "wrong\n"
	if code := w.run(login...); code != 2 {
		t.Errorf("with a wrong secret: %d\n%s", code, &w.stderr)
	}
	// A path is stored as an absolute path, because other commands could not find the file otherwise.
	path := filepath.Join(w.home, "secret")
	if err := os.WriteFile(path, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	login[len(login)-1] = path
	if code := w.run(login...); code != 0 {
		t.Fatalf("login: %d\n%s", code, &w.stderr)
	}
	if code := w.run("token", "--refresh"); code != 0 {
		t.Errorf("token: %d\n%s", code, &w.stderr)
	}
	for _, args := range [][]string{{"--browser"}, {"--par"}, {"--prompt", "login"}, {"--max-age", "1m"}, {"--listen", "127.0.0.1:0"}} {
		if code := w.run(append([]string{"login", "--grant-type", "client_credentials"}, args...)...); code != 2 || !strings.Contains(w.stderr.String(), args[0]+": only with --grant-type authorization_code") {
			t.Errorf("%v: %d\n%s", args, code, &w.stderr)
		}
	}
}
