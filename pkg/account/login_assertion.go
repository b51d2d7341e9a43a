package account

import (
	"context"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/session"
)

// loginByAssertion presents an assertion that another server issued, such as the
// identity token of a CI job or an identity assertion authorization grant (RFC
// 7523, section 2.1). A renewal presents a new one.
func loginByAssertion(ctx context.Context, l *login, want wanted) (authorized, error) {
	client, err := l.assertingClient(ctx, want.server)
	if err == nil {
		err = l.bind(client, want)
	}
	if err != nil {
		return authorized{}, err
	}
	asked := session.Asked{Scope: want.scopes, Audience: want.audiences, Resource: want.resources, Param: want.params}
	response, err := l.presentAssertion(ctx, client, asked)
	return authorized{client: client, response: response}, err
}

// assertingClient is the client that the profile names. An assertion may be
// enough without one.
func (a *Account) assertingClient(ctx context.Context, server *discovery.Server) (*oauth.Client, error) {
	if a.profile.Get(profile.ClientID) == "" {
		return a.newClient(server, ""), nil
	}
	return a.configuredClient(ctx, server)
}

func (a *Account) presentAssertion(ctx context.Context, client *oauth.Client, asked session.Asked) (*oauth.TokenResponse, error) {
	target := profile.Owner{Server: a.profile.Server(), ClientID: client.ID}
	reference, err := a.profile.Credential(profile.Assertion, target)
	switch {
	case err != nil:
		return nil, err
	case reference == "":
		return nil, &diagnosis.Diagnosis{ID: diagnosis.ClientIncomplete, Expected: diagnosis.Values{string(profile.Assertion)}, Got: diagnosis.None}
	}
	assertion, err := a.readAssertion(ctx, reference, audienceOf(client))
	if err != nil {
		return nil, err
	}
	return client.Token(ctx, oauth.JWTBearer(assertion, asked.Scope, asked.Audience, asked.Resource).With(asked.Param))
}

// assertAgain gets a token by a new assertion, for a session without a refresh
// token.
func (a *Account) assertAgain(ctx context.Context, s *session.Session) (*session.Session, error) {
	client, err := a.sessionClient(ctx, s)
	if err != nil {
		return nil, err
	}
	answer, err := a.presentAssertion(ctx, client, s.Asked)
	if err != nil {
		return nil, err
	}
	next := *s
	a.take(&next, answer)
	return &next, nil
}
