package devserver

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

const (
	// defaultTTL is the lifetime of access tokens and ID tokens.
	defaultTTL = 5 * time.Minute
	// defaultRefreshTTL is the lifetime of refresh tokens.
	defaultRefreshTTL = 30 * 24 * time.Hour
)

// RefreshTokens decides which logins get a refresh token.
type RefreshTokens string

// The values of [RefreshTokens].
const (
	RefreshWithOfflineAccess RefreshTokens = "offline_access" // where the client requested that scope; the default
	RefreshAlways            RefreshTokens = "always"
	RefreshNever             RefreshTokens = "never"
)

// Config configures a [Server]. Issuer and API are required; the zero value of
// every other field is a usable default.
type Config struct {
	// Issuer is the issuer identifier: an http or https URL without a query or a
	// fragment. It may have a path, and a slash at its end. The endpoints are below
	// it.
	Issuer string
	// API is the URL of the demo API: scheme, host and port, without a path and
	// without a slash at the end.
	API string

	// Resources are further APIs that tokens can be issued for, by their resource
	// identifiers (RFC 8707). The first one is the audience of a token whose
	// request names no resource; without any it is API.
	Resources []string
	// Scopes are further scopes that can be granted. The first one is granted where
	// a request names no scope; without any it is items:read.
	Scopes []string

	// AccessTokenTTL, IDTokenTTL and RefreshTokenTTL are lifetimes; 0 means 5
	// minutes for access tokens and ID tokens, 30 days for refresh tokens.
	AccessTokenTTL, IDTokenTTL, RefreshTokenTTL time.Duration
	// RefreshTokens decides which logins get a refresh token.
	RefreshTokens RefreshTokens
	// JWTRefreshTokens makes refresh tokens JWTs, for clients that read them
	// (keycloak-js), although they are opaque to clients (RFC 6749, section 1.5).
	JWTRefreshTokens bool
	// RefreshReuseGrace is how long a refresh token can be used once more after its
	// first use. After that a second use revokes the whole login.
	RefreshReuseGrace time.Duration

	// Provider gives access tokens the form that a provider's have, one of
	// [Providers]: claims, header, or opaque. "" means RFC 9068.
	Provider string

	// Algorithm signs the tokens; "" means ES256. RSA keys have 2048 bits.
	Algorithm string
	// AutoApprove logs in the user of login_hint, or AutoUser, and grants consent
	// without asking.
	AutoApprove bool
	// AutoUser is the user whom AutoApprove logs in; "" means alice.
	AutoUser string
	// OptionalPKCE accepts confidential clients that use no PKCE.
	OptionalPKCE bool
	// AnyRedirectURI accepts redirect URIs with http on any host and with any
	// private-use scheme.
	AnyRedirectURI bool
	// InsecureClientDocuments accepts client id metadata documents over http and
	// from private addresses. Without it they are fetched by https from public
	// addresses only.
	InsecureClientDocuments bool

	// Faults are active from the start, each as NAME or NAME=VALUE; see [Faults].
	Faults []string
	// Users can log in in addition to alice and bob.
	Users []User
	// Clients are registered from the start, in addition to the two that always are.
	Clients []Client
	// Trust lists other issuers whose tokens are accepted as subject tokens and as
	// assertions (RFC 8693, RFC 7523).
	Trust []TrustedIssuer

	// Seed makes the keys and the clients' ids the same each time; 0 makes them
	// random. It needs an algorithm whose keys can be derived: ES256 or EdDSA.
	// Everyone who knows the seed can sign tokens as this server.
	Seed int64
	// State is the path of a file that stores keys, clients and refresh tokens
	// across restarts; "" stores nothing.
	State string
	// Console shows each request and the switches for the faults at the issuer's
	// root page, to browsers on this machine only.
	Console bool
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// User is a person who can log in.
type User struct {
	Name     string
	Password string // "" means "password"
	FullName string // the claim name of the scope profile
	Email    string // the claim email of the scope email
	// Claims are added to the user's access tokens, ID tokens and userinfo
	// responses. Those that the server sets itself are refused.
	Claims map[string]any
}

// Client is a client that is registered from the start.
type Client struct {
	ID           string
	Secret       string   // "" makes it a public client
	RedirectURIs []string // nil means /callback on loopback, at any port
	// PostLogoutRedirectURIs are where a browser can be sent after a logout; nil
	// means any URL at the origin of a redirect URI.
	PostLogoutRedirectURIs []string
	// Claims are added to the access tokens and ID tokens that this client gets,
	// where the user has no claim of that name.
	Claims map[string]any
}

// What [New] refuses and another configuration would change.
var (
	// ErrFault is in the error for a fault that does not exist or has a wrong value.
	ErrFault = errors.New("unknown fault")
	// ErrRedirectURI is in the error for a redirect URI that is accepted only with
	// [Config.AnyRedirectURI].
	ErrRedirectURI = errors.New("redirect URI refused")
)

// refusedAs adds one of the errors above to an error without changing its text.
type refusedAs struct {
	error
	kind error
}

// Unwrap returns both errors.
func (r refusedAs) Unwrap() []error { return []error{r.error, r.kind} }

// protocolClaims are the claims that the server sets itself.
var protocolClaims = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "nonce", "azp", "auth_time", "at_hash", "c_hash", "s_hash", "client_id", "scope", "cnf", "act",
}

func checkClaims(claims map[string]any) error {
	for name := range claims {
		if name == "" || slices.Contains(protocolClaims, name) {
			return fmt.Errorf("the server sets the claim %s itself", diagnosis.Quote(name))
		}
	}
	return nil
}

// complete checks a configuration and fills in the defaults.
func (c *Config) complete() error {
	if err := checkIssuer(c.Issuer); err != nil {
		return fmt.Errorf("the issuer: %w", err)
	}
	if err := checkBase(c.API); err != nil {
		return fmt.Errorf("the API: %w", err)
	}
	for _, resource := range c.Resources {
		if u, err := url.Parse(resource); err != nil || !u.IsAbs() || strings.Contains(resource, "#") {
			return fmt.Errorf("resource: expected an absolute URI without a fragment, got %s", diagnosis.Quote(resource))
		}
	}
	for _, scope := range c.Scopes {
		if !isScope(scope) {
			return fmt.Errorf("scope: expected a name without spaces and quotes, got %s", diagnosis.Quote(scope))
		}
	}
	for ttl, fallback := range map[*time.Duration]time.Duration{&c.AccessTokenTTL: defaultTTL, &c.IDTokenTTL: defaultTTL, &c.RefreshTokenTTL: defaultRefreshTTL} {
		if *ttl < 0 || *ttl > 0 && *ttl < time.Second {
			return fmt.Errorf("a lifetime is at least one second, got %v", *ttl)
		}
		if *ttl == 0 {
			*ttl = fallback
		}
	}
	if c.RefreshReuseGrace < 0 {
		return errors.New("the time in which a refresh token can be used again is negative")
	}
	switch c.RefreshTokens {
	case "":
		c.RefreshTokens = RefreshWithOfflineAccess
	case RefreshWithOfflineAccess, RefreshAlways, RefreshNever:
	default:
		return fmt.Errorf("refresh tokens: expected offline_access, always or never, got %s", diagnosis.Quote(string(c.RefreshTokens)))
	}
	if c.Algorithm == "" {
		c.Algorithm = "ES256"
	}
	if c.AutoUser == "" {
		c.AutoUser = "alice"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return nil
}

// checkIssuer checks an issuer identifier (RFC 8414, section 2).
func checkIssuer(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || strings.ContainsAny(raw, "?#") || u.EscapedPath() != u.Path || strings.Contains(u.Path, "//") {
		return fmt.Errorf("expected http://HOST:PORT or https://HOST:PORT, with or without a path, got %s", diagnosis.Quote(raw))
	}
	return nil
}

// checkBase checks the URL of the API, which is served at the root of a host.
func checkBase(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || raw != u.Scheme+"://"+u.Host {
		return fmt.Errorf("expected http://HOST:PORT or https://HOST:PORT without a path, got %s", diagnosis.Quote(raw))
	}
	return nil
}

// isScope reports whether text is one scope token (RFC 6749, section 3.3).
func isScope(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' })
}
