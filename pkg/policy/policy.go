package policy

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/oauthctl/oauthctl/pkg/token"
)

// Policy is a policy file: whose tokens an API accepts, and what each route
// needs. It is immutable once it was loaded.
type Policy struct {
	Issuer      string
	Audience    []string // nil means none; then each route names the client_id
	Algorithms  []string // nil means what the keys can do
	ScopeClaims []string

	routes []*route
	mux    *http.ServeMux
}

// route is a row of the policy. It is what the router finds, and is never
// called.
type route struct {
	pattern string
	need    Requirement
}

func (*route) ServeHTTP(http.ResponseWriter, *http.Request) {}

// Verifier returns a verifier of the tokens that the policy accepts, signed with
// one of keys. What the policy says of issuer, audience and algorithms takes the
// place of what o says.
func (p *Policy) Verifier(keys token.KeySet, o token.Options) (*token.Verifier, error) {
	o.Algorithms = p.Algorithms
	if p.Audience == nil {
		o.InsecureSkipAudience, o.ClientIDs = true, p.clients()
	}
	v, err := token.NewVerifier(p.Issuer, p.Audience, keys, o)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	return v, nil
}

// clients are the values of client_id that the routes name.
func (p *Policy) clients() []string {
	var all []string
	for _, r := range p.routes {
		for _, rule := range r.need.Claims {
			if rule.name == clientID && rule.pattern == nil {
				all = append(all, rule.value)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

const clientID = "client_id"

// namesClient reports whether the requirement is for one client alone.
func (r Requirement) namesClient() bool {
	return slices.ContainsFunc(r.Claims, func(c ClaimRule) bool {
		return c.name == clientID && c.pattern == nil && c.value != ""
	})
}

// Patterns returns the patterns of all routes, in the order of the file.
func (p *Policy) Patterns() []string {
	all := make([]string, len(p.routes))
	for i, r := range p.routes {
		all[i] = r.pattern
	}
	return all
}

// Scopes returns the scopes that routes ask for, in alphabetical order: the
// scopes_supported of the API's metadata (RFC 9728, section 2).
func (p *Policy) Scopes() []string {
	var all []string
	for _, r := range p.routes {
		all = append(append(all, r.need.Scopes...), r.need.AnyScopes...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Operation returns what a request needs and the pattern that says so, the most
// specific one as [http.ServeMux] has it; ok is false where no route is listed.
// A path that [CheckPath] refuses matches nothing. A query is not looked at.
func (p *Policy) Operation(method, requestPath string) (need Requirement, pattern string, ok bool) {
	u, err := url.ParseRequestURI(requestPath)
	if err != nil || u.Host != "" {
		return Requirement{}, "", false
	}
	return p.Route(method, u)
}

// Route is [Policy.Operation] for a URL that was parsed, whose host does not
// count.
func (p *Policy) Route(method string, u *url.URL) (need Requirement, pattern string, ok bool) {
	if CheckPath(u) != nil {
		return Requirement{}, "", false
	}
	found, _ := p.mux.Handler(&http.Request{Method: method, URL: &url.URL{Path: u.Path, RawPath: u.RawPath}})
	// What is no route is the router's own answer: not found, or a redirect.
	r, ok := found.(*route)
	if !ok {
		return Requirement{}, "", false
	}
	return r.need, r.pattern, true
}

// CheckPath returns an error for a path that a server behind could read as
// another one than the policy judged: dot segments, doubled slashes, encoded
// slashes and dots, backslashes, control characters, dot segments with a
// parameter, and what is no UTF-8.
func CheckPath(u *url.URL) error {
	cleaned := path.Clean(u.Path)
	if strings.HasSuffix(u.Path, "/") && cleaned != "/" {
		cleaned += "/"
	}
	switch {
	case !strings.HasPrefix(u.Path, "/"):
		return errors.New("the path does not begin with a slash")
	case cleaned != u.Path:
		return errors.New("the path has dot segments or doubled slashes")
	case strings.ContainsFunc(u.Path, func(c rune) bool { return c < ' ' || c == '\x7f' || c == '\\' }):
		return errors.New("the path holds a backslash or a control character")
	case !utf8.ValidString(u.Path):
		return errors.New("the path is no UTF-8")
	case hidesSlash(u.Path) || u.RawPath != "" && hidesSlash(u.RawPath):
		return errors.New("the path holds an encoded slash, backslash, dot or control character")
	case hidesDots(u.Path):
		return errors.New("the path has a dot segment with a parameter")
	}
	return nil
}

// hidesSlash looks for what another decoding would make a separator, a dot
// segment or a control character. Encoded once, they were seen already.
func hidesSlash(text string) bool {
	for i := range len(text) {
		if text[i] != '%' || len(text)-i < 3 {
			continue
		}
		hidden, err := url.PathUnescape(text[i : i+3])
		if err != nil {
			continue
		}
		if c := hidden[0]; c < ' ' || c == '\x7f' || c == '/' || c == '\\' || c == '.' {
			return true
		}
	}
	return false
}

// hidesDots looks for "..;x", which some servers cut at the semicolon.
func hidesDots(text string) bool {
	if !strings.Contains(text, ";") {
		return false
	}
	for segment := range strings.SplitSeq(text, "/") {
		switch name, _, found := strings.Cut(segment, ";"); {
		case found && (name == "" || name == "." || name == ".."):
			return true
		}
	}
	return false
}
