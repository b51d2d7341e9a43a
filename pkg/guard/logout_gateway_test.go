package guard_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/guard"
	"github.com/oauthctl/oauthctl/pkg/revocation"
)

// If a client sends a logout token to a gateway, the policy decides about that
// path, and nothing is revoked, because the gateway only asks about the
// request. The issuer's own request to the guard is a logout.
func TestLogoutBehindGateways(t *testing.T) {
	const gateway, issuerAddress = "10.1.2.3:4711", "203.0.113.9:4711"
	asForm := func(more ...string) []string {
		return append([]string{"Content-Type: application/x-www-form-urlencoded"}, more...)
	}
	// Each request as the gateway sends it when a client sends POST /_logout to
	// the gateway.
	checks := map[string]struct {
		gateway      guard.Gateway
		method, path string
		fields       []string
		body         bool
	}{
		"envoy":                         {guard.Envoy, "POST", "/_logout", []string{"X-Forwarded-For: 198.51.100.7", "X-Envoy-Internal: true"}, false},
		"envoy, with the body":          {guard.Envoy, "POST", "/_logout", asForm("X-Envoy-Auth-Partial-Body: false"), true},
		"nginx":                         {guard.Nginx, "GET", "/_guard", []string{"X-Original-Method: POST", "X-Original-URI: /_logout"}, false},
		"nginx, all of the request":     {guard.Nginx, "POST", "/_logout", asForm("X-Original-Method: POST", "X-Original-URI: /_logout"), true},
		"nginx ingress":                 {guard.AnyGateway, "POST", "/_logout", asForm("X-Original-Method: POST", "X-Original-URL: http://api.example/_logout", "X-Original-URI: /_logout"), true},
		"traefik":                       {guard.Traefik, "GET", "/", []string{"X-Forwarded-Method: POST", "X-Forwarded-Uri: /_logout", "X-Forwarded-Host: api.example"}, false},
		"traefik, all of the request":   {guard.Traefik, "POST", "/_logout", asForm("X-Forwarded-Method: POST", "X-Forwarded-Uri: /_logout"), true},
		"caddy":                         {guard.Caddy, "GET", "/", []string{"X-Forwarded-Method: POST", "X-Forwarded-Uri: /_logout"}, false},
		"caddy, a rewritten subrequest": {guard.Caddy, "POST", "/_logout", asForm("X-Forwarded-Method: POST", "X-Forwarded-Uri: /_logout"), true},
		"any":                           {guard.AnyGateway, "GET", "/auth", []string{"X-Forwarded-Method: POST", "X-Forwarded-Uri: /_logout"}, false},
	}
	for name, tt := range checks {
		store := revocation.NewMemory(revocation.MemoryOptions{})
		f := newFixture(t, echo, func(c *guard.Config) {
			c.Revocation, c.Logout = store, &guard.Logout{Path: "/_logout", ClientIDs: []string{"web"}, Store: store}
			c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		})
		h := f.handler.ForwardAuth(tt.gateway)
		ask := func(from, method, path, body string, fields ...string) int {
			r := httptest.NewRequest(method, path, strings.NewReader(body))
			r.RemoteAddr = from
			for _, field := range fields {
				key, value, _ := strings.Cut(field, ": ")
				r.Header.Add(key, value)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w.Code
		}
		token := f.token(map[string]any{"sid": "s1"})
		session := func() int {
			fields := []string{"Authorization: Bearer " + token}
			switch tt.gateway {
			case guard.Envoy:
				return ask(gateway, "GET", "/api/items", "", fields...)
			case guard.Nginx:
				return ask(gateway, "GET", "/_guard", "", append(fields, "X-Original-Method: GET", "X-Original-URI: /api/items")...)
			}
			return ask(gateway, "GET", "/", "", append(fields, "X-Forwarded-Method: GET", "X-Forwarded-Uri: /api/items")...)
		}
		if got := session(); got != http.StatusOK {
			t.Fatalf("%s: positive control: %d", name, got)
		}
		form := logoutForm(f.logoutToken(nil))
		body := ""
		if tt.body {
			body = form
		}
		if got := ask(gateway, tt.method, tt.path, body, tt.fields...); got != http.StatusUnauthorized || session() != http.StatusOK {
			t.Errorf("%s: a client's POST /_logout: %d; the session: %d", name, got, session())
		}
		// With a token that the path does not allow, or with any token, the
		// policy still decides.
		if got := ask(gateway, tt.method, tt.path, body, append(tt.fields, "Authorization: Bearer "+token)...); got != http.StatusForbidden || session() != http.StatusOK {
			t.Errorf("%s: with an access token: %d; the session: %d", name, got, session())
		}
		// The headers of a gateway are used only if they are from a gateway.
		if got := ask(issuerAddress, "POST", "/_logout", form, append(asForm(), tt.fields...)...); got != http.StatusOK || session() == http.StatusOK {
			t.Errorf("%s: the issuer's logout: %d; the session: %d", name, got, session())
		}
	}
}

// gatewayLogout returns a guard with a logout path, and the issuer's logout as a trusted proxy sends it.
func gatewayLogout(t *testing.T) (*fixture, *http.Request) {
	t.Helper()
	store := revocation.NewMemory(revocation.MemoryOptions{})
	f := newFixture(t, echo, func(c *guard.Config) {
		c.Revocation, c.Logout = store, &guard.Logout{Path: "/_logout", ClientIDs: []string{"web"}, Store: store}
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	})
	r := httptest.NewRequest(http.MethodPost, "/_logout", strings.NewReader(logoutForm(f.logoutToken(nil))))
	r.RemoteAddr = "10.1.2.3:4711"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return f, r
}

// A gateway with a separate route to the guard forwards the issuer's request
// without the headers of a check.
func TestLogoutThroughARouteOfTheGateway(t *testing.T) {
	for gateway, want := range map[guard.Gateway]int{guard.Nginx: 200, guard.Traefik: 200, guard.Caddy: 200, guard.AnyGateway: 200, guard.Envoy: 401} {
		f, r := gatewayLogout(t)
		r.Header.Set("X-Forwarded-For", "203.0.113.9")
		r.Header.Set("X-Forwarded-Proto", "https")
		w := httptest.NewRecorder()
		f.handler.ForwardAuth(gateway).ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%q: %d %s, want %d", gateway, w.Code, w.Body, want)
		}
	}
}

// A client that adds a header of the gateway's check makes it unusable, and not a
// logout.
func TestBrokenCheckIsNoLogout(t *testing.T) {
	for _, gateway := range []guard.Gateway{guard.Nginx, guard.Traefik, guard.Caddy, guard.AnyGateway} {
		for _, twice := range []string{"X-Original-Method", "X-Original-Uri", "X-Forwarded-Method", "X-Forwarded-Uri"} {
			f, r := gatewayLogout(t)
			kind, _, _ := strings.Cut(strings.TrimPrefix(twice, "X-"), "-")
			r.Header.Set("X-"+kind+"-Method", "POST")
			r.Header.Set("X-"+kind+"-Uri", "/_logout")
			r.Header.Add(twice, r.Header.Get(twice))
			w := httptest.NewRecorder()
			f.handler.ForwardAuth(gateway).ServeHTTP(w, r)
			if w.Code != http.StatusForbidden {
				t.Errorf("%q, %s twice: %d %s", gateway, twice, w.Code, w.Body)
			}
		}
	}
}
