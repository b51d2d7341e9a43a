package oauthtest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/devserver"
	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// Server is a development authorization server with its demo API, listening on
// free loopback ports until the end of the test.
type Server struct {
	t         testing.TB
	dev       *devserver.Server
	as, api   *httptest.Server
	transport *http.Transport
}

// Option changes the server that [Start] starts.
type Option func(*devserver.Config)

// Configure changes any part of the server's configuration, apart from its URLs.
func Configure(change func(*devserver.Config)) Option { return change }

// Resource makes the server issue tokens for these APIs too. The first one is the
// default audience.
func Resource(urls ...string) Option {
	return func(c *devserver.Config) { c.Resources = append(c.Resources, urls...) }
}

// Scope makes the server grant these scopes too.
func Scope(names ...string) Option {
	return func(c *devserver.Config) { c.Scopes = append(c.Scopes, names...) }
}

// User adds a user with the password "password" and these claims. A user named
// alice or bob replaces the default one.
func User(name string, claims map[string]any) Option {
	return func(c *devserver.Config) {
		c.Users = append(c.Users, devserver.User{Name: name, FullName: name, Email: name + "@example.com", Claims: claims})
	}
}

// Client registers a client. An empty secret makes it a public one.
func Client(id, secret string, redirectURIs ...string) Option {
	return func(c *devserver.Config) {
		c.Clients = append(c.Clients, devserver.Client{ID: id, Secret: secret, RedirectURIs: redirectURIs})
	}
}

// AutoApprove logs a user in and consents without asking.
func AutoApprove(user string) Option {
	return func(c *devserver.Config) { c.AutoApprove, c.AutoUser = true, user }
}

// Fault makes the server misbehave from the start; see [devserver.Faults] for the
// names.
func Fault(names ...string) Option {
	return func(c *devserver.Config) { c.Faults = append(c.Faults, names...) }
}

// Start starts a development server that stops at the end of the test. It fails
// the test if an option is not valid.
func Start(t testing.TB, options ...Option) *Server {
	t.Helper()
	s := &Server{t: t, transport: &http.Transport{}}
	// The listeners come first, because the server's configuration has the URLs.
	var ready sync.WaitGroup
	ready.Add(1)
	serve := func(handler func() http.Handler) *httptest.Server {
		return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ready.Wait()
			handler().ServeHTTP(w, r)
		}))
	}
	s.as = serve(func() http.Handler { return s.dev.AuthorizationServer() })
	s.api = serve(func() http.Handler { return s.dev.API() })
	t.Cleanup(func() {
		s.transport.CloseIdleConnections()
		s.as.Close()
		s.api.Close()
	})
	config := devserver.Config{}
	for _, option := range options {
		option(&config)
	}
	config.Issuer, config.API = s.as.URL, s.api.URL
	var err error
	if s.dev, err = devserver.New(config); err != nil {
		t.Fatalf("oauthtest: %v", err)
	}
	ready.Done()
	return s
}

// Issuer returns the issuer identifier, which is the URL of the authorization
// server.
func (s *Server) Issuer() string { return s.as.URL }

// API returns the URL of the demo API.
func (s *Server) API() string { return s.api.URL }

// JWKSURI returns the address of the key set.
func (s *Server) JWKSURI() string { return s.as.URL + "/jwks" }

// Client returns an HTTP client whose connections are closed at the end of the
// test.
func (s *Server) Client() *http.Client { return &http.Client{Transport: s.transport} }

// KeySet returns the key set as a verifier needs it.
func (s *Server) KeySet() *jwks.Remote {
	return jwks.NewRemote(s.JWKSURI(), jwks.RemoteOptions{})
}

// Dev returns the server.
func (s *Server) Dev() *devserver.Server { return s.dev }

// Mint returns an access token of alice: a valid one, or one with the fault of
// the case. Without scope, it has those of the demo API, or those of [Scope].
func (s *Server) Mint(c Case, scope ...string) string {
	s.t.Helper()
	return s.MintToken(Token{Case: c, Scope: scope})
}

// MintToken returns an access token with these properties. It fails the test
// for an unknown case, and for claims that the server sets itself.
func (s *Server) MintToken(t Token) string {
	s.t.Helper()
	raw, err := s.dev.MintToken(t.dev())
	if err != nil {
		s.t.Fatalf("oauthtest: %v", err)
	}
	return raw
}

// Advance moves the clock of the server and the demo API into the future.
func (s *Server) Advance(d time.Duration) { s.dev.Advance(d) }

// Get sends a GET for a path of the demo API with an access token, or without
// one if it is "", and returns the status.
func (s *Server) Get(ctx context.Context, path, token string) int {
	s.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.api.URL+path, http.NoBody)
	if err != nil {
		s.t.Fatalf("oauthtest: %v", err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := s.Client().Do(req)
	if err != nil {
		s.t.Fatalf("oauthtest: %v", err)
	}
	res.Body.Close()
	return res.StatusCode
}
