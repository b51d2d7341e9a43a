package cmd

import (
	"context"

	"github.com/oauthctl/oauthctl/pkg/oauth"
)

// loginByClient is the client credentials grant (RFC 6749, section 4.4): the
// client acts for itself and asks nobody.
func loginByClient(ctx context.Context, l *login) (*oauth.TokenResponse, oauth.IDTokenExpectation, error) {
	var none oauth.IDTokenExpectation
	l.lay(l.profile)
	if l.profile.ClientID == "" {
		return nil, none, &usageError{
			what: "client_credentials: no client is named",
			hint: "--client-id ID with --client-secret-file FILE, or OAUTHCTL_CLIENT_ID and OAUTHCTL_CLIENT_SECRET",
		}
	}
	if err := l.env.authenticate(ctx, l.client, l.profile, l.clientOptions); err != nil {
		return nil, none, err
	}
	extra, err := l.extra()
	if err != nil {
		return nil, none, err
	}
	answer, err := l.client.Token(ctx, oauth.ClientCredentials(l.scopes, l.audiences, l.resources).With(extra))
	return answer, none, err
}
