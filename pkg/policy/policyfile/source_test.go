package policyfile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/policy/policyfile"
)

// files writes files into a directory of the test and returns the path of the
// first.
func files(t *testing.T, all ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(all); i += 2 {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, all[i])), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, all[i]), []byte(all[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, all[0])
}

var variables = map[string]string{
	"ISSUER": "https://login.example", "API": "https://orders.example", "TENANT": "t-7", "PERMISSION": "orders:read", "LONG": "a: b\n\"GET /admin\": {public: true}", "TWO": "a b",
}

func getenv(name string) string { return variables[name] }

// A variable is replaced in every place for a text.
func TestVariables(t *testing.T) {
	file := files(t, "p.yaml", `issuer: ${ISSUER}/realms/${TENANT}
audience: ["${API}", other]
algorithms: [ES256]
jwks: ${ISSUER}/keys
routes:
  "GET /orders": {scopes: ["${PERMISSION}"], claims: {tenant: "${TENANT}", note: "$${TENANT} costs $5 ${} ${9} ${A-B ${TENANT}"}}
`)
	source, err := policyfile.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	p, err := source.Policy(getenv)
	if err != nil {
		t.Fatal(err)
	}
	need, _, _ := p.Operation("GET", "/orders")
	if p.Issuer != "https://login.example/realms/t-7" || p.Audience[0] != "https://orders.example" || p.Trusted[0].JWKS != "https://login.example/keys" || need.Scopes[0] != "orders:read" ||
		need.Claims[0].String() != "tenant=t-7" || need.Claims[1].String() != "note=${TENANT} costs $5 ${} ${9} ${A-B t-7" {
		t.Errorf("%+v %v", p, need)
	}
}

func TestVariablesRefused(t *testing.T) {
	head := "issuer: a\naudience: b\nroutes:\n  \"GET /x\": "
	for name, tt := range map[string]struct{ text, want string }{
		"not set":                 {strings.Replace(head, "issuer: a", "issuer: ${NOBODY}", 1) + "{}\n", "p.yaml:1:9: the variable NOBODY is not set or empty"},
		"in a list":               {head + "{claims: {role: [admin, \"${NOBODY}\"]}}\n", "p.yaml:4:37: the variable NOBODY"},
		"a boolean":               {head + "{public: ${API}}\n", "p.yaml:4:"},
		"a time":                  {head + "{max_age: \"${API}\"}\n", "p.yaml:4:23: expected a time"},
		"an expression":           {head + "{claims: {email: {matches: \"@${API}$\"}}}\n", "p.yaml:4:40: an expression cannot have a variable"},
		"two scopes":              {head + "{scopes: \"${TWO}\"}\n", `p.yaml:4:22: the value of "${TWO}" is not a scope, such as items:read`},
		"a pattern":               {"issuer: a\naudience: b\nroutes:\n  \"GET /${API}\": {}\n", "p.yaml:4:3"},
		"an included file's name": {"include: \"${API}\"\nissuer: a\n", "p.yaml:1:10: the variable API is not set or empty"},
	} {
		source, err := policyfile.Open(files(t, "p.yaml", tt.text))
		if err != nil {
			t.Fatal(err)
		}
		if _, err = source.Policy(getenv); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	if _, err := policyfile.Load([]byte("issuer: ${ISSUER}\naudience: b\nroutes: {\"GET /x\": {}}\n"), "p.yaml"); err == nil || !strings.Contains(err.Error(), "ISSUER is not set") {
		t.Errorf("Load knows a variable: %v", err)
	}
}

// A value cannot add keys to a policy.
func TestVariableIsText(t *testing.T) {
	source, err := policyfile.Open(files(t, "p.yaml", "issuer: a\naudience: b\nroutes:\n  \"GET /x\": {claims: {x: \"${LONG}\"}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := source.Policy(getenv)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, ok := p.Operation("GET", "/admin"); ok || len(p.Patterns()) != 1 {
		t.Errorf("routes %v", p.Patterns())
	}
}

func TestInclude(t *testing.T) {
	const shared = "issuer: https://login.example\nscope_claims: [permissions]\nroutes:\n  \"GET /healthz\": {public: true}\n"
	main := files(t, "svc/p.yaml", "include: [../common/shared.yaml, more.yaml]\naudience: https://orders.example\nroutes:\n  \"GET /orders\": {scopes: [orders:read]}\n",
		"common/shared.yaml", shared, "svc/more.yaml", "types: [at+jwt]\n")
	source, err := policyfile.Open(main)
	if err != nil {
		t.Fatal(err)
	}
	p, err := source.Policy(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(p.Patterns(), "|"); got != "GET /orders|GET /healthz" || p.Issuer != "https://login.example" || p.Types[0] != "at+jwt" || p.ScopeClaims[0] != "permissions" || p.Digest() != source.Digest() {
		t.Errorf("routes %s, %+v", got, p)
	}
	before := source.Digest()
	if err := os.WriteFile(filepath.Join(filepath.Dir(main), "more.yaml"), []byte("types: [JWT]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if source, err = policyfile.Open(main); err != nil || source.Digest() == before {
		t.Errorf("a change of an included file is not noticed: %v", err)
	}
}

func TestIncludeRefused(t *testing.T) {
	const good = "issuer: a\naudience: b\nroutes:\n  \"GET /x\": {}\n"
	for name, tt := range map[string]struct{ text, other, want string }{
		"missing":             {"include: nowhere.yaml\n" + good, "", "p.yaml:1:10: include: open "},
		"a key twice":         {"include: other.yaml\n" + good, "audience: c\n", "other.yaml:1:1: duplicate key \"audience\""},
		"a route twice":       {"include: other.yaml\n" + good, "routes:\n  \"GET /x\": {public: true}\n", "other.yaml:2:3: duplicate route \"GET /x\""},
		"a conflict":          {"include: other.yaml\n" + good, "routes:\n  \"GET /X\": {public: true}\n", "other.yaml:2:3: the route"},
		"includes again":      {"include: other.yaml\n" + good, "include: third.yaml\n", "other.yaml:1:10: an included file cannot include others"},
		"unknown key":         {"include: other.yaml\n" + good, "scope: a\n", "other.yaml:1:1: unknown key \"scope\""},
		"unknown route key":   {"include: other.yaml\n" + good, "routes:\n  \"GET /y\": {publik: true}\n", "other.yaml:2:14: unknown key"},
		"syntax":              {"include: other.yaml\n" + good, "routes: [\n", "other.yaml:2:1: "},
		"empty":               {"include: other.yaml\n" + good, "", "other.yaml:1:1: expected a policy"},
		"no list":             {"include: []\n" + good, "", "p.yaml:1:10: expected text or a list"},
		"nothing after all":   {"include: other.yaml\nissuer: a\naudience: b\n", "types: [JWT]\n", "p.yaml:1:1: routes is missing"},
		"include given twice": {"include: other.yaml\ninclude: other.yaml\n" + good, "types: [JWT]\n", "p.yaml:2:1: duplicate key"},
	} {
		source, err := policyfile.Open(files(t, "p.yaml", tt.text, "other.yaml", tt.other))
		if err != nil {
			t.Fatal(err)
		}
		if _, err = source.Policy(nil); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	if _, err := policyfile.Load([]byte("include: x.yaml\n"+good), "p.yaml"); err == nil || !strings.Contains(err.Error(), "p.yaml:1:10: a policy that is not read from a file cannot include others") {
		t.Errorf("Load: %v", err)
	}
	if _, err := policyfile.Open(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a missing file is no error")
	}
}
