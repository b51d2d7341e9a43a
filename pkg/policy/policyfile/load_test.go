package policyfile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/policy/policyfile"
)

const file = `issuer: https://auth.example.com
audience: https://api.example.com
algorithms: [RS256, ES256]
scope_claims: [permissions]
routes:
  "GET /api/items": {scopes: [items:read]}
  "POST /api/items": {scopes: [items:write]}
  "DELETE /api/users/{id}": {scopes: [users:delete], claims: {tenant: acme}}
  "GET /healthz": {public: true}
  "GET /files/": {any_scopes: [a, b]}
`

func TestLoadRefuses(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"empty":                 {"", "p.yaml:1:1"},
		"a list":                {"[]", "p.yaml:1:1"},
		"unknown key":           {strings.Replace(file, "algorithms", "algorithm", 1), `p.yaml:3:1: unknown key "algorithm", expected one of issuer, audience, algorithms, accept, jwks, issuers, scope_claims, routes`},
		"unknown route key":     {strings.Replace(file, "public", "publik", 1), `p.yaml:9:20: unknown key "publik"`},
		"doubled key":           {file + "issuer: x\n", `p.yaml:11:1: duplicate key "issuer"`},
		"no issuer":             {strings.Replace(file, "issuer: https://auth.example.com", "", 1), "issuer is missing"},
		"no audience":           {strings.Replace(file, "audience: https://api.example.com", "", 1), "audience is missing"},
		"audience none":         {strings.Replace(file, "audience: https://api.example.com", "audience: none", 1), "client_id"},
		"no routes":             {"issuer: a\naudience: b\n", "routes is missing"},
		"no method":             {strings.Replace(file, `"GET /healthz"`, `"/healthz"`, 1), `"METHOD /path"`},
		"bad pattern":           {strings.Replace(file, "{id}", "{id", 1), "p.yaml:8:3"},
		"conflict":              {strings.Replace(file, `"GET /healthz"`, `"DELETE /api/users/{name}"`, 1), "conflicts"},
		"public and scopes":     {strings.Replace(file, "public: true", "public: true, scopes: [a]", 1), "public route"},
		"syntax":                {"issuer: [", "p.yaml:2:1: "},
		"two documents":         {file + "---\na: b\n", "p.yaml:"},
		"an alias":              {strings.Replace(file, "audience: https", "audience: &a https", 1) + "  \"GET /x\": {claims: {x: *a}}\n", "p.yaml:11:26"},
		"null for text":         {strings.Replace(file, "https://auth.example.com", "~", 1), "p.yaml:1:9"},
		"null for a claim":      {strings.Replace(file, "acme", "", 1), "p.yaml:8:"},
		"null for a route":      {strings.Replace(file, "{public: true}", "", 1), "p.yaml:9:"},
		"doubled route":         {file + "  \"GET /healthz\": {}\n", `p.yaml:11:3: duplicate route "GET /healthz"`},
		"doubled claim":         {strings.Replace(file, "tenant: acme", "tenant: acme, tenant: b", 1), "duplicate claim"},
		"list without brackets": {strings.Replace(file, "[items:read]", "items:read items:write", 1), "p.yaml:6:30: expected scopes"},
		"no scopes after all":   {strings.Replace(file, "[items:read]", "[]", 1), "p.yaml:6:30"},
		"bad claim pattern":     {strings.Replace(file, "tenant: acme", "tenant: {matches: '['}", 1), "p.yaml:8:"},
		"unknown claim key":     {strings.Replace(file, "tenant: acme", "tenant: {is: a}", 1), "expected one of matches"},
		"public a word":         {strings.Replace(file, "public: true", "public: maybe", 1), "true or false"},
	}
	for name, tt := range tests {
		p, err := policyfile.Load([]byte(tt.text), "p.yaml")
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Load = %v, %v, want %q", name, p, err, tt.want)
		}
	}
	for _, open := range []string{"{}", "{claims: {client_id: {matches: .}}}", "{scopes: [a]}"} {
		text := "issuer: a\naudience: none\nroutes:\n  \"GET /x\": " + open + "\n"
		if p, err := policyfile.Load([]byte(text), "p.yaml"); err == nil {
			t.Errorf("audience none with %s: Load = %v", open, p)
		}
	}
	cognito := "issuer: a\naudience: none\nroutes:\n  \"GET /x\": {claims: {client_id: app}}\n"
	if _, err := policyfile.Load([]byte(cognito), "p.yaml"); err != nil {
		t.Errorf("positive control: %v", err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(file), "GET", "/api/items")
	f.Add([]byte("routes: {\"GET /{x...}\": {}}"), "GET", "/")
	f.Fuzz(func(_ *testing.T, data []byte, method, path string) {
		if p, err := policyfile.Load(data, "x"); err == nil {
			p.Operation(method, path)
		}
	})
}

func ExampleLoad() {
	_, err := policyfile.Load([]byte("issuer: https://auth.example.com\naudiences: [x]\n"), "policy.yaml")
	fmt.Println(err)
	// Output: policy.yaml:2:1: unknown key "audiences", expected one of issuer, audience, algorithms, accept, jwks, issuers, scope_claims, routes, types, rfc9068, include, scopes_supported
}

// Patterns that can never match, or that have a meaning in another router, are
// refused. The error has the line, the column and the correct form.
func TestPatternsRefused(t *testing.T) {
	tests := map[string]string{
		"GET /users/:id":             "{id}",
		"GET /users/<int:id>":        "{int:id}",
		"GET /files/*":               "{rest...}",
		"GET /files/**":              "{rest...}",
		"GET /files/*.json":          "whole segment",
		"GET /files/{name}.json":     "whole segment",
		"GET /files/{na-me}":         "letters, digits",
		"GET /files/{}":              "whole segment",
		"GET /files/{1}":             "letters, digits",
		"GET /{rest...}/x":           "last segment",
		"GET /{$}/x":                 "last segment",
		"GET /a/{x}/{x}":             "duplicate wildcard",
		"GET /a/{x}/{x...}":          "duplicate wildcard",
		"GET /users/[0-9]+":          "regular expression",
		"GET /users/^a$":             "regular expression",
		"GET /users/a$":              "regular expression",
		"GET /users/(?P<id>.*)":      "whole segment",
		"GET /a|b":                   "regular expression",
		`GET /a\\d`:                  "regular expression",
		"GET /a%20b":                 "not percent-encoded",
		"GET /a?x=1":                 "no query",
		"GET /a#b":                   "no query",
		"GET /a//b":                  "empty segment",
		"GET //a":                    "empty segment",
		"GET /a/../b":                "never matches",
		"GET /a/./b":                 "never matches",
		"GET /a./b":                  "never matches",
		"GET /\uff0e/b":              "never matches",
		"ANY /a":                     "list the methods",
		"* /a":                       "list the methods",
		"GET|POST /a":                "list the methods",
		"GET, POST /a":               "METHOD /path",
		"GET,GET /a":                 "duplicate method",
		"get /a":                     "write GET",
		"Patch /a":                   "write PATCH",
		"GETT /a":                    "unknown method",
		"/a":                         "METHOD /path",
		"GET":                        "METHOD /path",
		"GET a":                      "METHOD /path",
		"GET api.example.com/a":      "METHOD /path",
		"GET https://api.example/a":  "METHOD /path",
		"GET /ok\": {}\n  \"GET /Ok": "letter case",
		"GET /a/{x}/edit\": {}\n  \"GET /a/new/{y}": `conflicts with "GET /a/{x}/edit" in line 4: both match GET /a/new/edit`,
		"GET /{x}/b\": {}\n  \"GET,PUT /a/{y}":      `in line 4: both match GET /a/b`,
		"GET /a/{x}\": {}\n  \"GET /a/{y}":          "in line 4: both match GET /a/x",
	}
	for pattern, want := range tests {
		text := "issuer: a\naudience: b\nroutes:\n  \"" + pattern + "\": {}\n"
		p, err := policyfile.Load([]byte(text), "p.yaml")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "p.yaml:") {
			t.Errorf("%s: Load = %v, %v, want %q", pattern, p, err, want)
			continue
		}
		for _, internal := range []string{".go:", "yaml:", `\n`, "panic"} {
			if rest := strings.TrimPrefix(err.Error(), "p.yaml:"); strings.Contains(rest, internal) {
				t.Errorf("%s: the message shows internals: %s", pattern, rest)
			}
		}
	}
	accept := func(routes string) {
		if _, err := policyfile.Load([]byte("issuer: a\naudience: b\nroutes:\n"+routes), "p.yaml"); err != nil {
			t.Errorf("positive control: %v", err)
		}
	}
	for _, good := range []string{
		"GET /", "GET /{$}", "GET /{rest...}", "GET /a/{id}", "GET /a/{id}/b", "GET /a/", "GET,POST,DELETE /a", "PROPFIND /dav/", "GET /ä b/ü",
		"GET /a:b", "GET /a.json", "GET /Users(7)", "GET /a+b", "GET /a;v=1", "GET /~a/@b", "GET   /a",
	} {
		accept("  \"" + good + "\": {}\n")
	}
	accept("  \"GET /a/{id}\": {}\n  \"POST /A/{id}\": {}\n  \"GET /a/new\": {}\n  \"GET /a/{id}/{$}\": {}\n")
}

// A file with invalid YAML is refused with a plain message.
func TestYAMLErrors(t *testing.T) {
	for name, text := range map[string]string{
		"empty":    "",
		"comment":  "# nothing\n",
		"null":     "~\n",
		"text":     "hello\n",
		"document": "---\n",
		"anchor":   "issuer: &a x\naudience: *a\nroutes: {\"GET /x\": {}}\n",
		"merge":    "base: &b {public: true}\n",
		"merged":   "issuer: a\naudience: b\nroutes:\n  \"GET /x\": {<<: {public: true}}\n",
		"tab":      "issuer:\n\t- a\n",
		"binary":   "\x00\x01",
		"utf16":    "\xff\xfei\x00",
	} {
		p, err := policyfile.Load([]byte(text), "p.yaml")
		if err == nil {
			t.Errorf("%s: Load = %v", name, p)
			continue
		}
		if rest := strings.TrimPrefix(err.Error(), "p.yaml:"); strings.Contains(rest, "yaml:") || strings.Contains(rest, "unknown position") || strings.Contains(rest, ".go:") {
			t.Errorf("%s: the message shows internals: %s", name, rest)
		}
	}
}

func TestTrustIsRefused(t *testing.T) {
	const route = "\nroutes: {\"GET /x\": {}}\n"
	for text, want := range map[string]string{
		"issuer: a\naudience: b\nalgorithms: [RS999]":                   "3:14: unknown algorithm",
		"issuer: a\naudience: b\nalgorithms: rs256":                     "3:13: unknown algorithm",
		"issuer: a\naudience: b\naccept: [access_token]":                "3:10: expected id_token",
		"issuer: a\nissuers: [{issuer: b, audience: c}]":                "none of them can be at the top",
		"issuers: [{issuer: b, audience: c}, {issuer: b, audience: d}]": "given twice",
		"issuers: [{issuer: b}]":                                        "audience is missing",
		"issuers: [{audience: b}]":                                      "issuer is missing",
		"issuers: []":                                                   "expected a list of issuers",
		"issuers: {a: b}":                                               "expected a list of issuers",
		"issuers: [{issuer: b, audience: none}]":                        "audience none needs",
	} {
		if _, err := policyfile.Load([]byte(text+route), "p.yaml"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
