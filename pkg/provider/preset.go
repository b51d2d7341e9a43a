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

// Preset is what a login at one provider needs that its metadata does not say:
// how it compares redirect URIs, which parameters and scopes a refresh token
// takes, whether a native client has a secret. It overrides nothing that the
// user gives.
type Preset struct {
	Name   string `json:"name"`   // as the user names it, such as "google"
	Title  string `json:"title"`  // as the provider writes itself
	Issuer string `json:"issuer"` // its form, with what differs in capitals
	// DefaultIssuer is the issuer where the user gives none; "" where each
	// customer has one of their own. For a provider without metadata it is what
	// the paths of Endpoints are appended to.
	DefaultIssuer string `json:"default_issuer"`
	// Endpoints holds the paths of the endpoints of a provider without metadata,
	// by their metadata names; nil where the provider has metadata.
	Endpoints map[string]string `json:"endpoints"`
	API       string            `json:"api"` // the provider's own API, "" if it has none for this use
	// RedirectURI is the one to listen at and to send; port 0 means a free port.
	RedirectURI string `json:"redirect_uri"`
	// Register is the redirect URI to enter in the provider's console; "" where
	// none is entered.
	Register string `json:"register"`
	// ExactPort reports that the provider compares ports, so that RedirectURI
	// names one.
	ExactPort  bool         `json:"exact_port"`
	Secret     SecretRule   `json:"secret"`
	AuthMethod string       `json:"auth_method"` // token_endpoint_auth_method; "" follows the metadata
	Scope      []string     `json:"scope"`       // requested where the user names none
	Params     []Param      `json:"params"`      // added to the authorization request
	Audience   AudienceRule `json:"audience"`
	NoResource bool         `json:"no_resource"` // resource indicators (RFC 8707) are refused or ignored
	Steps      []string     `json:"steps"`       // in the provider's console; REDIRECT_URI stands for Register
	Source     string       `json:"source"`      // where the facts come from
}

// Param is one parameter of an authorization request.
type Param struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// SecretRule says whether a native client has a secret at a provider.
type SecretRule string

// The rules for a client's secret.
const (
	SecretNone     SecretRule = "none"     // a public client
	SecretRequired SecretRule = "required" // for every grant
	SecretBrowser  SecretRule = "browser"  // for a login in the browser, not for the device grant
)

// AudienceRule says how a token for an API is requested.
type AudienceRule string

// The rules for the audience.
const (
	AudienceByParameter AudienceRule = "parameter" // the parameter audience
	AudienceByScope     AudienceRule = "scope"     // the scope names the API
	AudienceByServer    AudienceRule = "server"    // set at the server, for the client or the issuer
	AudienceNone        AudienceRule = "none"      // tokens are for the provider's own APIs only
)

// readPresets reads the data once. The data is part of the program, and a test
// reads it, so that an error here cannot occur.
var readPresets = sync.OnceValue(func() (file struct {
	Checked string   `json:"checked"`
	Presets []Preset `json:"presets"`
},
) {
	if err := json.Unmarshal(presetData, &file, json.RejectUnknownMembers(true)); err != nil {
		panic(fmt.Sprintf("provider: presets.json: %v", err))
	}
	return file
})

// Presets returns all presets and the day on which their facts were checked, as
// 2006-01-02.
func Presets() (presets []Preset, checked string) {
	file := readPresets()
	return slices.Clone(file.Presets), file.Checked
}

// LookupPreset returns the preset of that name, in any letter case, and whether
// there is one.
func LookupPreset(name string) (Preset, bool) {
	for _, p := range readPresets().Presets {
		if strings.EqualFold(p.Name, name) {
			return p, true
		}
	}
	return Preset{}, false
}

// PresetNames returns the names that [LookupPreset] knows, in their order.
func PresetNames() []string {
	var names []string
	for _, p := range readPresets().Presets {
		names = append(names, p.Name)
	}
	return names
}

// Instructions returns the steps to take in the provider's console, with the
// redirect URI to enter. A redirectURI other than "" is one that the user chose.
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
// their metadata names; base "" means the DefaultIssuer. It is nil for a
// provider that has metadata.
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
