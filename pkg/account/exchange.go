package account

import (
	"cmp"
	"context"
	"net/url"

	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// TokenFunc returns a token for a server. Some tokens, such as the identity
// token of a CI job, are issued for one server.
type TokenFunc func(ctx context.Context, audience string) (secret.String, error)

// ExchangeOptions configures a token exchange (RFC 8693) or, with an Assertion,
// the JWT bearer grant (RFC 7523).
type ExchangeOptions struct {
	Subject            TokenFunc // nil means the account's own access token
	SubjectTokenType   string    // a URI or what [oauth.TokenType] knows; "" means an access token
	Actor              TokenFunc // nil means that there is none
	ActorTokenType     string
	RequestedTokenType string
	Assertion          TokenFunc // instead of a subject

	Scope, Audience, Resource []string
	Param                     url.Values
	// As is the account whose client sends the request. If nil, it is this one.
	// A program may exchange a user's token as another client.
	As *Account
}

// Exchange sends a token to the profile's server and returns the issued token.
// The session does not change. The new token is not bound to a key, because it
// leaves this program. Errors are Diagnoses.
func (a *Account) Exchange(ctx context.Context, o ExchangeOptions) (*oauth.TokenResponse, error) {
	client, err := cmp.Or(o.As, a).exchanger(ctx, o.As != nil)
	if err != nil {
		return nil, err
	}
	request, err := a.exchangeRequest(ctx, audienceOf(client), o)
	if err != nil {
		return nil, err
	}
	return client.Token(ctx, request.With(o.Param))
}

// ClientToken requests a token for the client itself (RFC 6749, section 4.4)
// with a scope and a resource, without storing it. Errors are Diagnoses.
func (a *Account) ClientToken(ctx context.Context, scope, resource []string) (*oauth.TokenResponse, error) {
	client, err := a.exchanger(ctx, true)
	if err != nil {
		return nil, err
	}
	return client.Token(ctx, oauth.ClientCredentials(scope, nil, resource))
}

// exchanger returns the session's client, or that of the profile if requested.
func (a *Account) exchanger(ctx context.Context, configured bool) (*oauth.Client, error) {
	if s, err := a.Session(); err == nil && !configured {
		client, err := a.sessionClient(ctx, s)
		if err == nil {
			client.DPoP = nil
		}
		return client, err
	}
	server, err := a.Server(ctx)
	if err != nil {
		return nil, err
	}
	if a.profile.Get(profile.ClientID) == "" {
		return a.newClient(server, ""), nil // an assertion may be sufficient
	}
	return a.configuredClient(ctx, server)
}

func (a *Account) exchangeRequest(ctx context.Context, audience string, o ExchangeOptions) (oauth.TokenRequest, error) {
	if o.Assertion != nil {
		assertion, err := o.Assertion(ctx, audience)
		return oauth.JWTBearer(assertion, o.Scope, o.Audience, o.Resource), err
	}
	p := oauth.TokenExchangeParams{
		SubjectTokenType: oauth.TokenType(o.SubjectTokenType), ActorTokenType: oauth.TokenType(o.ActorTokenType), RequestedTokenType: oauth.TokenType(o.RequestedTokenType),
		Scope: o.Scope, Audience: o.Audience, Resource: o.Resource,
	}
	var err error
	if p.SubjectToken, err = a.subject(ctx, audience, o); err != nil {
		return oauth.TokenRequest{}, err
	}
	if o.Actor != nil {
		p.ActorToken, err = o.Actor(ctx, audience)
	}
	return oauth.TokenExchange(p), err
}

// subject returns the token to exchange: the given one, or that of the session
// with the requested type.
func (a *Account) subject(ctx context.Context, audience string, o ExchangeOptions) (secret.String, error) {
	if o.Subject != nil {
		return o.Subject(ctx, audience)
	}
	t, err := a.Token(ctx, Want{})
	if err != nil {
		return secret.String{}, err
	}
	if oauth.TokenType(o.SubjectTokenType) == oauth.TokenTypeIDToken && !t.IDToken.IsZero() {
		return t.IDToken, nil
	}
	return t.Value, nil
}
