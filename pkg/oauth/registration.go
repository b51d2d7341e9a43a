package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// Registration is the metadata of a client to register (RFC 7591, section 2). A
// client that uses a browser needs RedirectURIs. The defaults of the other fields
// are those of a native client: application_type native, the grants
// authorization_code and refresh_token, and no secret if the server allows that.
type Registration struct {
	RedirectURIs            []string `json:"redirect_uris,omitzero"`
	ClientName              string   `json:"client_name,omitempty"`
	ClientURI               string   `json:"client_uri,omitempty"`
	ApplicationType         string   `json:"application_type,omitempty"`
	GrantTypes              []string `json:"grant_types,omitzero"`
	ResponseTypes           []string `json:"response_types,omitzero"`
	TokenEndpointAuthMethod string   `json:"token_endpoint_auth_method,omitempty"`
	Scope                   string   `json:"scope,omitempty"`
	DPoPBoundAccessTokens   bool     `json:"dpop_bound_access_tokens,omitzero"`
	// JWKS holds the public keys of a client that uses private_key_jwt.
	JWKS *jwks.Set `json:"jwks,omitzero"`

	// OptionalGrantTypes lists the elements of GrantTypes that the client does not
	// need if the server refuses them.
	OptionalGrantTypes []string `json:"-"`
	// InitialAccessToken authorizes the registration at servers that require it (RFC
	// 7591, section 3).
	InitialAccessToken secret.String `json:"-"`
}

// Registered is the server's response to a registration (RFC 7591, section 3.2.1).
type Registered struct {
	ClientID     string
	ClientSecret secret.String // empty for a public client
	// ClientSecretExpiresAt is zero if the secret does not expire.
	ClientSecretExpiresAt   time.Time
	TokenEndpointAuthMethod string
	RegistrationAccessToken secret.String // RFC 7592
	RegistrationClientURI   string
	Raw                     secret.String // the complete JSON object, unchanged
}

// Register registers a client (RFC 7591). If the server refuses the metadata,
// Register sends a second request with only the required metadata, because some
// servers do not accept application_type, or a grant that they announce. If c is
// nil, the zero [safehttp.Client] is used.
//
// Errors are Diagnoses: NO_REGISTRATION_PATH if the server has no registration
// endpoint, METADATA_INVALID or ENDPOINT_MISSING if it lacks another endpoint that
// the client needs, DCR_REFUSED if it refuses the registration, SERVER_ERROR,
// RATE_LIMITED, and those of safehttp.
func Register(ctx context.Context, c *safehttp.Client, server *discovery.Server, metadata Registration) (*Registered, error) {
	if server == nil {
		server = &discovery.Server{}
	}
	endpoint, err := server.Endpoint("registration_endpoint")
	var d *diagnosis.Diagnosis
	switch {
	case errors.As(err, &d) && d.ID == diagnosis.EndpointMissing:
		return nil, fmt.Errorf("oauth: %w", &diagnosis.Diagnosis{ID: diagnosis.NoRegistrationPath, Got: diagnosis.Text(server.Issuer)})
	case err != nil:
		return nil, fmt.Errorf("oauth: register: %w", err)
	}
	if c == nil {
		c = &safehttp.Client{}
	}
	full := metadata.filled(server)
	if err := full.needs(server); err != nil {
		return nil, fmt.Errorf("oauth: register: %w", err)
	}
	registered, err := register(ctx, c, endpoint, full)
	var refused *Error
	if errors.As(err, &refused) && refused.Code == "invalid_client_metadata" {
		return register(ctx, c, endpoint, full.reduced(server, metadata.TokenEndpointAuthMethod))
	}
	return registered, err
}

func register(ctx context.Context, c *safehttp.Client, endpoint string, metadata Registration) (*Registered, error) {
	request, err := json.Marshal(metadata)
	if err != nil {
		return nil, fmt.Errorf("oauth: register: %w", err)
	}
	header := http.Header{}
	if !metadata.InitialAccessToken.IsZero() {
		header.Set("Authorization", "Bearer "+metadata.InitialAccessToken.Reveal())
	}
	limit := max(requestTime, c.Timeout)
	whole, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	res, err := c.PostJSON(whole, endpoint, request, header, responseLimit)
	if err != nil {
		return nil, fmt.Errorf("oauth: register: %w", timedOut(ctx, limit, err))
	}
	r := &reply{Response: res, request: Request{Endpoint: RegistrationEndpoint}, sent: []param{{"initial_access_token", metadata.InitialAccessToken}}}
	return parseRegistered(r.object())
}

// needs returns an error if the server lacks an endpoint that the client requires.
// Then it is not registered.
func (m Registration) needs(server *discovery.Server) error {
	for _, grant := range m.GrantTypes {
		name := map[string]string{"authorization_code": "authorization_endpoint", GrantDeviceCode: "device_authorization_endpoint"}[grant]
		if name == "" || slices.Contains(m.OptionalGrantTypes, grant) {
			continue
		}
		if _, err := server.Endpoint(name); err != nil {
			return err
		}
	}
	_, err := server.Endpoint("token_endpoint")
	return err
}

// reduced returns only the metadata that the client requires. Method is the client
// authentication that the caller chose, or "".
func (m Registration) reduced(server *discovery.Server, method string) Registration {
	m.ApplicationType = ""
	m.GrantTypes = slices.DeleteFunc(slices.Clone(m.GrantTypes), func(grant string) bool {
		return grant == "refresh_token" || slices.Contains(m.OptionalGrantTypes, grant)
	})
	if announced := server.TokenEndpointAuthMethodsSupported; method == "" && !slices.Contains(announced, AuthNone) {
		m.TokenEndpointAuthMethod = "" // the server's choice
	}
	return m
}

// filled returns the metadata with its defaults.
func (m Registration) filled(server *discovery.Server) Registration {
	if m.ApplicationType == "" {
		m.ApplicationType = "native"
	}
	if m.GrantTypes == nil {
		m.GrantTypes = []string{"authorization_code", "refresh_token"}
	}
	// A client without a browser sends two empty lists. If they were absent, the
	// server would use a default.
	if m.RedirectURIs == nil {
		m.RedirectURIs = []string{}
	}
	if m.ResponseTypes == nil {
		m.ResponseTypes = []string{}
		if slices.Contains(m.GrantTypes, "authorization_code") {
			m.ResponseTypes = []string{"code"}
		}
	}
	if m.TokenEndpointAuthMethod == "" {
		m.TokenEndpointAuthMethod = AuthNone
		announced := server.TokenEndpointAuthMethodsSupported
		for _, method := range []string{AuthSecretPost, AuthSecretBasic} {
			if slices.Contains(announced, method) && !slices.Contains(announced, AuthNone) {
				m.TokenEndpointAuthMethod = method
			}
		}
	}
	return m
}

func parseRegistered(res *answer) (*Registered, error) {
	if !res.isGood(http.StatusCreated, http.StatusOK) {
		return nil, registrationRefused(res.failed(), res)
	}
	r := &Registered{Raw: secret.New(string(res.Body))}
	for _, m := range []struct {
		name string
		to   func(string)
	}{
		{"client_id", func(s string) { r.ClientID = s }},
		{"client_secret", func(s string) { r.ClientSecret = secret.New(s) }},
		{"token_endpoint_auth_method", func(s string) { r.TokenEndpointAuthMethod = s }},
		{"registration_access_token", func(s string) { r.RegistrationAccessToken = secret.New(s) }},
		{"registration_client_uri", func(s string) { r.RegistrationClientURI = s }},
	} {
		s, err := res.text(m.name)
		if err != nil || m.name == "client_id" && s == "" {
			return nil, fmt.Errorf("oauth: register: %w", &diagnosis.Diagnosis{ID: diagnosis.DCRInvalid, Expected: diagnosis.Values{m.name + ", a string"}, Got: res.what(m.name)})
		}
		m.to(s)
	}
	if r.TokenEndpointAuthMethod == "" {
		r.TokenEndpointAuthMethod = AuthNone
		if !r.ClientSecret.IsZero() {
			r.TokenEndpointAuthMethod = AuthSecretBasic // the default of RFC 7591, section 2
		}
	}
	var expires float64
	if json.Unmarshal(res.value("client_secret_expires_at"), &expires) == nil && expires > 0 && expires < 1e11 {
		r.ClientSecretExpiresAt = time.Unix(int64(expires), 0)
	}
	return r, nil
}

// registrationRefused turns an error into a failed registration. An error that is
// transient is returned unchanged.
func registrationRefused(err error, res *answer) error {
	var d *diagnosis.Diagnosis
	if errors.As(err, &d) && d.Kind() == diagnosis.Unavailable {
		return err
	}
	refused := &diagnosis.Diagnosis{ID: diagnosis.DCRRefused, Got: diagnosis.Values{fmt.Sprintf("status %d with %s", res.Status, res.kind())}}
	var answered *Error
	if errors.As(err, &answered) {
		refused.Got, refused.Err = nil, answered
	} else if res.Status < 300 {
		refused.ID = diagnosis.DCRInvalid
	}
	return fmt.Errorf("oauth: register: %w", refused)
}
