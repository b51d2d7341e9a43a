package audit_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/audit"
)

// noFalse checks that nothing fails, and that the cases of tokens pass only if
// the planted API refuses the token.
func noFalse(t *testing.T, report *audit.Report) {
	t.Helper()
	for _, f := range report.Findings {
		if f.Level == audit.Fail {
			t.Errorf("%s: %s %s: %s", f.Operation, f.Case.Name, f.ID, f.Got)
		}
	}
}

func results(report *audit.Report, operation string) map[string]audit.Result {
	all := map[string]audit.Result{}
	for _, row := range report.Operations {
		if row.Operation.Name() != operation {
			continue
		}
		for _, cell := range row.Cells {
			all[cell.Case.Name] = cell.Result
		}
	}
	return all
}

// An API that refuses requests in unusual ways is not reported as one that
// accepts them.
func TestTraps(t *testing.T) {
	t.Run("a redirect to a login page", func(t *testing.T) {
		_, c := setup(t, "login-page")
		report := run(t, c)
		noFalse(t, report)
		if got := results(report, "GET /items")["no-audience"]; got != audit.Pass {
			t.Errorf("no-audience: %s", got)
		}
	})
	t.Run("an envelope with status 200", func(t *testing.T) {
		_, c := setup(t, "envelope")
		c.Unsafe = audit.Safe
		report := run(t, c)
		noFalse(t, report)
		got := results(report, "GET /items")
		if got["no-audience"] != audit.Pass || got["head"] != audit.Inconclusive {
			t.Errorf("no-audience %s, head %s", got["no-audience"], got["head"])
		}
		if !slices.ContainsFunc(report.Findings, func(f audit.Finding) bool { return f.ID == "REFUSAL_IS_200" && f.Level == audit.Warning }) {
			t.Error("REFUSAL_IS_200 is not reported")
		}
	})
	t.Run("an envelope hides a hole", func(t *testing.T) {
		_, c := setup(t, "envelope", "audience-optional")
		c.Unsafe = audit.Safe
		if got := results(run(t, c), "GET /items")["no-audience"]; got != audit.Fail {
			t.Errorf("no-audience: %s", got)
		}
	})
	t.Run("404 in place of 403", func(t *testing.T) {
		_, c := setup(t, "404-for-403")
		report := run(t, c)
		noFalse(t, report)
		if got := results(report, "GET /items")["missing-scope"]; got != audit.Pass {
			t.Errorf("missing-scope: %s", got)
		}
		// The control is a 404 too, so nothing is proven.
		if got := results(report, "DELETE /users/{id}")["missing-scope"]; got == audit.Fail {
			t.Errorf("DELETE: missing-scope: %s", got)
		}
	})
	t.Run("validation before authentication", func(t *testing.T) {
		_, c := setup(t, "validates-first")
		c.Unsafe = audit.Safe
		report := run(t, c)
		noFalse(t, report)
		for name, got := range results(report, "GET /items") {
			if got != audit.Inconclusive {
				t.Errorf("%s: %s", name, got)
			}
		}
	})
	// Tokens are checked before routes, so a token with any scope gets the 404
	// of a path that does not exist.
	t.Run("an operation that does not exist", func(t *testing.T) {
		p, c := setup(t)
		c.Transport = audit.InProcess(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/gone" {
				if recorder := httptest.NewRecorder(); !p.check(recorder, r, "", "/gone", r.Method) {
					copyAnswer(w, recorder)
					return
				}
			}
			p.ServeHTTP(w, r)
		}))
		c.Operations = append(c.Operations,
			audit.Operation{Method: "GET", Path: "/gone", Scopes: []string{"items:read"}},
			audit.Operation{Method: "POST", Path: "/gone", Scopes: []string{"items:write"}, Body: &audit.Body{MediaType: "application/json", Invalid: []byte("{}")}})
		report := run(t, c)
		noFalse(t, report)
		for _, operation := range []string{"GET /gone", "POST /gone"} {
			for name, got := range results(report, operation) {
				if got != audit.Inconclusive {
					t.Errorf("%s %s: %s", operation, name, got)
				}
			}
		}
		if got := results(report, "DELETE /users/{id}")["missing-scope"]; got != audit.Pass {
			t.Errorf("an object that does not exist: missing-scope: %s", got)
		}
	})
	t.Run("5xx for every token that is not valid", func(t *testing.T) {
		p, c := setup(t)
		c.Transport = audit.InProcess(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			recorder := httptest.NewRecorder()
			p.ServeHTTP(recorder, r)
			if recorder.Code == http.StatusUnauthorized && r.Header.Get("Authorization") != "" {
				recorder = httptest.NewRecorder()
				recorder.WriteHeader(http.StatusInternalServerError)
			}
			copyAnswer(w, recorder)
		}))
		c.Unsafe = audit.Safe
		for name, got := range results(run(t, c), "GET /items") {
			if got == audit.Pass && strings.HasPrefix(name, "no-a") {
				t.Errorf("%s: %s", name, got)
			}
		}
	})
}

func copyAnswer(w http.ResponseWriter, from *httptest.ResponseRecorder) {
	for name, values := range from.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(from.Code)
	w.Write(from.Body.Bytes())
}

// The audit waits after a 429. A case that gets only 429 is not decided.
func TestRateLimit(t *testing.T) {
	p, c := setup(t)
	var requests atomic.Int64
	limited := func(free int64) http.RoundTripper {
		requests.Store(0)
		return audit.InProcess(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if requests.Add(1) > free {
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			p.ServeHTTP(w, r)
		}))
	}
	var mu sync.Mutex
	var waits []time.Duration
	c.Wait = func(_ context.Context, d time.Duration) error {
		mu.Lock()
		defer mu.Unlock()
		if waits = append(waits, d); d == 7*time.Second && len(waits)%2 == 0 {
			requests.Store(0) // the window is over
		}
		return nil
	}
	c.Unsafe, c.Revocation, c.Rotation = audit.Safe, false, 0
	c.Operations = []audit.Operation{{Method: "GET", Path: "/items", Scopes: []string{"items:read"}}}
	c.Transport = limited(20)
	report := run(t, c)
	noFalse(t, report)
	if got := report.Coverage(); got.Inconclusive != 0 {
		t.Errorf("limited for a while: %+v", got)
	}
	if !slices.Contains(waits, 7*time.Second) {
		t.Errorf("Retry-After was not obeyed: %v", waits)
	}

	c.Wait = func(context.Context, time.Duration) error { return nil }
	c.Transport = limited(20)
	report = run(t, c)
	noFalse(t, report)
	for name, got := range results(report, "GET /items") {
		if got != audit.Inconclusive { // the control at the end fails
			t.Errorf("limited for good: %s: %s", name, got)
		}
	}
}

// For any value of Retry-After, the audit waits between 1 and 30 seconds.
func TestRetryAfterIsBounded(t *testing.T) {
	p, c := setup(t)
	c.Unsafe, c.Revocation, c.Rotation = audit.Safe, false, 0
	c.Operations = []audit.Operation{{Method: "GET", Path: "/items", Scopes: []string{"items:read"}}}
	c.Cases = []string{"good", "no-token"}
	for field, want := range map[string]time.Duration{
		"12": 12 * time.Second, " 5 ": 5 * time.Second, "30": 30 * time.Second, "31": 30 * time.Second,
		"9223372037": 30 * time.Second, "99999999999999999999999": 30 * time.Second,
		"0": time.Second, "-4": time.Second, "": time.Second, "2m3": time.Second, "1e9": time.Second, "Fri, 31 Dec 2100 23:59:59 GMT": time.Second,
	} {
		var limited atomic.Bool
		c.Transport = audit.InProcess(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if limited.CompareAndSwap(false, true) {
				w.Header().Set("Retry-After", field)
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			p.ServeHTTP(w, r)
		}))
		var waits []time.Duration
		c.Wait = func(_ context.Context, d time.Duration) error {
			if d >= time.Second { // not the pace of the requests
				waits = append(waits, d)
			}
			return nil
		}
		run(t, c)
		if !slices.Equal(waits, []time.Duration{want}) {
			t.Errorf("Retry-After %q: waited %v, want %s", field, waits, want)
		}
	}
}

// If the valid request fails at the end, all results of the operation are
// inconclusive.
func TestControlStopsWorking(t *testing.T) {
	p, c := setup(t)
	var requests atomic.Int64
	c.Transport = audit.InProcess(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) > 20 {
			w.WriteHeader(http.StatusUnauthorized) // the client is locked out
			return
		}
		p.ServeHTTP(w, r)
	}))
	c.Operations = []audit.Operation{{Method: "GET", Path: "/items", Scopes: []string{"items:read"}}}
	report := run(t, c)
	noFalse(t, report)
	if got := report.Coverage(); got.Decided != 0 || got.Undecided != 1 {
		t.Errorf("%+v", got)
	}
}

// If an API refuses every valid token, nothing is proven, and no finding says
// that it denies.
func TestUntrusted(t *testing.T) {
	p, c := setup(t)
	p.issuer = "http://another.test"
	report := run(t, c)
	if report.Refused == nil || len(report.Findings) != 0 {
		t.Errorf("refused %v, findings:\n%s", report.Refused, failures(report))
	}
	for name, got := range results(report, "GET /items") {
		if got != audit.Inconclusive {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestUnreachable(t *testing.T) {
	_, c := setup(t)
	c.Transport = roundTrip(func(*http.Request) (*http.Response, error) { return nil, fmt.Errorf("dial: %w", io.ErrUnexpectedEOF) })
	report := run(t, c)
	if report.Unreachable == nil || len(report.Findings) != 0 {
		t.Errorf("%v\n%s", report.Unreachable, failures(report))
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The middleware of this module, alone and with a policy, has no finding.
func TestBearerHasNoFinding(t *testing.T) {
	report := run(t, behind(t, "audience: http://api.test\nroutes:\n  \"GET /items\": {scopes: [items:read]}\n  \"POST /items\": {any_scopes: [items:write, items:admin], claims: {tenant: acme}}\n  \"GET /health\": {public: true}\n", "",
		func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				w.WriteHeader(http.StatusUnprocessableEntity)
				return
			}
			io.WriteString(w, "items")
		}))
	for _, f := range report.Findings {
		t.Errorf("%s: %s %s: %s", f.Operation, f.Case.Name, f.ID, f.Got)
	}
	if got := report.Coverage(); got.Proven != 3 || got.Inconclusive != 0 {
		t.Errorf("%+v", got)
	}
}
