package openapi_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/openapi"
)

const document = `openapi: 3.1.0
info: {title: Items, version: "1"}
servers:
  - url: "{scheme}://api.example.com/{version}/"
    variables: {scheme: {default: https}, version: {default: v2}}
security:
  - oauth: [items:read]
components:
  securitySchemes:
    oauth: {type: oauth2, flows: {}}
    bearer: {type: http, scheme: Bearer}
    basic: {type: http, scheme: basic}
    oidc: {$ref: "#/components/securitySchemes/realOIDC"}
    realOIDC: {type: openIdConnect, openIdConnectUrl: https://as.example.com/.well-known/openid-configuration}
  parameters:
    id: {name: id, in: path, required: true, schema: {type: integer, example: 7}}
  schemas:
    Name: {type: string, examples: [Widget]}
    Item:
      type: object
      required: [name]
      properties: {name: {$ref: "#/components/schemas/Name"}, note: {type: string}, next: {$ref: "#/components/schemas/Item"}}
paths:
  x-internal: {}
  /health:
    get: {security: [], operationId: health}
  /items:
    parameters:
      - {name: limit, in: query, schema: {type: integer, default: 10}}
    get:
      security: [{basic: []}, {oidc: [items:read, items:list]}, {}]
    post:
      security: [{bearer: [items:write]}]
      parameters:
        - {name: limit, in: query, example: 3}
        - {name: tags, in: query, schema: {type: array, default: [a, b]}}
      requestBody:
        required: true
        content:
          text/plain: {example: x}
          application/json: {schema: {$ref: "#/components/schemas/Item"}}
  /items/{id}:
    parameters: [{$ref: "#/components/parameters/id"}]
    delete: {}
    patch:
      security: [{basic: []}]
      requestBody: {content: {application/merge-patch+json: {example: {day: 2026-01-02, n: 1.50, "on": true, gone: null}}}}
  /kinds/{kind}:
    get:
      parameters: [{name: kind, in: path, schema: {anyOf: [{type: string, enum: [big, small]}, {type: "null"}]}}]
`

func TestLoad(t *testing.T) {
	got, err := openapi.Load([]byte(document), "api.yaml")
	if err != nil {
		t.Fatal(err)
	}
	id := openapi.Parameter{Name: "id", In: "path", Required: true, Type: "integer", Value: "7", HasValue: true}
	limit := openapi.Parameter{Name: "limit", In: "query", Type: "integer", Value: "10", HasValue: true}
	read := openapi.Security{Scopes: []string{"items:read"}}
	want := &openapi.Document{
		Version: "3.1.0", BasePath: "/v2", Server: "https://api.example.com/v2", Issuer: "https://as.example.com",
		Operations: []openapi.Operation{
			{Method: "GET", Path: "/health", ID: "health", Line: 26, Security: openapi.Security{Public: true}},
			{Method: "GET", Path: "/items", Line: 30, Security: openapi.Security{Optional: true, Scopes: []string{"items:read", "items:list"}}, Parameters: []openapi.Parameter{limit}},
			{
				Method: "POST", Path: "/items", Line: 32, Security: openapi.Security{Scopes: []string{"items:write"}},
				Parameters: []openapi.Parameter{
					{Name: "limit", In: "query", Value: "3", HasValue: true},
					{Name: "tags", In: "query", Type: "array", Value: "a,b", HasValue: true},
				},
				Body: &openapi.Body{MediaType: "application/json", Required: true, Example: []byte(`{"name":"Widget"}`), Type: "object", Members: []string{"name"}},
			},
			{Method: "DELETE", Path: "/items/{id}", Line: 44, Security: read, Parameters: []openapi.Parameter{id}},
			{
				Method: "PATCH", Path: "/items/{id}", Line: 45, Security: openapi.Security{Other: "basic (http basic)"}, Parameters: []openapi.Parameter{id},
				Body: &openapi.Body{MediaType: "application/merge-patch+json", Example: []byte(`{"day":"2026-01-02","gone":null,"n":1.50,"on":true}`)},
			},
			{
				Method: "GET", Path: "/kinds/{kind}", Line: 49, Security: read,
				Parameters: []openapi.Parameter{{Name: "kind", In: "path", Required: true, Type: "string", Value: "big", HasValue: true}},
			},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// JSON that is not valid YAML.
func TestLoadJSON(t *testing.T) {
	text := "{\n\t\"openapi\": \"3.0.3\",\t\"info\": {\"title\": \"\\ud83d\\ude00 \\\\ud83d\"},\n\t\"paths\": {\"/a\\/b\": {\"get\": {\"operationId\": \"\\ud83d\\ude00\"}}}\n}"
	got, err := openapi.Load([]byte(text), "api.json")
	if err != nil {
		t.Fatal(err)
	}
	want := []openapi.Operation{{Method: "GET", Path: "/a/b", ID: "😀", Line: 3, Security: openapi.Security{Public: true}}}
	if diff := cmp.Diff(want, got.Operations); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// OpenAPI 3.2 has methods of other names.
func TestLoadAdditionalOperations(t *testing.T) {
	text := "openapi: 3.2.0\npaths:\n  /a:\n    query: {}\n    additionalOperations:\n      COPY: {security: []}\n"
	got, err := openapi.Load([]byte(text), "api.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, o := range got.Operations {
		names = append(names, o.Method)
	}
	if diff := cmp.Diff([]string{"QUERY", "COPY"}, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoadRefuses(t *testing.T) {
	// References that double at each step: there are 2^30 paths.
	bomb := "openapi: 3.1.0\npaths:\n  /a:\n    post:\n      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/S0'}}}}\ncomponents:\n  schemas:\n"
	for i := range 30 {
		next := "{$ref: '#/components/schemas/S" + string(rune('0'+(i+1)%10)) + "'}"
		bomb += "    S" + string(rune('0'+i%10)) + ": {type: object, properties: {a: " + next + ", b: " + next + "}}\n"
		if i == 9 {
			break
		}
	}
	if d, err := openapi.Load([]byte(bomb), "x"); err != nil || d.Operations[0].Body.Example != nil {
		t.Errorf("references without an end: %v, %v", d, err)
	}
	for name, test := range map[string]struct{ text, want string }{
		"swagger":        {"swagger: '2.0'\npaths: {}", "x:1:1: expected OpenAPI 3.0, 3.1 or 3.2, got Swagger 2.0"},
		"another":        {"openapi: 4.0.0\npaths: {}", `x:1:1: expected openapi: 3.0, 3.1 or 3.2, got "4.0.0"`},
		"3.10":           {"openapi: 3.10.0\npaths: {}", `got "3.10.0"`},
		"no operation":   {"openapi: 3.1.0\npaths: {}", "no operations"},
		"a list":         {"- 1", "x:1:1: expected an OpenAPI document"},
		"not YAML":       {"openapi: [3", "x:"},
		"paths as list":  {"openapi: 3.1.0\npaths: [1]", "x:2:8: expected paths"},
		"nothing":        {"", "expected an OpenAPI document"},
		"circular paths": {"openapi: 3.1.0\npaths: {/a: {$ref: '#/paths/~1a'}}", "no operations"},
	} {
		_, err := openapi.Load([]byte(test.text), "x")
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
}

// A protected operation never becomes public because of another fault in the document.
func TestUnknownSchemeIsNotPublic(t *testing.T) {
	text := "openapi: 3.1.0\nsecurity: [{nosuch: []}]\npaths: {/a: {get: {}, put: {security: null}}}"
	d, err := openapi.Load([]byte(text), "x")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range d.Operations {
		if o.Security.Public || o.Security.Other == "" {
			t.Errorf("%s: %+v", o.Method, o.Security)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(document))
	f.Add([]byte(`{"openapi":"3.0.0","paths":{"/a":{"get":{}}}}`))
	f.Add([]byte("openapi: 3.1.0\npaths: {/a: &a {get: *a}}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := openapi.Load(data, "x")
		if err != nil {
			if !strings.HasPrefix(err.Error(), "x:") {
				t.Errorf("no position: %v", err)
			}
			return
		}
		for _, o := range d.Operations {
			if !strings.HasPrefix(o.Path, "/") || o.Method == "" {
				t.Errorf("%+v", o)
			}
		}
	})
}
