package oauth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/oauth"
)

// The authorization code grant with PKCE, from the URL for the browser to the
// token. The server of this example approves every request.
func Example() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("asked for", r.FormValue("grant_type"), "with a verifier of", len(r.FormValue("code_verifier")), "characters")
		fmt.Fprint(w, `{"access_token":"2YotnFZFEjr1zCsicMWpAA","token_type":"bearer","scope":"items:read"}`)
	}))
	defer server.Close()

	client := &oauth.Client{ID: "s6BhdRkqt3", Server: &discovery.Server{
		Issuer:                "https://issuer.example",
		AuthorizationEndpoint: "https://issuer.example/authorize",
		TokenEndpoint:         server.URL,
		AuthorizationResponseIssParameterSupported: true,
	}}
	request, err := client.NewAuthorizationRequest(oauth.AuthorizationParams{
		RedirectURI: "http://127.0.0.1:53682/callback", Scope: []string{"items:read"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// The browser opens request.URL(), and the redirect has these parameters.
	sent, _ := url.Parse(request.URL())
	redirect := url.Values{"state": sent.Query()["state"], "code": {"SplxlOBeZQQYbYS6WxSbIA"}, "iss": {"https://issuer.example"}}

	_, err = request.Code(url.Values{"state": {"forged"}, "code": {"forged"}})
	fmt.Println(err)
	code, err := request.Code(redirect)
	if err != nil {
		fmt.Println(err)
		return
	}
	answer, err := client.Token(context.Background(), request.TokenRequest(code))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(answer.TokenType, answer.AccessToken, answer.Scope)
	// Output:
	// oauth: the response does not belong to this login: not the answer to this request
	// asked for authorization_code with a verifier of 43 characters
	// Bearer [redacted] [items:read]
}
