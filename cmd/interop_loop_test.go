package cmd_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/cmd"
)

// An itemsAPI is a protected API under /api that verifies tokens with go-jose. Its metadata (RFC 9728) has its issuer.
type itemsAPI struct {
	url     string
	issuer  string
	keys    jose.JSONWebKeySet
	revoked atomic.Value // a valid token that is refused
}

func startItemsAPI(t *testing.T) *itemsAPI {
	t.Helper()
	api := &itemsAPI{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/oauth-protected-resource/api", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"resource":%q,"authorization_servers":[%q],"scopes_supported":["items:read","items:write"]}`, api.url, api.issuer)
	})
	mux.HandleFunc("GET /api", api.guard("", ""))
	mux.HandleFunc("GET /api/items", api.guard("items:read", `[{"id":1,"name":"Widget"}]`))
	mux.HandleFunc("DELETE /api/users/{id}", api.guard("users:delete", "{}"))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	api.url = server.URL + "/api"
	return api
}

// guard sends body if the token is valid and has the scope, and otherwise a challenge (RFC 6750).
func (api *itemsAPI) guard(scope, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		metadata := fmt.Sprintf("resource_metadata=%q", strings.TrimSuffix(api.url, "/api")+"/.well-known/oauth-protected-resource/api")
		raw, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			w.Header().Set("WWW-Authenticate", "Bearer "+metadata)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		granted, err := api.verify(raw)
		switch {
		case err != nil:
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token", `+metadata)
			w.WriteHeader(http.StatusUnauthorized)
		case !strings.Contains(" "+granted+" ", " "+scope+" "):
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer error="insufficient_scope", scope=%q, %s`, scope, metadata))
			w.WriteHeader(http.StatusForbidden)
		default:
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(body))
		}
	}
}

// verify verifies an access token with go-jose and returns its scopes.
func (api *itemsAPI) verify(raw string) (string, error) {
	if raw == api.revoked.Load() {
		return "", fmt.Errorf("revoked")
	}
	parsed, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return "", err
	}
	var claims struct {
		jwt.Claims
		Scope string `json:"scope"`
	}
	if err := parsed.Claims(api.keys, &claims); err != nil {
		return "", err
	}
	return claims.Scope, claims.Validate(jwt.Expected{Issuer: api.issuer, AnyAudience: jwt.Audience{api.url}, Time: time.Now()})
}

// An interopUser runs commands with one home directory, one browser and one user.
type interopUser struct {
	t      *testing.T
	home   string
	person person
	stderr *watcher // nil if no one watches
}

// An outcome is the result of a command: its exit code and its output.
type outcome struct {
	code           int
	stdout, stderr string
}

func (u *interopUser) run(args ...string) outcome {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(u.t.Context(), 30*time.Second)
	defer cancel()
	var stdout bytes.Buffer
	stderr := u.stderr
	if stderr == nil {
		stderr = &watcher{}
	}
	code := cmd.Run(ctx, &cmd.Env{
		Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: stderr,
		Getenv: func(string) string { return "" },
		Now:    time.Now,
		Browse: func(address string) error {
			_, err := clickThrough(ctx, address, u.person)
			return err
		},
		ConfigDir: filepath.Join(u.home, "config"), StateDir: filepath.Join(u.home, "state"),
		IsTerminal: func(any) bool { return false },
	}, args)
	return outcome{code, stdout.String(), stderr.String()}
}

// want runs a command that must end with code, and returns its output.
func (u *interopUser) want(code int, args ...string) outcome {
	u.t.Helper()
	got := u.run(args...)
	if got.code != code {
		u.t.Fatalf("oauthctl %s ended with %d, want %d\nstdout: %s\nstderr: %s",
			strings.Join(args, " "), got.code, code, got.stdout, got.stderr)
	}
	return got
}

// All steps at a server of other authors, from the API's URL alone; go-jose verifies each token.
func TestInteropLoop(t *testing.T) {
	api := startItemsAPI(t)
	api.issuer = startOIDCProvider(t, "--api", api.url)
	api.keys = getJSON[jose.JSONWebKeySet](t, api.issuer+"/jwks")
	user := &interopUser{t: t, home: t.TempDir(), person: person{Login: "alice"}}

	user.want(5, "token")
	login := user.want(0, "login", api.url, "--browser", "--prompt", "consent")
	if login.stdout != "" {
		t.Errorf("login printed on stdout: %s", login.stdout)
	}
	for _, words := range []string{"alice", "items:read", "items:write"} {
		if !strings.Contains(login.stderr, words) {
			t.Errorf("login does not tell of %s:\n%s", words, login.stderr)
		}
	}
	raw := strings.TrimSpace(user.want(0, "token").stdout)
	if granted, err := api.verify(raw); err != nil || granted != "items:read items:write" {
		t.Errorf("go-jose reads the scopes %q of the access token, %v", granted, err)
	}

	var report struct {
		Valid  bool `json:"valid"`
		Checks []struct {
			Check  string `json:"check"`
			Status string `json:"status"`
		} `json:"checks"`
	}
	if err := json.Unmarshal([]byte(user.want(0, "verify", "--json").stdout), &report); err != nil {
		t.Fatal(err)
	}
	passed := map[string]string{}
	for _, c := range report.Checks {
		passed[c.Check] = c.Status
	}
	for _, check := range []string{"signature", "issuer", "audience", "expiry"} {
		if passed[check] != "passed" {
			t.Errorf("verify: %s is %q, want passed", check, passed[check])
		}
	}
	if !report.Valid {
		t.Error("verify: not valid")
	}

	user.want(0, "check", "--scope", "items:read")
	user.want(4, "check", "--scope", "users:delete")
	const items = `[{"id":1,"name":"Widget"}]`
	if diff := cmp.Diff(items, strings.TrimSpace(user.want(0, "call", "GET", "/items").stdout)); diff != "" {
		t.Errorf("call (-want +got):\n%s", diff)
	}
	if denied := user.want(4, "call", "DELETE", "/users/1"); !strings.Contains(denied.stderr, "oauthctl login --add-scope users:delete") {
		t.Errorf("call does not tell how to widen the scope:\n%s", denied.stderr)
	}

	// Both servers are correct, so doctor finds nothing, not even a warning.
	for _, url := range []string{api.url + "/items", api.issuer} {
		if found := user.want(0, "doctor", url, "--deep", "-v", "--strict"); !strings.Contains(found.stdout, "nothing wrong was found") {
			t.Errorf("doctor %s:\n%s", url, found.stdout)
		}
	}

	// The API refuses the token. It is refreshed once, with the resource, and the call succeeds.
	api.revoked.Store(raw)
	user.want(0, "call", "GET", "/items")
	if renewed := strings.TrimSpace(user.want(0, "token").stdout); renewed == raw {
		t.Error("call did not keep the renewed token")
	}

	user.want(0, "login", "--add-scope", "users:delete", "--browser")
	user.want(0, "call", "DELETE", "/users/1")
	user.want(0, "logout")
	user.want(5, "status")
	user.want(5, "call", "GET", "/items")
}

func TestInteropLoginCancelled(t *testing.T) {
	api := startItemsAPI(t)
	api.issuer = startOIDCProvider(t, "--api", api.url)
	user := &interopUser{t: t, home: t.TempDir(), person: person{Cancel: true}}
	user.want(5, "login", api.url, "--browser", "--prompt", "consent")
	user.want(5, "token")
}
