package provider

import (
	_ "embed" // for the data file
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
)

//go:embed presets.json
var presetData []byte

// Preset holds the settings for a login at one provider that are not in its
// metadata: how it compares redirect URIs, which parameters and scopes are
// needed for a refresh token, whether a native client has a secret. A preset
// overrides no setting of the user.
type Preset struct {
	Name   string `json:"name"`   // as the user writes it, such as "google"
	Title  string `json:"title"`  // as the provider writes it
	Issuer string `json:"issuer"` // pattern with placeholders in capitals
	// DefaultIssuer is the issuer if the user configures none; "" if each
	// customer has an own issuer. For a provider without metadata, the paths of
	// Endpoints are appended to it.
	DefaultIssuer string `json:"default_issuer"`
	// Endpoints holds the paths of the endpoints of a provider without metadata,
	// by their metadata names. It is nil for a provider with metadata.
	Endpoints map[string]string `json:"endpoints"`
	API       string            `json:"api"` // the provider's own API, or "" if it has none for this use
	// RedirectURI is the redirect URI to listen at and to send. Port 0 means a
	// free port.
	RedirectURI string `json:"redirect_uri"`
	// Register is the redirect URI to enter in the provider's console, or "" if
	// none is needed.
	Register string `json:"register"`
	// ExactPort reports whether the provider compares ports, so that
	// RedirectURI needs a fixed one.
	ExactPort  bool         `json:"exact_port"`
	Secret     SecretRule   `json:"secret"`
	AuthMethod string       `json:"auth_method"` // token_endpoint_auth_method; "" follows the metadata
	Scope      []string     `json:"scope"`       // requested if the user requests none
	Params     []Param      `json:"params"`      // added to the authorization request
	Audience   AudienceRule `json:"audience"`
	NoResource bool         `json:"no_resource"` // resource indicators (RFC 8707) are rejected or ignored
	Steps      []string     `json:"steps"`       // in the provider's console; REDIRECT_URI is replaced with Register
	Source     string       `json:"source"`      // URL of the documentation
	Checked    string       `json:"checked"`     // the day on which the facts were checked there, as 2006-01-02
}

// Param is one parameter of an authorization request.
type Param struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// SecretRule is whether a native client of a provider has a secret.
type SecretRule string

// Rules for the client secret.
const (
	SecretNone     SecretRule = "none"     // a public client
	SecretRequired SecretRule = "required" // for every grant
	SecretBrowser  SecretRule = "browser"  // for a login in the browser, but not for the device grant
)

// AudienceRule is how to request a token for an API.
type AudienceRule string

// Rules for the audience.
const (
	AudienceByParameter AudienceRule = "parameter" // the audience parameter
	AudienceByScope     AudienceRule = "scope"     // the scope identifies the API
	AudienceByServer    AudienceRule = "server"    // configured at the server, for the client or the issuer
	AudienceNone        AudienceRule = "none"      // tokens are only for the provider's own APIs
)

// readPresets parses the embedded data once. A test parses it too, so an error
// cannot occur here.
var readPresets = sync.OnceValue(func() (file struct {
	Presets []Preset `json:"presets"`
},
) {
	if err := json.Unmarshal(presetData, &file, json.RejectUnknownMembers(true)); err != nil {
		panic(fmt.Sprintf("provider: presets.json: %v", err))
	}
	return file
})

// Presets returns all presets.
func Presets() []Preset { return slices.Clone(readPresets().Presets) }

// LookupPreset returns the preset with that name, and whether it exists. Names
// are case-insensitive.
func LookupPreset(name string) (Preset, bool) {
	for _, p := range readPresets().Presets {
		if strings.EqualFold(p.Name, name) {
			return p, true
		}
	}
	return Preset{}, false
}

// PresetNames returns the names of all presets, in their order.
func PresetNames() []string {
	var names []string
	for _, p := range readPresets().Presets {
		names = append(names, p.Name)
	}
	return names
}

// Instructions returns the steps to take in the provider's console, with the
// redirect URI to enter. If redirectURI is not "", it replaces that of the
// preset.
func (p Preset) Instructions(redirectURI string) []string {
	register := p.Register
	if redirectURI != "" {
		register = redirectURI
	}
	var steps []string
	for _, s := range p.Steps {
		steps = append(steps, strings.ReplaceAll(s, "REDIRECT_URI", register))
	}
	return steps
}

// EndpointsAt returns the endpoints of a provider without metadata at base, by
// their metadata names. If base is "", it is the DefaultIssuer. The result is
// nil for a provider with metadata.
func (p Preset) EndpointsAt(base string) map[string]string {
	if p.Endpoints == nil {
		return nil
	}
	if base == "" {
		base = p.DefaultIssuer
	}
	all := make(map[string]string, len(p.Endpoints))
	for name, path := range p.Endpoints {
		all[name] = strings.TrimSuffix(base, "/") + path
	}
	return all
}
