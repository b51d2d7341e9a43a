package cmd_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// The JSON of verify and check follows the published schema for each kind of result.
func TestVerifyMatchesItsSchema(t *testing.T) {
	schema := verifySchema(t)
	w := newWorld(t, devserver.Config{})
	if code := w.run("login", w.api, "--browser", "-q"); code != 0 {
		t.Fatalf("login: %d %s", code, &w.stderr)
	}
	w.run("token")
	raw := strings.TrimSpace(w.stdout.String())
	parts := strings.Split(raw, ".")
	dir := t.TempDir()
	empty, policy := filepath.Join(dir, "empty"), filepath.Join(dir, "policy.yaml")
	if err := errors.Join(
		os.WriteFile(empty, nil, 0o600),
		os.WriteFile(policy, []byte("issuer: "+w.issuer+"\naudience: "+w.api+"\nroutes:\n  \"GET /x\": {scopes: [items:read]}\n  \"GET /healthz\": {public: true}\n"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		code int
		args []string
	}{
		"valid":         {0, []string{"verify", raw}},
		"scope":         {0, []string{"check", raw, "--scope", "items:read"}},
		"denied":        {4, []string{"check", raw, "--scope", "nothing"}},
		"expired":       {3, []string{"verify", raw, "--at", "2099-01-01T00:00:00Z"}},
		"audience":      {3, []string{"verify", raw, "--audience", "x"}},
		"signature":     {3, []string{"verify", parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])), "--at", "2099-01-01T00:00:00Z"}},
		"malformed":     {3, []string{"verify", "a.b"}},
		"strict":        {3, []string{"verify", raw, "--key", keyFile(t, w), "--strict", "--config", filepath.Join(w.home, "none.yaml")}},
		"cannot be had": {6, []string{"verify", raw, "--jwks", "http://127.0.0.1:1/"}},

		"an empty token":   {3, []string{"verify", "@" + empty, "--issuer", w.issuer}},
		"opaque":           {3, []string{"verify", "9f2c", "--issuer", "http://127.0.0.1:1"}},
		"no such profile":  {2, []string{"verify", raw, "-p", "none"}},
		"a closed list":    {3, []string{"verify", raw, "--issuer", "https://a.example", "--issuer", "https://b.example"}},
		"no such flag":     {2, []string{"verify", raw, "--no-such-flag"}},
		"an empty flag":    {2, []string{"verify", raw, "--issuer", ""}},
		"two keys":         {2, []string{"verify", raw, "--jwks", "a", "--key", "b"}},
		"no such file":     {2, []string{"verify", "@/nonexistent"}},
		"a claim":          {4, []string{"check", raw, "--claim", "sub=nobody"}},
		"nothing to check": {2, []string{"check", raw}},
		"unlisted":         {4, []string{"check", raw, "--policy", policy, "--operation", "PUT /x"}},
		"public":           {0, []string{"check", "--policy", policy, "--operation", "GET /healthz"}},
		"ambiguous":        {2, []string{"check", raw, "--policy", policy, "--operation", "GET /a//b"}},
		"listed":           {0, []string{"check", raw, "--policy", policy, "--operation", "GET /x"}},
		"no policy":        {2, []string{"check", raw, "--policy", "/nonexistent", "--operation", "GET /x"}},
		"an ID token":      {3, []string{"verify", raw, "--jwks", w.issuer + "/jwks", "--audience", "x", "--typ", "JWT"}},
	} {
		t.Run(name, func(t *testing.T) {
			if code := w.run(append(tt.args, "--json")...); code != tt.code {
				t.Errorf("exit code %d, want %d\n%s", code, tt.code, &w.stderr)
			}
			validate(t, schema, w.stdout.Bytes())
		})
	}
	for name, text := range map[string]string{
		"no checks": `{"status":"valid","valid":true,"header":{},"key":{"kty":"EC","alg":"ES256","tried":1},"checks":[]}`, "no status": `{"checks":[]}`,
		"a failure without id": `{"status":"invalid","valid":false,"error":{"message":"x","retryable":false,"exit_code":3},"checks":[{"check":"x","status":"failed"}]}`,
		"denied and valid":     `{"status":"denied","valid":true,"error":{"message":"x","retryable":false,"exit_code":4},"checks":[]}`,
	} {
		instance, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil || schema.Validate(instance) == nil {
			t.Errorf("the schema lets %s pass", name)
		}
	}
}

// verifySchema is the schema of what verify and check print with --json.
func verifySchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile("../docs/reference/verify.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// keyFile writes the development server's public key to a file.
func keyFile(t *testing.T, w *world) string {
	t.Helper()
	set := getJSON[struct {
		Keys []map[string]any `json:"keys"`
	}](t, w.issuer+"/jwks")
	key, err := json.Marshal(set.Keys[0])
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.jwk")
	if err := os.WriteFile(path, key, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
