package guard_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/guard"
	"github.com/oauthctl/oauthctl/pkg/revocation"
)

// A token without a subject is refused, and so is one whose claims cannot be
// written into a header unchanged.
func TestIdentity(t *testing.T) {
	claims := func(c *guard.Config) {
		c.ClaimHeaders = []guard.ClaimHeader{{Header: "X-Auth-Email", Claim: "email"}, {Header: "X-Auth-Roles", Claim: "realm.roles"}, {Header: "X-Tenant", Claim: "tenant"}}
	}
	tests := map[string]struct {
		claims map[string]any
		change func(*guard.Config)
		status int
		want   string // a line of the request that the API received
	}{
		"good":                  {nil, nil, 200, "X-Auth-Subject: alice"},
		"issuer":                {nil, nil, 200, "X-Auth-Issuer: " + issuer},
		"client":                {nil, nil, 200, "X-Auth-Client-Id: app"},
		"client by azp":         {map[string]any{"client_id": nil, "azp": "other"}, nil, 200, "X-Auth-Client-Id: other"},
		"sub is a list":         {map[string]any{"sub": []string{"alice"}}, nil, 0, ""},
		"sub is an object":      {map[string]any{"sub": map[string]any{"id": 7}}, nil, 0, ""},
		"sub is a number":       {map[string]any{"sub": 7}, nil, 0, ""},
		"sub is null":           {map[string]any{"sub": nil}, nil, 0, ""},
		"sub is empty":          {map[string]any{"sub": ""}, nil, 403, "CLAIM_INVALID"},
		"no sub, by name":       {map[string]any{"sub": ""}, func(c *guard.Config) { c.AllowNoSubject = true }, 200, "X-Auth-Client-Id: app"},
		"client with a break":   {map[string]any{"client_id": "app\r\nX-Auth-Scope: all"}, nil, 403, "CLAIM_INVALID"},
		"a claim":               {map[string]any{"email": "a@example.com"}, claims, 200, "X-Auth-Email: a@example.com"},
		"a list by path":        {map[string]any{"realm": map[string]any{"roles": []string{"a", "b"}}}, claims, 200, "X-Auth-Roles: a,b"},
		"a number":              {map[string]any{"tenant": 7}, claims, 200, "X-Tenant: 7\r\n"},
		"a number of 8 digits":  {map[string]any{"tenant": 10012345}, claims, 200, "X-Tenant: 10012345\r\n"},
		"a number above 2^53":   {map[string]any{"tenant": int64(9007199254740993)}, claims, 200, "X-Tenant: 9007199254740993\r\n"},
		"a list of numbers":     {map[string]any{"tenant": []int64{10012345, 9007199254740993}}, claims, 200, "X-Tenant: 10012345,9007199254740993\r\n"},
		"a boolean":             {map[string]any{"tenant": true}, claims, 200, "X-Tenant: true\r\n"},
		"a list in a list":      {map[string]any{"tenant": []any{[]string{"a"}}}, claims, 403, "CLAIM_INVALID"},
		"null in a list":        {map[string]any{"tenant": []any{nil}}, claims, 403, "CLAIM_INVALID"},
		"a comma in an element": {map[string]any{"realm": map[string]any{"roles": []string{"a,admin"}}}, claims, 403, "CLAIM_INVALID"},
		"a break in a claim":    {map[string]any{"email": "a\r\nX-Auth-Scope: all"}, claims, 403, "CLAIM_INVALID"},
		"a claim of an object":  {map[string]any{"tenant": map[string]any{"id": 1}}, claims, 403, "CLAIM_INVALID"},
	}
	for name, tt := range tests {
		f := newFixture(t, echo, tt.change)
		res, body := f.send("GET /files/x", "Authorization: Bearer "+f.token(tt.claims), "X-Auth-Email: root", "X.Auth.Roles: root")
		refused := res.StatusCode == 401 || res.StatusCode == 403
		if tt.status == 0 && !refused || tt.status != 0 && res.StatusCode != tt.status || !strings.Contains(body, tt.want) || strings.Contains(body, "root") {
			t.Errorf("%s: %d %s, want %d %s", name, res.StatusCode, body, tt.status, tt.want)
		}
		if strings.Contains(body, "X-Auth-Subject: \r\n") {
			t.Errorf("%s: the API saw an empty subject", name)
		}
	}
	for _, wrong := range []guard.ClaimHeader{{}, {Header: "X-A", Claim: ""}, {Header: "X_A", Claim: "a"}, {Header: "X-Auth-Subject", Claim: "a"}, {Header: "Host", Claim: "a"}, {Header: "Authorization", Claim: "a"}, {Header: "X-Forwarded-For", Claim: "a"}} {
		if h, err := guard.New(guard.Config{Upstream: &url.URL{Scheme: "http", Host: "x"}, Policy: load(t, routes), Keys: newFixture(t, echo, nil).keys(), ClaimHeaders: []guard.ClaimHeader{wrong}}); err == nil {
			t.Errorf("claim header %v: New = %v", wrong, h)
		}
	}
}

// The forwarding headers of a trusted proxy are kept and extended; those of
// other clients are replaced.
func TestTrustedProxy(t *testing.T) {
	trust := func(text string) func(*guard.Config) {
		return func(c *guard.Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(text)} }
	}
	fields := []string{
		"X-Forwarded-For: 198.51.100.7", "X-Forwarded-For: 127.0.0.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example", "X-Forwarded-Port: 443",
		"X-Forwarded-Prefix: /v1", "Forwarded: for=198.51.100.7;proto=https", "X-Real-IP: 198.51.100.7", "X_Forwarded_Proto: gopher", "X.Forwarded.For: 6.6.6.6", "X-Auth-Subject: root",
	}
	for name, tt := range map[string]struct {
		change func(*guard.Config)
		want   http.Header
		remote string
	}{
		"trusted": {trust("127.0.0.0/8"), http.Header{
			"X-Forwarded-For": {"198.51.100.7, 127.0.0.9, 127.0.0.1"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"shop.example"}, "X-Forwarded-Port": {"443"},
			"X-Forwarded-Prefix": {"/v1"}, "Forwarded": {"for=198.51.100.7;proto=https, for=127.0.0.1"}, "X-Real-Ip": {"198.51.100.7"},
		}, "198.51.100.7"},
		"not trusted": {trust("10.0.0.0/8"), http.Header{"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"api.example.com"}}, "127.0.0.1:"},
		"nobody":      {nil, http.Header{"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"api.example.com"}}, "127.0.0.1:"},
	} {
		f := newFixture(t, showForwarding, tt.change)
		_, body := f.send("GET /healthz", fields...)
		var got http.Header
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		eventually(t, "the log line", func() bool { return strings.Contains(f.log.String(), "remote="+tt.remote) })
	}
	f := newFixture(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host) }, func(c *guard.Config) { c.PassHost = true })
	if _, body := f.send("GET /healthz"); body != "api.example.com" {
		t.Errorf("PassHost: the API saw the host %q", body)
	}
}

func showForwarding(w http.ResponseWriter, r *http.Request) {
	found := http.Header{}
	for name, values := range r.Header {
		if strings.Contains(name, "orwarded") || strings.HasPrefix(name, "X-Real") || strings.HasPrefix(name, "X-Auth") {
			found[name] = values
		}
	}
	_ = json.NewEncoder(w).Encode(found)
}

// The log has a request's id, and the jti and hash of its token. It never has the
// token itself or the query.
func TestLogFields(t *testing.T) {
	f := newFixture(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", "of the API")
		fmt.Fprint(w, r.Header.Get("X-Request-Id"))
	}, func(c *guard.Config) { c.Service = "orders" })
	raw := f.token(nil)
	res, body := f.send("GET /files/a?q=canary", "Authorization: Bearer "+raw, "X-Request-Id: abc-1", "Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	if body != "abc-1" || len(res.Header["X-Request-Id"]) != 1 || res.Header.Get("X-Request-Id") != "abc-1" {
		t.Errorf("request id: %q %v", body, res.Header)
	}
	for _, want := range []string{
		"request_id=abc-1", "service=orders", "trace_id=4bf92f3577b34da6a3ce929d0e0e4736", "method=GET", "path=/files/a", `route="GET /files/"`, "status=200", "decision=allowed",
		"duration_seconds=0.0", "bytes=5", "iss=" + issuer, "sub=alice", "client_id=app", "scope=items:read", "jti=1", "token_hash=",
	} {
		eventually(t, want, func() bool { return strings.Contains(f.log.String(), want) })
	}
	for _, given := range []string{"a b", strings.Repeat("x", 200), "a\tb", "é", ""} {
		if res, body := f.send("GET /files/a", "Authorization: Bearer "+raw, "X-Request-Id: "+given); len(body) != 32 || res.Header.Get("X-Request-Id") != body {
			t.Errorf("X-Request-Id %q becomes %q", given, body)
		}
	}
	for name, text := range map[string]string{"token": raw, "query": "canary"} {
		if strings.Contains(f.log.String(), text) {
			t.Errorf("the log has the %s", name)
		}
	}
}

func TestLogSwitch(t *testing.T) {
	for _, tt := range []struct {
		requests guard.Requests
		want     int
	}{{guard.LogAll, 2}, {guard.LogRefusals, 1}, {guard.LogNone, 0}} {
		f := newFixture(t, echo, func(c *guard.Config) { c.Requests = tt.requests })
		// Without the network, because there the log line is written after the
		// response.
		for _, path := range []string{"/healthz", "/api/items"} {
			f.handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
		}
		if got := strings.Count(f.log.String(), "msg=request"); got != tt.want {
			t.Errorf("%d: %d lines, want %d", tt.requests, got, tt.want)
		}
	}
}

// A gateway asks about each request before it forwards it. The request that it
// describes is checked, and other clients cannot ask.
func TestForwardAuth(t *testing.T) {
	revoked := revocation.NewMemory(revocation.MemoryOptions{})
	local := func(c *guard.Config) {
		c.TrustedProxies, c.Revocation, c.Upstream = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, revoked, nil
	}
	f := newFixture(t, echo, local)
	bearer := "Authorization: Bearer " + f.token(nil)
	original := func(method, uri string) []string {
		return []string{"X-Original-Method: " + method, "X-Original-URI: " + uri}
	}
	forwarded := func(method, uri string) []string {
		return []string{"X-Forwarded-Method: " + method, "X-Forwarded-Uri: " + uri, "X-Forwarded-For: 198.51.100.7"}
	}
	with := func(fields []string, more ...string) []string { return append(fields, more...) }
	tests := map[string]struct {
		gateway guard.Gateway
		line    string
		fields  []string
		status  int
	}{
		"nginx":                        {guard.Nginx, "GET /auth", with(original("GET", "/api/items?x=1"), bearer), 200},
		"nginx, no token":              {guard.Nginx, "GET /auth", original("GET", "/api/items"), 401},
		"nginx, scope":                 {guard.Nginx, "GET /auth", with(original("POST", "/api/items"), bearer), 403},
		"nginx, public":                {guard.Nginx, "GET /auth", original("GET", "/healthz"), 200},
		"nginx, no method":             {guard.Nginx, "GET /auth", []string{"X-Original-URI: /healthz"}, 403},
		"nginx, no path":               {guard.Nginx, "GET /healthz", nil, 403},
		"nginx, forged for Traefik":    {guard.Nginx, "GET /auth", with(forwarded("GET", "/healthz"), original("GET", "/api/items")...), 401},
		"nginx, two targets":           {guard.Nginx, "GET /auth", with(original("GET", "/healthz"), "X-Original-URI: /api/items"), 403},
		"nginx, absolute":              {guard.Nginx, "GET /auth", original("GET", "http://x/healthz"), 403},
		"nginx, two readings":          {guard.Nginx, "GET /auth", with(original("GET", "/files/../api/items"), bearer), 400},
		"traefik":                      {guard.Traefik, "GET /", with(forwarded("GET", "/api/items"), bearer), 200},
		"traefik, forged for nginx":    {guard.Traefik, "GET /", with(forwarded("GET", "/api/items"), original("GET", "/healthz")...), 403},
		"caddy":                        {guard.Caddy, "GET /", with(forwarded("GET", "/api/items"), bearer), 200},
		"caddy, public":                {guard.Caddy, "GET /", forwarded("GET", "/healthz"), 200},
		"caddy, forged for nginx":      {guard.Caddy, "GET /", with(forwarded("GET", "/api/items"), original("GET", "/healthz")...), 403},
		"any, nginx":                   {guard.AnyGateway, "GET /", with(original("GET", "/api/items"), bearer), 200},
		"any, traefik":                 {guard.AnyGateway, "GET /", with(forwarded("GET", "/api/items"), bearer), 200},
		"any, two that differ":         {guard.AnyGateway, "GET /", with(forwarded("GET", "/api/items"), original("GET", "/healthz")...), 403},
		"any, half of another":         {guard.AnyGateway, "GET /", with(forwarded("GET", "/api/items"), "X-Original-URI: /healthz"), 403},
		"envoy":                        {guard.Envoy, "GET /api/items", []string{bearer}, 200},
		"envoy, forged for nginx":      {guard.Envoy, "GET /api/items", original("GET", "/healthz"), 403},
		"envoy, method":                {guard.Envoy, "POST /api/items", []string{bearer, "Content-Length: 0"}, 403},
		"preflight":                    {guard.Nginx, "GET /auth", with(original("OPTIONS", "/api/items"), "Origin: https://x.example", "Access-Control-Request-Method: GET"), 200},
		"a forged identity":            {guard.Traefik, "GET /", with(forwarded("GET", "/api/items"), bearer, "X-Auth-Subject: root"), 403},
		"a forged identity with a dot": {guard.Traefik, "GET /", with(forwarded("GET", "/api/items"), bearer, "X.Auth.Scope: all"), 403},
		"another method":               {guard.Traefik, "GET /", with(forwarded("GET", "/api/items"), bearer, "X-HTTP-Method-Override: DELETE"), 403},
		"a strange target":             {guard.Nginx, "GET /auth", with(original("GET", "/api/items#x"), bearer), 403},
	}
	for name, tt := range tests {
		front := serve(t, f.handler.ForwardAuth(tt.gateway))
		g := *f
		g.host = front
		res, body := g.send(tt.line, tt.fields...)
		if res.StatusCode != tt.status {
			t.Errorf("%s: %d %s, want %d", name, res.StatusCode, body, tt.status)
		}
		if _, sent := res.Header["X-Auth-Scope"]; tt.gateway == guard.Caddy && sent != (tt.status == 200) {
			t.Errorf("%s: the headers for Caddy are %v", name, res.Header)
		}
		if who := res.Header.Get("X-Auth-Subject"); (who == "alice") != (tt.status == 200 && strings.Contains(strings.Join(tt.fields, "\n"), "Bearer")) {
			t.Errorf("%s: the gateway learns the subject %q", name, who)
		}
	}
	stranger := newFixture(t, echo, func(c *guard.Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
	stranger.host = serve(t, stranger.handler.ForwardAuth(guard.Nginx))
	if res, _ := stranger.send("GET /auth", with(original("GET", "/healthz"))...); res.StatusCode != 403 {
		t.Errorf("a stranger asks: %d", res.StatusCode)
	}
}
