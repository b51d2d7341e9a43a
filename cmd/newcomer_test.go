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

// After each mistake of a newcomer, the message shows the next command, or the flag or value to change.
func TestNewcomersMistakes(t *testing.T) {
	closed := func(string) error { return nil } // the user closes the browser
	for name, tt := range map[string]struct {
		prepare func(*world)
		args    []string // API and ISSUER stand for the servers' URLs
		code    int
		next    string // what the message must contain
	}{
		"no server running":         {nil, []string{"login", "http://127.0.0.1:1", "--browser"}, 6, "oauthctl dev"},
		"no server, discover":       {nil, []string{"discover", "http://127.0.0.1:1"}, 6, "oauthctl doctor http://127.0.0.1:1"},
		"no server, call":           {nil, []string{"call", "GET", "http://127.0.0.1:1/x", "--no-token"}, 6, "oauthctl dev"},
		"https for http":            {nil, []string{"discover", "HTTPS"}, 6, "http://127.0.0.1"},
		"http for a public host":    {nil, []string{"login", "http://api.example.com", "--browser"}, 2, "https"},
		"a path that is no API":     {nil, []string{"discover", "ISSUER/typo"}, 2, "oauthctl doctor"},
		"not logged in, call":       {func(w *world) { w.mustRun("profile", "set", "api="+w.api, "issuer="+w.issuer) }, []string{"call", "GET", "/api/items"}, 5, "oauthctl login"},
		"not logged in, token":      {func(w *world) { w.mustRun("profile", "set", "api="+w.api, "issuer="+w.issuer) }, []string{"token"}, 5, "oauthctl login"},
		"nothing configured, call":  {nil, []string{"call", "GET", "/x"}, 5, "oauthctl login URL"},
		"nothing configured, login": {nil, []string{"login", "--browser"}, 2, "oauthctl login URL"},
		"typo in the profile":       {func(w *world) { w.mustRun("profile", "set", "-p", "staging", "api="+w.api) }, []string{"call", "GET", "/x", "-p", "stagign"}, 2, "did you mean staging"},
		"typo in a command":         {nil, []string{"lgoin"}, 2, "oauthctl login"},
		"a method as a command":     {nil, []string{"post", "/x"}, 2, "oauthctl call POST"},
		"typo in a flag":            {nil, []string{"login", "API", "--scopes", "a"}, 2, "--scope"},
		"clock off":                 {func(w *world) { w.now = func() time.Time { return time.Now().Add(-2 * time.Hour) } }, []string{"doctor", "API"}, 3, "NTP"},
		"browser closed":            {func(w *world) { w.browse = closed }, []string{"login", "API", "--browser", "--login-timeout", "50ms"}, 5, "oauthctl login"},
		"no browser":                {nil, []string{"login", "API"}, 5, "oauthctl login URL --device"},
		"no browser, known":         {func(w *world) { w.mustRun("profile", "set", "api="+w.api) }, []string{"login"}, 5, "oauthctl login --device"},
		"not logged in, call a URL": {nil, []string{"call", "GET", "API/api/items"}, 5, "oauthctl login URL"},
		"a token, but no API":       {func(w *world) { w.getenv["OAUTHCTL_TOKEN"] = givenToken }, []string{"call", "GET", "API/api/items"}, 2, "--allow-origin http://127.0.0.1"},
		"scope missing":             {func(w *world) { w.mustRun("login", w.api, "--browser", "--scope", "items:read") }, []string{"call", "POST", "/api/items", "name=x"}, 4, "oauthctl login --add-scope items:write"},
		"wrong resource":            {nil, []string{"login", "API", "--browser", "--resource", "https://other.example"}, 2, "--resource"},
		"API without OAuth":         {nil, []string{"login", "PLAIN", "--browser"}, 2, "oauthctl doctor"},
		"401 without a challenge":   {nil, []string{"doctor", "BARE"}, 7, "add WWW-Authenticate"},
		"secret on the command":     {nil, []string{"login", "API", "--client-secret", "x"}, 2, "--client-secret-file"},
		"CA file missing":           {nil, []string{"doctor", "API", "--ca-cert", "missing.pem"}, 2, "missing.pem"},
		"token in a file, no @":     {nil, []string{"verify", "newcomer_test.go"}, 2, "@newcomer_test.go"},
		"profile file damaged": {func(w *world) {
			if err := os.MkdirAll(filepath.Join(w.home, "config"), 0o700); err != nil {
				w.t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(w.home, "config", "config.yaml"), []byte("profiles: ["), 0o600); err != nil {
				w.t.Fatal(err)
			}
		}, []string{"status"}, 2, "config.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			plain := httptest.NewServer(http.NotFoundHandler())
			t.Cleanup(plain.Close)
			bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }))
			t.Cleanup(bare.Close)
			w := newWorld(t, devserver.Config{})
			if tt.prepare != nil {
				tt.prepare(w)
			}
			args := make([]string, len(tt.args))
			for i, arg := range tt.args {
				args[i] = strings.NewReplacer("HTTPS", strings.Replace(w.api, "http:", "https:", 1), "API", w.api, "ISSUER", w.issuer, "PLAIN", plain.URL, "BARE", bare.URL).Replace(arg)
			}
			code := w.run(args...)
			text := w.stderr.String() + w.stdout.String()
			if code != tt.code || !strings.Contains(strings.Join(strings.Fields(text), " "), tt.next) {
				t.Errorf("%s: exit code %d, want %d and %q\n%s", strings.Join(args, " "), code, tt.code, tt.next, text)
			}
		})
	}
}
