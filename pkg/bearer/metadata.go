package bearer

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// wellKnown is where clients look for an API's metadata (RFC 9728, section 3).
const wellKnown = "/.well-known/oauth-protected-resource"

// Metadata is an API's metadata (RFC 9728, section 2). Resource is the API's
// own URL, which clients compare character for character.
type Metadata struct {
	Resource               string   `json:"resource"`
	AuthorizationServers   []string `json:"authorization_servers,omitempty"`
	ScopesSupported        []string `json:"scopes_supported,omitempty"`
	BearerMethodsSupported []string `json:"bearer_methods_supported,omitempty"`
	ResourceName           string   `json:"resource_name,omitempty"`
	ResourceDocumentation  string   `json:"resource_documentation,omitempty"`
}

// URL returns where the metadata is found: the well-known path, with the path
// of the resource behind it (RFC 9728, section 3.1).
func (m Metadata) URL() (string, error) {
	u, err := safehttp.CheckURL(m.Resource)
	if err != nil {
		return "", fmt.Errorf("bearer: the resource: %w", err)
	}
	place := url.URL{Scheme: u.Scheme, Host: u.Host, Path: wellKnown + strings.TrimSuffix(u.Path, "/")}
	return place.String(), nil
}

// Handle serves the metadata on mux at the path of [Metadata.URL] and, for an
// API that is not at the root of its host, at the root's path as well. Anybody
// may read it, from any origin.
func (m Metadata) Handle(mux *http.ServeMux) error {
	place, err := m.URL()
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
	serve := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Cache-Control", "max-age=300")
		_, _ = w.Write(body)
	}
	u, err := url.Parse(place)
	if err != nil {
		return fmt.Errorf("bearer: %w", err)
	}
	mux.HandleFunc("GET "+u.Path, serve)
	if u.Path != wellKnown {
		mux.HandleFunc("GET "+wellKnown, serve)
	}
	return nil
}
