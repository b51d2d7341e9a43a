// Package oauth is the client's side of OAuth 2.0 and OpenID Connect: the
// authorization request and its response (RFC 6749, RFC 7636, RFC 9126,
// RFC 9207), one token request for every grant (RFC 6749, 7523, 8628, 8693),
// client authentication, the ID token's checks, registration (RFC 7591),
// revocation (RFC 7009), introspection (RFC 7662) and userinfo.
//
// Start with [Client.NewAuthorizationRequest]: show its URL to a browser, give
// the parameters of the redirect to [AuthorizationRequest.Code], which is the
// only way to a code and compares state and iss, then call [Client.Token] and
// [Client.VerifyIDToken]. Other grants begin with their constructor: [Refresh],
// [ClientCredentials], [Client.AuthorizeDevice], [TokenExchange], [JWTBearer].
//
// Every check is on; none needs to be asked for. The package opens no browser,
// listens on no port and stores nothing. Its errors are Diagnoses; where an
// authorization server said no, an [*Error] lies underneath.
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

	// Secret, Key and Assertion are what the client authenticates with; which
	// one is used is for AuthMethod to say, see [Client.Token].
	Secret secret.String
	Key    *jwks.PrivateKey
	// Assertion is a ready client assertion, such as a CI system's identity
	// token (RFC 7523, section 2.2); it is sent instead of one signed with Key.
	Assertion secret.String
	// AuthMethod is one of the Auth constants; "" chooses by what is there and
	// what the server announces.
	AuthMethod string
	// AssertionAudience is the aud of client assertions. "" means the issuer,
	// or the token endpoint where no issuer is known.
	AssertionAudience string

	// Origins, if not nil, are the only ones (scheme, host and port) that tokens
	// and secrets may be sent to, whatever the metadata says now. An endpoint
	// elsewhere is refused, ENDPOINT_MOVED.
	Origins []string

	// DPoP binds the tokens to a key (RFC 9449); nil asks for Bearer tokens.
	DPoP *dpop.Prover

	HTTP *safehttp.Client
	Now  func() time.Time
	// Wait pauses between the polls of the device grant; nil means real time.
	Wait func(ctx context.Context, d time.Duration) error
	// Keys verify ID tokens; nil means the server's jwks_uri, which is fetched
	// once and kept as long as it says.
	Keys token.KeySet

	// AuthorizedParties are the values of azp, besides ID, that an ID token may
	// have: apps of the same owner whose tokens this client accepts.
	AuthorizedParties []string
	// AssumeBearer treats a token response without a token_type, or with one that
	// is not registered, as one of a Bearer token. RFC 6749, section 7.1, forbids
	// that, but some servers leave the type out.
	AssumeBearer bool
	// TokenMember names the member whose object holds the tokens, for a server that
	// nests them in its token response; "" reads them where RFC 6749 puts them. A
	// response whose member has no access token is read as usual.
	TokenMember string

	remote atomic.Pointer[jwks.Remote] // of the server's jwks_uri
}

const (
	responseLimit = 1 << 20
	// requestTime bounds a request as a whole, where HTTP.Timeout is not longer: a
	// server that sends a byte a second would otherwise hold a login for ever.
	requestTime = 10 * time.Second
	// onceTime bounds one that cannot be sent again: a code, or a refresh token
	// that the server may already have replaced.
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
// alias for clients that authenticate by certificate where there is one (RFC
// 8705, section 5), else the one that the metadata names.
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

// Ready reports what is missing for a login by a grant before anything is sent:
// an error that a client which was registered for it could only meet later.
// Pushed says that the authorization request is to be pushed (RFC 9126). Errors
// are Diagnoses: METADATA_INVALID, INSECURE_ENDPOINT, ENDPOINT_MISSING,
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

// param is one parameter of a request. The value is a secret whatever its name,
// so that printing a request shows nothing.
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

// timedOut names our own time limit; the caller's stays the context's error.
func timedOut(ctx context.Context, limit time.Duration, err error) error {
	if err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return &diagnosis.Diagnosis{ID: diagnosis.Timeout, Expected: diagnosis.Values{fmt.Sprintf("the whole answer within %s", limit)}, Got: diagnosis.Values{"less"}, Err: err}
	}
	return err
}

func spaced(words []string) string { return strings.Join(words, " ") }
