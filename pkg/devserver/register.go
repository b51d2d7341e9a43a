package devserver

import (
	"crypto/rand"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/secret"
)

// registration is a registration request (RFC 7591, section 2) and its response
// (section 3.2.1).
type registration struct {
	ClientID                string   `json:"client_id,omitempty"`
	ClientSecret            string   `json:"client_secret,omitempty"`
	ClientIDIssuedAt        int64    `json:"client_id_issued_at,omitzero"`
	ClientSecretExpiresAt   *int64   `json:"client_secret_expires_at,omitzero"`
	ClientName              string   `json:"client_name,omitempty"`
	ClientURI               string   `json:"client_uri,omitempty"`
	ApplicationType         string   `json:"application_type,omitempty"`
	RedirectURIs            []string `json:"redirect_uris,omitzero"`
	GrantTypes              []string `json:"grant_types,omitzero"`
	ResponseTypes           []string `json:"response_types,omitzero"`
	TokenEndpointAuthMethod string   `json:"token_endpoint_auth_method,omitempty"`
	Scope                   string   `json:"scope,omitempty"`
	AfterLogout             []string `json:"post_logout_redirect_uris,omitzero"`
	// JWKS holds the keys of a client that uses private_key_jwt.
	JWKS jsontext.Value `json:"jwks,omitzero"`
}

// serveRegister registers any client (RFC 7591, section 3).
func (s *Server) serveRegister(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
	var m registration
	if err != nil || json.Unmarshal(body, &m) != nil {
		writeError(w, refuse("invalid_client_metadata", "the body is not a JSON object with client metadata"))
		return
	}
	if refused := m.check(s.config.AnyRedirectURI); refused != nil {
		writeError(w, refused)
		return
	}
	c := &client{
		authMethod: m.TokenEndpointAuthMethod, name: m.ClientName,
		redirectURIs: m.RedirectURIs, afterLogout: m.AfterLogout, grantTypes: m.GrantTypes,
	}
	switch m.TokenEndpointAuthMethod {
	case "none":
	case "private_key_jwt":
		var refused *oauthError
		if c.keys, refused = readKeys(m.JWKS); refused != nil {
			writeError(w, refused)
			return
		}
	default:
		// As long as the key of HS256 must be.
		m.ClientSecret, m.ClientSecretExpiresAt = rand.Text()+rand.Text(), new(int64)
		c.secret = secret.New(m.ClientSecret)
	}
	c.id = s.names.next()
	s.clients.add(c)
	if err := s.save(); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	m.ClientID, m.ClientIDIssuedAt = c.id, s.now().Unix()
	writeJSON(w, http.StatusCreated, m)
}

// check sets defaults and refuses invalid combinations.
func (m *registration) check(anyRedirect bool) *oauthError {
	m.ClientID, m.ClientSecret, m.ClientSecretExpiresAt = "", "", nil
	if m.TokenEndpointAuthMethod == "" {
		m.TokenEndpointAuthMethod = "client_secret_basic"
	}
	if m.GrantTypes == nil {
		m.GrantTypes = []string{"authorization_code"}
	}
	hasCode := slices.Contains(m.GrantTypes, "authorization_code")
	if m.ResponseTypes == nil {
		m.ResponseTypes = []string{}
		if hasCode {
			m.ResponseTypes = []string{"code"}
		}
	}
	for _, uri := range slices.Concat(m.RedirectURIs, m.AfterLogout) {
		if !isRedirectURI(uri, anyRedirect) {
			return refuse("invalid_redirect_uri", redirectRule(anyRedirect)+", got "+quoted(uri))
		}
	}
	switch {
	case hasCode && len(m.RedirectURIs) == 0:
		return refuse("invalid_redirect_uri", "authorization_code needs redirect_uris")
	case !slices.Contains(authMethods(), m.TokenEndpointAuthMethod):
		return refuse("invalid_client_metadata", "token_endpoint_auth_method must be one of "+strings.Join(authMethods(), " "))
	case slices.Contains(m.GrantTypes, "client_credentials") && m.TokenEndpointAuthMethod == "none":
		return refuse("invalid_client_metadata", "client_credentials needs a client with a secret")
	case slices.ContainsFunc(m.ResponseTypes, func(t string) bool { return t != "code" }):
		return refuse("invalid_client_metadata", "the only response type is code")
	}
	return nil
}
