package cmd_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// The report of a failed run shows the server's fault after the server is gone, with the exit code of doctor. The
// report of a successful run shows none.
func TestDoctorFrom(t *testing.T) {
	schema := compiledSchema(t, "../docs/reference/doctor.schema.json")
	for name, tt := range map[string]struct {
		change func(*http.Response)
		run    []string
		fails  bool
		code   int
		want   []string
	}{
		"login": {nil, []string{"login"}, false, 0, []string{"the command succeeded", "nothing that is wrong"}},
		"no metadata": {func(r *http.Response) {
			if strings.HasPrefix(r.Request.URL.Path, "/.well-known/oauth-protected-resource") {
				r.StatusCode, r.Status = 404, "404 Not Found"
			}
		}, []string{"login"}, true, 7, []string{"resource metadata", "METADATA_NOT_FOUND", "the API's owner"}},
		"no challenge": {func(r *http.Response) { r.Header.Del("WWW-Authenticate") }, []string{"call", "GET", "/api/items", "--no-token"}, true, 7, []string{"challenge", "CHALLENGE_MISSING", "the API's owner"}},
		"fails":        {func(r *http.Response) { r.StatusCode, r.Status = 503, "503 Service Unavailable" }, []string{"call", "GET", "/api/items", "--no-token"}, true, 6, []string{"refuses", "SERVER_ERROR"}},
		"refuses all": {func(r *http.Response) {
			if r.Request.Header.Get("Authorization") != "" {
				r.StatusCode, r.Status = 403, "403 Forbidden"
			}
		}, []string{"call", "POST", "/api/items", "name=x"}, true, 4, []string{"call", "SCOPE_MISSING", "POST "}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, devserver.Config{})
			inner, err := url.Parse(w.api)
			if err != nil {
				t.Fatal(err)
			}
			changes := false
			between := httptest.NewServer(&httputil.ReverseProxy{
				Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(inner); r.Out.Host = r.In.Host },
				ModifyResponse: func(r *http.Response) error {
					if changes && tt.change != nil {
						tt.change(r)
					}
					return nil
				},
			})
			file := filepath.Join(t.TempDir(), "report.json")
			api := w.api
			if tt.change != nil {
				api = between.URL
				w.mustRun("profile", "set", "api="+api, "issuer="+w.issuer)
			}
			if tt.run[0] == "call" {
				w.mustRun("login", "--browser", "-q")
			}
			changes = true
			run := append(append([]string{}, tt.run...), "--report", file)
			if tt.run[0] == "login" {
				run = append(run, api, "--browser", "-p", "new")
			}
			if code := w.run(run...); code != 0 != tt.fails {
				t.Fatalf("%q: exit code %d\n%s", run, code, &w.stderr)
			}
			between.Close()
			if code := w.run("doctor", "--from", file); code != tt.code {
				t.Errorf("exit code %d, want %d\n%s%s", code, tt.code, &w.stdout, &w.stderr)
			}
			for _, want := range tt.want {
				if !strings.Contains(w.stdout.String(), want) {
					t.Errorf("%q is missing:\n%s", want, &w.stdout)
				}
			}
			if code := w.run("doctor", "--from", file, "--json"); code != tt.code {
				t.Errorf("--json: exit code %d", code)
			}
			validate(t, schema, w.stdout.Bytes())
		})
	}
}

// A URL that is wider than its column is not broken, so that it can be copied. The output stays within 80 columns.
func TestDoctorLongURL(t *testing.T) {
	api := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(api.Close)
	w := newWorld(t, devserver.Config{})
	long := api.URL + "/operations" // with the well-known part it fits into one line
	wide := long + strings.Repeat("x", 100)
	for _, rawURL := range []string{long, wide} {
		w.run("doctor", rawURL)
		place := api.URL + "/.well-known/oauth-protected-resource" + strings.TrimPrefix(rawURL, api.URL)
		shown, _, _ := strings.Cut(w.stdout.String(), "reproduce") // a command is whole anyway
		if isWhole := strings.Contains(shown, " "+place+"\n"); isWhole != (rawURL == long) {
			t.Errorf("%d characters: whole: %t\n%s", len(place), isWhole, &w.stdout)
		}
		for line := range strings.Lines(w.stdout.String()) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 79 && !strings.Contains(line, "curl") && !strings.HasPrefix(strings.TrimSpace(line), "http") {
				t.Errorf("%d columns: %s", n, line)
			}
		}
	}
}
