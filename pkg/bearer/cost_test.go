package bearer_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// BenchmarkHandler measures what the middleware costs in addition to the
// verifier.
func BenchmarkHandler(b *testing.B) {
	for _, alg := range []string{"ES256", "RS256", "EdDSA"} {
		f := newFixture(b, alg)
		raw := f.token(b, map[string]any{"client_id": "app", "nbf": 1, "auth_time": 1, "tenant": "acme", "email": "a@example.com"})
		b.Run(alg+"/verifier", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.verifier.Verify(b.Context(), raw); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(alg+"/handler", func(b *testing.B) {
			h := bearer.Require(f.verifier, bearer.Scopes("items:read"))(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			r := httptest.NewRequest("GET", "/items", nil)
			r.Header.Set("Authorization", "Bearer "+raw)
			w := httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
			if w.Code != 200 {
				b.Fatal(w.Code)
			}
		})
	}
}

// BenchmarkHandlerAgain measures the cost of a token that is in the verifier's
// cache.
func BenchmarkHandlerAgain(b *testing.B) {
	f := newFixture(b, "ES256")
	v, err := token.NewVerifier(issuer, []string{audience}, jwks.NewSet(f.key.Public()), token.Options{CacheTokens: 100})
	if err != nil {
		b.Fatal(err)
	}
	raw := f.token(b, map[string]any{"client_id": "app", "nbf": 1, "auth_time": 1, "tenant": "acme", "email": "a@example.com"})
	h := bearer.Require(v, bearer.Scopes("items:read"))(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r := httptest.NewRequest("GET", "/items", nil)
	r.Header.Set("Authorization", "Bearer "+raw)
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}
