// Package devserver is an authorization server and a protected API for
// development and tests, as two handlers: the authorization code grant with PKCE
// (RFC 6749, RFC 7636), also pushed beforehand (RFC 9126), refresh tokens with
// strict rotation, client credentials, devices (RFC 8628), token exchange (RFC
// 8693), assertions (RFC 7523), OpenID Connect, JWT access tokens (RFC 9068),
// bound to a key on demand (RFC 9449), metadata (RFC 8414, RFC 9728),
// registration (RFC 7591), revocation and introspection (RFC 7009, RFC 7662). It
// can misbehave on demand, see [Faults].
//
// Start with [New], serve [Server.AuthorizationServer] at the issuer's address
// and [Server.API] at the API's. The users are alice and bob with the password
// "password". Clients register themselves; two are there from the start: the
// public client "oauthctl-dev" with the redirect URI http://127.0.0.1/callback at
// any port, and the confidential client "service" with the secret "secret".
//
// It guards nothing: its passwords are printed here, everything is kept in
// memory and ends with the process.
package devserver

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/oauthctl/oauthctl/pkg/dpop"
	"github.com/oauthctl/oauthctl/pkg/forge"
	"github.com/oauthctl/oauthctl/pkg/jwks"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// defaultTTL is how long an access token lives unless configured.
const defaultTTL = 5 * time.Minute

// Config says what a server is to be. Issuer and API are needed; the rest has a
// default.
type Config struct {
	// Issuer is the authorization server's URL, API the API's: scheme, host and
	// port, without a path and without a slash at the end.
	Issuer, API string
	// AccessTokenTTL is how long access tokens live; 0 means 5 minutes.
	AccessTokenTTL time.Duration
	// Algorithm signs the tokens; "" means ES256.
	Algorithm string
	// AutoApprove logs alice in (or the user in login_hint) and consents without
	// asking.
	AutoApprove bool
	// Faults are active from the start, each as NAME or NAME=VALUE; see [Faults].
	Faults []string
	// Users can log in beside alice and bob, whose password is "password".
	Users []User
	// Clients are registered from the start, beside those that always are.
	Clients []Client
	// Seed makes the keys and the clients' ids the same each time; 0 makes them
	// random. It needs an algorithm whose keys can be derived: ES256 or EdDSA.
	Seed int64
	// State is the path of a file that keeps keys, clients and refresh tokens over
	// restarts; "" keeps nothing.
	State string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Client is a client that is registered from the start.
type Client struct {
	ID           string
	Secret       string // "" makes it a public one
	RedirectURIs []string
}

// Server is a development authorization server with its API. It is safe for
// concurrent use.
type Server struct {
	config Config
	keys   keys
	// attacker signs the tokens that are spoiled by another key.
	attacker forge.Attacker
	users    []User
	names    *names // of clients
	clients  clients
	visits   visits
	grants   grants
	used     *dpop.Memory // proofs and assertions, each good once
	nonce    string       // that proofs need where the fault dpop-nonce is in force

	saving sync.Mutex
	mu     sync.Mutex
	faults faultSet // those of every request; replaced, never changed

	authorizationServer, api http.Handler
}

// New makes a server. It errs on a URL with a path, an algorithm that is not
// asymmetric or whose keys cannot be derived from a seed, an unknown fault, a
// client without an id, and a state file that cannot be used.
func New(c Config) (*Server, error) {
	for name, raw := range map[string]string{"the issuer": c.Issuer, "the API": c.API} {
		if err := checkBase(raw); err != nil {
			return nil, fmt.Errorf("devserver: %s: %w", name, err)
		}
	}
	if c.AccessTokenTTL < 0 {
		return nil, errors.New("devserver: the lifetime of access tokens cannot be negative")
	}
	if c.AccessTokenTTL == 0 {
		c.AccessTokenTTL = defaultTTL
	}
	if c.Algorithm == "" {
		c.Algorithm = "ES256"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &Server{config: c, users: usersOf(c), names: newNames(c.Seed), clients: newClients(), visits: newVisits(), grants: newGrants(), used: dpop.NewMemory(0, c.Now), nonce: rand.Text()}
	var err error
	if s.faults, err = parseFaults(c.Faults); err != nil {
		return nil, fmt.Errorf("devserver: %w", err)
	}
	key, err := generate(c.Algorithm, c.Seed)
	if err != nil {
		return nil, fmt.Errorf("devserver: %w", err)
	}
	s.keys.list = []*jwks.PrivateKey{key}
	for _, one := range c.Clients {
		if err := s.clients.configure(one); err != nil {
			return nil, fmt.Errorf("devserver: %w", err)
		}
	}
	if err := s.restore(); err != nil {
		return nil, err
	}
	s.authorizationServer = s.routes()
	if s.api, err = s.newAPI(); err != nil {
		return nil, fmt.Errorf("devserver: %w", err)
	}
	return s, nil
}

// checkBase holds a URL to what is served: the root of a host.
func checkBase(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || raw != u.Scheme+"://"+u.Host {
		return fmt.Errorf("expected http://HOST:PORT without a path, got %s", diagnosis.Quote(raw))
	}
	return nil
}

// AuthorizationServer returns the handler to serve at the issuer's URL.
func (s *Server) AuthorizationServer() http.Handler { return s.authorizationServer }

// API returns the handler to serve at the API's URL.
func (s *Server) API() http.Handler { return s.api }

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, handler := range map[string]http.HandlerFunc{
		"GET /{$}": s.serveIndex,
		"GET /.well-known/oauth-authorization-server": s.serveMetadata,
		"GET /.well-known/openid-configuration":       s.serveMetadata,
		"GET /jwks":                                   s.serveKeys,
		"GET /authorize":                              s.serveAuthorize,
		"POST /authorize":                             s.serveAuthorize,
		"POST /authorize/login":                       s.serveLogin,
		"GET /authorize/consent":                      s.serveConsentPage,
		"POST /authorize/consent":                     s.serveConsent,
		"POST /token":                                 s.serveToken,
		"POST /device_authorization":                  s.serveDeviceAuthorization,
		"GET /device":                                 s.serveDevicePage,
		"POST /device":                                s.serveDevice,
		"POST /par":                                   s.servePushed,
		"GET /end-session":                            s.serveEndSessionPage,
		"POST /end-session":                           s.serveEndSession,
		"POST /register":                              s.serveRegister,
		"POST /revoke":                                s.serveRevoke,
		"POST /introspect":                            s.serveIntrospect,
		"GET /userinfo":                               s.serveUserinfo,
		"POST /userinfo":                              s.serveUserinfo,
		"POST /_control/fault":                        s.serveControl,
	} {
		mux.HandleFunc(pattern, handler)
	}
	return s.withFaults(mux)
}

func (s *Server) now() time.Time { return s.config.Now() }
