package audit_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/audit"
)

// Only GET and HEAD are sent by default, and with dry no data changes.
func TestSafety(t *testing.T) {
	p, c := setup(t)
	c.Unsafe = audit.Safe
	run(t, c)
	for _, call := range p.calls {
		if method, _, _ := strings.Cut(call, " "); method != "GET" && method != "HEAD" {
			t.Errorf("without --unsafe: %s", call)
		}
	}
	p, c = setup(t)
	run(t, c)
	deletes := 0
	for _, call := range p.calls {
		if strings.HasPrefix(call, "DELETE") {
			if deletes++; !strings.HasPrefix(call, "DELETE /users/999?") {
				t.Errorf("dry: %s", call)
			}
		}
	}
	if p.items != 0 || deletes == 0 {
		t.Errorf("dry: %d items were added, %d requests to delete", p.items, deletes)
	}
	// If an API accepts the invalid body, no second request is sent.
	p, c = setup(t)
	for i := range c.Operations {
		if body := c.Operations[i].Body; body != nil {
			body.Invalid = body.Valid
		}
	}
	report := run(t, c)
	if p.items != 1 || results(report, "POST /items")["no-audience"] != audit.Inconclusive {
		t.Errorf("a body that is valid: %d items, %s", p.items, results(report, "POST /items")["no-audience"])
	}
	p, c = setup(t)
	c.Unsafe = audit.Real
	report = run(t, c)
	if p.items != 1 || results(report, "POST /items")["no-audience"] != audit.Pass {
		t.Errorf("real: %d items, %s", p.items, results(report, "POST /items")["no-audience"])
	}
}

// A POST without a check of the token is found by the first request, and no
// second request is sent.
func TestDryOpen(t *testing.T) {
	p, c := setup(t)
	created := 0
	c.Transport = audit.InProcess(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			created++
			w.WriteHeader(http.StatusCreated)
			return
		}
		p.ServeHTTP(w, r)
	}))
	report := run(t, c)
	if created != 1 || !strings.Contains(failures(report), "POST /items fail no-token NO_TOKEN_ACCEPTED") {
		t.Errorf("%d created; %s", created, failures(report))
	}
}

// A real token is sent to the target only, never in a query, and redirects are
// not followed.
func TestRealToken(t *testing.T) {
	p, c := setup(t)
	op := operations()[1]
	raw, err := c.Tokens.Token(t.Context(), "good", &op)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	defer other.Close()
	var mu sync.Mutex
	var queries []string
	overHTTP(t, &c, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		queries = append(queries, r.URL.RawQuery)
		mu.Unlock()
		if r.URL.Path == "/moved" || r.Header.Get("Authorization") == "" {
			http.Redirect(w, r, other.URL+"/login", http.StatusFound)
			return
		}
		p.ServeHTTP(w, r)
	}))
	c.Operations, c.Unsafe = []audit.Operation{op, {Method: "GET", Path: "/moved"}}, audit.Safe
	c.Revocation, c.Rotation = false, 0
	c.Tokens = &audit.RealTokens{From: "one real token", Fetch: func(context.Context, []string, string) (string, []string, error) { return raw, nil, nil }}
	var seen []audit.Exchange
	c.Observe = func(e audit.Exchange) { seen = append(seen, e) }
	report := run(t, c)
	if elsewhere != 0 {
		t.Errorf("%d requests followed a redirect", elsewhere)
	}
	if i := slices.IndexFunc(queries, func(q string) bool { return q != "" }); i >= 0 {
		t.Errorf("query %q", queries[i])
	}
	got := results(report, "GET /items")
	for name, want := range map[string]audit.Result{
		"good": audit.Pass, "alg-none": audit.Pass, "foreign-key": audit.Pass, "no-audience": audit.Inconclusive, "alg-confusion": audit.Inconclusive,
		"revoked": "",
	} {
		if got[name] != want {
			t.Errorf("%s: %s, want %s", name, got[name], want)
		}
	}
	text, err := json.Marshal(report.Findings)
	shown := fmt.Sprintf("%s %+v %+v", text, report, seen)
	if signature := raw[strings.LastIndexByte(raw, '.')+1:]; err != nil || strings.Contains(shown, signature) {
		t.Error("the report shows the token")
	}
}

// A token that the API repeats in its response is not shown.
func TestRepeatedToken(t *testing.T) {
	p, c := setup(t, "audience-optional")
	c.Transport = audit.InProcess(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := httptest.NewRecorder()
		p.ServeHTTP(recorder, r)
		recorder.Body.WriteString(" " + r.Header.Get("Authorization"))
		if recorder.Code == http.StatusOK {
			recorder.Header().Set("Content-Type", "text/plain")
		}
		copyAnswer(w, recorder)
	}))
	c.Unsafe = audit.Safe
	report := run(t, c)
	if len(report.Findings) == 0 {
		t.Error("no finding to look at")
	}
	for _, f := range report.Findings {
		if strings.Contains(f.Got, "eyJ") {
			t.Errorf("%s: %s", f.ID, f.Got)
		}
	}
}

func TestOpaqueToken(t *testing.T) {
	p, c := setup(t)
	c.Transport = audit.InProcess(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer gho_opaque" {
			io.WriteString(w, "items")
			return
		}
		p.ServeHTTP(w, r)
	}))
	c.Operations = []audit.Operation{{Method: "GET", Path: "/items"}}
	c.Tokens = &audit.RealTokens{From: "one real token", Fetch: func(context.Context, []string, string) (string, []string, error) { return "gho_opaque", nil, nil }}
	got := results(run(t, c), "GET /items")
	for name, want := range map[string]audit.Result{"good": audit.Pass, "malformed-text": audit.Pass, "head": audit.Pass, "alg-none": audit.Inconclusive} {
		if got[name] != want {
			t.Errorf("%s: %s, want %s", name, got[name], want)
		}
	}
}

// An audit that is interrupted reports its results so far, and does not pass
// anything that was not sent.
func TestInterrupted(t *testing.T) {
	p, c := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var requests atomic.Int64
	c.Transport = audit.InProcess(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) == 10 {
			cancel()
		}
		p.ServeHTTP(w, r)
	}))
	a, err := audit.New(c)
	if err != nil {
		t.Fatal(err)
	}
	report := a.Run(ctx)
	coverage := report.Coverage()
	if !report.Interrupted || len(report.Findings) != 0 || coverage.Proven > 1 {
		t.Errorf("%+v\n%s", coverage, failures(report))
	}
	if coverage.Decided == 0 || coverage.Decided > 10 {
		t.Errorf("%d results are known after 10 requests", coverage.Decided)
	}
}

func TestNewRefuses(t *testing.T) {
	_, good := setup(t)
	for name, spoil := range map[string]func(*audit.Config){
		"no target":     func(c *audit.Config) { c.Target = &url.URL{Path: "/x"} },
		"no operations": func(c *audit.Config) { c.Operations = nil },
		"no tokens":     func(c *audit.Config) { c.Tokens = nil },
		"a mode":        func(c *audit.Config) { c.Unsafe = "wet" },
		"no such case":  func(c *audit.Config) { c.Cases = []string{"no-such-*"} },
	} {
		c := good
		spoil(&c)
		if _, err := audit.New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// An API whose policy accepts any audience is not tested with other audiences.
func TestAnyAudience(t *testing.T) {
	c := behind(t, "audience: none\nroutes:\n  \"GET /items\": {scopes: [items:read], claims: {client_id: app}}\n", "RS256",
		func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "items") })
	c.AnyAudience = true
	report := run(t, c)
	if got := report.Coverage(); got.Proven != 1 || len(report.Findings) != 0 {
		t.Errorf("%+v\n%s", got, failures(report))
	}
}
