package cmd_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// An operation is never allowed if the issuer's metadata is unsafe.
func TestCheckPolicyWithUnsafeMetadata(t *testing.T) {
	as := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		fmt.Fprint(rw, `{"issuer":"https://another.example","jwks_uri":"https://another.example/keys"}`)
	}))
	defer as.Close()
	home := t.TempDir()
	w := &world{t: t, home: home, now: time.Now, getenv: map[string]string{}}
	policy, token := filepath.Join(home, "policy.yaml"), filepath.Join(home, "token")
	write(t, policy, "issuer: "+as.URL+"\naudience: https://api.example\nroutes:\n  \"GET /items\": {scopes: [items:read]}\n", 0o600)
	key := filepath.Join(home, "key.jwk")
	if code := w.run("jwks", "generate", "--private-out", key); code != 0 {
		t.Fatal(&w.stderr)
	}
	if code := w.run("sign", "--key", key, "--claim", "iss="+as.URL, "--claim", "aud=https://api.example"); code != 0 {
		t.Fatal(&w.stderr)
	}
	write(t, token, w.stdout.String(), 0o600)
	code := w.run("check", "@"+token, "--policy", policy, "--operation", "GET /items")
	if code != 7 || !strings.Contains(w.stderr.String(), "DISCOVERY_MISMATCH") || strings.Contains(w.stdout.String(), "no token is needed") {
		t.Errorf("exit %d\n%s%s", code, &w.stdout, &w.stderr)
	}
}

// The age of a login is checked at the time of --at and of the cases, like exp.
func TestCheckPolicyLoginAge(t *testing.T) {
	home := t.TempDir()
	w := &world{t: t, home: home, now: time.Now, getenv: map[string]string{}}
	policy, cases, token, key := filepath.Join(home, "policy.yaml"), filepath.Join(home, "cases.yaml"), filepath.Join(home, "token"), filepath.Join(home, "key.jwk")
	write(t, policy, "issuer: https://as.example\naudience: https://api.example\nroutes:\n  \"GET /pay\": {max_age: 10m}\n", 0o600)
	if code := w.run("jwks", "generate", "--private-out", key); code != 0 {
		t.Fatal(&w.stderr)
	}
	public := filepath.Join(home, "keys.json")
	write(t, public, w.stdout.String(), 0o600)
	const login = 1900000000
	sign := []string{"sign", "--key", key, "--claim", "iss=https://as.example", "--claim", "aud=https://api.example"}
	for _, claim := range []string{"iat", "auth_time"} {
		sign = append(sign, "--claim", fmt.Sprintf("%s:=%d", claim, login))
	}
	if code := w.run(append(sign, "--claim", fmt.Sprintf("exp:=%d", login+7200))...); code != 0 {
		t.Fatal(&w.stderr)
	}
	write(t, token, w.stdout.String(), 0o600)
	for seconds, want := range map[int]int{0: 0, 599: 0, 601: 4, 7000: 4} {
		code := w.run("check", "@"+token, "--policy", policy, "--jwks", public, "--operation", "GET /pay", "--at", fmt.Sprint(login+seconds))
		if code != want || want != 0 && !strings.Contains(w.stderr.String(), "STEP_UP_REQUIRED") {
			t.Errorf("%d s after the login: exit %d, want %d\n%s%s", seconds, code, want, &w.stdout, &w.stderr)
		}
	}
	w.now = func() time.Time { return time.Unix(login+60, 0) }
	write(t, cases, fmt.Sprintf(`[{"name": "fresh", "operation": "GET /pay", "claims": {"auth_time": %d}, "status": 200},
		{"name": "old", "operation": "GET /pay", "claims": {"auth_time": %d}, "status": 401, "id": "STEP_UP_REQUIRED"}]`, login, login-3600), 0o600)
	if code := w.run("check", "--policy", policy, "--cases", cases); code != 0 {
		t.Errorf("cases: exit %d\n%s%s", code, &w.stdout, &w.stderr)
	}
}
