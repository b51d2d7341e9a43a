package account

import (
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/provider"
)

// presetOf returns the preset of the profile's provider.
func presetOf(p *profile.Profile) (provider.Preset, bool, error) {
	name := p.Get(profile.Provider)
	if name == "" {
		return provider.Preset{}, false, nil
	}
	preset, ok := provider.LookupPreset(name)
	if !ok {
		return preset, false, &diagnosis.Diagnosis{
			ID:       diagnosis.ConfigInvalid,
			Expected: diagnosis.Values{string(profile.Provider) + " to be " + strings.Join(provider.PresetNames(), ", ")}, Got: diagnosis.Values{name},
		}
	}
	return preset, true, nil
}

// withPreset adds the preset of the profile's provider. Settings of the user
// override it. base is the URL that the user configured for the provider, or
// "".
func withPreset(p *profile.Profile, base string) (*profile.Profile, error) {
	preset, ok, err := presetOf(p)
	if err != nil || !ok {
		return p, err
	}
	values := profile.Values{
		profile.RedirectURI: preset.RedirectURI,
		profile.AuthMethod:  preset.AuthMethod,
		profile.Scope:       profile.JoinList(preset.Scope),
		profile.API:         preset.API,
	}
	var params []string
	for _, param := range preset.Params {
		params = append(params, param.Name+"="+param.Value)
	}
	values[profile.Param] = profile.JoinList(params)
	if preset.Endpoints == nil {
		values[profile.Issuer] = preset.DefaultIssuer
		return p.With(profile.Preset, values), nil
	}
	at := profile.Values{}
	for name, rawURL := range preset.EndpointsAt(base) {
		at[profile.Key(name)] = rawURL
	}
	if base == "" {
		return p.With(profile.Preset, values).With(profile.Preset, at), nil
	}
	values[profile.API] = ""                                          // the provider's own API
	return p.With(profile.Preset, values).With(profile.Flag, at), nil // stored in the profile
}

// usePreset prepares a login at a provider with a preset. URL is an issuer or,
// for a provider without metadata, the base URL of its endpoints.
func (l *login) usePreset() error {
	preset, ok, err := presetOf(l.profile)
	if err != nil || !ok {
		return err
	}
	base := ""
	if preset.Endpoints != nil && l.options.URL != "" {
		base, l.options.URL = discovery.CompleteURL(l.options.URL), ""
	}
	if l.profile, err = withPreset(l.profile, base); err != nil {
		return err
	}
	l.options.NoResource = l.options.NoResource || preset.NoResource && l.options.Resource == nil
	return l.checkPreset(preset)
}

// checkPreset shows what to do in the provider's console if there is no client,
// or none with the required credentials.
func (l *login) checkPreset(preset provider.Preset) error {
	p := l.profile
	missing := ""
	needsSecret := preset.Secret == provider.SecretRequired || preset.Secret == provider.SecretBrowser && l.grant.name == GrantAuthorizationCode
	switch {
	case p.Get(profile.ClientID) == "":
		missing = string(profile.ClientID)
	case needsSecret && p.Get(profile.ClientSecret) == "" && l.config.ClientSecret.IsZero():
		missing = string(profile.ClientSecret)
	default:
		return nil
	}
	chosen := p.Get(profile.RedirectURI)
	if p.Origin(profile.RedirectURI) <= profile.Preset {
		chosen = ""
	}
	l.ui.Console(preset.Title, preset.Instructions(chosen))
	return &diagnosis.Diagnosis{ID: diagnosis.ClientIncomplete, Expected: diagnosis.Values{missing + " for " + preset.Title}, Got: diagnosis.None}
}
