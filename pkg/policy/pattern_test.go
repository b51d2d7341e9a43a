package policy_test

import (
	"net/url"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"

	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/policy/policyfile"
)

func loadRoutes(t testing.TB, routes string) *policy.Policy {
	t.Helper()
	p, err := policyfile.Load([]byte("issuer: https://auth.example.com\naudience: https://api.example.com\nroutes:\n"+routes), "p.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// needs describes the requirement of a request, with one word for each kind.
func needs(p *policy.Policy, method, path string) string {
	u, err := url.ParseRequestURI(path)
	if err != nil {
		return "no URL"
	}
	m, err := p.Match(method, u)
	switch {
	case err != nil:
		return "ambiguous"
	case !m.Listed:
		return "unlisted"
	case m.Requirement.Public:
		return "public"
	}
	return strings.Join(append(m.Requirement.Scopes, m.Requirement.AnyScopes...), " ")
}

// A server that ignores letter case, a final slash or path parameters must not
// serve a path whose requirements were not checked.
func TestStricterRoute(t *testing.T) {
	p := loadRoutes(t, `  "GET /reports/{rest...}": {public: true}
  "GET /reports/salaries": {scopes: [hr]}
  "POST /reports/salaries": {scopes: [hr, write]}
  "GET /users/{id}": {scopes: [users]}
  "GET /users/me": {public: true}
  "GET /pages/": {scopes: [pages]}
  "GET /pages/secret/{id}": {scopes: [pages, secret]}
  "GET /pages/other/{$}": {scopes: [other]}
  "GET /open/{rest...}": {public: true}
  "GET /open/{tenant}/users/{id}": {any_scopes: [a, b]}
  "GET /one/{rest...}": {any_scopes: [a, b]}
  "GET /one/two": {scopes: [a]}
  "PUT /put/{rest...}": {public: true}
  "GET /put/x": {scopes: [x]}
`)
	tests := map[string]string{
		"GET /reports/2026":                 "public",
		"GET /reports/salaries":             "hr",
		"GET /reports/Salaries":             "hr",
		"GET /reports/SALARIE%53":           "hr",
		"GET /reports/%53alaries":           "hr",
		"GET /reports/salarie\u017f":        "hr",
		"GET /reports/salaries/":            "hr",
		"GET /reports/sAlaries/":            "hr",
		"GET /Reports/salaries":             "unlisted",
		"GET /reports/salaries;v=1":         "hr",
		"GET /reports/salaries;v=1/":        "hr",
		"HEAD /reports/Salaries":            "hr",
		"POST /reports/salaries":            "hr write",
		"GET /reports/salaries/2026":        "public",
		"GET /users/7":                      "users",
		"GET /users/ME":                     "users",
		"GET /users/me":                     "public",
		"GET /users/me/":                    "unlisted",
		"GET /pages/a":                      "pages",
		"GET /pages/secret/1":               "pages secret",
		"GET /pages/Secret/1":               "pages secret",
		"GET /pages/secret/1/":              "pages secret",
		"GET /pages/secret/1/2":             "pages",
		"GET /pages/other/":                 "other",
		"GET /pages/other":                  "unlisted", // the router would add the slash
		"GET /open/acme/Users/7":            "a b",
		"GET /open/acme/users/7":            "a b",
		"GET /open/acme/groups/7":           "public",
		"GET /one/TWO":                      "a",
		"GET /one/three":                    "a b",
		"PUT /put/X":                        "public", // another method
		"GET /put/x/":                       "unlisted",
		"GET /reports/sal\uff41ries/\u2025": "ambiguous",
	}
	for line, want := range tests {
		method, path, _ := strings.Cut(line, " ")
		if got := needs(p, method, path); got != want {
			t.Errorf("%s needs %q, want %q", line, got, want)
		}
	}
}

func TestMethodList(t *testing.T) {
	p := loadRoutes(t, "  \"GET,DELETE /a/{id}\": {scopes: [a]}\n  \"POST /a/{id}\": {public: true}\n")
	for line, want := range map[string]string{"GET /a/1": "a", "HEAD /a/1": "a", "DELETE /a/1": "a", "POST /a/1": "public", "PUT /a/1": "unlisted"} {
		method, path, _ := strings.Cut(line, " ")
		if got := needs(p, method, path); got != want {
			t.Errorf("%s needs %q, want %q", line, got, want)
		}
	}
}

func TestPathsWithTwoReadings(t *testing.T) {
	p := loadRoutes(t, "  \"GET /files/{rest...}\": {}\n  \"GET /npm/{package}\": {encoded_slash: true}\n")
	refused := []string{
		"/files/..%20/x", "/files/.../x", "/files/a./x", "/files/a%20/x", "/files/a%20", "/files/x%2e", "/files/\uff0e\uff0e/x", "/files/a\uff0fb",
		"/files/%EF%BC%8E%EF%BC%8E/x", "/files/\u2025/x", "/files/\uff3c", "/files/..%20;x/y", "/files/%20", "/files/a%2fb",
		"/npm/a%2f..%2fb", "/npm/..%2fb", "/npm/a%5cb", "/npm/a%2f", "/npm/%2fa", "/npm/a%252fb", "/npm/a%2f%2fb", "/npm/a%00b", "/npm/a%2e%2e",
	}
	for _, path := range refused {
		if got := needs(p, "GET", path); got != "ambiguous" {
			t.Errorf("%s: %q, want it refused", path, got)
		}
	}
	for _, path := range []string{"/files/a.b", "/files/.well-known/x", "/files/a%20b", "/files/..a", "/files/ä", "/npm/@scope%2fname", "/npm/@scope%2Fname", "/npm/a"} {
		if got := needs(p, "GET", path); got != "" {
			t.Errorf("%s: %q, want it accepted", path, got)
		}
	}
	if got := needs(p, "GET", "/npm/@scope/name"); got != "unlisted" {
		t.Errorf("a slash that is not encoded: %q", got)
	}
}

// A server that decodes %2F could choose a route with more segments.
func TestEncodedSlashNeedsWhatTheDecodedPathNeeds(t *testing.T) {
	p := loadRoutes(t, `  "GET /{page}": {public: true, encoded_slash: true}
  "GET /a/b": {scopes: [a]}
  "POST /a/c": {scopes: [a]}
  "GET /npm/{package}": {scopes: [npm], encoded_slash: true}
  "GET /npm/@corp/{name}": {scopes: [npm, corp]}
  "GET /users/{id}/name": {scopes: [users], encoded_slash: true}
  "GET /users/admin/{part}/name": {scopes: [admin, users]}
  "GET /": {scopes: [rest]}
`)
	for path, want := range map[string]string{
		"/a": "public", "/a%2Fb": "a", "/A%2fB": "a", "/a%2Fb;x": "a", "/a%2Fc": "public", "/a%2Fb%2Fc": "public",
		"/npm/left-pad": "npm", "/npm/@corp%2Fx": "npm corp", "/npm/@corp": "npm", "/npm/@other%2Fx": "npm",
		"/users/1/name": "users", "/users/admin%2Fkeys/name": "admin users", "/users/1%2F2/name": "users", "/other/x": "rest",
	} {
		if got := needs(p, "GET", path); got != want {
			t.Errorf("%s needs %q, want %q", path, got, want)
		}
	}
}

// The table of characters is compared with Unicode normalization itself.
func TestNormalization(t *testing.T) {
	for c := rune(0x80); c <= 0x10ffff; c++ {
		text := string(c)
		want := strings.ContainsAny(norm.NFKC.String(text), `./\`)
		if got := policy.CheckPath(&url.URL{Path: "/a" + text + "b"}) != nil; got != want && c != 0xfffd && (c < 0xd800 || c > 0xdfff) {
			t.Errorf("%U is refused: %v, want %v", c, got, want)
		}
	}
}

// A path that matches a wildcard route never reaches a stricter route in
// another spelling.
func FuzzStricterRoute(f *testing.F) {
	p := loadRoutes(f, "  \"GET /{rest...}\": {public: true}\n  \"GET /admin/{id}\": {scopes: [admin]}\n")
	for _, path := range []string{"/ADMIN/1", "/admin/1/", "/admin;x/1", "/%41dmin/1", "/ad\u0131min/1"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if needs(p, "GET", path) != "public" {
			return
		}
		u, _ := url.ParseRequestURI(path)
		parts := strings.Split(strings.Trim(u.Path, "/"), "/")
		first, _, _ := strings.Cut(parts[0], ";")
		if len(parts) == 2 && strings.EqualFold(first, "admin") {
			t.Errorf("%q passes without the scope", path)
		}
	})
}
