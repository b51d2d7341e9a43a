package account

import (
	"context"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/profile"
)

// loginByClient uses the client credentials grant (RFC 6749, section 4.4),
// without a user.
func loginByClient(ctx context.Context, l *login, want wanted) (authorized, error) {
	if l.profile.Get(profile.ClientID) == "" {
		return authorized{}, &diagnosis.Diagnosis{ID: diagnosis.ClientIncomplete, Expected: diagnosis.Values{string(profile.ClientID)}, Got: diagnosis.None}
	}
	client, err := l.configuredClient(ctx, want.server)
	if err == nil {
		err = l.bind(client, want)
	}
	if err != nil {
		return authorized{}, err
	}
	response, err := client.Token(ctx, oauth.ClientCredentials(want.scopes, want.audiences, want.resources).With(want.params))
	return authorized{client: client, response: response}, err
}
