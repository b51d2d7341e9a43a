package oauthtest_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/audit"
	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/oauthtest"
	"github.com/oauthctl/oauthctl/pkg/token"
)

const itemsDocument = `openapi: 3.1.0
components: {securitySchemes: {oauth: {type: oauth2, flows: {}}}}
security: [{oauth: [items:read]}]
paths:
  /health: {get: {security: []}}
  /items:
    get: {}
    post:
      security: [{oauth: [items:write]}]
      requestBody: {required: true, content: {application/json: {schema: {type: object, required: [name]}}}}
  /items/{id}:
    get: {parameters: [{name: id, in: path, required: true}]}
`

// itemsAPI is protected by the middleware of this module, except for the bug.
func itemsAPI(issuer *oauthtest.Issuer, bug string) http.Handler {
	verifier, err := token.NewVerifier(issuer.URL(), []string{"https://api.test"}, issuer.KeySet(), token.Options{})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	handle := func(pattern, scope string, status int, body string) {
		h := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, body)
		}))
		switch {
		case scope == "" || bug == "open" && pattern == "GET /items/{id}":
		case bug == "no scope" && pattern == "POST /items":
			h = bearer.Require(verifier, bearer.Revocation(issuer.Revocation()))(h)
		default:
			h = bearer.Require(verifier, bearer.Scopes(scope), bearer.Revocation(issuer.Revocation()))(h)
		}
		mux.Handle(pattern, h)
	}
	handle("GET /health", "", 200, "well")
	handle("GET /items", "items:read", 200, "[]")
	handle("GET /items/{id}", "items:read", 200, "{}")
	handle("POST /items", "items:write", 422, "{}")
	return mux
}

func itemsFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "openapi.yaml")
	if err := os.WriteFile(file, []byte(itemsDocument), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestMatrix(t *testing.T) {
	t.Parallel()
	issuer := oauthtest.NewIssuer(t)
	oauthtest.Matrix(t, itemsAPI(issuer, ""), issuer, oauthtest.OpenAPI(itemsFile(t)), oauthtest.Param("id", "1"), oauthtest.Unsafe(audit.Dry), oauthtest.Strict())
}

func TestMatrixOfOneOperation(t *testing.T) {
	t.Parallel()
	issuer := oauthtest.NewIssuer(t)
	oauthtest.Matrix(t, itemsAPI(issuer, "open"), issuer, oauthtest.Operation("GET /items", "items:read"), oauthtest.Only("no-*", "good"))
	oauthtest.Matrix(t, itemsAPI(issuer, "open"), issuer, oauthtest.Operation("GET /items/{id}", "items:read"), oauthtest.Param("id", "1"),
		oauthtest.Known("GET /items/{id}", "no-token", "public until March"))
}

// The report of Matrix for an API with a fault. This test runs itself in another process, because it has to fail
// there.
func TestMatrixFails(t *testing.T) {
	if bug := os.Getenv("OAUTHTEST_BUG"); bug != "" {
		issuer := oauthtest.NewIssuer(t)
		options := []oauthtest.MatrixOption{oauthtest.OpenAPI(itemsFile(t)), oauthtest.Unsafe(audit.Dry)}
		if bug != "no value" {
			options = append(options, oauthtest.Param("id", "1"))
		}
		if bug == "stale" {
			options = append(options, oauthtest.Known("GET /items", "no-audience", "no reason any more"))
		}
		oauthtest.Matrix(t, itemsAPI(issuer, bug), issuer, options...)
		return
	}
	for bug, want := range map[string]string{
		"no scope": "fail TestMatrixFails/POST_/items/missing-scope",
		"open":     "fail TestMatrixFails/GET_/items/{id}/no-token",
		"stale":    "fail TestMatrixFails",
		"no value": "skip TestMatrixFails/GET_/items/{id}/good",
	} {
		self := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMatrixFails$", "-test.v=test2json")
		self.Env = append(os.Environ(), "OAUTHTEST_BUG="+bug)
		out, err := self.CombinedOutput()
		if (err == nil) != (bug == "no value") {
			t.Errorf("%s: %v", bug, err)
		}
		verb, name, _ := strings.Cut(want, " ")
		if line := "--- " + strings.ToUpper(verb) + ": " + name + " "; !bytes.Contains(out, []byte(line)) {
			t.Errorf("%s: no %q in\n%s", bug, line, out)
		}
		if bug == "no scope" && !bytes.Contains(out, []byte("SCOPE_MISSING")) {
			t.Errorf("the id is missing:\n%s", out)
		}
	}
}
