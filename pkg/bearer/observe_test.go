package bearer_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// Each request is reported once, accepted or refused, before it is answered, with
// the route's pattern and never the path, so that metrics have few labels.
func TestEveryRequestIsReportedWithItsRoute(t *testing.T) {
	f := newFixture(t, "ES256")
	p := loadPolicy(t, "issuer: "+issuer+"\naudience: "+audience+`
routes:
  "GET /orders/{id}": {scopes: [items:read]}
  "DELETE /orders/{id}": {scopes: [orders:admin]}
  "GET /public/{name}": {public: true}
`)
	var reported []string
	note := func(r *http.Request, result string) {
		subject := "nobody"
		if t, ok := bearer.FromContext(r.Context()); ok {
			subject = t.Subject()
		}
		reported = append(reported, fmt.Sprintf("%s: %s, %s", result, bearer.RouteFromContext(r.Context()), subject))
	}
	h := bearer.Require(f.verifier, bearer.Policy(p),
		bearer.OnAccept(func(r *http.Request) { note(r, "accepted") }),
		bearer.OnRefusal(func(r *http.Request, d *diagnosis.Diagnosis) { note(r, string(d.ID)) }),
	)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { note(r, "handled") }))
	good := f.token(t, map[string]any{"sub": "bob"})
	for name, tt := range map[string]struct {
		method, path, raw string
		want              []string
	}{
		"accepted":       {"GET", "/orders/7", good, []string{"accepted: GET /orders/{id}, bob", "handled: GET /orders/{id}, bob"}},
		"another id":     {"GET", "/orders/8", good, []string{"accepted: GET /orders/{id}, bob", "handled: GET /orders/{id}, bob"}},
		"public":         {"GET", "/public/a", good, []string{"accepted: GET /public/{name}, nobody", "handled: GET /public/{name}, nobody"}},
		"without token":  {"GET", "/orders/7", "", []string{"CREDENTIALS_MISSING: GET /orders/{id}, nobody"}},
		"expired":        {"GET", "/orders/7", f.token(t, map[string]any{"exp": 1, "iat": 0}), []string{"EXPIRED: GET /orders/{id}, nobody"}},
		"lacks a scope":  {"DELETE", "/orders/7", good, []string{"SCOPE_MISSING: DELETE /orders/{id}, bob"}},
		"unlisted":       {"GET", "/secret/path", good, []string{"OPERATION_UNLISTED: , bob"}},
		"several slash":  {"GET", "/orders//7", good, []string{"PATH_AMBIGUOUS: , nobody"}},
		"another method": {"PATCH", "/orders/7", good, []string{"OPERATION_UNLISTED: , bob"}},
	} {
		t.Run(name, func(t *testing.T) {
			reported = nil
			r := httptest.NewRequest(tt.method, tt.path, nil)
			if tt.raw != "" {
				r.Header.Set("Authorization", "Bearer "+tt.raw)
			}
			h.ServeHTTP(httptest.NewRecorder(), r)
			if diff := cmp.Diff(tt.want, reported); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Requests counted by route and result, the labels of a metric.
func ExampleOnAccept() {
	key, err := jwks.Generate("ES256")
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := token.NewVerifier("https://auth.example.com", []string{"https://api.example.com"}, jwks.NewSet(key.Public()), token.Options{})
	if err != nil {
		log.Fatal(err)
	}
	count := map[string]int{}
	protect := bearer.Require(verifier,
		bearer.OnAccept(func(r *http.Request) { count[bearer.RouteFromContext(r.Context())+" accepted"]++ }),
		bearer.OnRefusal(func(r *http.Request, d *diagnosis.Diagnosis) {
			count[bearer.RouteFromContext(r.Context())+string(d.ID)]++
		}),
	)
	protect(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/api/items", nil))
	fmt.Println(count)
	// Output: map[CREDENTIALS_MISSING:1]
}

// An API in which one operation needs one more scope.
func ExampleRequireScope() {
	verifier, err := token.NewIssuerVerifier("https://auth.example.com", []string{"https://api.example.com"}, token.Options{})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /orders", http.NotFoundHandler())
	mux.Handle("DELETE /orders/{id}", bearer.RequireScope("orders:delete")(http.NotFoundHandler()))
	http.Handle("/", bearer.Require(verifier, bearer.Scopes("orders:read"))(mux))
}
