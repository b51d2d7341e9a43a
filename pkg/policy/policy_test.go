package policy_test

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/policy/policyfile"
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
		"aud": "app-1", "scope": "items:read items:write", "scp": []string{"extra"}, "permissions": []string{"users:delete"},
		"tenant": map[string]any{"id": "acme", "level": 3}, "groups": []string{"a", "b"}, "https://x.example/role": "admin", "active": true,
		"big": 9007199254740993, "half": 0.5, "nothing": nil, "realm_access": map[string]any{"roles": []string{"realm:admin"}}, "authorities": "auth:x other",
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
		"a number's digits":         {need: policy.Requirement{Claims: rules(t, "half=0.5")}},
		"a large number, one less":  {need: policy.Requirement{Claims: rules(t, "big=9007199254740992")}, want: diagnosis.ClaimMismatch},
		"a large number, by digits": {need: policy.Requirement{Claims: rules(t, "big=9007199254740993")}},
		"null is no value":          {need: policy.Requirement{Claims: rules(t, "nothing~.*")}, want: diagnosis.ClaimMismatch},
		"scope in a nested claim":   {need: policy.Requirement{Scopes: []string{"realm:admin"}}, want: diagnosis.ScopeClaimName},
		"nested claim by name":      {need: policy.Requirement{Scopes: []string{"realm:admin"}, ScopeClaims: []string{"realm_access.roles"}}},
		"scope in a claim of text":  {need: policy.Requirement{Scopes: []string{"auth:x"}}, want: diagnosis.ScopeClaimName},
		"an audience is no scope":   {need: policy.Requirement{Scopes: []string{"app-1"}}, want: diagnosis.ScopeMissing},
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
			if tt.need.Allows(tok) != d.Allowed {
				t.Errorf("Allows = %v, Decide = %v", !d.Allowed, d.Allowed)
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
	p, err := policyfile.Load([]byte(file), "policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"https://api.example.com"}, p.Audience); diff != "" || p.Issuer != "https://auth.example.com" {
		t.Errorf("policy %+v", p)
	}
	tests := map[string]struct{ method, path, want string }{
		"listed":               {"GET", "/api/items", "GET /api/items"},
		"HEAD goes with GET":   {"HEAD", "/api/items", "GET /api/items"},
		"with a query":         {"GET", "/api/items?x=1", "GET /api/items"},
		"with a wildcard":      {"DELETE", "/api/users/123", "DELETE /api/users/{id}"},
		"below a tree":         {"GET", "/files/a/b", "GET /files/"},
		"another method":       {"PUT", "/api/items", ""},
		"unlisted":             {"GET", "/api/other", ""},
		"one level deeper":     {"DELETE", "/api/users/123/x", ""},
		"dot segments":         {"GET", "/files/../api/items", ""},
		"doubled slash":        {"GET", "//api/items", ""},
		"doubled slash below":  {"GET", "/api//items", ""},
		"encoded slash":        {"GET", "/files/a%2fb", ""},
		"backslash":            {"GET", `/files/a\b`, ""},
		"another host":         {"GET", "http://evil.example/api/items", ""},
		"trailing slash":       {"GET", "/api/items/", ""},
		"a tree's own name":    {"GET", "/files", ""},
		"encoded letter":       {"GET", "/api/%69tems", "GET /api/items"},
		"encoded dots":         {"GET", "/files/%2e%2e/api", ""},
		"encoded twice":        {"GET", "/files/%252e%252e/api", ""},
		"encoded twice slash":  {"GET", "/files/a%252Fb", ""},
		"percent alone":        {"GET", "/files/100%25", "GET /files/"},
		"dots with parameter":  {"GET", "/files/..;x=1/api", ""},
		"segment parameter":    {"GET", "/files/a;x=1", "GET /files/"},
		"encoded backslash":    {"GET", "/files/a%5cb", ""},
		"control character":    {"GET", "/files/a%0ab", ""},
		"overlong slash":       {"GET", "/files/..%c0%afapi", ""},
		"no slash in front":    {"OPTIONS", "*", ""},
		"method in lower case": {"get", "/api/items", ""},
		"CONNECT":              {"CONNECT", "/api/items", ""},
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

func TestVerifier(t *testing.T) {
	key, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	sign := func(claims map[string]any) string {
		claims["exp"] = time.Now().Unix() + 60
		raw, err := token.Sign(key, "at+jwt", claims)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	const routes = "\nroutes: {\"GET /x\": {claims: {client_id: app}}, \"GET /y\": {claims: {client_id: other}}, \"GET /z\": {public: true}}\n"
	tests := map[string]struct {
		text   string
		claims map[string]any
		want   diagnosis.ID // "" means good
	}{
		"good":              {"issuer: a\naudience: [b, c]" + routes, map[string]any{"iss": "a", "aud": "c"}, ""},
		"another issuer":    {"issuer: a\naudience: b" + routes, map[string]any{"iss": "x", "aud": "b"}, diagnosis.IssMismatch},
		"another audience":  {"issuer: a\naudience: b" + routes, map[string]any{"iss": "a", "aud": "x"}, diagnosis.AudMismatch},
		"algorithm allowed": {"issuer: a\naudience: b\nalgorithms: [RS256, ES256]" + routes, map[string]any{"iss": "a", "aud": "b"}, ""},
		"algorithm not":     {"issuer: a\naudience: b\nalgorithms: RS256" + routes, map[string]any{"iss": "a", "aud": "b"}, diagnosis.AlgNotAllowed},
		"a named client":    {"issuer: a\naudience: none" + routes, map[string]any{"iss": "a", "client_id": "other"}, ""},
		"another client":    {"issuer: a\naudience: none" + routes, map[string]any{"iss": "a", "client_id": "evil"}, diagnosis.ClaimInvalid},
	}
	for name, tt := range tests {
		p, err := policyfile.Load([]byte(tt.text), "p.yaml")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		v, err := p.Verifier(jwks.NewSet(key.Public()), token.Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var d *diagnosis.Diagnosis
		if _, err := v.Verify(t.Context(), sign(tt.claims)); errors.As(err, &d) != (tt.want != "") || d != nil && d.ID != tt.want {
			t.Errorf("%s: Verify: %v, want %q", name, err, tt.want)
		}
	}
}

// The router and the policy must read a path in the same way, and an accepted
// path has only one reading.
func FuzzOperation(f *testing.F) {
	for _, path := range []string{"/api/items", "/files/%2e%2e/x", "/files/..;/x", "//x", `/files/a\b`, "/files/%2525", "/files/%2500"} {
		f.Add("GET", path)
	}
	p, err := policyfile.Load([]byte(file), "p.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, path string) {
		_, pattern, ok := p.Operation(method, path)
		if !ok {
			if pattern != "" {
				t.Errorf("%s %q: not listed, yet by %q", method, path, pattern)
			}
			return
		}
		u, err := url.ParseRequestURI(path)
		if err != nil {
			t.Fatalf("%q was let through: %v", path, err)
		}
		for _, text := range []string{u.Path, u.EscapedPath()} {
			plain, err := url.PathUnescape(text)
			if err != nil {
				plain = text
			}
			if strings.Contains(plain, "//") || strings.ContainsAny(plain, "\\\x00\r\n") || slices.Contains(strings.Split(plain, "/"), "..") {
				t.Errorf("%s %q by %q has another reading: %q", method, path, pattern, plain)
			}
		}
	})
}

func ExamplePolicy_Operation() {
	p, err := policyfile.Load([]byte(`
issuer: https://auth.example.com
audience: https://api.example.com
routes:
  "GET /api/items": {scopes: [items:read]}
  "DELETE /api/users/{id}": {scopes: [users:delete], claims: {tenant: acme}}
`), "policy.yaml")
	if err != nil {
		fmt.Println(err)
		return
	}
	need, pattern, listed := p.Operation("DELETE", "/api/users/123")
	fmt.Println(pattern, need.Scopes, need.Claims, listed)
	_, _, listed = p.Operation("GET", "/api/users/123")
	fmt.Println(listed)
	// Output:
	// DELETE /api/users/{id} [users:delete] [tenant=acme] true
	// false
}

func TestClaimPatternInAFile(t *testing.T) {
	p := "issuer: a\naudience: b\nroutes:\n  \"GET /x\": {claims: {tenant: acme, email: {matches: \"@example\\\\.com$\"}}}\n"
	loaded, err := policyfile.Load([]byte(p), "p.yaml")
	if err != nil {
		t.Fatal(err)
	}
	need, _, _ := loaded.Operation("GET", "/x")
	for email, want := range map[string]bool{"a@example.com": true, "a@example.com.evil": false, "a@examplexcom": false} {
		if got := need.Allows(decoded(t, map[string]any{"tenant": "acme", "email": email})); got != want {
			t.Errorf("%s: Allows = %v, want %v", email, got, want)
		}
	}
	if need.Allows(decoded(t, map[string]any{"email": "a@example.com"})) {
		t.Error("one of two claims is enough")
	}
}
