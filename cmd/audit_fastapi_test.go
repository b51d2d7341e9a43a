package cmd_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// audited is the part of a report that tests read.
type audited struct {
	Operations []struct {
		Operation, Status, Reason string
		Cells                     []struct{ Case, Result, ID, Reason string }
	}
	Findings []struct {
		ID, Level, Case, Got, Reproduce, Fingerprint string
		Operations                                   []string
		Known                                        bool
	}
	Coverage struct{ Operations, Cells, Proven, Inconclusive int }
	Requests int
	ExitCode int `json:"exit_code"`
	Error    string
}

// auditJSON runs an audit and reads its report.
func (w *world) auditJSON(t *testing.T, args ...string) (audited, int) {
	t.Helper()
	code := w.run(append([]string{"audit", "--json", "-q"}, args...)...)
	var report audited
	if err := json.Unmarshal(w.stdout.Bytes(), &report, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatalf("%v: %d\n%s%s", err, code, &w.stdout, &w.stderr)
	}
	if report.ExitCode != code {
		t.Errorf("exit code %d, and %d in the report", code, report.ExitCode)
	}
	return report, code
}

// has reports whether the report has a finding with this operation, case, id and level.
func (r audited) has(operation, name, id, level string) bool {
	for _, f := range r.Findings {
		if f.Case == name && f.ID == id && f.Level == level && slices.Contains(f.Operations, operation) {
			return true
		}
	}
	return false
}

func (r audited) String() string {
	var all []string
	for _, f := range r.Findings {
		all = append(all, f.Level+" "+f.Case+" "+f.ID+" "+strings.Join(f.Operations, ", ")+": "+f.Got)
	}
	for _, o := range r.Operations {
		for _, c := range o.Cells {
			if c.Result == "inconclusive" {
				all = append(all, "inconclusive "+o.Operation+" "+c.Case+": "+c.Reason)
			}
		}
	}
	return strings.Join(all, "\n")
}

// An API in Python with planted bugs: each bug is found with its case and id. Without bugs there is no finding.
func TestAuditFindsPlantedBugsInFastAPI(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	issuer, audience := freeAddress(t), "https://api.example.com"
	api := startFastAPI(t, "planted", func(string) []string {
		return []string{"OAUTH_ISSUER=http://" + issuer, "OAUTH_AUDIENCE=" + audience}
	})
	args := []string{
		api, "--issuer-listen", issuer, "--audience", audience, "--unsafe", "dry",
		"--operation", "GET /api/items=items:read", "--operation", "POST /api/items=items:write",
	}
	get, post := "GET /api/items", "POST /api/items"
	for _, tt := range []struct{ bug, operation, name, id, level string }{
		{"", "", "", "", ""},
		{"open", get, "no-token", "NO_TOKEN_ACCEPTED", "fail"},
		{"scheme-case", get, "scheme-lower-case", "RIGHT_TOKEN_REFUSED", "fail"},
		{"scope-text-only", get, "scope-as-array", "RIGHT_TOKEN_REFUSED", "warn"},
		{"query", get, "in-query", "TOKEN_IN_QUERY", "warn"},
		{"any-scheme", get, "other-scheme", "SCHEME_IGNORED", "warn"},
		{"no-scheme", get, "no-scheme", "SCHEME_IGNORED", "warn"},
		{"first-of-two", get, "two-tokens", "CREDENTIALS_INVALID", "warn"},
		{"crash", get, "malformed-text", "REFUSAL_5XX", "fail"},
		{"no-signature-check", get, "bad-signature", "SIGNATURE_INVALID", "fail"},
		{"unknown-kid", get, "unknown-kid", "KID_UNKNOWN", "fail"},
		{"jwk-header", get, "jwk-header", "KID_UNKNOWN", "fail"},
		{"alg-none", get, "alg-none", "ALG_NONE", "fail"},
		{"confusion", get, "alg-confusion", "HS_TOKEN_NO_SECRET", "fail"},
		{"any-issuer", get, "wrong-issuer", "ISS_MISMATCH", "fail"},
		{"issuer-prefix", get, "issuer-suffix", "ISS_MISMATCH", "fail"},
		{"issuer-optional", get, "no-issuer", "ISS_MISSING", "fail"},
		{"issuer-slash", get, "issuer-slash", "ISS_SLASH", "warn"},
		{"any-audience", get, "wrong-audience", "AUD_MISMATCH", "fail"},
		{"audience-inside", get, "audience-inside", "AUD_MISMATCH", "fail"},
		{"audience-optional", get, "no-audience", "AUD_MISSING", "fail"},
		{"no-expiry-check", get, "expired", "EXPIRED", "fail"},
		{"leeway", get, "expired-30m", "EXPIRED", "fail"},
		{"leeway-10m", get, "expired-6m", "EXPIRED", "warn"},
		{"leeway-5m", "", "", "", ""},
		{"expiry-optional", get, "no-expiry", "EXP_MISSING", "fail"},
		{"no-nbf-check", get, "not-yet-valid", "NOT_YET_VALID", "fail"},
		{"id-token", get, "id-token-with-scope", "ID_TOKEN_AS_ACCESS", "fail"},
		{"crit", get, "crit", "CRIT_UNSUPPORTED", "fail"},
		{"cnf", get, "bound-token", "TOKEN_BOUND", "warn"},
		{"member-case", get, "member-case", "MEMBER_CASE", "fail"},
		{"no-scope-check", get, "missing-scope", "SCOPE_MISSING", "fail"},
		{"no-scope-check-on-post", post, "missing-scope", "SCOPE_MISSING", "fail"},
		{"any-scope", get, "scope-other", "SCOPE_MISSING", "fail"},
		{"scope-inside", get, "scope-near", "SCOPE_MISSING", "fail"},
		{"permissions", get, "scope-elsewhere", "SCOPE_CLAIM_NAME", "warn"},
		{"head-open", get, "head", "ROUTE_OPEN", "fail"},
		{"override-open", get, "method-override", "ROUTE_OPEN", "fail"},
		{"slash-open", get, "path-slash", "ROUTE_OPEN", "fail"},
		{"403-for-401", get, "no-token", "REFUSAL_STATUS", "fail"},
		{"401-for-403", get, "missing-scope", "REFUSAL_STATUS", "fail"},
		{"no-challenge", get, "no-token", "CHALLENGE_MISSING", "fail"},
		{"traceback", get, "no-token", "REFUSAL_LEAKS", "warn"},
	} {
		report, code := w.auditJSON(t, append([]string{"--header", "X-Bug:" + tt.bug}, args...)...)
		want := map[string]int{"": 0, "warn": 0, "fail": 7}[tt.level]
		switch {
		case tt.name == "" && (len(report.Findings) > 0 || report.Coverage.Inconclusive > 0 || report.Coverage.Proven != 2):
			t.Errorf("the hardened twin %s: %+v\n%s", tt.bug, report.Coverage, report)
		case tt.name != "" && !report.has(tt.operation, tt.name, tt.id, tt.level):
			t.Errorf("%s: %s %s is not found:\n%s", tt.bug, tt.name, tt.id, report)
		}
		if code != want && code != 7 {
			t.Errorf("%s: exit code %d, want %d\n%s", tt.bug, code, want, report)
		}
	}
	if got := getJSON[int](t, api+"/api/count"); got != 1 {
		t.Errorf("--unsafe dry changed data: %d items", got)
	}
}

// An API that uses python-jose as in its documentation: faults are reported, and nothing that it refuses is reported as
// accepted.
func TestAuditOfPlainPythonJose(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	issuer := freeAddress(t)
	api := startFastAPI(t, "items", func(address string) []string {
		return []string{"OAUTH_ISSUER=http://" + issuer, "OAUTH_AUDIENCE=" + address}
	})
	report, code := w.auditJSON(t, api, "--issuer-listen", issuer, "--operation", "GET /api/items=items:read")
	var got []string
	for _, f := range report.Findings {
		got = append(got, f.Case+" "+f.ID)
	}
	slices.Sort(got)
	want := []string{
		"bound-token TOKEN_BOUND", "crit CRIT_UNSUPPORTED", "no-audience AUD_MISSING", "no-expiry EXP_MISSING",
		"scope-as-array RIGHT_TOKEN_REFUSED", "two-tokens CREDENTIALS_INVALID",
	}
	if code != 7 || !slices.Equal(got, want) {
		t.Errorf("exit code %d, findings %q, want %q", code, got, want)
	}
}

// FastAPI serves a document of its API. Audit starts the API, reads the document, and gets the scopes, which the
// document lacks, from a policy.
func TestAuditReadsTheDocumentOfItsCommand(t *testing.T) {
	python, missing := findPython()
	need(t, "fastapi", missing)
	w := newWorld(t, devserver.Config{})
	issuer, address := freeAddress(t), freeAddress(t)
	policy := writeFile(t, "policy.yaml", "issuer: http://"+issuer+"\naudience: http://"+address+"\nroutes:\n  \"GET /api/items\": {scopes: [items:read]}\n  \"POST /api/items\": {scopes: [items:write]}\n")
	script := "cd testdata/fastapi && PYTHONDONTWRITEBYTECODE=1 exec " + python + " -m uvicorn items:app --host 127.0.0.1 --port $PORT --log-level warning"
	report, code := w.auditJSON(t, "http://"+address, "--openapi", "http://"+address+"/openapi.json", "--policy", policy, "--unsafe", "dry", "--", "/bin/sh", "-c", script)
	if code != 7 || !report.has("GET /api/items", "no-audience", "AUD_MISSING", "fail") || !report.has("POST /api/items", "no-audience", "AUD_MISSING", "fail") {
		t.Errorf("%d\n%s", code, report)
	}
	if !report.has("DELETE /api/users/{user}", "documents", "OPERATION_UNLISTED", "warn") {
		t.Errorf("the operation that the policy does not list is not reported:\n%s", report)
	}
	if res, err := http.Get("http://" + address); err == nil {
		res.Body.Close()
		t.Error("the API still runs")
	}
}
