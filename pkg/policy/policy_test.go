package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/token"
)

func decoded(t *testing.T, claims map[string]any) *token.Token {
	t.Helper()
	key, err := jwks.Generate("EdDSA")
	if err != nil {
		t.Fatal(err)
	}
	claims["exp"] = time.Now().Unix() + 60
	raw, err := token.Sign(key, "at+jwt", claims)
	if err != nil {
		t.Fatal(err)
	}
	got, err := token.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func rules(t *testing.T, texts ...string) []policy.ClaimRule {
	t.Helper()
	var all []policy.ClaimRule
	for _, text := range texts {
		r, err := policy.ParseClaimRule(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

func TestDecide(t *testing.T) {
	tok := decoded(t, map[string]any{
		"scope": "items:read items:write", "scp": []string{"extra"}, "permissions": []string{"users:delete"},
		"tenant": map[string]any{"id": "acme", "level": 3}, "groups": []string{"a", "b"}, "https://x.example/role": "admin", "active": true,
	})
	tests := map[string]struct {
		need policy.Requirement
		want diagnosis.ID // "" means allowed
	}{
		"nothing":                   {},
		"a scope":                   {need: policy.Requirement{Scopes: []string{"items:read"}}},
		"both scopes":               {need: policy.Requirement{Scopes: []string{"items:read", "items:write", "extra"}}},
		"one of several":            {need: policy.Requirement{AnyScopes: []string{"x", "items:write"}}},
		"scope claim by name":       {need: policy.Requirement{Scopes: []string{"users:delete"}, ScopeClaims: []string{"permissions"}}},
		"claim by path":             {need: policy.Requirement{Claims: rules(t, "tenant.id=acme", "tenant.level=3", "active=true")}},
		"claim in a list":           {need: policy.Requirement{Claims: rules(t, "groups=b")}},
		"claim by whole name":       {need: policy.Requirement{Claims: rules(t, "https://x.example/role=admin")}},
		"claim by pattern":          {need: policy.Requirement{Claims: rules(t, "tenant.id~^ac")}},
		"scope missing":             {need: policy.Requirement{Scopes: []string{"items:delete"}}, want: diagnosis.ScopeMissing},
		"one of two missing":        {need: policy.Requirement{Scopes: []string{"items:read", "items:delete"}}, want: diagnosis.ScopeMissing},
		"scope in another case":     {need: policy.Requirement{Scopes: []string{"Items:Read"}}, want: diagnosis.ScopeMissing},
		"scope prefix":              {need: policy.Requirement{Scopes: []string{"items"}}, want: diagnosis.ScopeMissing},
		"scope in permissions only": {need: policy.Requirement{Scopes: []string{"users:delete"}}, want: diagnosis.ScopeClaimName},
		"none of several":           {need: policy.Requirement{AnyScopes: []string{"x", "y"}}, want: diagnosis.ScopeMissing},
		"claim differs":             {need: policy.Requirement{Claims: rules(t, "tenant.id=evil")}, want: diagnosis.ClaimMismatch},
		"claim missing":             {need: policy.Requirement{Claims: rules(t, "nothing=x")}, want: diagnosis.ClaimMismatch},
		"no element matches":        {need: policy.Requirement{Claims: rules(t, "groups~^c")}, want: diagnosis.ClaimMismatch},
		"an object is no value":     {need: policy.Requirement{Claims: rules(t, "tenant~.")}, want: diagnosis.ClaimMismatch},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := tt.need.Decide(tok)
			var got diagnosis.ID
			if d.Diagnosis != nil {
				got = d.Diagnosis.ID
				if d.Diagnosis.Kind() != diagnosis.Denied {
					t.Errorf("kind %v, want Denied", d.Diagnosis.Kind())
				}
			}
			if got != tt.want || d.Allowed != (tt.want == "") {
				t.Errorf("Decide = %+v, want %q", d, tt.want)
			}
		})
	}
}

func TestParseClaimRule(t *testing.T) {
	for _, bad := range []string{"", "x", "=x", "~x", "x~["} {
		if r, err := policy.ParseClaimRule(bad); err == nil {
			t.Errorf("ParseClaimRule(%q) = %v", bad, r)
		}
	}
	for _, good := range []string{"a=b", "a=", "a~b=c", "a=b~c", "https://x.example/a=b"} {
		if r, err := policy.ParseClaimRule(good); err != nil || r.String() != good {
			t.Errorf("ParseClaimRule(%q) = %v, %v", good, r, err)
		}
	}
}

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

func TestOperation(t *testing.T) {
	p, err := policy.Load([]byte(file), "policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"https://api.example.com"}, p.Audience); diff != "" || p.Issuer != "https://auth.example.com" {
		t.Errorf("policy %+v", p)
	}
	tests := map[string]struct{ method, path, want string }{
		"listed":              {"GET", "/api/items", "GET /api/items"},
		"HEAD goes with GET":  {"HEAD", "/api/items", "GET /api/items"},
		"with a query":        {"GET", "/api/items?x=1", "GET /api/items"},
		"with a wildcard":     {"DELETE", "/api/users/123", "DELETE /api/users/{id}"},
		"below a tree":        {"GET", "/files/a/b", "GET /files/"},
		"another method":      {"PUT", "/api/items", ""},
		"unlisted":            {"GET", "/api/other", ""},
		"one level deeper":    {"DELETE", "/api/users/123/x", ""},
		"dot segments":        {"GET", "/files/../api/items", ""},
		"doubled slash":       {"GET", "//api/items", ""},
		"doubled slash below": {"GET", "/api//items", ""},
		"encoded slash":       {"GET", "/files/a%2fb", ""},
		"backslash":           {"GET", `/files/a\b`, ""},
		"another host":        {"GET", "http://evil.example/api/items", ""},
		"trailing slash":      {"GET", "/api/items/", ""},
	}
	for name, tt := range tests {
		_, pattern, ok := p.Operation(tt.method, tt.path)
		if ok != (tt.want != "") || ok && pattern != tt.want {
			t.Errorf("%s: Operation(%s %s) = %q, %v, want %q", name, tt.method, tt.path, pattern, ok, tt.want)
		}
	}
	need, _, _ := p.Operation("DELETE", "/api/users/1")
	if len(need.Claims) != 1 || need.Claims[0].String() != "tenant=acme" || need.ScopeClaims[0] != "permissions" {
		t.Errorf("requirement %+v", need)
	}
}

func TestLoadRefuses(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"empty":             {"", "p.yaml:1:1"},
		"a list":            {"[]", "p.yaml:1:1"},
		"unknown key":       {strings.Replace(file, "algorithms", "algorithm", 1), `p.yaml:3:1: unknown key "algorithm", expected one of algorithms, audience`},
		"unknown route key": {strings.Replace(file, "public", "publik", 1), `p.yaml:9:20: unknown key "publik"`},
		"doubled key":       {file + "issuer: x\n", `p.yaml:11:1: the key "issuer" stands twice`},
		"no issuer":         {strings.Replace(file, "issuer: https://auth.example.com", "", 1), "issuer is missing"},
		"no audience":       {strings.Replace(file, "audience: https://api.example.com", "", 1), "audience is missing"},
		"audience none":     {strings.Replace(file, "audience: https://api.example.com", "audience: none", 1), "client_id"},
		"no routes":         {"issuer: a\naudience: b\n", "routes is missing"},
		"no method":         {strings.Replace(file, `"GET /healthz"`, `"/healthz"`, 1), `"METHOD /path"`},
		"bad pattern":       {strings.Replace(file, "{id}", "{id", 1), "p.yaml:8:3"},
		"conflict":          {strings.Replace(file, `"GET /healthz"`, `"DELETE /api/users/{name}"`, 1), "conflicts"},
		"public and scopes": {strings.Replace(file, "public: true", "public: true, scopes: [a]", 1), "public route"},
		"public a word":     {strings.Replace(file, "public: true", "public: maybe", 1), "true or false"},
	}
	for name, tt := range tests {
		p, err := policy.Load([]byte(tt.text), "p.yaml")
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Load = %v, %v, want %q", name, p, err, tt.want)
		}
	}
	cognito := "issuer: a\naudience: none\nroutes:\n  \"GET /x\": {claims: {client_id: app}}\n"
	if _, err := policy.Load([]byte(cognito), "p.yaml"); err != nil {
		t.Errorf("positive control: %v", err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(file), "GET", "/api/items")
	f.Add([]byte("routes: {\"GET /{x...}\": {}}"), "GET", "/")
	f.Fuzz(func(_ *testing.T, data []byte, method, path string) {
		if p, err := policy.Load(data, "x"); err == nil {
			p.Operation(method, path)
		}
	})
}
