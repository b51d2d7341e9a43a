package bearer_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/policy/policyfile"
	"github.com/oauthctl/oauthctl/pkg/revocation"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// An API with one protected operation.
func ExampleRequire() {
	keys := jwks.NewRemote("https://auth.example.com/jwks", jwks.RemoteOptions{})
	defer keys.Close()
	verifier, err := token.NewVerifier("https://auth.example.com", []string{"https://api.example.com"}, keys, token.Options{})
	if err != nil {
		log.Fatal(err)
	}
	items := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, _ := bearer.FromContext(r.Context())
		fmt.Fprintln(w, "items of", t.Subject())
	})
	mux := http.NewServeMux()
	mux.Handle("GET /api/items", bearer.Require(verifier, bearer.Scopes("items:read"))(items))

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/api/items", nil))
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	fmt.Print(w.Body)
	// Output:
	// 401 Bearer realm="api", scope="items:read"
	// {"title":"Unauthorized","status":401,"detail":"the request has no access token","id":"CREDENTIALS_MISSING","scope":"items:read"}
}

// A whole API behind a policy file, found by clients through its metadata.
func ExamplePolicy() {
	p, err := policyfile.Load([]byte(`
issuer: https://auth.example.com
audience: https://api.example.com
routes:
  "GET /api/items": {scopes: [items:read]}
  "GET /healthz": {public: true}
`), "policy.yaml")
	if err != nil {
		log.Fatal(err)
	}
	keys := jwks.NewRemote("https://auth.example.com/jwks", jwks.RemoteOptions{})
	defer keys.Close()
	verifier, err := p.Verifier(keys, token.Options{})
	if err != nil {
		log.Fatal(err)
	}
	metadata := bearer.Metadata{Resource: "https://api.example.com", AuthorizationServers: []string{p.Issuer}}
	place, err := metadata.URL()
	if err != nil {
		log.Fatal(err)
	}
	api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "served", r.URL.Path) })
	mux := http.NewServeMux()
	mux.Handle("/", bearer.Require(verifier, bearer.Policy(p), bearer.ResourceMetadata(place), bearer.Logger(slog.New(slog.DiscardHandler)))(api))
	if err := metadata.Handle(mux); err != nil {
		log.Fatal(err)
	}

	for _, path := range []string{"/healthz", "/api/items"} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		fmt.Println(w.Code, path, w.Header().Get("WWW-Authenticate") != "")
	}
	// Output:
	// 200 /healthz false
	// 401 /api/items true
}

// What the middleware would answer, without running a server.
func ExampleDecide() {
	key, err := jwks.Generate("ES256")
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := token.NewVerifier("https://auth.example.com", []string{"https://api.example.com"}, jwks.NewSet(key.Public()), token.Options{})
	if err != nil {
		log.Fatal(err)
	}
	d := bearer.Decide(verifier, httptest.NewRequest("GET", "/api/items", nil), bearer.Scopes("items:read"))
	fmt.Println(d.Problem.Status, d.Diagnosis.ID, d.Problem.Scope)
	// Output: 401 CREDENTIALS_MISSING items:read
}

// Tokens that are not JWTs, verified by introspection with the API's own
// client.
func ExampleRequire_opaque() {
	client := &oauth.Client{
		ID: "orders-api", Secret: secret.New(os.Getenv("API_CLIENT_SECRET")),
		Server: &discovery.Server{Issuer: "https://auth.example.com", IntrospectionEndpoint: "https://auth.example.com/introspect"},
	}
	find := func(context.Context) (*oauth.Client, error) { return client, nil }
	responses, err := token.NewResponseVerifier("https://auth.example.com", []string{"https://api.example.com"}, token.Options{})
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := revocation.NewOpaque(find, responses, revocation.IntrospectionOptions{})
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("GET /orders", bearer.Require(verifier, bearer.Scopes("orders:read"))(http.NotFoundHandler()))
}

// An API that ends TLS itself and accepts only tokens that are bound to the
// client's certificate; verified tokens are cached, and the keys are used for
// an hour while the issuer cannot be reached.
func ExampleMutualTLS() {
	keys := jwks.NewRemote("https://auth.example.com/jwks", jwks.RemoteOptions{MaxStale: time.Hour})
	verifier, err := token.NewVerifier("https://auth.example.com", []string{"https://api.example.com"}, keys, token.Options{CacheTokens: 10_000})
	if err != nil {
		log.Fatal(err)
	}
	protect := bearer.Require(verifier, bearer.MutualTLS(), bearer.RequireBound())
	server := http.Server{
		Addr: ":8443", Handler: protect(http.NotFoundHandler()),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert},
	}
	log.Fatal(server.ListenAndServeTLS("server.pem", "server.key"))
}
