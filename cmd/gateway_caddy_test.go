package cmd_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// startCaddy runs Caddy until the test ends. It asks a guard before it forwards a request to the API.
func startCaddy(t *testing.T, guard, api string) (address string) {
	t.Helper()
	address = freeAddress(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "Caddyfile")
	config := fmt.Sprintf(`{
	admin off
	auto_https off
}
http://%s {
	forward_auth %s {
		uri /
		copy_headers X-Auth-Subject X-Auth-Scope X-Auth-Issuer X-Auth-Client-Id
	}
	reverse_proxy %s
}
`, address, strings.TrimPrefix(guard, "http://"), strings.TrimPrefix(api, "http://"))
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	caddy := exec.Command("caddy", "run", "--config", file, "--adapter", "caddyfile")
	caddy.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	startUntilEnd(t, caddy)
	eventually(t, 30*time.Second, "caddy listens", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return address
}

// Caddy's forward_auth sends the same headers as Traefik's forwardAuth: X-Forwarded-Method and X-Forwarded-Uri.
func TestCaddyAsksGuard(t *testing.T) {
	need(t, "caddy", missingProgram("caddy"))
	w := newWorld(t, devserver.Config{})
	api := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(rw, "%s %s as %q", r.Method, r.RequestURI, r.Header["X-Auth-Subject"])
	}))
	defer api.Close()
	file := policyFile(t, w.issuer, w.api, "  \"GET /api/items\": {scopes: [items:read]}\n  \"DELETE /api/users/{id}\": {scopes: [users:delete]}\n  \"GET /healthz\": {public: true}\n")
	g := startGuard(t, w.home, "--forward-auth=caddy", "--trusted-proxy", "127.0.0.1", "--policy", file)
	front := startCaddy(t, g.address, api.URL)
	if code := w.run("login", w.api, "--browser", "-q"); code != 0 {
		t.Fatalf("login: %d %s", code, &w.stderr)
	}
	w.run("token")
	token := strings.TrimSpace(w.stdout.String())
	for _, request := range []gatewayRequest{
		{"GET", "/api/items?x=1&y=%20", token, nil, 200, `GET /api/items?x=1&y=%20 as ["alice"]`},
		{"GET", "/healthz", "", nil, 200, `GET /healthz as [""]`},
		{"GET", "/api/items", "", nil, 401, "CREDENTIALS_MISSING"},
		{"DELETE", "/api/users/1", token, nil, 403, "SCOPE_MISSING"},
		{"GET", "/other", token, nil, 403, "OPERATION_UNLISTED"},
		{"GET", "/healthz", "", map[string]string{"X-Auth-Subject": "root"}, 403, ""},
		{"GET", "/api/items", token, map[string]string{"X-Auth.Subject": "root"}, 403, ""},
		{"DELETE", "/api/users/1", token, map[string]string{"X-Forwarded-Uri": "/healthz", "X-Forwarded-Method": "GET"}, 403, "SCOPE_MISSING"},
		{"GET", "/api/items", "", map[string]string{"X-Original-URI": "/healthz", "X-Original-Method": "GET"}, 403, ""},
		{"GET", "/healthz/../api/items", "", nil, 400, "PATH_AMBIGUOUS"},
		{"GET", "/healthz%2f..%2fapi/items", "", nil, 400, "PATH_AMBIGUOUS"},
	} {
		request.check(t, front)
	}
}
