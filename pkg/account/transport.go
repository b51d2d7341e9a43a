package account

import (
	"net/http"

	"github.com/oauthctl/oauthctl/pkg/apicall"
	"github.com/oauthctl/oauthctl/pkg/profile"
)

// HTTPClient returns a client whose requests to the profile's API, and to the
// origins that are allowed too, carry the account's access token, refreshed when
// it is due and once when the API refuses it. Requests to other origins carry
// none. The proof of a token that is bound to a key is made for each request (RFC
// 9449).
func (a *Account) HTTPClient(allowOrigins ...string) *http.Client {
	api := &apicall.Client{
		HTTP: a.http, Source: a.TokenSource(allowOrigins...), API: a.profile.Get(profile.API),
		AllowOrigins: allowOrigins, Now: a.config.Now,
	}
	return &http.Client{Transport: api.RoundTripper()}
}
