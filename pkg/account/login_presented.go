package account

import (
	"cmp"
	"context"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/session"
)

// Presents reports whether a grant presents a token that another server issued,
// such as the identity token of a CI job or an identity assertion authorization
// grant, and returns the setting that refers to this token. Such a session is
// refreshed by presenting a new token.
func Presents(grantType string) (profile.Key, bool) {
	switch grantType {
	case GrantJWTBearer:
		return profile.Assertion, true
	case GrantTokenExchange:
		return profile.SubjectToken, true
	}
	return "", false
}

// loginByPresenting is the JWT bearer grant (RFC 7523, section 2.1) or a token
// exchange (RFC 8693).
func loginByPresenting(ctx context.Context, l *login, want wanted) (authorized, error) {
	client, err := l.presentingClient(ctx, want.server)
	if err == nil {
		err = l.bind(client, want)
	}
	if err != nil {
		return authorized{}, err
	}
	asked := session.Asked{Scope: want.scopes, Audience: want.audiences, Resource: want.resources, Param: want.params}
	response, err := l.present(ctx, client, l.grant.name, asked)
	return authorized{client: client, response: response}, err
}

// presentingClient is the client that the profile names. The token may be enough
// without one.
func (a *Account) presentingClient(ctx context.Context, server *discovery.Server) (*oauth.Client, error) {
	if a.profile.Get(profile.ClientID) == "" {
		return a.newClient(server, ""), nil
	}
	return a.configuredClient(ctx, server)
}

// present reads the token that a grant presents and gets an access token for it.
func (a *Account) present(ctx context.Context, client *oauth.Client, grantType string, asked session.Asked) (*oauth.TokenResponse, error) {
	key, _ := Presents(grantType)
	reference, err := a.profile.Credential(key, ownerOf(client))
	switch {
	case err != nil:
		return nil, err
	case reference == "":
		return nil, &diagnosis.Diagnosis{ID: diagnosis.ClientIncomplete, Expected: diagnosis.Values{string(key)}, Got: diagnosis.None}
	}
	presented, err := a.readAssertion(ctx, key, reference, audienceOf(client))
	if err != nil {
		return nil, err
	}
	request := oauth.JWTBearer(presented, asked.Scope, asked.Audience, asked.Resource)
	if grantType == GrantTokenExchange {
		request = a.exchangeOf(presented, reference, asked)
	}
	response, err := client.Token(ctx, request.With(asked.Param))
	if err == nil && response.TokenType == "N_A" {
		err = &diagnosis.Diagnosis{ID: diagnosis.TokenEndpointShape, Expected: diagnosis.Values{"an access token"}, Got: diagnosis.Text(response.IssuedTokenType)}
	}
	return response, err
}

func (a *Account) exchangeOf(subject secret.String, reference string, asked session.Asked) oauth.TokenRequest {
	return oauth.TokenExchange(oauth.TokenExchangeParams{
		SubjectToken:     subject,
		SubjectTokenType: cmp.Or(oauth.TokenType(a.profile.Get(profile.SubjectTokenType)), TypeOf(reference)),
		Scope:            asked.Scope, Audience: asked.Audience, Resource: asked.Resource,
	})
}

// TypeOf returns the type of the token that a reference leads to, as far as the
// reference says: that of a CI job is a JWT. It is "" otherwise, which means an
// access token.
func TypeOf(reference string) string {
	if strings.HasPrefix(reference, "ci:") {
		return oauth.TokenTypeJWT
	}
	return ""
}

// presentAgain obtains a token for a session without a refresh token. Without a
// session, it obtains the first token with the settings of the profile.
func (a *Account) presentAgain(ctx context.Context, before *session.Session) (*session.Session, error) {
	if before == nil {
		return a.presentFirst(ctx)
	}
	client, err := a.sessionClient(ctx, before)
	if err != nil {
		return nil, err
	}
	answer, err := a.present(ctx, client, before.Grant, before.Asked)
	if err != nil {
		return nil, err
	}
	answer.IDToken = secret.String{} // the session has the one that was verified
	next := *before
	a.take(&next, answer)
	return &next, nil
}

func (a *Account) presentFirst(ctx context.Context) (*session.Session, error) {
	p := a.profile
	asked := session.Asked{Scope: p.List(profile.Scope), Audience: a.audiences(), Resource: p.List(profile.Resource)}
	var err error
	if asked.Param, err = params(p.List(profile.Param)); err != nil {
		return nil, err
	}
	server, err := a.Server(ctx)
	if err != nil {
		return nil, err
	}
	client, err := a.presentingClient(ctx, server)
	if err != nil {
		return nil, err
	}
	grantType := p.Get(profile.GrantType)
	answer, err := a.present(ctx, client, grantType, asked)
	if err != nil {
		return nil, err
	}
	answer.IDToken = secret.String{} // it was not verified
	s := a.newSession(client, grantType, asked)
	s.API = a.ownAPI()
	a.take(s, answer)
	return s, nil
}
