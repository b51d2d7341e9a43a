// Package oauth implements the client side of OAuth 2.0 and OpenID Connect: the
// authorization request and its response (RFC 6749, RFC 7636, RFC 9126,
// RFC 9207), the token request of every grant (RFC 6749, 7523, 8628, 8693), client
// authentication, the verification of ID tokens, registration (RFC 7591),
// revocation (RFC 7009), introspection (RFC 7662) and userinfo.
//
// Start with [Client.NewAuthorizationRequest]: open its URL in a browser, pass the
// parameters of the redirect to [AuthorizationRequest.Code], which compares state
// and iss and is the only way to get the code, then call [Client.Token] and
// [Client.VerifyIDToken]. Other grants start with their constructor: [Refresh],
// [ClientCredentials], [Client.AuthorizeDevice], [TokenExchange], [JWTBearer].
//
// Every check is on by default. The package opens no browser, listens on no port
// and stores nothing. Its errors are Diagnoses; if an authorization server
// returned an error, they wrap an [*Error].
package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/dpop"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// Client is one OAuth client at one authorization server. ID and Server are
// needed; the zero value of everything else is a public client with the usual
// HTTP and clock. A Client is safe for concurrent use and must not be changed
// after its first request.
type Client struct {
	ID     string
	Server *discovery.Server

	// Secret, Key and Assertion are the client's credentials. AuthMethod
	// selects which one is used, see [Client.Token].
	Secret secret.String
	Key    *jwks.PrivateKey
	// Assertion is a ready client assertion, such as a CI system's identity
	// token (RFC 7523, section 2.2); it is sent instead of one signed with Key.
	Assertion secret.String
	// AuthMethod is one of the Auth constants. "" selects a method from the
	// credentials and the server's metadata.
	AuthMethod string
	// AssertionAudience is the aud of client assertions. "" means the issuer,
	// or the token endpoint if no issuer is known.
	AssertionAudience string

	// Origins, if not nil, lists the only origins (scheme, host and port) that
	// may receive tokens and secrets, whatever the metadata says. Another
	// endpoint is refused with ENDPOINT_MOVED.
	Origins []string

	// DPoP binds the tokens to a key (RFC 9449). If nil, Bearer tokens are
	// requested.
	DPoP *dpop.Prover

	HTTP *safehttp.Client
	Now  func() time.Time
	// Wait waits between polls of the device grant. If nil, it waits in real
	// time.
	Wait func(ctx context.Context, d time.Duration) error
	// Keys verifies ID tokens. If nil, the server's jwks_uri is used, which is
	// fetched once and cached as long as it is fresh.
	Keys token.KeySet

	// AuthorizedParties lists the values of azp, in addition to ID, that are
	// accepted in an ID token: other clients whose tokens this client accepts.
	AuthorizedParties []string
	// AssumeBearer treats a token response without a token_type, or with one that
	// is not registered, as a Bearer token. RFC 6749, section 7.1, forbids that,
	// but some servers omit the type.
	AssumeBearer bool
	// TokenMember is the name of the member with the tokens, for a server that
	// nests them in its token response. "" means the standard form. A response
	// whose member has no access token is parsed as usual.
	TokenMember string

	remote atomic.Pointer[jwks.Remote] // of the server's jwks_uri
}

const (
	responseLimit = 1 << 20
	// requestTime is the time limit for a request, unless HTTP.Timeout is longer.
	// Otherwise, a server that sends a byte a second could block a login forever.
	requestTime = 10 * time.Second
	// onceTime is the time limit for a request that cannot be repeated: with a
	// code, or with a refresh token that the server may already have replaced.
	onceTime = 20 * time.Second
)

func (c *Client) http() *safehttp.Client {
	if c.HTTP == nil {
		return &safehttp.Client{}
	}
	return c.HTTP
}

func (c *Client) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

func (c *Client) server() *discovery.Server {
	if c.Server == nil {
		return &discovery.Server{}
	}
	return c.Server
}

// endpoint returns the URL of an endpoint that receives tokens or secrets: the
// alias for clients that authenticate with a certificate if there is one (RFC
// 8705, section 5), or the regular one.
func (c *Client) endpoint(name string) (string, error) {
	lookup := c.server().Endpoint
	if c.AuthMethod == AuthTLS {
		lookup = c.server().Alias
	}
	rawURL, err := lookup(name)
	if err != nil {
		return "", err
	}
	if c.Origins == nil {
		return rawURL, nil
	}
	u, err := url.Parse(rawURL)
	if err != nil || !slices.Contains(c.Origins, safehttp.Origin(u)) {
		return "", &diagnosis.Diagnosis{ID: diagnosis.EndpointMoved, Expected: diagnosis.Values(c.Origins), Got: diagnosis.Values{name + " " + diagnosis.Quote(rawURL)}}
	}
	return rawURL, nil
}

// Ready reports what is missing for a login with a grant before anything is
// sent, so that no client is registered for a login that cannot succeed. Pushed
// means that the authorization request will be pushed (RFC 9126). Errors are
// Diagnoses: METADATA_INVALID, INSECURE_ENDPOINT, ENDPOINT_MISSING,
// ENDPOINT_MOVED.
func (c *Client) Ready(grantType string, pushed bool) error {
	needed := []string{"token_endpoint"}
	switch grantType {
	case "authorization_code":
		if _, err := c.server().Endpoint("authorization_endpoint"); err != nil {
			return fmt.Errorf("oauth: %w", err)
		}
		if pushed || c.server().RequirePushedAuthorizationRequests {
			needed = append(needed, "pushed_authorization_request_endpoint")
		}
	case GrantDeviceCode:
		needed = append(needed, "device_authorization_endpoint")
	}
	for _, name := range needed {
		if _, err := c.endpoint(name); err != nil {
			return fmt.Errorf("oauth: %w", err)
		}
	}
	return nil
}

// param is one parameter of a request. Every value is a secret, so that
// printing a request shows none.
type param struct {
	name  string
	value secret.String
}

func form(params []param) url.Values {
	values := make(url.Values, len(params))
	for _, p := range params {
		values.Add(p.name, p.value.Reveal())
	}
	return values
}

// post sends params to an endpoint with the client's authentication added.
func (c *Client) post(ctx context.Context, to Endpoint, endpoint string, params []param) (*answer, error) {
	return c.postWith(ctx, Request{Endpoint: to}, endpoint, params, http.Header{}, requestTime)
}

func (c *Client) postWith(ctx context.Context, request Request, endpoint string, params []param, header http.Header, limit time.Duration) (*answer, error) {
	values := form(params)
	if err := c.authenticate(values, header, endpoint); err != nil {
		return nil, err
	}
	limit = max(limit, c.http().Timeout)
	whole, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	res, err := c.http().PostForm(whole, endpoint, values, header, responseLimit)
	if err != nil {
		return nil, timedOut(ctx, limit, err)
	}
	request.AuthMethod = c.authMethod()
	request.MethodsAnnounced = len(c.server().TokenEndpointAuthMethodsSupported) > 0
	request.ProofsAnnounced = len(c.server().DPoPSigningAlgValuesSupported) > 0
	request.Proof = header.Get("Dpop") != ""
	request.SecretEncoded = request.AuthMethod == AuthSecretBasic &&
		url.QueryEscape(c.ID)+url.QueryEscape(c.Secret.Reveal()) != c.ID+c.Secret.Reveal()
	return c.newReply(res, request, values, header).object(), nil
}

// timedOut replaces the error of our own time limit; the error of the caller's
// context is not changed.
func timedOut(ctx context.Context, limit time.Duration, err error) error {
	if err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return &diagnosis.Diagnosis{ID: diagnosis.Timeout, Expected: diagnosis.Values{fmt.Sprintf("the complete response within %s", limit)}, Got: diagnosis.Values{"less"}, Err: err}
	}
	return err
}

func spaced(words []string) string { return strings.Join(words, " ") }
