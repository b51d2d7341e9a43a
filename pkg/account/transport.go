package account

import (
	"net/http"

	"github.com/oauthctl/oauthctl/pkg/apicall"
	"github.com/oauthctl/oauthctl/pkg/profile"
)

// HTTPClient returns a client that sends the account's access token with requests
// to the profile's API and other allowed origins. The token is refreshed if
// needed, and once if the API refuses it. Requests to other origins have no
// token. For a token that is bound to a key, each request has a new proof (RFC
// 9449).
func (a *Account) HTTPClient(allowOrigins ...string) *http.Client {
	api := &apicall.Client{
		HTTP: a.http, Source: a.TokenSource(allowOrigins...), API: a.profile.Get(profile.API),
		AllowOrigins: allowOrigins, Now: a.config.Now,
	}
	return &http.Client{Transport: api.RoundTripper()}
}
