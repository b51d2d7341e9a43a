package guard_test

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/guard"
	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// captured is a transport that stores the request that the API would receive.
type captured struct{ last *http.Request }

func (c *captured) RoundTrip(r *http.Request) (*http.Response, error) {
	c.last = r
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

func fuzzGuard(f *testing.F, text string) (*guard.Handler, *captured) {
	f.Helper()
	key, err := jwks.Generate("ES256")
	if err != nil {
		f.Fatal(err)
	}
	c := &captured{}
	h, err := guard.New(guard.Config{
		Upstream: &url.URL{Scheme: "http", Host: "api"}, Policy: load(f, text), Keys: jwks.NewSet(key.Public()), Transport: c, RemoveHeaders: []string{"X-Tenant"},
	})
	if err != nil {
		f.Fatal(err)
	}
	return h, c
}

// For any name of a header that a client sends, the API does not read it as an
// identity.
func FuzzHeaderNames(f *testing.F) {
	for _, name := range []string{"X-Auth-Subject", "X.Auth.Scope", "x_auth~issuer", "Remote-User", "Proxy", "X-Tenant", "X|Tenant", "X-Request-Id", "X-Forwarded-For"} {
		f.Add(name, "root")
	}
	h, c := fuzzGuard(f, trickRoutes)
	f.Fuzz(func(t *testing.T, name, value string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET /public/a HTTP/1.1\r\nHost: x\r\n" + name + ": forged" + value + "\r\n\r\n")))
		if err != nil || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c) }) || name == "" { // the server refuses it
			return
		}
		r.RemoteAddr = "192.0.2.1:1"
		c.last = nil
		h.ServeHTTP(httptest.NewRecorder(), r)
		if c.last == nil {
			return
		}
		for field, values := range c.last.Header {
			folded := strings.Map(func(c rune) rune {
				switch {
				case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
					return c
				case 'A' <= c && c <= 'Z':
					return c + 'a' - 'A'
				}
				return '_'
			}, field)
			identity := strings.HasPrefix(folded, "x_auth_") || folded == "x_auth" || folded == "remote_user" || folded == "proxy" || folded == "x_tenant" || strings.HasPrefix(folded, "x_forwarded_")
			if identity && strings.Contains(strings.Join(values, ""), "forged") {
				t.Errorf("%q reached the API as %s: %v", name, field, values)
			}
		}
	})
}

// The API receives exactly the target that was sent, and no private one without
// a token.
func FuzzTarget(f *testing.F) {
	for _, tr := range pathTricks() {
		if _, target, ok := strings.Cut(tr.line, " "); ok && len(target) < 200 {
			f.Add(target)
		}
	}
	h, c := fuzzGuard(f, trickRoutes)
	f.Fuzz(func(t *testing.T, target string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n")))
		if err != nil {
			return
		}
		c.last = nil
		h.ServeHTTP(httptest.NewRecorder(), r)
		if c.last == nil {
			return
		}
		sent := r.RequestURI
		if !strings.HasPrefix(sent, "/") {
			_, rest, _ := strings.Cut(sent, "://")
			sent = rest[strings.IndexByte(rest, '/'):]
		}
		if got := c.last.URL.RequestURI(); got != sent || isPrivate(got) {
			t.Errorf("%q reached the API as %q", target, got)
		}
	})
}
