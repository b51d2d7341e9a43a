package cmd_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/devserver"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// ledger is the network of a test: the real one, which records the requests to each origin.
type ledger struct {
	mu   sync.Mutex
	sent map[string]*bytes.Buffer
}

func newLedger() *ledger { return &ledger{sent: map[string]*bytes.Buffer{}} }

func (l *ledger) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body.Close()
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	l.mu.Lock()
	origin := safehttp.Origin(r.URL)
	if l.sent[origin] == nil {
		l.sent[origin] = &bytes.Buffer{}
	}
	b := l.sent[origin]
	b.WriteString(r.Method + " " + r.URL.String() + "\n")
	for name, values := range r.Header {
		for _, v := range values {
			b.WriteString(name + ": " + v + "\n")
			if encoded, ok := strings.CutPrefix(v, "Basic "); ok {
				if pair, err := base64.StdEncoding.DecodeString(encoded); err == nil {
					b.Write(pair)
					b.WriteByte('\n')
				}
			}
		}
	}
	if plain, err := url.QueryUnescape(string(body)); err == nil {
		b.WriteString(plain)
	}
	b.Write(body)
	b.WriteByte('\n')
	l.mu.Unlock()
	transport := safehttp.NewTransport(nil)
	transport.DisableKeepAlives = true
	return transport.RoundTrip(r)
}

// to returns everything that was sent to an origin so far.
func (l *ledger) to(origin string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b := l.sent[origin]; b != nil {
		return b.String()
	}
	return ""
}

const (
	stagingSecret    = "canary-staging-client-secret"
	productionSecret = "canary-production-client-secret"
)

// twoServers returns two authorization servers at which a client with the same id has different secrets, and a user of
// both.
func twoServers(t *testing.T) (w *world, staging, production *world) {
	t.Helper()
	config := func(secret string) devserver.Config {
		return devserver.Config{Clients: []devserver.Client{{ID: "app", Secret: secret, RedirectURIs: []string{"http://127.0.0.1/callback"}}}}
	}
	staging, production = newWorld(t, config(stagingSecret)), newWorld(t, config(productionSecret))
	w = newWorld(t, devserver.Config{})
	w.network = newLedger()
	for name, value := range map[string]string{"staging": stagingSecret, "production": productionSecret} {
		if err := os.WriteFile(filepath.Join(w.home, name), []byte(value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return w, staging, production
}

// A secret, a refresh token and an access token of one server are never sent to the other one, by any command, and
// however the server is selected. Equal client ids do not matter.
func TestCredentialsStayAtTheirServer(t *testing.T) {
	commands := [][]string{
		{"token"},
		{"token", "--refresh"},
		{"status"},
		{"call", "GET", "/api/items"},
		{"introspect"},
		{"userinfo"},
		{"revoke"},
		{"exchange", "--audience", "other"},
		{"exchange", "--subject-token", "x"},
		{"login", "--browser", "--login-timeout", "1s"},
		{"login", "--grant-type", "client_credentials"},
		{"logout"},
		{"logout", "--all"},
	}
	grants := map[string][]string{
		"a user's session":    {"--scope", "openid", "--scope", "offline_access", "--browser"},
		"the client's own":    {"--grant-type", "client_credentials"},
		"from standard input": {"--grant-type", "client_credentials", "--client-secret-file", "-"},
	}
	moves := map[string]func(w *world, production *world){
		"the variable": func(w, production *world) { w.getenv["OAUTHCTL_ISSUER"] = production.issuer },
		"the variable and its secret": func(w, production *world) {
			w.getenv["OAUTHCTL_ISSUER"], w.getenv["OAUTHCTL_CLIENT_SECRET"] = production.issuer, productionSecret
		},
		"the profile": func(w, production *world) {
			if code := w.run("profile", "set", "issuer="+production.issuer, "-p", "a"); code != 0 {
				w.t.Fatalf("profile set: %d\n%s", code, &w.stderr)
			}
		},
		"endpoints": func(w, production *world) {
			w.getenv["OAUTHCTL_TOKEN_ENDPOINT"], w.getenv["OAUTHCTL_INTROSPECTION_ENDPOINT"] = production.issuer+"/token", production.issuer+"/introspect"
		},
	}
	for grant, flags := range grants {
		for move, apply := range moves {
			t.Run(grant+"/"+move, func(t *testing.T) {
				w, staging, production := twoServers(t)
				w.stdin = stagingSecret
				login := append([]string{"login", staging.issuer, "--client-id", "app", "--scope", "items:read", "--api", staging.api, "-p", "a"}, flags...)
				if flags[len(flags)-1] != "-" {
					login = append(login, "--client-secret-file", filepath.Join(w.home, "staging"))
				}
				if code := w.run(login...); code != 0 {
					t.Fatalf("%v: %d\n%s", login, code, &w.stderr)
				}
				secrets := sessionSecrets(t, w, "a")
				secrets["client's secret"] = stagingSecret
				apply(w, production)
				home := t.TempDir()
				if err := os.CopyFS(home, os.DirFS(w.home)); err != nil {
					t.Fatal(err)
				}
				for _, command := range commands {
					for _, dir := range []string{"config", "state"} {
						if err := errors.Join(os.RemoveAll(filepath.Join(w.home, dir)), os.CopyFS(filepath.Join(w.home, dir), os.DirFS(filepath.Join(home, dir))), private(filepath.Join(w.home, dir))); err != nil {
							t.Fatal(err)
						}
					}
					w.run(append(command, "-p", "a")...)
					for what, canary := range secrets {
						if canary != "" && strings.Contains(w.network.to(production.issuer), canary) {
							t.Fatalf("%v: the %s reaches the other server\n%s", command, what, &w.stderr)
						}
					}
					if strings.Contains(w.network.to(staging.issuer), productionSecret) {
						t.Fatalf("%v: the other server's secret reaches this one", command)
					}
				}
			})
		}
	}
}

// private gives a directory and its files the modes that they had before they were copied.
func private(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return os.Chmod(path, 0o700)
		}
		return os.Chmod(path, 0o600)
	})
}

// sessionSecrets returns the secrets of a session in a plain file.
func sessionSecrets(t *testing.T, w *world, profile string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(w.home, "state", profile+".json"))
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string]string{}
	var members map[string]any
	if err := json.Unmarshal(data, &members); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"access_token", "refresh_token", "client_secret"} {
		secrets[name], _ = members[name].(string)
	}
	return secrets
}

// The positive control: with the right server, the same commands send the secret.
func TestCredentialsReachTheirServer(t *testing.T) {
	w, staging, _ := twoServers(t)
	if code := w.run("login", staging.issuer, "--client-id", "app", "--client-secret-file", filepath.Join(w.home, "staging"), "--scope", "items:read", "--scope", "offline_access", "--browser", "-p", "a"); code != 0 {
		t.Fatalf("login: %d\n%s", code, &w.stderr)
	}
	for _, command := range [][]string{{"token", "--refresh"}, {"introspect"}, {"revoke"}, {"logout"}} {
		before := len(w.network.to(staging.issuer))
		if code := w.run(append(command, "-p", "a")...); code != 0 {
			t.Errorf("%v: %d\n%s", command, code, &w.stderr)
		}
		if !strings.Contains(w.network.to(staging.issuer)[before:], stagingSecret) {
			t.Errorf("%v: the server did not get the client's secret", command)
		}
	}
}

// logout --all revokes each session at its own server, with its own client.
func TestLogoutAllUsesEachProfile(t *testing.T) {
	w, staging, production := twoServers(t)
	for name, server := range map[string]*world{"staging": staging, "production": production} {
		if code := w.run("login", server.issuer, "--client-id", "app", "--client-secret-file", filepath.Join(w.home, name), "--scope", "items:read", "--scope", "offline_access", "--browser", "-p", name); code != 0 {
			t.Fatalf("login: %d\n%s", code, &w.stderr)
		}
	}
	if code := w.run("logout", "--all", "--json"); code != 0 {
		t.Errorf("logout --all: %d\n%s", code, &w.stderr)
	}
	if got := strings.Count(w.stdout.String(), `"revoked": true`) + strings.Count(w.stdout.String(), `"revoked":true`); got != 2 {
		t.Errorf("%d sessions were revoked, want 2: %s", got, &w.stdout)
	}
	if strings.Contains(w.network.to(staging.issuer), productionSecret) || strings.Contains(w.network.to(production.issuer), stagingSecret) {
		t.Error("a secret reached another server")
	}
}

// The variables may come from a directory that another user controls, so an API that is configured only by a variable
// gets no stored token.
func TestEnvironmentAPIGetsNoStoredToken(t *testing.T) {
	w, other := newWorld(t, devserver.Config{}), newWorld(t, devserver.Config{})
	w.network = newLedger()
	if code := w.run("login", w.api, "--browser"); code != 0 {
		t.Fatalf("login: %d\n%s", code, &w.stderr)
	}
	token := sessionSecrets(t, w, "default")["access_token"]
	w.getenv["OAUTHCTL_API"] = other.api
	for _, args := range [][]string{{"call", "GET", "/api/items"}, {"call", "GET", "/api/items", "--paginate"}, {"call", "GET", "/api/items", "--curl"}, {"call", "GET", "/api/items", "--dry-run"}, {"proxy"}} {
		if code := w.run(args...); code != 2 || !strings.Contains(w.stderr.String(), "ORIGIN_REFUSED") {
			t.Errorf("%v: %d\n%s", args, code, &w.stderr)
		}
	}
	if strings.Contains(w.network.to(other.api), token) {
		t.Error("the token reached the other API")
	}
	if w.run("call", "GET", "/api/items", "--allow-origin", other.api); !strings.Contains(w.network.to(other.api), token) {
		t.Error("with --allow-origin the token did not reach the other API")
	}
	// A token in a variable is sent to the API in a variable.
	w.getenv["OAUTHCTL_TOKEN"] = "given-by-hand"
	if w.run("call", "GET", "/api/items"); !strings.Contains(w.network.to(other.api), "given-by-hand") {
		t.Error("the environment's token did not reach the environment's API")
	}
	delete(w.getenv, "OAUTHCTL_TOKEN")
	w.getenv["OAUTHCTL_API"] = w.api
	if code := w.run("call", "GET", "/api/items"); code != 0 {
		t.Errorf("the same API by a variable: %d\n%s", code, &w.stderr)
	}
}

// An unknown profile name is a usage error that shows a similar name.
func TestUnknownProfile(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	if code := w.run("login", w.api, "--browser", "-p", "prod"); code != 0 {
		t.Fatalf("login: %d\n%s", code, &w.stderr)
	}
	for _, args := range [][]string{
		{"logout"},
		{"status"},
		{"token"},
		{"call", "GET", "/x"},
		{"profile", "show"},
		{"userinfo"},
		{"introspect"},
		{"revoke"},
		{"exchange"},
		{"proxy", "--listen", "192.0.2.1:0"}, // which is refused, so that the command ends
		{"verify"},
		{"discover"},
		{"exec", "--", "go", "version"},
	} {
		if code := w.run(append([]string{"-p", "prdo"}, args...)...); code != 2 || !strings.Contains(w.stderr.String(), `unknown profile "prdo"`) || !strings.Contains(w.stderr.String(), "did you mean prod?") {
			t.Errorf("%v: %d\n%s", args, code, &w.stderr)
		}
		if args[0] == "exec" {
			continue // the program would replace this test
		}
		if code := w.run(append([]string{"-p", "prod", "--timeout", "5s"}, args...)...); strings.Contains(w.stderr.String(), "unknown profile") {
			t.Errorf("%v with the right name: %d\n%s", args, code, &w.stderr)
		}
		w.run("login", w.api, "--browser", "-p", "prod", "-q")
	}
}
