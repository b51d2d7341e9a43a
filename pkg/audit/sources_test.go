package audit_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/audit"
	"github.com/oauthctl/oauthctl/pkg/openapi"
	"github.com/oauthctl/oauthctl/pkg/policy/policyfile"
)

func TestParseOperation(t *testing.T) {
	got, err := audit.ParseOperation("POST /items/{id}=items:write items:admin")
	if err != nil {
		t.Fatal(err)
	}
	want := audit.Operation{
		Method: "POST", Path: "/items/{id}", Scopes: []string{"items:write", "items:admin"},
		Params: []audit.Param{{Name: "id", In: "path", Absent: "2147483600", Required: true}},
		Body:   &audit.Body{MediaType: "application/json", Invalid: []byte("[]")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, text := range []string{"", "GET", "/items", "get /items", "GET items", "GET /items?a=1", "GET /a b"} {
		if _, err := audit.ParseOperation(text); err == nil {
			t.Errorf("%q is an operation", text)
		}
	}
}

func TestFromOpenAPI(t *testing.T) {
	const objects = `{type: object, required: [name], properties: {name: {type: string}}}`
	d, err := openapi.Load([]byte(`openapi: 3.1.0
components: {securitySchemes: {o: {type: oauth2}, b: {type: http, scheme: basic}}}
paths:
  /public: {get: {security: []}}
  /optional: {get: {security: [{o: []}, {}]}}
  /basic: {get: {security: [{b: []}]}}
  /u/{u}: {get: {security: [{o: [a]}], parameters: [{name: u, in: path, schema: {type: string, format: uuid}}]}}
  /objects: {post: {security: [{o: [a]}], requestBody: {required: true, content: {application/json: {schema: `+objects+`}}}}}
  /list: {post: {security: [{o: [a]}], requestBody: {required: true, content: {application/json: {schema: {type: array}}}}}}
  /any: {post: {security: [{o: [a]}], requestBody: {content: {application/json: {schema: {type: object}}}}}}
  /file: {post: {security: [{o: [a]}], requestBody: {required: true, content: {multipart/form-data: {}}}}}
`), "x.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range audit.FromOpenAPI(d, "x.yaml") {
		line := o.Name() + " " + string(o.Access) + " " + strings.Join(o.Scopes, ",") + " " + o.Reason
		for _, p := range o.Params {
			line += " " + p.Name + "=" + p.Absent
		}
		if o.Body != nil {
			line += " valid " + string(o.Body.Valid) + " invalid " + string(o.Body.Invalid)
		}
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	want := []string{
		"GET /public public", "GET /optional optional", "GET /basic it needs b (http basic), not a bearer token",
		"GET /u/{u} a u=00000000-0000-4000-8000-0000000a0d17", "POST /objects a valid invalid {}", "POST /list a valid invalid {}",
		"POST /any a valid invalid []", "POST /file a valid invalid",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The policy determines what an operation of the document requires. Operations
// that only one of them lists are reported. If a rule accepts several values, a
// valid token has one.
func TestMerge(t *testing.T) {
	rules, err := policyfile.Load([]byte("issuer: http://i\naudience: http://a\nroutes:\n  \"GET /v1/items/{item}\": {any_scopes: [read, admin], claims: {tenant: [acme, other], email: {matches: \"^(x)$\"}}}\n  \"GET,DELETE /v1/old\": {scopes: [a]}\n"), "policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	document := []audit.Operation{
		{Method: "GET", Path: "/items/{id}", Scopes: []string{"other"}, Params: []audit.Param{{Name: "id", In: "path", Value: "1"}}},
		{Method: "GET", Path: "/new"},
	}
	all, unlisted := audit.Merge(document, audit.FromPolicy(rules, "policy.yaml", map[string]any{"email": "x"}), "/v1")
	if diff := cmp.Diff([]string{"GET /new", "GET /v1/old", "DELETE /v1/old"}, unlisted); diff != "" {
		t.Errorf("unlisted (-want +got):\n%s", diff)
	}
	merged := all[0]
	if merged.Path != "/items/{id}" || merged.Params[0].Value != "1" || len(merged.Scopes) != 0 || !slices.Equal(merged.AnyScopes, []string{"read", "admin"}) || merged.Claims["tenant"] != "acme" || merged.Reason != "" {
		t.Errorf("%+v", merged)
	}
	if without := audit.FromPolicy(rules, "policy.yaml", nil); without[0].Reason != "no value for the claim email" {
		t.Errorf("a claim that only a pattern describes: %q", without[0].Reason)
	}
	if all[2].Path != "/old" {
		t.Errorf("a route without the base path: %q", all[2].Path)
	}
}

func TestBaselineRefuses(t *testing.T) {
	const entry = "operation: GET /a, case: expired, id: EXPIRED"
	if got, err := audit.LoadBaseline([]byte("# none\n"), "b"); err != nil || len(got) != 0 {
		t.Errorf("comments only: %v, %v", got, err)
	}
	for name, text := range map[string]string{
		"no reason":      "- {" + entry + "}",
		"null reason":    "- {" + entry + ", reason: null}",
		"blank reason":   "- {" + entry + ", reason: '  '}",
		"no case":        "- {operation: GET /a, id: EXPIRED, reason: x}",
		"an unknown key": "- {" + entry + ", reason: x, why: y}",
		"twice":          "- {" + entry + ", reason: x}\n- {" + entry + ", reason: y}",
		"a mapping":      "a: b",
		"not YAML":       "- [",
	} {
		if _, err := audit.LoadBaseline([]byte(text), "b.yaml"); err == nil || !strings.HasPrefix(err.Error(), "b.yaml:") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
