package problem_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/problem"
)

// Every diagnosis has a status that fits its kind, and insufficient_scope is
// used only if more scopes would help.
func TestEveryDiagnosis(t *testing.T) {
	byKind := map[diagnosis.Kind]int{diagnosis.Rejected: 401, diagnosis.Denied: 403, diagnosis.Unavailable: 503}
	exceptions := map[diagnosis.ID]int{diagnosis.CredentialsInvalid: 400, diagnosis.PathAmbiguous: 400, diagnosis.StepUpRequired: 401}
	scope := map[diagnosis.ID]bool{diagnosis.ScopeMissing: true, diagnosis.ScopeClaimName: true, diagnosis.ScopeForm: true}
	for _, e := range diagnosis.All() {
		want, ok := byKind[e.Kind]
		if !ok {
			want = 503
		}
		if status, ok := exceptions[e.ID]; ok {
			want = status
		}
		p := problem.Of(&diagnosis.Diagnosis{ID: e.ID, Got: diagnosis.Values{"canary"}})
		if p.Status != want || p.ID != e.ID || p.Detail != e.Summary || p.Title != http.StatusText(want) {
			t.Errorf("%s: %+v, want status %d", e.ID, p, want)
		}
		if (p.Code == "insufficient_scope") != scope[e.ID] || p.Challenges() != (want == 401 || want == 400 || scope[e.ID]) {
			t.Errorf("%s: code %q", e.ID, p.Code)
		}
	}
	if p := problem.Of(&diagnosis.Diagnosis{ID: diagnosis.IssSlash, As: diagnosis.Unsafe}); p.Status != 503 {
		t.Errorf("a fault of the server has status %d", p.Status)
	}
}

func TestGateway(t *testing.T) {
	for id, want := range map[diagnosis.ID]int{diagnosis.Timeout: 504, diagnosis.Unreachable: 502, diagnosis.TLSUntrusted: 502} {
		if p := problem.Gateway(&diagnosis.Diagnosis{ID: id}); p.Status != want || p.ID != id {
			t.Errorf("%s: %+v", id, p)
		}
	}
}

func TestWrite(t *testing.T) {
	for method, hasBody := range map[string]bool{"GET": true, "HEAD": false} {
		w := httptest.NewRecorder()
		w.Header().Set("X-Kept", "1")
		p := problem.Of(&diagnosis.Diagnosis{ID: diagnosis.KeysUnavailable})
		p.Write(w, httptest.NewRequest(method, "/", nil))
		h := w.Header()
		if w.Code != 503 || h.Get("Retry-After") == "" || h.Get("Cache-Control") != "no-store" || h.Get("Content-Type") != "application/problem+json" || h.Get("X-Kept") != "1" {
			t.Errorf("%s: %d %v", method, w.Code, h)
		}
		var got problem.Problem
		if (w.Body.Len() > 0) != hasBody || hasBody && (json.Unmarshal(w.Body.Bytes(), &got) != nil || got != p) {
			t.Errorf("%s: body %q", method, w.Body)
		}
	}
	w := httptest.NewRecorder()
	problem.New(http.StatusRequestEntityTooLarge, `a "quoted" detail`).Write(w, httptest.NewRequest("GET", "/", nil))
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got["detail"] != `a "quoted" detail` || got["id"] != nil {
		t.Errorf("%v in %s", err, w.Body)
	}
}
