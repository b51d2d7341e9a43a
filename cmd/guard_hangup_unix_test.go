//go:build unix

package cmd_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// At SIGHUP, the policy and the key file are read again at once.
func TestGuardHangup(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer upstream.Close()
	if code := w.run("login", w.api, "--browser", "-q"); code != 0 {
		t.Fatalf("login: %d %s", code, &w.stderr)
	}
	w.run("token")
	token := strings.TrimSpace(w.stdout.String())
	_, real := statusOf(t, w.issuer+"/jwks")
	if !strings.Contains(real, "keys") {
		t.Skip("the key set is elsewhere")
	}
	keys := filepath.Join(t.TempDir(), "keys.json")
	other := `{"keys":[{"kty":"EC","crv":"P-256","kid":"other","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`
	if err := os.WriteFile(keys, []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	file := policyFile(t, w.issuer, w.api, "  \"GET /a\": {scopes: [items:read]}\n")
	g := startGuard(t, w.home, "--upstream", upstream.URL, "--policy", file, "--jwks", keys)
	if status, _ := g.ask("/a", token); status != 401 {
		t.Fatalf("with other keys: %d", status)
	}
	if err := os.WriteFile(keys, []byte(real), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("issuer: "+w.issuer+"\naudience: "+w.api+"\nroutes:\n  \"GET /a\": {}\n  \"GET /new\": {public: true}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, "the new keys", func() bool { status, _ := g.ask("/a", token); return status == 200 })
	eventually(t, 5*time.Second, "the new route", func() bool { status, _ := g.ask("/new", ""); return status == 200 })
	if log := g.stderr.String(); !strings.Contains(log, `"widened":[`) {
		t.Errorf("the log does not say what was opened: %s", log)
	}
}
