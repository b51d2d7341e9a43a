package oauth

import (
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

// Revoke tells the server that a token is no longer wanted (RFC 7009). hint is
// "access_token", "refresh_token" or "". A token that the server does not know
// is no error, as the RFC has it. Errors are Diagnoses as of [Client.Token].
func (c *Client) Revoke(ctx context.Context, t secret.String, hint string) error {
	endpoint, err := c.endpoint("revocation_endpoint", c.server().RevocationEndpoint)
	if err != nil {
		return fmt.Errorf("oauth: revoke: %w", err)
	}
	req := TokenRequest{}.secret("token", t).with("token_type_hint", hint)
	res, err := c.post(ctx, endpoint, req.params)
	if err != nil {
		return fmt.Errorf("oauth: revoke: %w", err)
	}
	body, _ := members(res.Body)
	if res.Status != http.StatusOK && res.Status != http.StatusNoContent || body["error"] != nil {
		return failed(res, body)
	}
	return nil
}

// Introspection is what the server says of a token (RFC 7662, section 2.2).
// With Active false nothing else is meaningful.
type Introspection struct {
	Active    bool
	Scope     []string
	ClientID  string
	Username  string
	TokenType string
	Issuer    string
	Subject   string
	Audience  []string
	ExpiresAt time.Time      // zero where the server does not tell
	Raw       jsontext.Value // the whole object as it came
}

// Introspect asks the server about a token (RFC 7662). Errors are Diagnoses as
// of [Client.Token]; an inactive token is none.
func (c *Client) Introspect(ctx context.Context, t secret.String, hint string) (*Introspection, error) {
	endpoint, err := c.endpoint("introspection_endpoint", c.server().IntrospectionEndpoint)
	if err != nil {
		return nil, fmt.Errorf("oauth: introspect: %w", err)
	}
	req := TokenRequest{}.secret("token", t).with("token_type_hint", hint)
	res, err := c.post(ctx, endpoint, req.params)
	if err != nil {
		return nil, fmt.Errorf("oauth: introspect: %w", err)
	}
	body, ok := members(res.Body)
	if !ok || res.Status != http.StatusOK || body["error"] != nil {
		return nil, failed(res, body)
	}
	i := &Introspection{Raw: jsontext.Value(res.Body).Clone()}
	// A member of another type than boolean could be read as either.
	if active := body["active"]; len(active) == 0 || json.Unmarshal(active, &i.Active) != nil {
		return nil, fmt.Errorf("oauth: introspect: %w", &diagnosis.Diagnosis{ID: diagnosis.TokenEndpointShape, Expected: diagnosis.Values{"active true or false"}, Got: diagnosis.Values{"something else"}})
	}
	i.read(body)
	return i, nil
}

func (i *Introspection) read(body map[string]jsontext.Value) {
	i.Scope, _ = scopes(body["scope"], nil)
	for name, to := range map[string]*string{
		"client_id": &i.ClientID, "username": &i.Username, "token_type": &i.TokenType, "iss": &i.Issuer, "sub": &i.Subject,
	} {
		*to, _ = text(body[name])
	}
	if one, ok := text(body["aud"]); ok && one != "" {
		i.Audience = []string{one}
	} else if json.Unmarshal(body["aud"], &i.Audience) != nil {
		i.Audience = nil
	}
	i.Audience = slices.Clip(i.Audience)
	var expires float64
	if json.Unmarshal(body["exp"], &expires) == nil && expires > 0 && expires < 1e11 {
		i.ExpiresAt = time.Unix(int64(expires), 0)
	}
}

// EndSessionURL returns the address at which the user ends the session at the
// server in a browser (OpenID Connect RP-Initiated Logout 1.0). It names the
// client and no ID token: an address that a browser is started with can be read
// by others, so the server asks the user instead.
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
