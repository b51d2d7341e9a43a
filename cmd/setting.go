package cmd

import (
	"strings"

	profiles "github.com/oauthctl/oauthctl/pkg/profile"
)

// profile is what a login remembers so that later commands need no flags. Every
// field is text; lists are separated by spaces, as OAuth writes scopes.
type profile struct {
	Issuer          string
	AuthorizeURL    string // authorization_endpoint
	TokenURL        string // token_endpoint
	DeviceURL       string // device_authorization_endpoint
	ClientID        string
	ClientRef       string // client_secret: env:NAME, file:PATH or command:CMD
	AuthMethod      string
	SigningKey      string
	ClientAssertion string
	GrantType       string
	Scope           string
	API             string
	Audience        string
	Resource        string
	RedirectURI     string
	Store           string
	CACert          string
	ClientCert      string
	ClientKey       string
}

// setting is a row of the table of what a profile holds. The file's key, the
// variable OAUTHCTL_<KEY> and `profile set KEY=` are all made from it.
type setting struct {
	key   string
	help  string
	field func(*profile) *string
	form  string // of one that says where a secret is
}

// The forms in which a profile says where a secret is.
const (
	formSecret    = "env:NAME, file:PATH or command:CMD"
	formAssertion = "ci:github, ci:gitlab:NAME or @FILE"
)

func settings() []setting {
	return []setting{
		{"issuer", "the authorization server's issuer URL", func(p *profile) *string { return &p.Issuer }, ""},
		{"authorization_endpoint", "that endpoint of a server without metadata, the issuer absent", func(p *profile) *string { return &p.AuthorizeURL }, ""},
		{"token_endpoint", "that endpoint of a server without metadata", func(p *profile) *string { return &p.TokenURL }, ""},
		{"device_authorization_endpoint", "that endpoint of a server without metadata", func(p *profile) *string { return &p.DeviceURL }, ""},
		{"client_id", "the client's id at that server", func(p *profile) *string { return &p.ClientID }, ""},
		{"client_secret", "where the client's secret is: " + formSecret, func(p *profile) *string { return &p.ClientRef }, formSecret},
		{"auth_method", "how the client authenticates, for instance client_secret_basic", func(p *profile) *string { return &p.AuthMethod }, ""},
		{"signing_key", "the private key file for private_key_jwt", func(p *profile) *string { return &p.SigningKey }, ""},
		{"client_assertion", "where the client's assertion is: " + formAssertion, func(p *profile) *string { return &p.ClientAssertion }, formAssertion},
		{"grant_type", "how a login gets its token: authorization_code, device_code or client_credentials", func(p *profile) *string { return &p.GrantType }, ""},
		{"scope", "the scopes a login asks for, separated by spaces", func(p *profile) *string { return &p.Scope }, ""},
		{"api", "the API's base URL, to which `call` appends paths", func(p *profile) *string { return &p.API }, ""},
		{"audience", "the audiences `verify` expects and a login asks for", func(p *profile) *string { return &p.Audience }, ""},
		{"resource", "the resource indicators sent on every token request (RFC 8707)", func(p *profile) *string { return &p.Resource }, ""},
		{"redirect_uri", "the redirect URI, exactly as registered", func(p *profile) *string { return &p.RedirectURI }, ""},
		{"store", "where new sessions are kept: auto, keyring, file or memory", func(p *profile) *string { return &p.Store }, ""},
		{"ca_cert", "a PEM file of certificates to trust as well", func(p *profile) *string { return &p.CACert }, ""},
		{"client_cert", "the PEM file of the certificate to present (mTLS)", func(p *profile) *string { return &p.ClientCert }, ""},
		{"client_key", "the PEM file of that certificate's private key", func(p *profile) *string { return &p.ClientKey }, ""},
	}
}

func variable(key string) string { return "OAUTHCTL_" + strings.ToUpper(key) }

// resolved is a profile with the environment laid over it, and where each value
// came from.
type resolved struct {
	profile
	name string
	from map[string]string
}

// resolve returns the profile that the flags and the environment choose:
// variable over profile; a command lays its own flags over both with use. A
// profile that does not exist is empty, unless it was asked for by name and
// must exist.
func (env *Env) resolve() (*resolved, error) {
	c, err := env.openConfig()
	if err != nil {
		return nil, err
	}
	name, err := env.profileName(c)
	if err != nil {
		return nil, err
	}
	r := &resolved{name: name, from: map[string]string{}}
	if p := c.profiles[name]; p != nil {
		r.profile = *p
	}
	for _, s := range settings() {
		field := s.field(&r.profile)
		if *field != "" {
			r.from[s.key] = "profile " + name
		}
		v := env.Getenv(variable(s.key))
		if v == "" {
			continue
		}
		if s.key == "client_secret" {
			v = "env:" + variable(s.key)
		}
		*field, r.from[s.key] = v, variable(s.key)
	}
	env.global.underlay(&r.profile)
	return r, nil
}

// use lays a flag's value over the profile, if the flag was given.
func (r *resolved) use(key, value string) {
	if value == "" {
		return
	}
	for _, s := range settings() {
		if s.key == key {
			*s.field(&r.profile), r.from[key] = value, "flag"
		}
	}
}

func (env *Env) profileName(c *config) (string, error) {
	for _, name := range []string{env.global.profile, env.Getenv("OAUTHCTL_PROFILE"), c.current, "default"} {
		if name != "" {
			return name, checkProfileName(name)
		}
	}
	return "", nil
}

// checkProfileName keeps profile names fit to be file names.
func checkProfileName(name string) error {
	if err := profiles.CheckName(name); err != nil {
		return usage("%v", err)
	}
	return nil
}

// mayHold refuses a secret where the profile may only say where it is.
func (s setting) mayHold(value string) bool {
	if s.form == "" || value == "" {
		return true
	}
	kind, rest, _ := strings.Cut(value, ":")
	if s.key == "client_assertion" {
		return kind == "ci" && rest != "" || len(value) > 1 && value[0] == '@'
	}
	return rest != "" && (kind == "env" || kind == "file" || kind == "command")
}

func findSetting(key string) (setting, bool) {
	for _, s := range settings() {
		if s.key == key {
			return s, true
		}
	}
	return setting{}, false
}

func settingKeys() []string {
	var keys []string
	for _, s := range settings() {
		keys = append(keys, s.key)
	}
	return keys
}
