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

// TokenRequest is a request to the token endpoint, made by the constructor of
// its grant. It prints without its secrets.
type TokenRequest struct {
	GrantType string
	params    []param
	scope     []string
	again     bool // may be sent again if nothing was sent the first time
	err       error
}

// Refresh asks for a new access token (RFC 6749, section 6). An empty scope
// means as before; resource is repeated on this leg too (RFC 8707, section 2.2).
func Refresh(refreshToken secret.String, scope, resource []string) TokenRequest {
	t := TokenRequest{GrantType: "refresh_token", scope: slices.Clone(scope), again: true}
	return t.secret("refresh_token", refreshToken).with("scope", spaced(scope)).with("resource", resource...)
}

// ClientCredentials asks for a token of the client's own (RFC 6749, section 4.4).
func ClientCredentials(scope, audience, resource []string) TokenRequest {
	t := TokenRequest{GrantType: "client_credentials", scope: slices.Clone(scope), again: true}
	return t.with("scope", spaced(scope)).with("audience", audience...).with("resource", resource...)
}

// JWTBearer presents an assertion as a grant (RFC 7523, section 2.1).
func JWTBearer(assertion secret.String, scope, audience, resource []string) TokenRequest {
	t := TokenRequest{GrantType: grantJWTBearer, scope: slices.Clone(scope)}
	return t.secret("assertion", assertion).with("scope", spaced(scope)).with("audience", audience...).with("resource", resource...)
}

// TokenExchangeParams is what a token exchange asks for (RFC 8693, section
// 2.1). SubjectToken is needed. A token type is a URI; SubjectTokenType "" means
// an access token, and so does ActorTokenType where there is an actor token.
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

// TokenType returns the URI of a token type that is named by the last part of it,
// such as jwt or id_token (RFC 8693, section 3). Any other text is returned as it
// is.
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
	// TokenTypeIDJAG is an identity assertion authorization grant, which another
	// server takes by [JWTBearer] (draft-ietf-oauth-identity-assertion-authz-grant).
	TokenTypeIDJAG = "urn:ietf:params:oauth:token-type:id-jag"
)

const (
	grantJWTBearer     = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	grantTokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// TokenExchange exchanges a token for another (RFC 8693).
func TokenExchange(p TokenExchangeParams) TokenRequest {
	if p.SubjectTokenType == "" {
		p.SubjectTokenType = TokenTypeAccessToken
	}
	if p.ActorTokenType == "" && !p.ActorToken.IsZero() {
		p.ActorTokenType = TokenTypeAccessToken
	}
	t := TokenRequest{GrantType: grantTokenExchange, scope: slices.Clone(p.Scope)}
	t = t.secret("subject_token", p.SubjectToken).with("subject_token_type", p.SubjectTokenType)
	t = t.secret("actor_token", p.ActorToken).with("actor_token_type", p.ActorTokenType)
	t = t.with("requested_token_type", p.RequestedTokenType).with("scope", spaced(p.Scope))
	return t.with("audience", p.Audience...).with("resource", p.Resource...)
}

// With returns the request with further parameters. One that the request sets
// itself is refused when it is sent (PARAM_RESERVED).
func (t TokenRequest) With(more url.Values) TokenRequest {
	all, err := extra(slices.Clone(t.params), more)
	if err != nil {
		t.err = err
		return t
	}
	t.params = all
	return t
}

// with adds a parameter once per value; an empty value is left out.
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

// Token sends a token request of any grant and reads the answer (RFC 6749,
// sections 3.2 and 5). No redirect is followed; the answer is at most 1 MiB and
// takes at most 20 seconds (10 for client credentials), or HTTP.Timeout where
// that is longer. A code is sent once; a refresh or client
// credentials once more only if no connection came about, so that nothing was
// sent.
//
// The client authenticates as AuthMethod says. Errors are Diagnoses: what the
// server's [*Error] means, TOKEN_ENDPOINT_SHAPE for an answer that is no token
// response, ENDPOINT_MISSING, ENDPOINT_MOVED, and those of safehttp. No error
// holds a secret. Where a success that fails a check holds a refresh token, the
// response that comes with the error holds that alone: a server that rotates
// refresh tokens takes no other from now on.
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

// postProved posts to the token endpoint, with a proof of possession if the
// client has a key for one. A server may refuse the first proof for want of a
// nonce; that refusal uses up neither a code nor a refresh token, so the request
// goes out once more (RFC 9449, section 8).
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

// checkBinding refuses a token that is less bound than was asked for, and one
// that is bound to a key that is not there.
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

// nothingSent reports that there was not even a connection.
func nothingSent(err error) bool {
	var d *diagnosis.Diagnosis
	if !errors.As(err, &d) || d.ID != diagnosis.Unreachable {
		return false
	}
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
