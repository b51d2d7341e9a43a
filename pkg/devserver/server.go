// Package devserver is an authorization server and a protected API for
// development and tests, as two handlers: the authorization code grant with PKCE
// (RFC 6749, RFC 7636), also pushed beforehand (RFC 9126), refresh tokens with
// strict rotation, client credentials, devices (RFC 8628), token exchange (RFC
// 8693), assertions (RFC 7523), OpenID Connect with logout, JWT access tokens
// (RFC 9068), bound to a key on demand (RFC 9449), metadata (RFC 8414, RFC 9728),
// registration (RFC 7591), client id metadata documents, revocation and
// introspection (RFC 7009, RFC 7662). It can misbehave on demand, see [Faults].
//
// Start with [New], serve [Server.AuthorizationServer] at the issuer's address
// and [Server.API] at the API's. The users are alice and bob with the password
// "password". Clients can register; two are built in: the public
// client "oauthctl-dev" with the redirect URI http://127.0.0.1/callback at
// any port, and the confidential client "service" with the secret "secret". Other
// users, clients, APIs and scopes are configured, see [Config]. With
// [Config.Console] the issuer's root page shows each request as it happens.
//
// It protects nothing: its passwords are public, everything is stored in memory
// and ends with the process.
package devserver

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/dpop"
	"github.com/oauthctl/oauthctl/pkg/forge"
	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// Server is a development authorization server with its API. It is safe for
// concurrent use.
type Server struct {
	config    Config
	base      string // the issuer without a final slash, as prefix of the endpoints
	path      string // the path of base
	keys      keys
	attacker  forge.Attacker // signs tokens with a wrong key
	users     []User
	names     *names // of clients
	clients   clients
	documents documents // client id metadata documents
	visits    visits
	grants    grants
	trusted   []*trusted
	ci        *ciIssuers
	shape     *shape       // the form of a provider's tokens; nil for RFC 9068
	used      *dpop.Memory // proofs and assertions, which can be used once
	nonce     string       // for proofs, if the fault dpop-nonce is active
	console   *console     // nil if it is disabled
	bodyWait  time.Duration

	saving sync.Mutex
	mu     sync.Mutex
	faults faultSet     // of every request; replaced as a whole
	ahead  atomic.Int64 // offset of the clock in nanoseconds

	authorizationServer, api http.Handler
}

// New returns a server. It returns an error for a URL that cannot be served, an
// algorithm that is not asymmetric or whose keys cannot be derived from a seed, an
// unknown fault, an incomplete user, client or trusted issuer, and an invalid
// state file.
func New(c Config) (*Server, error) {
	if err := c.complete(); err != nil {
		return nil, fmt.Errorf("devserver: %w", err)
	}
	s := &Server{config: c, names: newNames(c.Seed), clients: newClients(), visits: newVisits(), grants: newGrants(), nonce: rand.Text(), bodyWait: bodyWait}
	s.base = strings.TrimSuffix(c.Issuer, "/")
	if u, err := url.Parse(s.base); err == nil {
		s.path = u.Path
	}
	s.used = dpop.NewMemory(dpop.MemoryOptions{Now: s.now})
	for _, prepare := range []func() error{s.addUsers, s.addKeys, s.addClients, s.addTrust, s.restore} {
		if err := prepare(); err != nil {
			return nil, fmt.Errorf("devserver: %w", err)
		}
	}
	if s.shape = findShape(c.Provider); s.shape == nil && c.Provider != "" {
		return nil, fmt.Errorf("devserver: unknown provider %s; the providers are %s%s", diagnosis.Quote(c.Provider), strings.Join(Providers(), ", "), near(c.Provider, Providers()))
	}
	var err error
	if s.faults, err = parseFaults(c.Faults); err != nil {
		return nil, fmt.Errorf("devserver: %w", refusedAs{err, ErrFault})
	}
	if c.Console {
		s.console = newConsole(s)
	}
	s.documents.insecure = c.InsecureClientDocuments
	s.authorizationServer = s.routes()
	if s.api, err = s.newAPI(); err != nil {
		return nil, fmt.Errorf("devserver: %w", err)
	}
	return s, nil
}

func (s *Server) addKeys() error {
	key, err := generate(s.config.Algorithm, s.config.Seed)
	if err != nil {
		return err
	}
	s.keys.list = []*jwks.PrivateKey{key}
	return nil
}

func (s *Server) addClients() error {
	for _, one := range s.config.Clients {
		if err := s.clients.configure(one, s.config.AnyRedirectURI); err != nil {
			return err
		}
	}
	return nil
}

// AuthorizationServer returns the handler to serve at the issuer's host.
func (s *Server) AuthorizationServer() http.Handler { return s.authorizationServer }

// API returns the handler to serve at the API's URL.
func (s *Server) API() http.Handler { return s.api }

// Issuer returns the issuer identifier.
func (s *Server) Issuer() string { return s.config.Issuer }

// at returns the path of an endpoint at the issuer's host.
func (s *Server) at(path string) string { return s.path + path }

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
		"GET /end-session":                            s.serveEndSession,
		"POST /end-session":                           s.serveEndSession,
		"POST /register":                              s.serveRegister,
		"POST /revoke":                                s.serveRevoke,
		"POST /introspect":                            s.serveIntrospect,
		"GET /userinfo":                               s.serveUserinfo,
		"POST /userinfo":                              s.serveUserinfo,
		"GET /ci/{system}/token":                      s.serveCIToken,
		"GET /ci/{system}/.well-known/openid-configuration": s.serveCIMetadata,
		"GET /ci/{system}/jwks":                             s.serveCIKeys,
		"POST /_control/fault":                              s.control(s.controlFault),
		"POST /_control/clock":                              s.control(s.controlClock),
		"POST /_control/token":                              s.control(s.controlToken),
	} {
		mux.HandleFunc(pattern, handler)
	}
	if s.console != nil {
		s.console.routes(mux)
	}
	return s.withBodyLimit(s.withConsole(laneServer, s.withPath(withCORS(s.withFaults(mux)))))
}

// withPath serves the endpoints below the issuer's path, and its metadata at the
// URLs of RFC 8414, section 3.1, and of OpenID Connect Discovery.
func (s *Server) withPath(next http.Handler) http.Handler {
	if s.path == "" {
		return next
	}
	stripped := http.StripPrefix(s.path, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, document := range []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"} {
			if strings.TrimSuffix(r.URL.Path, "/") == document+s.path {
				inner := r.Clone(r.Context())
				inner.URL.Path = document
				next.ServeHTTP(w, inner)
				return
			}
		}
		switch {
		case r.URL.Path == "/" || r.URL.Path == s.path:
			http.Redirect(w, r, s.path+"/", http.StatusFound)
		default:
			stripped.ServeHTTP(w, r)
		}
	})
}

// now returns the server's time, including its offset.
func (s *Server) now() time.Time {
	return s.config.Now().Add(time.Duration(s.ahead.Load()))
}

// Advance moves the clock of the server and its API into the future, so that a
// test of expiry need not wait.
func (s *Server) Advance(d time.Duration) { s.ahead.Add(int64(d)) }
