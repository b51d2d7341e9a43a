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

// An operation is never allowed while the issuer's metadata is unsafe to use.
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
