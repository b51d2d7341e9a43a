package cmd_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// policyFile writes a policy with routes and returns the file name.
func policyFile(t *testing.T, issuer, audience, routes string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, []byte("issuer: "+issuer+"\naudience: "+audience+"\nroutes:\n"+routes), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// field returns a field of the log line that says where the guard listens.
func (g *guard) field(name string) string {
	m := regexp.MustCompile(`"` + name + `":"([^"]+)"`).FindStringSubmatch(g.stderr.String())
	if m == nil {
		g.t.Fatalf("no %s in %s", name, g.stderr)
	}
	return m[1]
}

func statusOf(t *testing.T, url string) (int, string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(body)
}

// A guard whose keys are unavailable starts, serves public routes, answers 503 to other requests, and is not ready.
// Everything that it writes is JSON.
func TestGuardStartsWithoutKeys(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer upstream.Close()
	for name, args := range map[string][]string{"--jwks": {"--jwks", "http://127.0.0.1:1/keys"}, "issuer": nil} {
		file := policyFile(t, "http://127.0.0.1:1", "https://api.example", "  \"GET /a\": {}\n  \"GET /open\": {public: true}\n")
		g := startGuard(t, t.TempDir(), append([]string{"--upstream", upstream.URL, "--policy", file, "--admin-listen", "127.0.0.1:0", "--service", "orders"}, args...)...)
		if status, _ := g.ask("/open", ""); status != 200 {
			t.Errorf("%s, a public route: %d", name, status)
		}
		key := "eyJhbGciOiJFUzI1NiIsImtpZCI6ImEifQ.eyJpc3MiOiJodHRwOi8vMTI3LjAuMC4xOjEiLCJleHAiOjk5OTk5OTk5OTl9." + strings.Repeat("A", 86)
		if status, body := g.ask("/a", key); status != 503 {
			t.Errorf("%s, a guarded route: %d %s", name, status, body)
		}
		admin := g.field("admin")
		if status, body := statusOf(t, admin+"/readyz"); status != 503 {
			t.Errorf("%s, readyz: %d %s", name, status, body)
		}
		if _, body := statusOf(t, admin+"/metrics"); !strings.Contains(body, "oauthctl_guard_keys 0\n") || !strings.Contains(body, `oauthctl_guard_keys_fetches_total{result="failed"}`) {
			t.Errorf("%s: no metrics of keys: %s", name, body)
		}
		g.stop()
		for line := range strings.Lines(g.stderr.String()) {
			if !json.Valid([]byte(line)) {
				t.Errorf("%s: not JSON: %s", name, line)
			}
		}
	}
}

// The flags for the API's TLS are used, and refused if they would have no effect.
func TestGuardUpstreamTLS(t *testing.T) {
	api := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello ", r.Host) }))
	defer api.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	file := policyFile(t, "http://127.0.0.1:1", "https://api.example", "  \"GET /open\": {public: true}\n")
	for name, tt := range map[string]struct {
		args   []string
		status int
	}{
		"unknown authority": {nil, 502},
		"with its CA":       {[]string{"--upstream-ca-cert", ca}, 200},
		"skipped":           {[]string{"--upstream-insecure-skip-tls-verify"}, 200},
	} {
		g := startGuard(t, t.TempDir(), append([]string{"--upstream", api.URL, "--policy", file}, tt.args...)...)
		if status, body := g.ask("/open", ""); status != tt.status {
			t.Errorf("%s: %d %s, want %d", name, status, body, tt.status)
		}
		g.stop()
	}
	silent := slowAPI(t)
	g := startGuard(t, t.TempDir(), "--upstream", silent, "--policy", file, "--upstream-timeout", "100ms")
	if status, body := g.ask("/open", ""); status != 504 {
		t.Errorf("an API that does not answer: %d %s", status, body)
	}
}

// slowAPI accepts connections and never responds.
func slowAPI(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return "http://" + l.Addr().String()
}

// The revocation of a subject includes the leeway for the issuer's clock, the list shows it, and an undo removes it.
func TestGuardDenyListAndUndo(t *testing.T) {
	port, _ := startRedis(t, "")
	store := "redis://127.0.0.1:" + port + "/0"
	w := newWorld(t, devserver.Config{})
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer upstream.Close()
	file := policyFile(t, w.issuer, w.api, "  \"GET /a\": {scopes: [items:read]}\n")
	g := startGuard(t, w.home, "--upstream", upstream.URL, "--policy", file, "--revocations", store, "--admin-listen", "127.0.0.1:0")
	login := func() string {
		if code := w.run("login", w.api, "--browser", "-q"); code != 0 {
			t.Fatalf("login: %d %s", code, &w.stderr)
		}
		w.run("token")
		return strings.TrimSpace(w.stdout.String())
	}
	first := login()
	eventually(t, 5*time.Second, "the state of revocations", func() bool { status, _ := g.ask("/a", first); return status == 200 })
	if code := w.run("guard", "deny", "--sub", "alice", "--policy", file, "--revocations", store); code != 0 || !strings.Contains(w.stderr.String(), "revoked: all tokens issued to alice until ") {
		t.Fatalf("deny: %d %s", code, &w.stderr)
	}
	eventually(t, 2*time.Second, "the token is refused", func() bool { status, _ := g.ask("/a", first); return status == 401 })
	// The token is issued after the revocation, as by a clock that is a few seconds ahead.
	if status, body := g.ask("/a", login()); status != 401 || !strings.Contains(body, "REVOKED") {
		t.Errorf("a token within the leeway: %d %s", status, body)
	}
	if code := w.run("guard", "deny", "list", "--revocations", store, "--jq", ".[0].value"); code != 0 || w.stdout.String() != "alice\n" {
		t.Errorf("list: %d %s %s", code, &w.stdout, &w.stderr)
	}
	if code := w.run("guard", "deny", "list", "--revocations", store); code != 0 || !strings.Contains(w.stdout.String(), "sub alice  "+w.issuer) {
		t.Errorf("list: %d %s %s", code, &w.stdout, &w.stderr)
	}
	if code := w.run("guard", "deny", "undo", "--sub", "alice", "--issuer", w.issuer, "--revocations", store); code != 0 {
		t.Errorf("undo: %d %s", code, &w.stderr)
	}
	eventually(t, 2*time.Second, "the token is accepted again", func() bool { status, _ := g.ask("/a", first); return status == 200 })
	if code := w.run("guard", "deny", "list", "--revocations", store, "--json"); code != 0 || strings.TrimSpace(w.stdout.String()) != "[]" {
		t.Errorf("list afterwards: %d %s", code, &w.stdout)
	}
	if code := w.run("guard", "deny", "--sub", "alice", "--issuer", w.issuer+"/", "--policy", file, "--revocations", store); code != 2 {
		t.Errorf("an issuer that the policy does not have: %d %s", code, &w.stderr)
	}
	if code := w.run("guard", "deny", "--sub", "alice", "--revocations", store); code != 2 || !strings.Contains(w.stderr.String(), "needs the issuer") {
		t.Errorf("no issuer: %d %s", code, &w.stderr)
	}
	if _, body := statusOf(t, g.field("admin")+"/metrics"); !strings.Contains(body, "oauthctl_guard_revocations_lost 0\n") {
		t.Errorf("no metrics of revocations: %s", body)
	}
}

// A policy is checked without starting anything, and changes that accept more are listed first.
func TestGuardCheckPolicy(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	before := policyFile(t, "https://a", "b", "  \"GET /a\": {scopes: [a], claims: {role: admin}}\n  \"GET /b\": {scopes: [b]}\n  \"GET /c\": {public: true}\n")
	after := policyFile(t, "https://a", "b", "  \"GET /a\": {scopes: [a]}\n  \"GET /b\": {public: true}\n  \"GET /c\": {scopes: [c]}\n  \"GET /d\": {}\n")
	if code := w.run("guard", "--check-policy", after, "--compared-with", before); code != 0 {
		t.Fatalf("%d %s", code, &w.stderr)
	}
	want := `! "GET /a" needs scopes a, needed scopes a, claim role=admin
! "GET /b" is public, needed scopes b
! "GET /d" is new and needs any token
  "GET /c" needs scopes c, was public
`
	if got := w.stdout.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if code := w.run("guard", "--check-policy", after, "--compared-with", before, "--jq", "[.changes[] | select(.widens) | .route] | length"); code != 0 || w.stdout.String() != "3\n" {
		t.Errorf("%d %s", code, &w.stdout)
	}
	wrong := policyFile(t, "https://a", "b", "  \"GET /users/:id\": {}\n")
	if code := w.run("guard", "--check-policy", wrong); code != 2 || !strings.Contains(w.stderr.String(), ":4:3:") || !strings.Contains(w.stderr.String(), "{id}") {
		t.Errorf("a wrong policy: %d %s", code, &w.stderr)
	}
}

// Flags that guard would ignore are refused, and no password is printed.
func TestGuardUsage(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	file := policyFile(t, "https://a", "b", "  \"GET /a\": {}\n")
	up := []string{"--upstream", "http://127.0.0.1:1"}
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"a password":           {[]string{"--upstream", "http://u:canary@127.0.0.1:1"}, "user or a password"},
		"a user":               {[]string{"--upstream", "https://canary@127.0.0.1:1"}, "user or a password"},
		"not a URL":            {[]string{"--upstream", "127.0.0.1:1"}, "expected"},
		"TLS without https":    {append(up, "--upstream-ca-cert", "x"), "https"},
		"no CA file":           {[]string{"--upstream", "https://127.0.0.1:1", "--upstream-ca-cert", "/nonexistent"}, "--upstream-ca-cert"},
		"a proxy's name":       {append(up, "--trusted-proxy", "ingress"), "address or a range"},
		"half a claim":         {append(up, "--claim-header", "X-A"), "NAME=CLAIM"},
		"a claim as subject":   {append(up, "--claim-header", "X-Auth-Subject=email"), "cannot be used for a claim"},
		"log":                  {append(up, "--log", "some"), "all, refusals or off"},
		"DPoP without a URL":   {append(up, "--dpop"), "--dpop needs"},
		"bound to nothing":     {append(up, "--require-bound"), "--require-bound needs"},
		"certificate":          {append(up, "--client-cert-header", "Client-Cert"), "needs the address"},
		"another header":       {append(up, "--client-cert-header", "X-Cert", "--trusted-proxy", "10.0.0.1"), "expected Client-Cert"},
		"introspection":        {append(up, "--introspect", "opaque"), "own client"},
		"introspection secret": {append(up, "--introspect", "opaque", "--introspect-client-id", "api"), "secret"},
		"gateway alone":        {[]string{"--forward-auth"}, "address of the gateway"},
		"gateway and API":      {append(up, "--forward-auth", "--trusted-proxy", "127.0.0.1"), "cannot be combined"},
		"unknown gateway":      {[]string{"--forward-auth=apache", "--trusted-proxy", "127.0.0.1"}, "nginx"},
		"compared":             {append(up, "--compared-with", file), "--check-policy"},
	} {
		code := w.run(append([]string{"guard", "--policy", file, "--listen", "127.0.0.1:0"}, tt.args...)...)
		if code != 2 || !strings.Contains(w.stderr.String(), tt.want) || strings.Contains(w.stderr.String(), "canary") {
			t.Errorf("%s: %d %s, want 2 and %q", name, code, &w.stderr, tt.want)
		}
	}
}

// A table of cases tests a policy, with the same results as guard.
func TestPolicyCases(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	file := policyFile(t, "https://as.example", "https://api.example", "  \"GET /a\": {scopes: [a]}\n  \"GET /open\": {public: true}\n  \"DELETE /a/{id}\": {claims: {role: [admin, owner]}}\n")
	cases := filepath.Join(t.TempDir(), "cases.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(cases, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	good := `
- {operation: GET /a, claims: {scope: a b}, status: 200}
- {operation: GET /a, claims: {scope: b}, status: 403, id: SCOPE_MISSING}
- {operation: GET /a, status: 401}
- {operation: GET /open, status: 200}
- {operation: GET /other, claims: {}, status: 403, id: OPERATION_UNLISTED}
- {name: only owners delete, operation: DELETE /a/7, claims: {role: owner}, status: 200}
- {operation: DELETE /a/7, claims: {role: guest}, status: 403, id: CLAIM_MISMATCH}
- {operation: GET /a/../open, status: 400}
- {operation: GET /a, claims: {iss: https://other.example, scope: a}, status: 401, id: ISS_MISMATCH}
`
	write(good)
	if code := w.run("check", "--policy", file, "--cases", cases); code != 0 || !strings.Contains(w.stderr.String(), "9 cases, 0 failed") {
		t.Errorf("%d %s %s", code, &w.stdout, &w.stderr)
	}
	write(good + "- {operation: GET /open, status: 401}\n")
	if code := w.run("check", "--policy", file, "--cases", cases); code == 0 || !strings.Contains(w.stdout.String(), "FAIL  GET /open  200") {
		t.Errorf("a case that fails: %d %s %s", code, &w.stdout, &w.stderr)
	}
	for name, text := range map[string]string{"unknown key": "- {operation: GET /a, expect: 200}\n", "no status": "- {operation: GET /a}\n", "empty": "", "no list": "a: b\n"} {
		write(text)
		if code := w.run("check", "--policy", file, "--cases", cases); code != 2 {
			t.Errorf("%s: %d %s", name, code, &w.stderr)
		}
	}
}
