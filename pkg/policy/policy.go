package policy

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/oauthctl/oauthctl/pkg/token"
)

// Policy is the list of the issuers that an API accepts, and the requirement of
// each route. It is immutable.
type Policy struct {
	Issuer      string
	Audience    []string // nil if the audience is not checked; then each route requires a client_id
	Algorithms  []string // nil accepts the algorithms that the keys support
	ScopeClaims []string
	// Trusted lists the issuers whose tokens are accepted. The settings of the first
	// are also in Issuer, Audience and Algorithms.
	Trusted []Trust
	Types   []string // accepted values of the header typ; nil uses those of the verifier
	RFC9068 bool     // tokens must follow the profile for JWT access tokens (RFC 9068)
	// ScopesSupported lists the scopes that a client should request at login; nil uses
	// the scopes of the routes.
	ScopesSupported []string

	digest [sha256.Size]byte
	routes []*route
	mux    *http.ServeMux
	now    func() time.Time // of each [Requirement]
}

// WithClock returns the same policy with a clock for [Requirement.MaxAge]: give it
// the one in the verifier's options. Without it, the clock is time.Now.
func (p *Policy) WithClock(now func() time.Time) *Policy {
	copied := *p
	copied.now = now
	return &copied
}

// Digest returns Config.Digest. For a policy that was loaded from one file, it is
// the SHA-256 of the file.
func (p *Policy) Digest() [sha256.Size]byte { return p.digest }

// route is one route of the policy. It is an [http.Handler] only because the router
// stores handlers; ServeHTTP is never called.
type route struct {
	*pattern
	line         int
	need         Requirement
	encodedSlash bool     // accepts %2F inside a segment
	stricter     []*route // see [Policy.findStricter]
}

func (*route) ServeHTTP(http.ResponseWriter, *http.Request) {}

// Trust is one issuer of a policy.
type Trust struct {
	Issuer     string
	Audience   []string     // nil if the audience is not checked; then each route requires a client_id
	Algorithms []string     // nil accepts the algorithms that the keys support
	Accept     []token.Kind // other kinds of tokens that are accepted as access tokens
	// JWKS is the URL or the file of the issuer's key set. "" uses the URL in the
	// issuer's metadata.
	JWKS string
}

// Verifier returns a verifier for a policy with one issuer, whose tokens are
// verified with keys. The policy overrides the options. It returns an error if the
// policy has several issuers, because each has its own keys: see
// [Policy.VerifierOf].
func (p *Policy) Verifier(keys token.KeySet, o token.Options) (*token.Verifier, error) {
	if len(p.Trusted) > 1 {
		return nil, fmt.Errorf("policy: one key set for %d issuers", len(p.Trusted))
	}
	return p.VerifierOf(func(Trust) (token.KeySet, error) { return keys, nil }, o)
}

// VerifierOf is like [Policy.Verifier] for any number of issuers. Keys is called
// once for each issuer and returns its key set. A token is verified with the keys
// and settings of the issuer in its claim iss; tokens of other issuers are refused.
// The options are those of the verifier only: for the clock of MaxAge, see
// [Policy.WithClock].
func (p *Policy) VerifierOf(keys func(Trust) (token.KeySet, error), o token.Options) (*token.Verifier, error) {
	var all []*token.Verifier
	for _, one := range p.Trusted {
		set, err := keys(one)
		if err != nil {
			return nil, err
		}
		v, err := token.NewVerifier(one.Issuer, one.Audience, set, p.options(one, o))
		if err != nil {
			return nil, fmt.Errorf("policy: %w", err)
		}
		all = append(all, v)
	}
	if len(all) == 1 {
		return all[0], nil
	}
	v, err := token.Join(all...)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	return v, nil
}

// ResponseVerifier returns a verifier for opaque tokens. It checks introspection
// responses (RFC 7662) of the policy's first issuer. The policy overrides the
// options.
func (p *Policy) ResponseVerifier(o token.Options) (*token.ResponseVerifier, error) {
	one := p.Trusted[0]
	v, err := token.NewResponseVerifier(one.Issuer, one.Audience, p.options(one, o))
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	return v, nil
}

// options returns the options of the verifier for one issuer's tokens.
func (p *Policy) options(one Trust, o token.Options) token.Options {
	o.Algorithms, o.Accept = one.Algorithms, one.Accept
	if p.Types != nil {
		o.Types = p.Types
	}
	o.RFC9068 = o.RFC9068 || p.RFC9068
	if one.Audience == nil {
		o.InsecureSkipAudience, o.ClientIDs = true, p.clients()
	}
	return o
}

// clients returns the values of client_id that the routes accept.
func (p *Policy) clients() []string {
	var all []string
	for _, r := range p.routes {
		for _, rule := range r.need.Claims {
			if rule.name == clientID && rule.pattern == nil {
				all = append(all, rule.values...)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

const clientID = "client_id"

// namesClient reports whether the requirement lists the accepted clients.
func (r Requirement) namesClient() bool {
	return slices.ContainsFunc(r.Claims, func(c ClaimRule) bool {
		return c.name == clientID && len(c.values) > 0 && !slices.Contains(c.values, "")
	})
}

// Patterns returns the patterns of all routes, in the order of Config.Routes.
func (p *Policy) Patterns() []string {
	all := make([]string, len(p.routes))
	for i, r := range p.routes {
		all[i] = r.text
	}
	return all
}

// Scopes returns ScopesSupported or, if that is nil, the scopes that the routes
// require, in alphabetical order. They are the scopes_supported of the API's
// metadata (RFC 9728, section 2).
func (p *Policy) Scopes() []string {
	if p.ScopesSupported != nil {
		return p.ScopesSupported
	}
	var all []string
	for _, r := range p.routes {
		all = append(append(all, r.need.Scopes...), r.need.AnyScopes...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Match is the result of [Policy.Match] for one request.
type Match struct {
	Requirement Requirement
	Pattern     string // the route's pattern; "" if no route matches
	Listed      bool   // whether a route matches
}

// Match returns the requirement of a request. The most specific route applies, as
// in [http.ServeMux]. A stricter route applies instead if a server that ignores
// letter case, a final slash or path parameters could choose it. It returns an
// error if servers can read the path in different ways (see [CheckPath]). The host
// and the query are ignored.
func (p *Policy) Match(method string, u *url.URL) (Match, error) {
	err := CheckPath(u)
	if err != nil && !onlyEncodedSlash(u) {
		return Match{}, err
	}
	r := p.found(method, &url.URL{Path: u.Path, RawPath: u.RawPath})
	switch {
	case err != nil && (r == nil || !r.encodedSlash):
		return Match{}, err
	case r == nil:
		return Match{}, nil
	}
	if r, err = r.strictest(method, u.Path); err != nil {
		return Match{}, err
	}
	need := r.need
	need.Now = p.now
	return Match{need, r.text, true}, nil
}

// found returns the route that the router finds. It is nil for the router's own
// answers: not found, or a redirect.
func (p *Policy) found(method string, u *url.URL) *route {
	found, _ := p.mux.Handler(&http.Request{Method: method, URL: u})
	r, _ := found.(*route)
	return r
}

// Operation is like [Policy.Match] for a path as written in a request line. It
// returns false if no route matches, or if Match returns an error.
func (p *Policy) Operation(method, requestPath string) (need Requirement, pattern string, ok bool) {
	u, err := url.ParseRequestURI(requestPath)
	if err != nil || u.Host != "" {
		return Requirement{}, "", false
	}
	return p.Route(method, u)
}

// Route is like [Policy.Operation] for a parsed URL. The host is ignored.
func (p *Policy) Route(method string, u *url.URL) (need Requirement, pattern string, ok bool) {
	m, err := p.Match(method, u)
	if err != nil {
		return Requirement{}, "", false
	}
	return m.Requirement, m.Pattern, m.Listed
}
