package oauthtest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/oauthtest"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// reader is the API under test. It requires the scope orders:read.
func reader(issuer string, keys token.KeySet) http.Handler {
	verifier, err := token.NewVerifier(issuer, []string{"https://shop.example"}, keys, token.Options{})
	if err != nil {
		panic(err)
	}
	return bearer.Require(verifier, bearer.Scopes("orders:read"))(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, _ := bearer.FromContext(r.Context())
		fmt.Fprintf(w, "hello %s", caller.Subject())
	}))
}

// In a test, t is its *testing.T.
func ExampleNewIssuer() {
	t := &exampleT{}
	issuer := oauthtest.NewIssuer(t, oauthtest.Resource("https://shop.example"), oauthtest.Scope("orders:read"))
	api := reader(issuer.URL(), issuer.KeySet())
	for _, c := range []oauthtest.Case{oauthtest.Good, oauthtest.Expired, oauthtest.NoAudience, oauthtest.AlgNone, oauthtest.MissingScope} {
		r := httptest.NewRequest(http.MethodGet, "https://shop.example/orders", http.NoBody)
		r.Header.Set("Authorization", "Bearer "+issuer.Mint(c))
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		fmt.Println(c, w.Code)
	}
	// Output:
	// good 200
	// expired 401
	// no-audience 401
	// alg-none 401
	// missing-scope 403
}

func ExampleIssuer_MintToken() {
	t := &exampleT{}
	issuer := oauthtest.NewIssuer(t)
	raw := issuer.MintToken(oauthtest.Token{
		Subject: "bob", Audience: []string{"https://shop.example"}, Scope: []string{"orders:read"},
		Claims: map[string]any{"roles": []string{"clerk"}},
	})
	decoded, err := token.Decode(raw)
	if err != nil {
		panic(err)
	}
	roles, _ := decoded.Claim("roles")
	fmt.Println(decoded.Subject(), decoded.Audience(), decoded.Scopes(), roles)
	// Output: bob [https://shop.example] [orders:read] [clerk]
}

func ExampleStart() {
	t := &exampleT{}
	defer t.end()
	server := oauthtest.Start(t, oauthtest.User("carol", map[string]any{"tenant": "acme"}))
	fmt.Println(server.Get(context.Background(), "/api/items", server.Mint(oauthtest.Good)))
	fmt.Println(server.Get(context.Background(), "/api/items", server.Mint(oauthtest.WrongAudience)))
	fmt.Println(server.Get(context.Background(), "/api/items", ""))
	// Output:
	// 200
	// 401
	// 401
}

// exampleT replaces a *testing.T, which examples do not have.
type exampleT struct {
	testing.TB
	ends []func()
}

func (*exampleT) Helper()                        {}
func (t *exampleT) Cleanup(f func())             { t.ends = append(t.ends, f) }
func (*exampleT) Fatalf(format string, a ...any) { panic(fmt.Sprintf(format, a...)) }

func (t *exampleT) end() {
	for _, f := range t.ends {
		f()
	}
}
