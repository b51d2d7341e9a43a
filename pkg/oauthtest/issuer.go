package oauthtest

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/devserver"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// Issuer signs access tokens and serves its metadata and keys without a listener.
// It is for tests of a handler in the same process; [Start] is for those that need
// a network.
type Issuer struct {
	t   testing.TB
	dev *devserver.Server
}

const (
	issuerURL = "https://issuer.test"
	apiURL    = "https://api.test"
)

// NewIssuer returns an issuer with a key of its own. Its tokens are for
// https://api.test, or for the first of [Resource].
func NewIssuer(t testing.TB, options ...Option) *Issuer {
	t.Helper()
	config := devserver.Config{}
	for _, option := range options {
		option(&config)
	}
	if config.Issuer == "" {
		config.Issuer = issuerURL
	}
	if config.API == "" {
		config.API = apiURL
	}
	dev, err := devserver.New(config)
	if err != nil {
		t.Fatalf("oauthtest: %v", err)
	}
	return &Issuer{t: t, dev: dev}
}

// URL returns the issuer identifier.
func (i *Issuer) URL() string { return i.dev.Issuer() }

// KeySet returns the keys as a verifier needs them. It is up to date after
// [Issuer.Rotate].
func (i *Issuer) KeySet() token.KeySet { return i.dev.Keys() }

// JWKS serves the key set (RFC 7517), at any path.
func (i *Issuer) JWKS() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner := r.Clone(r.Context())
		inner.URL.Path = "/jwks"
		i.dev.AuthorizationServer().ServeHTTP(w, inner)
	})
}

// Client returns an HTTP client that reaches the issuer, and nothing else, without
// a network.
func (i *Issuer) Client() *http.Client { return &http.Client{Transport: inProcess{i}} }

type inProcess struct{ issuer *Issuer }

// RoundTrip answers a request to the issuer.
func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p.issuer.dev.AuthorizationServer().ServeHTTP(w, r)
	res := w.Result()
	res.Request = r
	return res, nil
}

// Mint returns an access token of alice: a valid one, or one with the fault of the
// case. Without scope, it has items:read and items:write, or those of [Scope].
func (i *Issuer) Mint(c Case, scope ...string) string {
	i.t.Helper()
	return i.MintToken(Token{Case: c, Scope: scope})
}

// MintToken returns an access token with these properties. It fails the test for
// an unknown case, and for claims that the issuer sets itself.
func (i *Issuer) MintToken(t Token) string {
	i.t.Helper()
	raw, err := i.dev.MintToken(t.dev())
	if err != nil {
		i.t.Fatalf("oauthtest: %v", err)
	}
	return raw
}

// Rotate signs with a new key from now on. The previous key remains published
// until the next rotation.
func (i *Issuer) Rotate() { i.dev.Rotate() }

// Revoke revokes a token. [Issuer.Revocation] and introspection then report it
// as revoked.
func (i *Issuer) Revoke(raw string) { i.dev.RevokeToken(raw) }

// Revocation reports which tokens were revoked.
func (i *Issuer) Revocation() bearer.RevocationChecker { return i.dev.Revocation() }

// Token describes an access token. The zero value is a valid one of alice.
type Token struct {
	Case     Case           // its fault; "" means none
	Subject  string         // "" means alice
	ClientID string         // "" means oauthctl-dev
	Audience []string       // nil means the default API
	Scope    []string       // nil means the default scopes
	Claims   map[string]any // additional claims; iss, exp and others that the issuer sets are refused
	TTL      time.Duration  // 0 means 5 minutes
}

func (t Token) dev() devserver.Token {
	return devserver.Token{Case: string(t.Case), Subject: t.Subject, ClientID: t.ClientID, Audience: t.Audience, Scope: t.Scope, Claims: t.Claims, TTL: t.TTL}
}
