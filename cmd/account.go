package cmd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// Environment variables that are not settings of a profile.
const (
	variableToken  = "OAUTHCTL_TOKEN"
	variableConfig = "OAUTHCTL_CONFIG"
)

// configPath returns the path of the profile file, or "" if there is no home
// directory for it.
func (env *Env) configPath() string {
	switch {
	case env.global.config != "":
		return env.global.config
	case env.Getenv(variableConfig) != "":
		return env.Getenv(variableConfig)
	case env.ConfigDir != "":
		return filepath.Join(env.ConfigDir, "config.yaml")
	}
	return ""
}

// profile returns the profile that the flags and the environment choose. It is
// read once, so a command uses one profile even if the file changes meanwhile.
// A named profile that does not exist is an error, unless the environment has
// all necessary settings.
func (env *Env) profile() (*profile.Profile, error) {
	p, err := env.anyProfile()
	if err != nil || p.Exists() || p.NameOrigin() == profile.Saved || p.NameOrigin() == profile.Unset {
		return p, err
	}
	if p.Server() != "" || !env.environmentToken().IsZero() || env.hasSession(p.Name()) {
		return p, nil
	}
	f, err := profile.Load(env.configPath())
	if err != nil {
		return nil, err
	}
	return nil, noSuchProfile(f, p.Name())
}

// anyProfile is profile for the commands that make a profile.
func (env *Env) anyProfile() (*profile.Profile, error) {
	if env.resolved != nil {
		return env.resolved, nil
	}
	f, err := profile.Load(env.configPath())
	if err != nil {
		return nil, err
	}
	p, err := f.Resolve(profile.Query{Name: env.global.profile, Getenv: env.Getenv, Flags: env.global.profileValues()})
	if err != nil {
		return nil, err
	}
	p = p.With(profile.Preset, profile.Values{profile.ClientMetadataURL: clientDocument})
	env.hideSecrets(p)
	env.resolved = p
	return p, nil
}

// hideSecrets removes the variables that contain secrets from the environment
// of the programs that this one starts: a browser, a keychain's helper, a
// command.
func (env *Env) hideSecrets(p *profile.Profile) {
	if env.Hide == nil {
		return
	}
	if name, ok := strings.CutPrefix(p.Get(profile.ClientSecret), "env:"); ok {
		env.Hide(name)
	}
}

func (env *Env) hasSession(name string) bool {
	if env.StateDir == "" {
		return false
	}
	store, err := account.NewStore(profile.New(name, nil), env.StateDir)
	if err != nil {
		return false
	}
	names, err := store.Profiles()
	return err == nil && slices.Contains(names, name)
}

// account returns the account of a profile. What standard input holds is read
// once, into once.
func (env *Env) account(p *profile.Profile, once credentials) (*account.Account, error) {
	store, err := account.NewStore(p, env.StateDir)
	if err != nil {
		return nil, err
	}
	client, err := env.bareClient()
	if err != nil {
		return nil, err
	}
	return account.Open(p, store, account.Config{
		HTTP:            client,
		NewTransport:    env.transport,
		Now:             env.Now,
		Warn:            env.warnOf,
		AccessToken:     env.environmentToken(),
		ClientSecret:    once.secret,
		ClientAssertion: once.assertion,
		ReadSecret:      env.readReference,
		ReadAssertion:   env.credential,
	})
}

// currentAccount is the account of the profile in use.
func (env *Env) currentAccount() (*account.Account, error) {
	p, err := env.profile()
	if err != nil {
		return nil, err
	}
	return env.account(p, credentials{})
}

// client returns an HTTP client with the TLS settings of the profile in use.
func (env *Env) client() (*safehttp.Client, error) {
	p, err := env.profile()
	if err != nil {
		return nil, err
	}
	return env.clientFor(p)
}

func (env *Env) clientFor(p *profile.Profile) (*safehttp.Client, error) {
	c, err := env.bareClient()
	if err != nil || c.Transport != nil {
		return c, err
	}
	settings, err := p.TLS()
	if err != nil {
		return nil, err
	}
	c.Transport = env.transport(settings)
	return c, nil
}

// transport returns the transport for TLS settings, or nil if the one that all
// clients share is sufficient.
func (env *Env) transport(settings *tls.Config) http.RoundTripper {
	settings = env.trusting(settings)
	if settings == nil && env.proxies == nil && !env.IsTerminal(env.Stderr) {
		return nil
	}
	t := safehttp.NewTransport(settings)
	if env.proxies != nil {
		t.Proxy = env.proxies.For
	}
	return env.announcing(t)
}

// trusting returns the TLS settings with what the flags allow.
func (env *Env) trusting(settings *tls.Config) *tls.Config {
	if !env.global.insecureTLS {
		return settings
	}
	if settings == nil {
		settings = &tls.Config{}
	}
	settings.InsecureSkipVerify = true //nolint:gosec // the flag's name says so
	return settings
}

// bareClient returns an HTTP client without TLS settings.
func (env *Env) bareClient() (*safehttp.Client, error) {
	c := &safehttp.Client{Transport: env.HTTP, Secrets: &env.secrets}
	if env.global.timeout <= 0 {
		return nil, &usageError{what: fmt.Sprintf("--timeout: expected a positive duration such as 30s, got %s", env.global.timeout)}
	}
	proxies, err := safehttp.ReadProxies(env.Getenv)
	if err != nil {
		return nil, err
	}
	env.proxies = proxies
	if env.global.timeout != defaultTimeout {
		c.Timeout = env.global.timeout
	}
	if env.global.verbose {
		c.Trace = &safehttp.Trace{Show: env.showExchange, ShowSecrets: env.global.showSecrets}
	}
	if env.report != nil {
		c.Trace = env.report.trace(env)
	}
	return c, nil
}

// environmentToken returns the access token from the environment, which is used
// instead of a session.
func (env *Env) environmentToken() secret.String {
	if t, err := env.pastedToken(); err == nil {
		return t
	}
	return secret.New(strings.TrimSpace(env.Getenv(variableToken)))
}

// missingVariable names the variable that is missing in a run that is
// configured by variables, where no user can log in with a browser. It returns
// "" for any other run.
func (env *Env) missingVariable() string {
	p := env.resolved
	if p == nil {
		return ""
	}
	byVariables := env.inCI()
	for _, key := range []profile.Key{profile.Issuer, profile.TokenEndpoint, profile.ClientID, profile.GrantType} {
		byVariables = byVariables || p.Origin(key) == profile.Environment
	}
	presented, presents := account.Presents(p.Get(profile.GrantType))
	proof := p.Get(profile.ClientSecret) + p.Get(profile.SigningKey) + p.Get(profile.ClientAssertion)
	switch {
	case !byVariables || env.hasSession(p.Name()):
		return ""
	case p.Server() == "":
		return profile.Issuer.Variable()
	case presents && p.Get(presented) == "":
		return presented.Variable()
	case presents:
		return ""
	case p.Get(profile.ClientID) == "":
		return profile.ClientID.Variable()
	case proof == "":
		return profile.ClientSecret.Variable()
	}
	return ""
}

// warnOf prints a warning of a package, with the command that helps, if there
// is one.
func (env *Env) warnOf(err error) {
	var d *diagnosis.Diagnosis
	text := env.classify(err).Message
	if errors.As(err, &d) {
		if hint := commandHint(env.hintContext(d)); hint != "" {
			text += "; " + hint
		}
	}
	env.warn("%s", clean(text))
}

// unbound returns an error if the token would be given to a program that cannot
// make the proofs it requires (RFC 9449). The message names the program or
// output with what.
func unbound(t *account.Token, what string) error {
	if !t.Bound() {
		return nil
	}
	return boundUsage(what)
}

func boundUsage(what string) error {
	return &usageError{
		what: what + ": the session's tokens are bound to a key (DPoP) and need a proof with each request",
		hint: "`oauthctl call` and `oauthctl proxy` make the proofs",
	}
}

// tokenOrSession returns the token for a command that inspects one: the
// argument, or the profile's access token, even if it has expired.
func (env *Env) tokenOrSession(args []string) (secret.String, error) {
	if len(args) > 0 {
		return env.tokenArg(args[0])
	}
	if t := env.environmentToken(); !t.IsZero() {
		return t, nil
	}
	a, err := env.currentAccount()
	if err != nil {
		return secret.String{}, err
	}
	s, err := a.Session()
	if errors.Is(err, &diagnosis.Diagnosis{ID: diagnosis.LoginRequired}) {
		login := env.command("login", "URL")
		return secret.String{}, withHint(err, "give the token, as - for standard input or @FILE, or log in: "+login, login)
	}
	if err != nil {
		return secret.String{}, err
	}
	return s.AccessToken, nil
}

// accessToken returns the access token of the profile in use.
func (env *Env) accessToken(ctx context.Context, w account.Want) (*account.Token, error) {
	if _, err := env.pastedToken(); err != nil {
		return nil, err
	}
	a, err := env.currentAccount()
	if err != nil {
		return nil, err
	}
	return a.Token(ctx, w)
}
