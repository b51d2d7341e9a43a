package cmd_test

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// Every operation of an Express API that uses jose as in its documentation is proven. It does not check for two
// Authorization headers, or for a key to which a token is bound: each is a warning, and nothing else is.
func TestAuditOfExpressAndJose(t *testing.T) {
	need(t, "node", missingClients())
	w := newWorld(t, devserver.Config{})
	const document = `openapi: 3.1.0
components: {securitySchemes: {oauth: {type: oauth2, flows: {}}}}
security: [{oauth: [items:read]}]
paths:
  /health: {get: {security: []}}
  /me: {get: {security: [{oauth: []}]}}
  /items:
    get: {}
    post: {security: [{oauth: [items:write]}], requestBody: {required: true, content: {application/json: {schema: {type: object, required: [name]}}}}}
  /items/{id}: {get: {parameters: [{name: id, in: path, required: true, example: 1}]}}
`
	report, code := w.auditJSON(t, "http://"+freeAddress(t), "--openapi", writeFile(t, "openapi.yaml", document), "--unsafe", "dry", "--rotation", "5s",
		"--", "node", filepath.Join("testdata", "clients", "api.mjs"))
	var got []string
	for _, f := range report.Findings {
		got = append(got, f.Level+" "+f.Case+" "+f.ID)
	}
	slices.Sort(got)
	if want := []string{"fail rotated-out KEY_OLD_ACCEPTED", "warn bound-token TOKEN_BOUND", "warn two-tokens CREDENTIALS_INVALID"}; code != 7 || !slices.Equal(got, want) || report.Coverage.Inconclusive > 0 {
		t.Errorf("exit code %d, %+v, findings %q, want %q\n%s", code, report.Coverage, got, want, report)
	}
}
