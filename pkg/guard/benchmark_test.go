package guard_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/guard"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// instant is an API that responds without a network.
type instant struct{}

func (instant) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("ok")), ContentLength: 2, Request: r}, nil
}

type discards struct{ header http.Header }

func (d discards) Header() http.Header         { return d.header }
func (d discards) Write(p []byte) (int, error) { return len(p), nil }
func (d discards) WriteHeader(int)             {}

// BenchmarkProxy measures the cost of the proxy without the network: a bare
// proxy, and a guard that has cached the token.
func BenchmarkProxy(b *testing.B) {
	key, err := jwks.Generate("ES256")
	if err != nil {
		b.Fatal(err)
	}
	u := &url.URL{Scheme: "http", Host: "api"}
	now := time.Now().Unix()
	raw, err := token.Sign(key, "at+jwt", map[string]any{"iss": issuer, "aud": audience, "sub": "alice", "client_id": "app", "jti": "1", "iat": now, "exp": now + 3600, "scope": "items:read"})
	if err != nil {
		b.Fatal(err)
	}
	h, err := guard.New(guard.Config{Upstream: u, Transport: instant{}, Policy: load(b, routes), Keys: jwks.NewSet(key.Public()), Requests: guard.LogNone, Verifier: token.Options{CacheTokens: 100}})
	if err != nil {
		b.Fatal(err)
	}
	for name, handler := range map[string]http.Handler{
		"bare":  &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(u); p.SetXForwarded() }, Transport: instant{}},
		"guard": h,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			r := httptest.NewRequest("GET", "/api/items", nil)
			r.Header.Set("Authorization", "Bearer "+raw)
			r.Header.Set("Accept", "application/json")
			for b.Loop() {
				handler.ServeHTTP(discards{http.Header{}}, r)
			}
		})
	}
}
