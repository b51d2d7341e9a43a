package cmd_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// A policy from an OpenAPI document: an operation that cannot be a route is denied, never public.
func TestGuardPrintsPolicy(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	document := writeFile(t, "openapi.yaml", `openapi: 3.1.0
servers: [{url: https://api.example.com/v1}]
security: [{oidc: [items:read, "odd, scope"]}]
components:
  securitySchemes:
    oidc: {type: openIdConnect, openIdConnectUrl: https://as.example.com/.well-known/openid-configuration}
    basic: {type: http, scheme: basic}
paths:
  /health: {get: {security: []}}
  /me: {get: {security: [{oidc: []}]}}
  /items: {get: {security: [{oidc: [items:read]}]}, post: {security: [{oidc: [items:write, items:read]}]}}
  /items/{item-id}: {delete: {security: [{oidc: [items:read]}]}, patch: {security: [{basic: []}]}}
  /files/{name}.json: {get: {security: [{oidc: [files]}]}}
  /odd: {get: {}}
`)
	if code := w.run("guard", "--openapi", document, "--print-policy"); code != 0 {
		t.Fatalf("%d %s", code, &w.stderr)
	}
	var lines []string
	for line := range strings.Lines(w.stdout.String()) {
		line, _, _ = strings.Cut(strings.TrimSuffix(line, "\n"), ": policy:")
		lines = append(lines, line)
	}
	want := []string{
		"issuer: https://as.example.com", "audience: https://api.example.com/v1", "routes:",
		`  "GET /v1/health": {public: true}`, `  "GET /v1/me": {}`, `  "GET /v1/items": {scopes: [items:read]}`,
		`  "POST /v1/items": {scopes: [items:write, items:read]}`, `  "DELETE /v1/items/{item_id}": {scopes: [items:read]}`,
		`  # PATCH /v1/items/{item_id} needs basic (http basic), so it is not listed and denied`,
		`  # GET /v1/files/{name}.json cannot be a route, so it is not listed and denied`,
		`  # GET /v1/odd cannot be a route, so it is not listed and denied`,
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	policy := writeFile(t, "policy.yaml", w.stdout.String())
	if code := w.run("guard", "--check-policy", policy); code != 0 {
		t.Errorf("the policy is refused: %d %s", code, &w.stderr)
	}
	for _, args := range [][]string{{"--print-policy"}, {"--print-policy", "--openapi", "no-such-file"}} {
		if code := w.run(append([]string{"guard"}, args...)...); code != 2 {
			t.Errorf("%q: %d", args, code)
		}
	}
}
