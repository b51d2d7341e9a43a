package apicall_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/oauthctl/oauthctl/pkg/apicall"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// fixed is a source with one token.
type fixed string

func (f fixed) Token(_ context.Context, _ secret.String) (apicall.AccessToken, error) {
	return apicall.AccessToken{Type: "Bearer", Value: secret.New(string(f))}, nil
}

// An API that lets this client read but not delete, and how to continue.
func ExampleClient_Do() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope", scope="users:delete"`)
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprintf(w, "%s with %s", r.URL.Path, r.Header.Get("Authorization"))
	}))
	defer api.Close()
	transport := safehttp.NewTransport(nil)
	defer transport.CloseIdleConnections()

	client := &apicall.Client{HTTP: &safehttp.Client{Transport: transport}, API: api.URL + "/v1", Source: fixed("token-1")}
	res, err := client.Do(context.Background(), apicall.Request{Method: "GET", Target: "/items"})
	if err != nil {
		fmt.Println(err)
		return
	}
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	fmt.Println(string(body))

	res, err = client.Do(context.Background(), apicall.Request{Method: "DELETE", Target: "/users/1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	res.Body.Close()
	refusal := apicall.Refused(res)
	fmt.Println(refusal.Diagnosis.ID, refusal.Scopes)

	_, err = client.Do(context.Background(), apicall.Request{Method: "GET", Target: "https://evil.example/"})
	fmt.Println(err != nil)
	// Output:
	// /v1/items with Bearer token-1
	// SCOPE_MISSING [users:delete]
	// true
}
