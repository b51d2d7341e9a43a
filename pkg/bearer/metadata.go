package bearer

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// wellKnown is the path of an API's metadata (RFC 9728, section 3).
const wellKnown = "/.well-known/oauth-protected-resource"

// Metadata is an API's metadata (RFC 9728, section 2). Resource is the API's
// own URL, which clients compare character for character.
type Metadata struct {
	Resource                      string   `json:"resource"`
	AuthorizationServers          []string `json:"authorization_servers,omitempty"`
	ScopesSupported               []string `json:"scopes_supported,omitempty"`
	BearerMethodsSupported        []string `json:"bearer_methods_supported,omitempty"` // nil becomes header
	ResourceName                  string   `json:"resource_name,omitempty"`
	ResourceDocumentation         string   `json:"resource_documentation,omitempty"`
	DPoPSigningAlgValuesSupported []string `json:"dpop_signing_alg_values_supported,omitempty"`
	DPoPBoundAccessTokensRequired bool     `json:"dpop_bound_access_tokens_required,omitzero"`

	AuthorizationDetailsTypesSupported    []string `json:"authorization_details_types_supported,omitempty"`
	TLSClientCertificateBoundAccessTokens bool     `json:"tls_client_certificate_bound_access_tokens,omitzero"`
}

// URL returns the URL of the metadata, with the well-known path between the
// host and the path of the resource (RFC 9728, section 3.1).
func (m Metadata) URL() (string, error) {
	u, err := m.place()
	if err != nil {
		return "", err
	}
	return u.String(), nil
}

func (m Metadata) place() (*url.URL, error) {
	u, err := safehttp.CheckURL(m.Resource)
	if err != nil {
		return nil, fmt.Errorf("bearer: the resource: %w", err)
	}
	if u.Fragment != "" {
		return nil, fmt.Errorf("bearer: the resource %q has a fragment", m.Resource)
	}
	place := *u
	place.Path, place.RawPath = wellKnown+u.Path, wellKnown+u.EscapedPath()
	if u.Path == "/" {
		place.Path, place.RawPath = wellKnown, ""
	}
	return &place, nil
}

// Handle serves the metadata on mux at the path of [Metadata.URL] and, for an
// API with a path, at the root's path as well. Anyone may read it, from any
// origin.
func (m Metadata) Handle(mux *http.ServeMux) error {
	place, err := m.place()
	if err != nil {
		return err
	}
	if m.BearerMethodsSupported == nil {
		m.BearerMethodsSupported = []string{"header"}
	}
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("bearer: %w", err)
	}
	paths := []string{wellKnown}
	// Clients disagree about a slash at the end.
	if suffixed := strings.TrimSuffix(place.EscapedPath(), "/"); suffixed != wellKnown {
		paths = append(paths, suffixed, suffixed+"/{$}")
	}
	for _, path := range paths {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Access-Control-Allow-Origin", "*")
			w.Header().Set("Cache-Control", "max-age=300")
			_, _ = w.Write(body)
		})
		mux.HandleFunc("OPTIONS "+path, preflight)
	}
	return nil
}

// preflight answers the preflight request of a web page.
func preflight(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Access-Control-Allow-Methods", "GET")
	w.Header().Set("Access-Control-Allow-Headers", "*")
	w.WriteHeader(http.StatusNoContent)
}
