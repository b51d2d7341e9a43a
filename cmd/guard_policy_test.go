package cmd_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// A policy has texts from the environment and a part in another file. A change of that part is noticed.
func TestGuardPolicyParts(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer upstream.Close()
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
		return file
	}
	file := write("policy.yaml", "include: shared.yaml\naudience: ${API}\nroutes:\n  \"GET /items\": {scopes: [\"${NEEDED}\"]}\n  \"GET /forbidden\": {claims: {sub: \"${OTHER}\"}}\n")
	write("shared.yaml", "issuer: ${ISSUER}\nroutes:\n  \"GET /healthz\": {public: true}\n")
	variables := map[string]string{"API": w.api, "ISSUER": w.issuer, "NEEDED": "items:read", "OTHER": "another-user"}
	g := startGuardIn(t, w.home, variables, "--upstream", upstream.URL, "--policy", file)
	if code := w.run("login", w.api, "--browser", "-q"); code != 0 {
		t.Fatalf("login: %d %s", code, &w.stderr)
	}
	w.run("token")
	token := strings.TrimSpace(w.stdout.String())
	for path, want := range map[string]int{"/items": 200, "/healthz": 200, "/forbidden": 403, "/more": 403} {
		if status, body := g.ask(path, token); status != want {
			t.Errorf("%s: %d %s, want %d", path, status, body, want)
		}
	}
	write("shared.yaml", "issuer: ${ISSUER}\nroutes:\n  \"GET /healthz\": {public: true}\n  \"GET /more\": {}\n")
	eventually(t, 10*time.Second, "the changed part counts", func() bool { status, _ := g.ask("/more", token); return status == 200 })
	write("shared.yaml", "issuer: ${ISSUER}\nroutes:\n  \"GET /healthz\": {publik: true}\n")
	eventually(t, 10*time.Second, "the wrong part is reported by its own place", func() bool { return strings.Contains(g.stderr.String(), "shared.yaml:3:20: unknown key") })
	if status, _ := g.ask("/more", token); status != 200 {
		t.Errorf("a wrong part: %d", status)
	}

	// If its variables are not set, no command uses the policy.
	for _, args := range [][]string{{"guard", "--check-policy", file}, {"guard", "--upstream", upstream.URL, "--policy", file}, {"guard", "deny", "--sub", "a", "--policy", file, "--revocations", "redis://127.0.0.1:1"}} {
		if code := w.run(args...); code != 2 || !strings.Contains(w.stderr.String(), "the variable API is not set or empty") {
			t.Errorf("%v: %d %s", args, code, &w.stderr)
		}
	}
}
