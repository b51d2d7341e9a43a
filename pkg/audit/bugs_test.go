package audit_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/audit"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// For the planted API without bugs, every cell is decided, and there is no
// finding.
func TestAPIWithoutBugs(t *testing.T) {
	t.Run("handler", func(t *testing.T) {
		_, c := setup(t)
		checkTwin(t, run(t, c))
	})
	t.Run("process", func(t *testing.T) { checkTwin(t, run(t, process(t))) })
	// What some libraries do by default is not a fault.
	for _, custom := range []string{"leeway-5m", "400-without-scheme"} {
		t.Run(custom, func(t *testing.T) {
			_, c := setup(t, custom)
			checkTwin(t, run(t, c))
		})
	}
}

func checkTwin(t *testing.T, report *audit.Report) {
	t.Helper()
	for _, f := range report.Findings {
		t.Errorf("%s: %s %s: %s", f.Operation, f.Case.Name, f.ID, f.Got)
	}
	asked := map[string]bool{}
	for _, o := range report.Operations {
		for _, cell := range o.Cells {
			asked[cell.Case.Name] = true
			if cell.Result != audit.Pass {
				t.Errorf("%s %s: %s %s", o.Operation.Name(), cell.Case.Name, cell.Result, cell.Reason)
			}
		}
	}
	for _, row := range audit.Cases() {
		if !asked[row.Name] {
			t.Errorf("%s was not asked", row.Name)
		}
	}
	if got := report.Coverage(); got.Proven != 6 || got.Decided != got.Cells || got.Cells < 200 {
		t.Errorf("coverage %+v", got)
	}
}

// Each planted bug is found with its case and id. More cases may fail with it,
// but no valid token is refused.
func TestPlantedBugs(t *testing.T) {
	tests := []struct {
		bug       string
		operation string
		name      string
		id        diagnosis.ID
		level     audit.Result
	}{
		{"closed", "GET /me", "good", "RIGHT_TOKEN_REFUSED", audit.Fail},
		{"scheme-case", "GET /items", "scheme-lower-case", "RIGHT_TOKEN_REFUSED", audit.Fail},
		{"audience-text-only", "GET /me", "audience-array", "RIGHT_TOKEN_REFUSED", audit.Fail},
		{"scope-text-only", "GET /items", "scope-as-array", "RIGHT_TOKEN_REFUSED", audit.Warning},
		{"open", "GET /me", "no-token", "NO_TOKEN_ACCEPTED", audit.Fail},
		{"query", "GET /items", "in-query", "TOKEN_IN_QUERY", audit.Warning},
		{"any-scheme", "GET /items", "other-scheme", "SCHEME_IGNORED", audit.Warning},
		{"no-scheme", "GET /items", "no-scheme", "SCHEME_IGNORED", audit.Warning},
		{"first-of-two", "GET /items", "two-tokens", "CREDENTIALS_INVALID", audit.Warning},
		{"crashes", "GET /items", "malformed-text", "REFUSAL_5XX", audit.Fail},
		{"no-signature-check", "GET /items", "bad-signature", "SIGNATURE_INVALID", audit.Fail},
		{"no-signature-check", "GET /items", "oversized", "SIGNATURE_INVALID", audit.Fail},
		{"stripped", "GET /items", "stripped-signature", "SIGNATURE_INVALID", audit.Fail},
		{"form-of-signature", "GET /items", "foreign-key", "SIGNATURE_INVALID", audit.Fail},
		{"unknown-kid", "GET /items", "unknown-kid", "KID_UNKNOWN", audit.Fail},
		{"jwk-header", "GET /items", "jwk-header", "KID_UNKNOWN", audit.Fail},
		{"jku-header", "GET /items", "jku-header", "KID_UNKNOWN", audit.Fail},
		{"jku-fetch", "GET /items", "jku-header", "KID_UNKNOWN", audit.Warning},
		{"x5c-header", "GET /items", "x5c-header", "KID_UNKNOWN", audit.Fail},
		{"kid-path", "GET /items", "kid-path", "HS_TOKEN_NO_SECRET", audit.Fail},
		{"kid-sql", "GET /items", "kid-sql", "HS_TOKEN_NO_SECRET", audit.Fail},
		{"alg-none", "GET /items", "alg-none", "ALG_NONE", audit.Fail},
		{"unsigned-403", "GET /items", "alg-none", "ALG_NONE", audit.Fail},
		{"alg-none-case", "GET /items", "alg-none-case", "ALG_NONE", audit.Fail},
		{"confusion", "GET /items", "alg-confusion", "HS_TOKEN_NO_SECRET", audit.Fail},
		{"confusion-trimmed", "GET /items", "alg-confusion-trimmed", "HS_TOKEN_NO_SECRET", audit.Fail},
		{"confusion-der", "GET /items", "alg-confusion-der", "HS_TOKEN_NO_SECRET", audit.Fail},
		{"confusion-jwk", "GET /items", "alg-confusion-jwk", "HS_TOKEN_NO_SECRET", audit.Fail},
		{"any-issuer", "GET /items", "wrong-issuer", "ISS_MISMATCH", audit.Fail},
		{"issuer-prefix", "GET /items", "issuer-suffix", "ISS_MISMATCH", audit.Fail},
		{"issuer-host", "GET /items", "sibling-issuer", "ISS_MISMATCH", audit.Fail},
		{"issuer-optional", "GET /items", "no-issuer", "ISS_MISSING", audit.Fail},
		{"issuer-slash", "GET /items", "issuer-slash", "ISS_SLASH", audit.Warning},
		{"any-audience", "GET /items", "wrong-audience", "AUD_MISMATCH", audit.Fail},
		{"audience-prefix", "GET /items", "audience-suffix", "AUD_MISMATCH", audit.Fail},
		{"audience-inside", "GET /items", "audience-inside", "AUD_MISMATCH", audit.Fail},
		{"audience-ends", "GET /items", "audience-inside", "AUD_MISMATCH", audit.Fail},
		{"audience-optional", "GET /items", "no-audience", "AUD_MISSING", audit.Fail},
		{"no-expiry-check", "GET /items", "expired", "EXPIRED", audit.Fail},
		{"leeway", "GET /items", "expired-30m", "EXPIRED", audit.Fail},
		{"leeway", "GET /items", "expired-6m", "EXPIRED", audit.Warning},
		{"leeway-10m", "GET /items", "expired-6m", "EXPIRED", audit.Warning},
		{"expiry-optional", "GET /items", "no-expiry", "EXP_MISSING", audit.Fail},
		{"no-nbf-check", "GET /items", "not-yet-valid", "NOT_YET_VALID", audit.Fail},
		{"expiry-text", "GET /items", "expiry-as-text", "TIME_INVALID", audit.Fail},
		{"id-token", "GET /me", "id-token-as-access-token", "ID_TOKEN_AS_ACCESS", audit.Fail},
		{"id-token", "GET /items", "id-token-with-scope", "ID_TOKEN_AS_ACCESS", audit.Fail},
		{"id-token", "GET /items", "id-token-as-access-token", "ID_TOKEN_AS_ACCESS", audit.Fail}, // because of its 403
		{"crit", "GET /items", "crit", "CRIT_UNSUPPORTED", audit.Fail},
		{"cnf", "GET /items", "bound-token", "TOKEN_BOUND", audit.Warning},
		{"member-case", "GET /items", "member-case", "MEMBER_CASE", audit.Fail},
		{"duplicate", "GET /items", "duplicate-member", "DUPLICATE_MEMBER", audit.Fail},
		{"no-scope-check", "GET /items", "missing-scope", "SCOPE_MISSING", audit.Fail},
		{"no-scope-check-on-post", "POST /items", "missing-scope", "SCOPE_MISSING", audit.Fail},
		{"no-scope-check-on-id", "GET /items/{id}", "missing-scope", "SCOPE_MISSING", audit.Fail},
		{"any-scope", "GET /items", "scope-other", "SCOPE_MISSING", audit.Fail},
		{"scope-inside", "GET /items", "scope-near", "SCOPE_MISSING", audit.Fail},
		{"scope-begins", "GET /items", "scope-near", "SCOPE_MISSING", audit.Fail},
		{"scope-ends", "GET /items", "scope-near", "SCOPE_MISSING", audit.Fail},
		{"scope-any-case", "GET /items", "scope-near", "SCOPE_MISSING", audit.Fail},
		{"no-scope-claim", "GET /items", "missing-scope", "SCOPE_MISSING", audit.Fail},
		{"remembers-address", "GET /me", "no-token", "NO_TOKEN_ACCEPTED", audit.Fail},
		{"caches-by-id", "GET /me", "bad-signature", "SIGNATURE_INVALID", audit.Fail},
		{"caches-by-payload", "GET /me", "bad-signature", "SIGNATURE_INVALID", audit.Fail},
		{"caches-by-subject", "GET /me", "wrong-audience", "AUD_MISMATCH", audit.Fail},
		{"permissions", "GET /items", "scope-elsewhere", "SCOPE_CLAIM_NAME", audit.Warning},
		{"head-open", "GET /items", "head", "ROUTE_OPEN", audit.Fail},
		{"override-open", "GET /items", "method-override", "ROUTE_OPEN", audit.Fail},
		{"slash-open", "GET /items", "path-slash", "ROUTE_OPEN", audit.Fail},
		{"case-open", "GET /items", "path-case", "ROUTE_OPEN", audit.Fail},
		{"encoded-open", "GET /items", "path-encoded", "ROUTE_OPEN", audit.Fail},
		{"double-open", "GET /items", "path-double-slash", "ROUTE_OPEN", audit.Fail},
		{"no-revocation", "GET /items", "revoked", "REVOKED", audit.Fail},
		{"caches-forever", "GET /items", "rotated-out", "KEY_OLD_ACCEPTED", audit.Fail},
		{"reads-once", "GET /items", "rotated-in", "KEY_NEW_REFUSED", audit.Fail},
		{"keys-needed", "GET /items", "keys-unavailable", "KEYS_UNAVAILABLE", audit.Fail},
		{"health-closed", "GET /health", "public-without-token", "PUBLIC_REFUSED", audit.Fail},
		{"403-for-401", "GET /items", "no-token", "REFUSAL_STATUS", audit.Fail},
		{"401-for-403", "GET /items", "missing-scope", "REFUSAL_STATUS", audit.Fail},
		{"no-challenge", "GET /items", "no-token", "CHALLENGE_MISSING", audit.Fail},
		{"broken-challenge", "GET /items", "no-token", "CHALLENGE_INVALID", audit.Fail},
		{"error-without-token", "GET /items", "no-token", "CHALLENGE_INVALID", audit.Warning},
		{"stack-trace", "GET /items", "no-token", "REFUSAL_LEAKS", audit.Warning},
	}
	for _, tt := range tests {
		check := func(t *testing.T, report *audit.Report) {
			t.Helper()
			found := slices.ContainsFunc(report.Findings, func(f audit.Finding) bool {
				return f.Operation == tt.operation && f.Case.Name == tt.name && f.ID == tt.id && f.Level == tt.level
			})
			if !found {
				t.Errorf("%s %s is not found: %+v", tt.name, tt.id, report.Coverage())
			}
			for _, f := range report.Findings {
				if !found || f.Class == audit.Deny && tt.id != f.ID {
					t.Errorf("%s: %s %s %s: %s", f.Operation, f.Level, f.Case.Name, f.ID, f.Got)
				}
			}
		}
		t.Run(tt.bug+"/"+tt.name, func(t *testing.T) {
			t.Parallel()
			_, c := setup(t, tt.bug)
			check(t, run(t, c))
		})
		t.Run(tt.bug+"/"+tt.name+"/process", func(t *testing.T) {
			t.Parallel()
			c := process(t, tt.bug)
			c.Cases = []string{"good", "no-token", "public-without-token", tt.name} // all cases are sent to the handler
			check(t, run(t, c))
		})
	}
}

// A bug of one operation does not show in the results of other operations.
func TestPlantedBugsAffectOneOperation(t *testing.T) {
	for bug, operation := range map[string]string{
		"open": "GET /me", "no-scope-check-on-post": "POST /items", "no-scope-check-on-id": "GET /items/{id}", "closed": "GET /me",
	} {
		_, c := setup(t, bug)
		for _, f := range run(t, c).Findings {
			if f.Operation != operation {
				t.Errorf("%s: %s: %s %s", bug, f.Operation, f.Case.Name, f.ID)
			}
		}
	}
}

func failures(report *audit.Report) string {
	var all []string
	for _, f := range report.Findings {
		all = append(all, f.Operation+" "+string(f.Level)+" "+f.Case.Name+" "+string(f.ID))
	}
	return strings.Join(all, "\n")
}
