// Package account represents a user's or a client's account at one authorization
// server, from login to logout. It combines the profile, the session, the client
// and the server, so that a credential is only used where it belongs.
//
// Start with [Open]. [Account.Login] finds the server from the URL of an API or
// an issuer (RFC 9728, RFC 8414), determines the client and registers one if
// needed (RFC 7591), obtains the tokens and verifies them. [Account.HTTPClient]
// returns a client whose requests have an access token that is refreshed
// automatically; [Account.Token] returns only the token; [Account.Logout] revokes
// and removes the session.
//
// An account has these properties:
//
//   - It is resolved once. An open account keeps its server, client and API, even
//     if another process changes the profile file.
//   - A secret, key or assertion is used only at the server and for the client
//     that it was configured for (RFC 6749, section 2.2).
//   - A session is used only for the configured server, client, scope, audience
//     and resource, and its tokens are sent only to the origins of its server and
//     to its own API.
//   - A rotated refresh token is never lost because of a later check that fails.
//
// The package opens no browser and prints nothing; a login uses a
// [UserInterface].
package account

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/session"
)

// Config configures an account. The zero value can be used for a public client.
type Config struct {
	// HTTP sends the requests. If nil, the zero client is used. If its
	// Transport is nil, NewTransport creates it.
	HTTP *safehttp.Client
	// NewTransport creates the transport for the profile's TLS settings, which
	// are nil if the system's are sufficient. If NewTransport is nil, it is
	// [safehttp.NewTransport].
	NewTransport func(*tls.Config) http.RoundTripper
	// Now returns the current time. If nil, it is time.Now.
	Now func() time.Time
	// Warn is called with faults that do not stop the operation, mostly
	// Diagnoses. If nil, they are ignored.
	Warn func(error)

	// AccessToken, if not empty, is used instead of a session.
	AccessToken secret.String
	// ClientSecret and ClientAssertion are for this run and any server. They
	// override those of the profile.
	ClientSecret    secret.String
	ClientAssertion secret.String

	// ReadSecret resolves the profile's reference to a client secret, such as
	// file:PATH. If nil, every reference is refused.
	ReadSecret func(ctx context.Context, reference string) (secret.String, error)
	// ReadAssertion resolves the profile's reference to a client assertion, such
	// as ci:github, for an audience. If nil, every reference is refused.
	ReadAssertion func(ctx context.Context, reference, audience string) (secret.String, error)
}

// Account is an account at one authorization server. It is safe for concurrent
// use.
type Account struct {
	profile *profile.Profile
	store   *session.Store
	http    *safehttp.Client
	config  Config

	mu     sync.Mutex
	prover keyedProver
}

// Open returns the account of a profile, with sessions in store. It sends no
// request. Errors are Diagnoses: CONFIG_INVALID.
func Open(p *profile.Profile, store *session.Store, c Config) (*Account, error) {
	p, err := withPreset(p, "")
	if err != nil {
		return nil, err
	}
	if err := CheckChoices(p); err != nil {
		return nil, err
	}
	client, err := c.client(p)
	if err != nil {
		return nil, err
	}
	return &Account{profile: p, store: store, http: client, config: c}, nil
}

// client returns the HTTP client with the TLS settings of a profile.
func (c *Config) client(p *profile.Profile) (*safehttp.Client, error) {
	client := &safehttp.Client{}
	if c.HTTP != nil {
		*client = *c.HTTP
	}
	if client.Transport != nil {
		return client, nil
	}
	settings, err := p.TLS()
	switch {
	case err != nil:
		return nil, err
	case c.NewTransport != nil:
		client.Transport = c.NewTransport(settings)
	case settings != nil:
		client.Transport = safehttp.NewTransport(settings)
	}
	return client, nil
}

// Profile returns the effective profile. A login changes it.
func (a *Account) Profile() *profile.Profile { return a.profile }

// Store returns the store of the account's session.
func (a *Account) Store() *session.Store { return a.store }

func (a *Account) now() time.Time {
	if a.config.Now == nil {
		return time.Now()
	}
	return a.config.Now()
}

func (a *Account) warn(err error) {
	if a.config.Warn != nil && err != nil {
		a.config.Warn(err)
	}
}

// Session returns the stored session, expired or not. Errors are Diagnoses:
// LOGIN_REQUIRED if there is none, SESSION_ELSEWHERE if it does not match the
// profile, and those of the store.
func (a *Account) Session() (*session.Session, error) {
	s, err := a.store.Load(a.profile.Name())
	switch {
	case errors.Is(err, session.ErrNotFound):
		return nil, a.loginRequired()
	case err != nil:
		return nil, err
	}
	return s, a.fits(s)
}

func (a *Account) loginRequired() error {
	return &diagnosis.Diagnosis{ID: diagnosis.LoginRequired, Got: diagnosis.Values{"profile " + a.profile.Name()}}
}

// ActsForItself reports whether the account obtains tokens without a user: the
// profile has a grant without a user, or the client can authenticate and no user
// is logged in. If a user is logged in, the client is not used instead of the
// user.
func (a *Account) ActsForItself() bool {
	s, err := a.store.Load(a.profile.Name())
	return (a.actsForItself(s) || a.presentsAgain(s)) && (err == nil || errors.Is(err, session.ErrNotFound))
}

func (a *Account) actsForItself(s *session.Session) bool {
	p := a.profile
	if p.Get(profile.ClientID) == "" || p.Server() == "" || s != nil && s.Grant != GrantClientCredentials {
		return false
	}
	if grant := p.Get(profile.GrantType); grant != "" {
		return grant == GrantClientCredentials
	}
	return a.canAuthenticate()
}

// canAuthenticate reports whether the profile has a client with credentials.
func (a *Account) canAuthenticate() bool {
	p := a.profile
	if p.Get(profile.ClientID) == "" || p.Server() == "" {
		return false
	}
	for _, key := range []profile.Key{profile.ClientSecret, profile.SigningKey, profile.ClientAssertion} {
		if p.Get(key) != "" {
			return true
		}
	}
	return !a.config.ClientSecret.IsZero() || !a.config.ClientAssertion.IsZero() || p.Get(profile.AuthMethod) == oauth.AuthTLS
}

// server returns the metadata of an authorization server: that of the issuer,
// with the endpoints in the profile, or only these if the profile has a token
// endpoint.
func (a *Account) server(ctx context.Context, issuer string) (*discovery.Server, discovery.Trail, error) {
	p := a.profile
	named := &discovery.Server{}
	if p.Get(profile.Issuer) == issuer {
		named = a.namedServer()
	}
	if named.TokenEndpoint != "" {
		return named, nil, nil
	}
	if issuer == "" {
		return nil, nil, &diagnosis.Diagnosis{ID: diagnosis.ServerUnknown}
	}
	server, trail, err := a.metadata(ctx, issuer)
	if err != nil {
		return nil, trail, err
	}
	for _, e := range endpoints(server, named) {
		if *e.named != "" {
			*e.found = *e.named
		}
	}
	return server, trail, nil
}

// metadata reads the metadata of an issuer, from the metadata URL in the
// profile if there is one.
func (a *Account) metadata(ctx context.Context, issuer string) (*discovery.Server, discovery.Trail, error) {
	if place := a.profile.Get(profile.MetadataURL); place != "" && a.profile.Get(profile.Issuer) == issuer {
		return discovery.FindServerAt(ctx, a.http, place, issuer)
	}
	return discovery.TraceServer(ctx, a.http, issuer)
}

// namedServer returns the server as configured in the profile.
func (a *Account) namedServer() *discovery.Server {
	p := a.profile
	return &discovery.Server{
		Issuer:                      p.Get(profile.Issuer),
		AuthorizationEndpoint:       p.Get(profile.AuthorizationEndpoint),
		TokenEndpoint:               p.Get(profile.TokenEndpoint),
		DeviceAuthorizationEndpoint: p.Get(profile.DeviceAuthorizationEndpoint),
		IntrospectionEndpoint:       p.Get(profile.IntrospectionEndpoint),
		RevocationEndpoint:          p.Get(profile.RevocationEndpoint),
		UserinfoEndpoint:            p.Get(profile.UserinfoEndpoint),
		JWKSURI:                     p.Get(profile.JWKSURI),
	}
}

type namedEndpoint struct{ found, named *string }

func endpoints(found, named *discovery.Server) []namedEndpoint {
	return []namedEndpoint{
		{&found.AuthorizationEndpoint, &named.AuthorizationEndpoint},
		{&found.DeviceAuthorizationEndpoint, &named.DeviceAuthorizationEndpoint},
		{&found.IntrospectionEndpoint, &named.IntrospectionEndpoint},
		{&found.RevocationEndpoint, &named.RevocationEndpoint},
		{&found.UserinfoEndpoint, &named.UserinfoEndpoint},
		{&found.JWKSURI, &named.JWKSURI},
	}
}

// Server returns the metadata of the profile's authorization server.
func (a *Account) Server(ctx context.Context) (*discovery.Server, error) {
	server, _, err := a.server(ctx, a.profile.Get(profile.Issuer))
	return server, err
}

// origins returns the origins of a server's endpoints that receive a token or a
// secret. The tokens of a session are sent only to these.
func origins(server *discovery.Server) []string {
	all := []string{
		server.TokenEndpoint, server.RevocationEndpoint, server.IntrospectionEndpoint, server.UserinfoEndpoint,
		server.PushedAuthorizationRequestEndpoint, server.DeviceAuthorizationEndpoint,
	}
	for _, alias := range server.MTLSEndpointAliases {
		all = append(all, alias)
	}
	seen := map[string]bool{}
	var list []string
	for _, endpoint := range all {
		if origin := originOf(endpoint); origin != "" && !seen[origin] {
			seen[origin] = true
			list = append(list, origin)
		}
	}
	return list
}

// originOf returns the origin of a URL, or "" if it is not a URL.
func originOf(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" {
		return ""
	}
	return safehttp.Origin(u)
}

// serverOf identifies the server of a session, like [profile.Profile.Server]
// for a profile.
func serverOf(s *session.Session) string {
	if s.Issuer != "" {
		return s.Issuer
	}
	return s.TokenEndpoint
}
