package cmd_test

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// findPython returns the Python interpreter for the APIs, or what is missing.
func findPython() (python, missing string) {
	for _, python := range []string{"python3", "/usr/bin/python3"} { // another one may come before Debian's in the PATH
		out, err := exec.Command(python, "-c", "import fastapi, jose, uvicorn").CombinedOutput()
		if err == nil {
			return python, ""
		}
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		missing = err.Error() + ": " + lines[len(lines)-1] + " (Debian: python3-fastapi python3-jose uvicorn)"
	}
	return "", missing
}

// startFastAPI runs a module of testdata/fastapi until the test ends, and returns its URL.
func startFastAPI(t testing.TB, module string, environ func(address string) []string) string {
	t.Helper()
	python, missing := findPython()
	need(t, "fastapi", missing)
	port := freePorts(t, "api")["api"]
	address := "http://127.0.0.1:" + port
	server := exec.CommandContext(t.Context(), python, "-m", "uvicorn", module+":app", "--host", "127.0.0.1", "--port", port, "--log-level", "warning")
	server.Dir = filepath.Join("testdata", "fastapi")
	server.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	if environ != nil {
		server.Env = append(server.Env, environ(address)...)
	}
	output := startUntilEnd(t, server)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if res, err := http.Get(address + "/openapi.json"); err == nil {
			res.Body.Close()
			return address
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not answer:\n%s", module, output)
		}
	}
}

// An API that verifies tokens with another library accepts those of the development server, and call works with it.
func TestFastAPI(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	// Its audience is the one for which the development server issues tokens.
	api := startFastAPI(t, "items", func(string) []string { return []string{"OAUTH_ISSUER=" + w.issuer, "OAUTH_AUDIENCE=" + w.api} })
	for _, step := range []struct {
		code   int
		args   string
		stdout string
	}{
		{0, "login " + w.api + " --browser", ""},
		{0, "profile set api=" + api, ""},
		{0, "call GET /api/items", `[{"id":1,"name":"Widget"}]`},
		{0, "call POST /api/items id:=2 name=Gizmo", `{"id":2,"name":"Gizmo"}`},
		{9, "call POST /api/items id=x", "value is not a valid integer"},
		{4, "call DELETE /api/users/1", ""},
		{0, "login --browser --add-scope users:delete", ""},
		{0, "call DELETE /api/users/1", `{"deleted":1,"by":"alice"}`},
		{3, "call GET /api/items --no-token", ""},
	} {
		code := w.run(strings.Fields(step.args)...)
		if code != step.code || !strings.Contains(w.stdout.String(), step.stdout) {
			t.Fatalf("%s: %d\n%s%s", step.args, code, &w.stdout, &w.stderr)
		}
	}
	for _, fault := range []string{"expired", "wrong-audience", "wrong-issuer", "bad-signature", "alg-none"} {
		if _, err := http.PostForm(w.issuer+"/_control/fault", url.Values{"fault": {fault}}); err != nil {
			t.Fatal(err)
		}
		w.run("token", "--refresh")
		if code := w.run("call", "GET", "/api/items"); code != 3 {
			t.Errorf("%s: %d\n%s", fault, code, &w.stderr)
		}
		w.run("login", w.api, "--browser")
		w.run("profile", "set", "api="+api)
	}
}

// Guard alone protects an API that checks nothing.
func TestGuardBeforeFastAPI(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	upstream := startFastAPI(t, "plain", nil)
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(policy, []byte("issuer: "+w.issuer+"\naudience: "+w.api+"\nroutes:\n  \"GET /api/items\": {scopes: [items:read]}\n  \"GET /healthz\": {public: true}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g := startGuard(t, t.TempDir(), "--upstream", upstream, "--policy", policy)
	if code := w.run("login", w.api, "--browser"); code != 0 {
		t.Fatalf("login: %d\n%s", code, &w.stderr)
	}
	w.run("token")
	token := strings.TrimSpace(w.stdout.String())
	for _, tt := range []struct {
		path, token string
		status      int
		body        string
	}{
		{"/api/items", "", 401, ""},
		{"/api/items", "guess", 401, "OPAQUE_TOKEN"},
		{"/api/items", token, 200, `"for":"alice"`}, // not the root that the request claims to be
		{"/api/items", token, 200, `"authorization":null`},
		{"/healthz", "", 200, "well"},
		{"/openapi.json", token, 403, ""}, // a route that the policy does not list
		{"/api//items", token, 400, ""},
	} {
		if status, body := g.ask(tt.path, tt.token); status != tt.status || !strings.Contains(body, tt.body) {
			t.Errorf("%s: %d %s, want %d %s", tt.path, status, body, tt.status, tt.body)
		}
	}
	w.run("profile", "set", "api="+g.address)
	if code := w.run("call", "GET", "/api/items", "--jq", ".for"); code != 0 || w.stdout.String() != "alice\n" {
		t.Errorf("call: %d %q\n%s", code, &w.stdout, &w.stderr)
	}
}

// The page shows the whole program that TestFastAPI runs.
func TestFastAPIPage(t *testing.T) {
	page, err := os.ReadFile("../docs/secure-your-api.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(filepath.Join("testdata", "fastapi", "items.py"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```python\n")
	shown, _, ok := strings.Cut(rest, "```")
	if diff := cmp.Diff(string(program), shown); !ok || diff != "" {
		t.Errorf("the page shows another program (-want +got):\n%s", diff)
	}
}
