package oauth

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// Revoke asks the server to revoke a token (RFC 7009). Hint is "access_token",
// "refresh_token" or "". A token that the server does not know is not an error,
// because it cannot be used any more (section 2.2). Errors are Diagnoses, as of
// [Client.Token]. If the server cannot revoke this kind of token, the [*Error] has
// the code unsupported_token_type.
func (c *Client) Revoke(ctx context.Context, t secret.String, hint string) error {
	endpoint, err := c.endpoint("revocation_endpoint")
	if err != nil {
		return fmt.Errorf("oauth: revoke: %w", err)
	}
	req := TokenRequest{}.secret("token", t).with("token_type_hint", hint)
	res, err := c.post(ctx, RevocationEndpoint, endpoint, req.params)
	if err != nil {
		return fmt.Errorf("oauth: revoke: %w", err)
	}
	done := res.Status == http.StatusOK || res.Status == http.StatusNoContent
	if done && !res.hasError() || res.saysGone() {
		return nil
	}
	return res.failed()
}

// saysGone reports whether the response means that the server does not know the
// token.
func (a *answer) saysGone() bool {
	code, _ := a.text("error")
	switch code {
	case "invalid_token", "invalid_grant", "token_not_found", "token_expired", "token_revoked":
		return a.Status < 500
	}
	return a.Status == http.StatusNotFound && a.isObject
}

// Introspection is the server's response about a token (RFC 7662, section 2.2). If
// Active is false, ignore the other fields.
type Introspection struct {
	Active    bool
	Scope     []string
	ClientID  string
	Username  string
	TokenType string
	Issuer    string
	Subject   string
	Audience  []string
	ExpiresAt time.Time      // zero if the response has no exp
	Raw       jsontext.Value // the complete object, unchanged
}

// Introspect asks the server about a token (RFC 7662). Hint is "access_token",
// "refresh_token" or "". An inactive token is not an error. Errors are Diagnoses, as
// of [Client.Token].
func (c *Client) Introspect(ctx context.Context, t secret.String, hint string) (*Introspection, error) {
	endpoint, err := c.endpoint("introspection_endpoint")
	if err != nil {
		return nil, fmt.Errorf("oauth: introspect: %w", err)
	}
	req := TokenRequest{}.secret("token", t).with("token_type_hint", hint)
	res, err := c.post(ctx, IntrospectionEndpoint, endpoint, req.params)
	if err != nil {
		return nil, fmt.Errorf("oauth: introspect: %w", err)
	}
	if !res.isGood(http.StatusOK) {
		return nil, res.failed()
	}
	i := &Introspection{Raw: jsontext.Value(bytes.TrimPrefix(res.Body, byteOrderMark)).Clone()}
	// Anything but a boolean could be read as true or as false.
	if active := res.value("active"); active == nil || json.Unmarshal(active, &i.Active) != nil {
		return nil, res.unusable("active true or false", res.what("active"))
	}
	i.read(res)
	return i, nil
}

func (i *Introspection) read(a *answer) {
	i.Scope, _ = scopes(a.value("scope"), nil)
	for name, to := range map[string]*string{
		"client_id": &i.ClientID, "username": &i.Username, "token_type": &i.TokenType, "iss": &i.Issuer, "sub": &i.Subject,
	} {
		*to, _ = a.text(name)
	}
	if one, err := a.text("aud"); err == nil && one != "" {
		i.Audience = []string{one}
	} else if json.Unmarshal(a.value("aud"), &i.Audience) != nil {
		i.Audience = nil
	}
	i.Audience = slices.Clip(i.Audience)
	var expires float64
	if json.Unmarshal(a.value("exp"), &expires) == nil && expires > 0 && expires < 1e11 {
		i.ExpiresAt = time.Unix(int64(expires), 0)
	}
}

// EndSessionURL returns the URL to open in a browser, where the user logs out at the
// server (OpenID Connect RP-Initiated Logout 1.0). It contains the client id, but no
// ID token, because other users of the machine can read the arguments of the
// browser. Without one, the server asks the user to confirm. The error is the
// Diagnosis ENDPOINT_MISSING or INSECURE_URL.
func (c *Client) EndSessionURL() (string, error) {
	endpoint := c.server().EndSessionEndpoint
	if endpoint == "" {
		return "", fmt.Errorf("oauth: %w", &diagnosis.Diagnosis{ID: diagnosis.EndpointMissing, Expected: diagnosis.Values{"end_session_endpoint"}, Got: diagnosis.None})
	}
	u, err := safehttp.CheckURL(endpoint)
	if err != nil {
		return "", fmt.Errorf("oauth: %w", err)
	}
	query := u.Query()
	query.Set("client_id", c.ID)
	u.RawQuery = query.Encode()
	return u.String(), nil
}
