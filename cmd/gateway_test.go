package cmd_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// startNginx runs nginx with a server block of a page until the test ends.
func startNginx(t *testing.T, server, address string) {
	t.Helper()
	need(t, "nginx", missingProgram("nginx"))
	dir := t.TempDir()
	config := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr warn;
events {}
http {
    access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
%[2]s}
`, dir, server)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	nginx := exec.Command("nginx", "-p", dir, "-e", "stderr", "-c", file)
	nginx.Stdout, nginx.Stderr = &output, &output
	if err := nginx.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = nginx.Process.Kill()
		_ = nginx.Wait()
		if t.Failed() {
			t.Logf("nginx:\n%s", &output)
		}
	})
	eventually(t, 10*time.Second, "nginx listens", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// The configuration of nginx in docs/secure-your-api.md, in front of the FastAPI app that checks nothing.
func TestNginxAsksGuard(t *testing.T) {
	need(t, "nginx", missingProgram("nginx"))
	w := newWorld(t, devserver.Config{})
	api := startFastAPI(t, "plain", nil)
	page, err := os.ReadFile("../docs/secure-your-api.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```nginx\n(.*?)```").FindSubmatch(page)
	if m == nil {
		t.Fatal("the page has no configuration of nginx")
	}
	file := filepath.Join(t.TempDir(), "policy.yaml")
	text := fmt.Sprintf("issuer: %s\naudience: %s\nroutes:\n  \"GET /api/items\": {scopes: [items:read]}\n  \"DELETE /api/users/{id}\": {scopes: [users:delete]}\n  \"GET /healthz\": {public: true}\n", w.issuer, w.api)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	g := startGuard(t, w.home, "--forward-auth=nginx", "--trusted-proxy", "127.0.0.1", "--policy", file)
	front := freeAddress(t)
	startNginx(t, strings.NewReplacer("127.0.0.1:8090", front, "http://127.0.0.1:8080", g.address, "http://127.0.0.1:8000", api).Replace(string(m[1])), front)
	if code := w.run("login", w.api, "--browser", "-q"); code != 0 {
		t.Fatalf("login: %d %s", code, &w.stderr)
	}
	w.run("token")
	token := strings.TrimSpace(w.stdout.String())
	for _, request := range []gatewayRequest{
		{"GET", "/api/items", token, nil, 200, ""},
		{"GET", "/api/items?x=1", token, nil, 200, ""},
		{"GET", "/api/items", "", nil, 401, ""},
		{"DELETE", "/api/users/1", token, nil, 403, ""},
		{"GET", "/api/items", token, map[string]string{"X-Auth-Subject": "root"}, 403, ""},
		{"GET", "/api/items", "", map[string]string{"X-Original-URI": "/healthz", "X-Original-Method": "GET"}, 401, ""},
		{"GET", "/api/items", "", map[string]string{"X-Forwarded-Uri": "/healthz", "X-Forwarded-Method": "GET"}, 401, ""},
		{"GET", "/_guard", token, nil, 404, ""},
		{"GET", "/healthz/../api/items", "", nil, 500, ""}, // nginx turns the 400 into it
	} {
		request.check(t, front)
	}
}

// gatewayRequest is a request to a gateway in front of an API, and the response
// that it must get.
type gatewayRequest struct {
	method, path, token string
	fields              map[string]string
	status              int
	body                string // a part of it
}

// check sends the request with its path unchanged.
func (g gatewayRequest) check(t *testing.T, front string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), g.method, "http://"+front, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	path, query, _ := strings.Cut(g.path, "?")
	req.URL.Opaque, req.URL.RawQuery = path, query
	if g.token != "" {
		req.Header.Set("Authorization", "Bearer "+g.token)
	}
	for name, value := range g.fields {
		req.Header.Set(name, value)
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != g.status || !strings.Contains(string(body), g.body) || g.status == 401 && !strings.Contains(res.Header.Get("WWW-Authenticate"), "Bearer") {
		t.Errorf("%s %s %v: %d %v %s, want %d %s", g.method, g.path, g.fields, res.StatusCode, res.Header, body, g.status, g.body)
	}
}

// A CGI program reads headers as variables, in which dots and underscores are the same character. It gets only the
// identity that guard sends.
func TestGuardBeforeCGI(t *testing.T) {
	need(t, "php-cgi", missingProgram("php-cgi"))
	w := newWorld(t, devserver.Config{})
	script := filepath.Join(t.TempDir(), "who.php")
	if err := os.WriteFile(script, []byte(`<?php header("Content-Type: text/plain"); foreach ($_SERVER as $n => $v) if (preg_match("/^HTTP_(X_AUTH|REMOTE|PROXY)/", $n)) echo "$n=$v\n";`), 0o600); err != nil {
		t.Fatal(err)
	}
	program, _ := exec.LookPath("php-cgi")
	upstream := httptest.NewServer(&cgi.Handler{Path: program, Env: []string{"SCRIPT_FILENAME=" + script, "REDIRECT_STATUS=200"}, Stderr: io.Discard})
	defer upstream.Close()
	file := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, "issuer: %s\naudience: %s\nroutes:\n  \"GET /who\": {}\n  \"GET /open\": {public: true}\n", w.issuer, w.api), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := w.run("login", w.api, "--browser", "-q"); code != 0 {
		t.Fatalf("login: %d %s", code, &w.stderr)
	}
	w.run("token")
	token := strings.TrimSpace(w.stdout.String())
	g := startGuard(t, w.home, "--upstream", upstream.URL, "--policy", file)
	for path, want := range map[string]string{"/who": "alice", "/open": ""} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, g.address+path, http.NoBody)
		req.Header.Set("Authorization", "Bearer "+token)
		for _, name := range []string{"X_Auth_Subject", "X-Auth.Subject", "X.Auth.Scope", "X~Auth~Issuer", "X-Auth-Client_Id", "Remote-User", "Proxy", "X-Auth-Role"} {
			req.Header[name] = []string{"forged"}
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != 200 || bytes.Contains(body, []byte("forged")) || bytes.Contains(body, []byte("HTTP_X_AUTH_SUBJECT=alice")) != (want != "") {
			t.Errorf("%s: %d; the program read:\n%s", path, res.StatusCode, body)
		}
	}
}
