package policy

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// Config is the content of a policy. Package policyfile reads it from a file; a
// program may also write it in Go.
type Config struct {
	// Trusted lists the issuers whose tokens are accepted: at least one, and no issuer
	// twice.
	Trusted []Trust
	// Routes lists all routes of the API, at least one. New replaces their
	// Requirement.ScopeClaims with the Config's ScopeClaims.
	Routes          []Route
	ScopeClaims     []string // claims that hold scopes in addition to scope and scp
	Types           []string // accepted values of the header typ; nil uses those of the verifier
	RFC9068         bool     // tokens must follow the profile for JWT access tokens (RFC 9068)
	ScopesSupported []string // the scopes that clients should request at login; nil uses the scopes of the routes
	// Digest identifies the source of the policy, for [Policy.Digest].
	Digest [sha256.Size]byte
}

// Route is one row of a policy.
type Route struct {
	// Pattern is one or more methods and a path of [http.ServeMux]: "GET /items/{id}",
	// "GET,POST /items".
	Pattern string
	Need    Requirement
	// EncodedSlash accepts an encoded slash (%2F) inside a segment of the path.
	EncodedSlash bool
	Line         int // the line in the policy file; 0 if the policy is not from a file
}

// ConfigError is the error of [New].
type ConfigError struct {
	// Trust is the index of the invalid element of Config.Trusted, and Route that of
	// Config.Routes. It is -1 if the error is not in that list.
	Trust, Route int
	Err          error
}

// Error returns the text of Err.
func (e *ConfigError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *ConfigError) Unwrap() error { return e.Err }

// New returns the policy of a configuration. It returns a [*ConfigError]
//   - if a pattern is invalid, or conflicts with another
//   - if a route's requirements contradict each other
//   - if an issuer is missing, or is listed twice
//   - if an issuer has no audience, and a route accepts tokens of any client
func New(c Config) (*Policy, error) {
	p := &Policy{
		Trusted: c.Trusted, ScopeClaims: c.ScopeClaims, Types: c.Types, RFC9068: c.RFC9068,
		ScopesSupported: c.ScopesSupported, digest: c.Digest, mux: http.NewServeMux(),
	}
	for i, r := range c.Routes {
		if err := p.add(r); err != nil {
			return nil, &ConfigError{Trust: -1, Route: i, Err: err}
		}
	}
	if i, err := p.checkTrust(); err != nil {
		return nil, &ConfigError{Trust: i, Route: -1, Err: err}
	}
	if err := p.finish(); err != nil {
		return nil, &ConfigError{Trust: -1, Route: -1, Err: err}
	}
	return p, nil
}

func (p *Policy) add(r Route) error {
	parsed, err := parsePattern(r.Pattern)
	if err != nil {
		return err
	}
	if err := r.Need.check(); err != nil {
		return err
	}
	for _, other := range p.routes {
		if other.text == r.Pattern {
			return fmt.Errorf("duplicate route %q", r.Pattern)
		}
	}
	one := &route{pattern: parsed, line: r.Line, need: r.Need, encodedSlash: r.EncodedSlash}
	one.need.ScopeClaims = p.ScopeClaims
	if err := p.handle(one); err != nil {
		return err
	}
	p.routes = append(p.routes, one)
	return nil
}

// check returns an error if the requirements of a route contradict each other.
func (r Requirement) check() error {
	needsMore := len(r.Scopes)+len(r.AnyScopes)+len(r.Claims)+len(r.Details)+len(r.ACR) > 0 || r.MaxAge > 0
	switch {
	case r.Public && needsMore:
		return errors.New("a public route has no scopes or claims")
	case r.Optional && needsMore:
		return errors.New("a route with optional credentials has no scopes or claims, since it accepts requests without a token")
	case r.Optional && r.Public:
		return errors.New("public and optional cannot be combined: optional verifies a token that is sent, public ignores it")
	}
	for _, need := range r.Details {
		if err := need.check(); err != nil {
			return err
		}
	}
	for _, scope := range append(r.Scopes, r.AnyScopes...) {
		if err := CheckScope(scope); err != nil {
			return err
		}
	}
	return nil
}

// CheckScope returns an error if scope is not exactly one scope. A scope consists
// of the characters of RFC 6749, section 3.3, which do not include the space.
func CheckScope(scope string) error {
	invalid := func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }
	if scope == "" || strings.ContainsFunc(scope, invalid) {
		return fmt.Errorf("expected scopes such as [items:read, items:write], got %s", diagnosis.Quote(scope))
	}
	return nil
}

// checkTrust checks the issuers. It returns the index of the invalid one with the
// error, or -1.
func (p *Policy) checkTrust() (int, error) {
	if len(p.Trusted) == 0 {
		return -1, errors.New("issuer is missing")
	}
	seen := map[string]bool{}
	for i, t := range p.Trusted {
		switch {
		case t.Issuer == "":
			return i, errors.New("issuer is missing")
		case seen[t.Issuer]:
			return i, fmt.Errorf("the issuer %q is given twice", t.Issuer)
		}
		seen[t.Issuer] = true
	}
	first := p.Trusted[0]
	p.Issuer, p.Audience, p.Algorithms = first.Issuer, first.Audience, first.Algorithms
	return -1, nil
}

// finish runs the checks that need both the issuers and the routes.
func (p *Policy) finish() error {
	if len(p.routes) == 0 {
		return errors.New("routes is missing; an unlisted route is denied, so nothing would be allowed")
	}
	for _, t := range p.Trusted {
		for _, r := range p.routes {
			if t.Audience == nil && !r.need.Public && !r.need.namesClient() {
				return fmt.Errorf("audience none needs one value for the claim client_id in every route; %q has none", r.text)
			}
		}
	}
	p.findStricter()
	return nil
}
