package cmd_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// The command that reproduces a finding sends the case again with everything that a valid token and request need. The
// user has to fill in the values of headers, which may be secret.
func TestAuditReproduces(t *testing.T) {
	w, api := newWorld(t, devserver.Config{}), newAuditedAPI(t)
	api.set("no-scope")
	inner, err := url.Parse(api.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(inner)
	picky := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims := ""
		if parts := strings.Split(r.Header.Get("Authorization"), "."); len(parts) == 3 {
			text, _ := base64.RawURLEncoding.DecodeString(parts[1])
			claims = string(text)
		}
		if !strings.Contains(claims, `"sub":"bob"`) || !strings.Contains(claims, `"tenant":"a b"`) || r.Header.Get("X-Key") != "s3cret" {
			w.Header().Set("WWW-Authenticate", "Bearer")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(picky.Close)
	document := writeFile(t, "openapi.yaml", auditedDocument) // where other operations have other scopes
	args := append([]string{picky.URL}, api.args("--subject", "bob", "--claim", "tenant=a b", "--header", "X-Key:s3cret", "--timeout", "9s", "--strict", "--openapi", document, "--param", "id=1")[1:]...)
	report, code := w.auditJSON(t, args...)
	if code != 7 || len(report.Findings) != 4 {
		t.Fatalf("%d\n%s", code, report)
	}
	for _, f := range report.Findings {
		if strings.Contains(f.Reproduce, "s3cret") {
			t.Errorf("the command holds the value of a header: %s", f.Reproduce)
		}
		command := strings.ReplaceAll(f.Reproduce, "X-Key:…", "X-Key:s3cret")
		c := exec.CommandContext(t.Context(), "/bin/sh", "-c", command+" --strict")
		c.Env = append(os.Environ(), "HOME="+w.home)
		output, _ := c.CombinedOutput()
		if c.ProcessState.ExitCode() != 7 || !strings.Contains(string(output), f.ID) || !strings.Contains(string(output), f.Case) {
			t.Errorf("%s: exit code %d\n%s", command, c.ProcessState.ExitCode(), output)
		}
	}
}
