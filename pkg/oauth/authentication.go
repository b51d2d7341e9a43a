package oauth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// Methods of client authentication (token_endpoint_auth_method).
const (
	AuthNone          = "none"                // a public client
	AuthSecretBasic   = "client_secret_basic" // RFC 6749, section 2.3.1
	AuthSecretPost    = "client_secret_post"  // RFC 6749, section 2.3.1
	AuthSecretJWT     = "client_secret_jwt"   // OpenID Connect Core, section 9
	AuthPrivateKeyJWT = "private_key_jwt"     // RFC 7523, OpenID Connect Core, section 9
	AuthTLS           = "tls_client_auth"     // RFC 8705; the certificate is HTTP's
)

// AuthMethods returns the methods of client authentication.
func AuthMethods() []string {
	return []string{AuthNone, AuthSecretBasic, AuthSecretPost, AuthSecretJWT, AuthPrivateKeyJWT, AuthTLS}
}

// authMethod returns AuthMethod, or the method for the available credentials. A
// server that lists no methods supports client_secret_basic (RFC 8414, section
// 2).
func (c *Client) authMethod() string {
	announced := c.server().TokenEndpointAuthMethodsSupported
	switch {
	case c.AuthMethod != "":
		return c.AuthMethod
	case c.Key != nil || !c.Assertion.IsZero():
		return AuthPrivateKeyJWT
	case c.Secret.IsZero():
		return AuthNone
	case len(announced) == 0:
		return AuthSecretBasic
	}
	for _, method := range []string{AuthSecretBasic, AuthSecretPost, AuthSecretJWT} {
		if slices.Contains(announced, method) {
			return method
		}
	}
	return AuthSecretBasic
}

// authenticate adds the client to a request's form or header.
func (c *Client) authenticate(values url.Values, header http.Header, endpoint string) error {
	method := c.authMethod()
	switch {
	case c.ID == "" && method == AuthNone && isAuthorization(values.Get("grant_type")):
		return nil
	case c.ID == "":
		return incomplete("a client id")
	case c.Secret.IsZero() && (method == AuthSecretBasic || method == AuthSecretPost || method == AuthSecretJWT):
		return incomplete("a client secret for " + method)
	case c.Key == nil && c.Assertion.IsZero() && method == AuthPrivateKeyJWT:
		return incomplete("a signing key for " + method)
	}
	switch method {
	case AuthNone, AuthTLS:
		values.Set("client_id", c.ID)
	case AuthSecretBasic:
		// Both parts must be form-encoded first (RFC 6749, section 2.3.1).
		pair := url.QueryEscape(c.ID) + ":" + url.QueryEscape(c.Secret.Reveal())
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	case AuthSecretPost:
		values.Set("client_id", c.ID)
		values.Set("client_secret", c.Secret.Reveal())
	case AuthSecretJWT, AuthPrivateKeyJWT:
		assertion, err := c.assertion(method, endpoint)
		if err != nil {
			return err
		}
		values.Set("client_id", c.ID)
		values.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		values.Set("client_assertion", assertion)
	default:
		return &diagnosis.Diagnosis{ID: diagnosis.ClientIncomplete, Expected: diagnosis.Values{"a client authentication method"}, Got: diagnosis.Values{method}}
	}
	return nil
}

// isAuthorization reports whether a grant is sufficient without a client (RFC
// 7523, section 3.1; RFC 8693, section 2.1).
func isAuthorization(grantType string) bool {
	return grantType == GrantJWTBearer || grantType == GrantTokenExchange
}

func incomplete(needs string) error {
	return &diagnosis.Diagnosis{ID: diagnosis.ClientIncomplete, Expected: diagnosis.Text(needs), Got: diagnosis.None}
}

type assertionClaims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	ID       string `json:"jti"`
	IssuedAt int64  `json:"iat"`
	Expiry   int64  `json:"exp"`
}

// assertion signs a client assertion that is valid for a minute. Its audience is
// the issuer, because an endpoint's URL in the metadata could be another
// server's.
func (c *Client) assertion(method, endpoint string) (string, error) {
	if !c.Assertion.IsZero() && method == AuthPrivateKeyJWT {
		return c.Assertion.Reveal(), nil
	}
	audience := c.AssertionAudience
	for _, next := range []string{c.server().Issuer, c.server().TokenEndpoint, endpoint} {
		if audience == "" {
			audience = next
		}
	}
	now := c.now()
	claims := assertionClaims{c.ID, c.ID, audience, random().Reveal(), now.Unix(), now.Add(time.Minute).Unix()}
	if method == AuthSecretJWT {
		return signHS256(c.Secret, claims)
	}
	signed, err := token.Sign(c.Key, "JWT", claims)
	if err != nil {
		return "", fmt.Errorf("sign the client assertion: %w", err)
	}
	return signed, nil
}

// signHS256 signs with the client secret, which is not a key of a key set.
func signHS256(key secret.String, claims any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("sign the client assertion: %w", err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	input := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(payload)
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	mac.Write([]byte(input))
	return input + "." + encode(mac.Sum(nil)), nil
}
