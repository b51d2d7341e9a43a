package oauth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// TokenRequest is a request to the token endpoint. Create it with the constructor
// of its grant. Secrets are redacted when it is printed.
type TokenRequest struct {
	GrantType string
	params    []param
	scope     []string
	again     bool // may be sent a second time if the first connection failed
	err       error
}

// Refresh requests a new access token (RFC 6749, section 6). An empty scope keeps
// the scope of the previous token. Resource must be sent again with each refresh (RFC
// 8707, section 2.2).
func Refresh(refreshToken secret.String, scope, resource []string) TokenRequest {
	t := TokenRequest{GrantType: "refresh_token", scope: slices.Clone(scope), again: true}
	return t.secret("refresh_token", refreshToken).with("scope", spaced(scope)).with("resource", resource...)
}

// ClientCredentials requests a token for the client itself, without a user (RFC
// 6749, section 4.4).
func ClientCredentials(scope, audience, resource []string) TokenRequest {
	t := TokenRequest{GrantType: "client_credentials", scope: slices.Clone(scope), again: true}
	return t.with("scope", spaced(scope)).with("audience", audience...).with("resource", resource...)
}

// JWTBearer requests a token in exchange for an assertion (RFC 7523, section 2.1).
func JWTBearer(assertion secret.String, scope, audience, resource []string) TokenRequest {
	t := TokenRequest{GrantType: GrantJWTBearer, scope: slices.Clone(scope)}
	return t.secret("assertion", assertion).with("scope", spaced(scope)).with("audience", audience...).with("resource", resource...)
}

// TokenExchangeParams holds the parameters of a token exchange (RFC 8693, section
// 2.1). SubjectToken is required. A token type is a URI. The default of
// SubjectTokenType and ActorTokenType is [TokenTypeAccessToken].
type TokenExchangeParams struct {
	SubjectToken       secret.String
	SubjectTokenType   string
	ActorToken         secret.String
	ActorTokenType     string
	RequestedTokenType string
	Scope              []string
	Audience           []string
	Resource           []string
}

// TokenType returns the URI of a token type (RFC 8693, section 3). Name is the last
// part of the URI, such as jwt or id_token. Any other text is returned unchanged.
func TokenType(name string) string {
	if slices.Contains([]string{"access_token", "refresh_token", "id_token", "jwt", "saml1", "saml2", "id-jag"}, name) {
		return "urn:ietf:params:oauth:token-type:" + name
	}
	return name
}

// Token types of RFC 8693, section 3.
const (
	TokenTypeAccessToken  = "urn:ietf:params:oauth:token-type:access_token"
	TokenTypeRefreshToken = "urn:ietf:params:oauth:token-type:refresh_token"
	TokenTypeIDToken      = "urn:ietf:params:oauth:token-type:id_token"
	TokenTypeJWT          = "urn:ietf:params:oauth:token-type:jwt"
	// TokenTypeIDJAG is an identity assertion authorization grant. Send it to another
	// server with [JWTBearer] (draft-ietf-oauth-identity-assertion-authz-grant).
	TokenTypeIDJAG = "urn:ietf:params:oauth:token-type:id-jag"
)

// The grant types of RFC 7523, section 2.1, and RFC 8693, section 2.1.
const (
	GrantJWTBearer     = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	GrantTokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// TokenExchange exchanges a token for another (RFC 8693).
func TokenExchange(p TokenExchangeParams) TokenRequest {
	if p.SubjectTokenType == "" {
		p.SubjectTokenType = TokenTypeAccessToken
	}
	if p.ActorTokenType == "" && !p.ActorToken.IsZero() {
		p.ActorTokenType = TokenTypeAccessToken
	}
	t := TokenRequest{GrantType: GrantTokenExchange, scope: slices.Clone(p.Scope)}
	t = t.secret("subject_token", p.SubjectToken).with("subject_token_type", p.SubjectTokenType)
	t = t.secret("actor_token", p.ActorToken).with("actor_token_type", p.ActorTokenType)
	t = t.with("requested_token_type", p.RequestedTokenType).with("scope", spaced(p.Scope))
	return t.with("audience", p.Audience...).with("resource", p.Resource...)
}

// With returns the request with additional parameters. If one of them is a parameter
// that the request sets itself, [Client.Token] returns PARAM_RESERVED.
func (t TokenRequest) With(more url.Values) TokenRequest {
	all, err := extra(slices.Clone(t.params), more)
	if err != nil {
		t.err = err
		return t
	}
	t.params = all
	return t
}

// with adds a parameter once for each value. Empty values are omitted.
func (t TokenRequest) with(name string, values ...string) TokenRequest {
	for _, v := range values {
		t = t.secret(name, secret.New(v))
	}
	return t
}

func (t TokenRequest) secret(name string, value secret.String) TokenRequest {
	if !value.IsZero() {
		t.params = append(slices.Clip(t.params), param{name, value})
	}
	return t
}

// Token sends a token request of any grant and returns the response (RFC 6749,
// sections 3.2 and 5). Redirects are not followed. The response is limited to 1 MiB
// and 20 seconds (10 for client credentials), or HTTP.Timeout if that is longer. A
// code is sent only once. A refresh and a request for client credentials are sent a
// second time if the connection failed and nothing was sent.
//
// The client authenticates with AuthMethod. Errors are Diagnoses: the diagnosis for
// an error response, which wraps its [*Error]; TOKEN_ENDPOINT_SHAPE for a response
// that is not a token response; CLIENT_INCOMPLETE, ENDPOINT_MISSING, ENDPOINT_MOVED,
// DPOP_DOWNGRADE, PARAM_RESERVED; and those of safehttp. No error contains a secret.
//
// If a successful response fails a check but contains a refresh token, Token returns
// the error together with a response that contains only the refresh token. Store
// it: a server that rotates refresh tokens accepts no earlier one.
func (c *Client) Token(ctx context.Context, req TokenRequest) (*TokenResponse, error) {
	if req.err != nil {
		return nil, fmt.Errorf("oauth: %w", req.err)
	}
	endpoint, err := c.endpoint("token_endpoint")
	if err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	params := append([]param{{"grant_type", secret.New(req.GrantType)}}, req.params...)
	start := c.now()
	limit := onceTime
	if req.GrantType == "client_credentials" {
		limit = requestTime
	}
	res, err := c.postProved(ctx, req.GrantType, endpoint, params, limit)
	if err != nil && req.again && nothingSent(err) && ctx.Err() == nil {
		res, err = c.postProved(ctx, req.GrantType, endpoint, params, limit)
	}
	if err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	answer, err := c.parseTokenResponse(res, req, start)
	if err == nil {
		err = c.checkBinding(answer)
	}
	if err != nil {
		return rotated(res.within(c.TokenMember), start), err
	}
	return answer, nil
}

// postProved posts to the token endpoint, with a proof of possession if the client
// has a DPoP key. A server may refuse the first proof because it lacks a nonce. The
// code or refresh token is still valid then, so the request is sent again with the
// nonce (RFC 9449, section 8).
func (c *Client) postProved(ctx context.Context, grantType, endpoint string, params []param, limit time.Duration) (*answer, error) {
	request := Request{Endpoint: TokenEndpoint, GrantType: grantType}
	if c.DPoP == nil {
		return c.postWith(ctx, request, endpoint, params, http.Header{}, limit)
	}
	for again := true; ; again = false {
		proof, err := c.DPoP.Proof(http.MethodPost, endpoint, secret.String{})
		if err != nil {
			return nil, err
		}
		res, err := c.postWith(ctx, request, endpoint, params, http.Header{"Dpop": {proof}}, limit)
		if err != nil {
			return nil, err
		}
		fresh := c.DPoP.Learn(endpoint, res.Header)
		if code, _ := res.text("error"); !again || !fresh || code != "use_dpop_nonce" {
			return res, nil
		}
	}
}

// checkBinding refuses a Bearer token if a DPoP-bound one was requested, and a
// DPoP-bound token if the client has no key.
func (c *Client) checkBinding(t *TokenResponse) error {
	d := &diagnosis.Diagnosis{ID: diagnosis.DPoPDowngrade}
	switch {
	case c.DPoP != nil && t.TokenType == "Bearer":
		d.Expected, d.Got = diagnosis.Values{"token_type DPoP"}, diagnosis.Values{"Bearer"}
	case c.DPoP == nil && t.TokenType == "DPoP":
		d.Expected, d.Got = diagnosis.Values{"token_type Bearer"}, diagnosis.Values{"DPoP, without a proof"}
	default:
		return nil
	}
	return fmt.Errorf("oauth: %w", d)
}

// nothingSent reports whether the connection itself failed.
func nothingSent(err error) bool {
	var d *diagnosis.Diagnosis
	if !errors.As(err, &d) || d.ID != diagnosis.Unreachable {
		return false
	}
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
