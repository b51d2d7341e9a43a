package policy

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// maxBytes bounds a policy file.
const maxBytes = 1 << 20

// Load reads a policy in YAML. Name is the file's, for errors, which begin with
// name:line:column. An unknown or doubled key is refused, since a mistyped one
// would leave a route open; so are YAML's aliases and nulls.
//
//	issuer: https://auth.example.com
//	audience: https://api.example.com   # or a list; or none, with a client_id in every route
//	algorithms: [RS256, ES256]          # optional: what the keys can do
//	scope_claims: [permissions]         # optional: claims that hold scopes beside scope and scp
//	accept: [id_token]                  # optional: for an issuer whose access tokens look like ID tokens
//	jwks: https://auth.example.com/keys # optional: a URL or FILE; otherwise from the issuer's metadata
//	routes:                             # patterns of net/http.ServeMux, each with its method
//	  "GET /api/items":         {scopes: [items:read]}
//	  "POST /api/items":        {any_scopes: [items:write, items:admin]}
//	  "DELETE /api/users/{id}": {scopes: [users:delete], claims: {tenant: acme, email: {matches: "@example\\.com$"}}}
//	  "GET /healthz":           {public: true}
//
// A policy with several issuers has a list issuers in place of issuer, audience,
// algorithms, accept and jwks, each element with these keys.
func Load(data []byte, name string) (*Policy, error) {
	p, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", name, err)
	}
	return p, nil
}

var errNoPolicy = errors.New("1:1: expected a policy with issuer, audience and routes")

func parse(data []byte) (*Policy, error) {
	if len(data) > maxBytes {
		return nil, fmt.Errorf("1:1: a policy is at most %d bytes", maxBytes)
	}
	var document yaml.Node
	if err := yaml.Load(data, &document); err != nil {
		return nil, syntax(err)
	}
	if len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return nil, errNoPolicy
	}
	top := document.Content[0]
	p := &Policy{mux: http.NewServeMux(), digest: sha256.Sum256(data)}
	var single trustReader
	var several []trustReader
	err := members(top, append(single.members(),
		member{"issuers", func(n *yaml.Node) (err error) { several, err = readIssuers(n); return err }},
		member{"scope_claims", func(n *yaml.Node) error { return list(n, &p.ScopeClaims) }},
		member{"routes", func(n *yaml.Node) error { return p.readRoutes(n) }},
		member{"types", func(n *yaml.Node) error { return list(n, &p.Types) }},
		member{"rfc9068", func(n *yaml.Node) error { return boolean(n, &p.RFC9068) }},
		member{"scopes_supported", func(n *yaml.Node) error { return scopes(n, &p.ScopesSupported) }},
	))
	switch {
	case err != nil:
		return nil, err
	case several != nil && single.used:
		return nil, at(top, "issuers has the issuer, audience, algorithms, accept and jwks of each issuer; none of them can be at the top too")
	case several == nil:
		single.node = top
		several = []trustReader{single}
	}
	noAudience, err := p.trust(several)
	switch {
	case err != nil:
		return nil, err
	case len(p.routes) == 0:
		return nil, at(top, "routes is missing; an unlisted route is denied, so nothing would be allowed")
	}
	return p, p.finish(top, noAudience)
}

// finish settles what depends on several members, whatever their order.
func (p *Policy) finish(top *yaml.Node, noAudience bool) error {
	for _, r := range p.routes {
		if noAudience && !r.need.Public && !r.need.namesClient() {
			return at(top, "audience none needs one value for the claim client_id in every route; %q has none", r.text)
		}
		r.need.ScopeClaims = p.ScopeClaims
	}
	p.findStricter()
	return nil
}

// syntax returns what YAML itself found, with the position in front.
func syntax(err error) error {
	var several *yaml.LoadErrors
	var wrong *yaml.LoadError
	switch {
	case errors.As(err, &several) && len(several.Errors) > 0:
		wrong = several.Errors[0]
	case !errors.As(err, &wrong):
		return errNoPolicy
	}
	if wrong.Message == "" || strings.Contains(wrong.Message, "no documents") {
		return errNoPolicy
	}
	return fmt.Errorf("%d:%d: %s", max(wrong.Mark.Line, 1), max(wrong.Mark.Column, 1), wrong.Message)
}

func (p *Policy) readRoutes(n *yaml.Node) error {
	const expected = `expected patterns such as "GET /api/items"`
	if n.Kind != yaml.MappingNode {
		return at(n, expected)
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			return at(key, expected)
		}
		if seen[key.Value] {
			return at(key, "the route %q stands twice", key.Value)
		}
		seen[key.Value] = true
		parsed, err := parsePattern(key.Value)
		if err != nil {
			return at(key, "%w", err)
		}
		r := &route{pattern: parsed, line: key.Line}
		if err := r.read(value); err != nil {
			return err
		}
		if err := p.handle(r); err != nil {
			return at(key, "%w", err)
		}
		p.routes = append(p.routes, r)
	}
	return nil
}

// read reads what a route needs.
func (r *route) read(n *yaml.Node) error {
	need := &r.need
	err := members(n, []member{
		{"scopes", func(n *yaml.Node) error { return scopes(n, &need.Scopes) }},
		{"any_scopes", func(n *yaml.Node) error { return scopes(n, &need.AnyScopes) }},
		{"claims", func(n *yaml.Node) error { return readClaims(n, &need.Claims) }},
		{"public", func(n *yaml.Node) error { return boolean(n, &need.Public) }},
		{"encoded_slash", func(n *yaml.Node) error { return boolean(n, &r.encodedSlash) }},
		{"optional", func(n *yaml.Node) error { return boolean(n, &need.Optional) }},
		{"acr", func(n *yaml.Node) error { return list(n, &need.ACR) }},
		{"max_age", func(n *yaml.Node) error { return duration(n, &need.MaxAge) }},
	})
	needsMore := len(need.Scopes)+len(need.AnyScopes)+len(need.Claims)+len(need.ACR) > 0 || need.MaxAge > 0
	switch {
	case err != nil:
		return err
	case need.Public && needsMore:
		return at(n, "a public route has no scopes or claims")
	case need.Optional && needsMore:
		return at(n, "a route with optional credentials has no scopes or claims, since it accepts requests without a token")
	case need.Optional && need.Public:
		return at(n, "public and optional cannot be combined: optional verifies a token that is sent, public ignores it")
	}
	return nil
}

// duration reads a time such as 15m, or a number of seconds as max_age is in
// OAuth.
func duration(n *yaml.Node, into *time.Duration) error {
	if seconds, err := strconv.ParseUint(n.Value, 10, 31); err == nil && n.Kind == yaml.ScalarNode && seconds > 0 {
		*into = time.Duration(seconds) * time.Second
		return nil
	}
	d, err := time.ParseDuration(n.Value)
	if err != nil || d < time.Second || n.Kind != yaml.ScalarNode {
		return at(n, "expected a time such as 15m, of at least a second, got %q", n.Value)
	}
	*into = d
	return nil
}

func boolean(n *yaml.Node, into *bool) error {
	if n.Kind != yaml.ScalarNode || n.Value != "true" && n.Value != "false" {
		return at(n, "expected true or false, got %q", n.Value)
	}
	*into = n.Value == "true"
	return nil
}

// readClaims reads NAME: VALUE, NAME: [VALUE, ...] of which one is enough, and
// NAME: {matches: REGEX}.
func readClaims(n *yaml.Node, into *[]ClaimRule) error {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		return at(n, "expected names and values")
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		rule := ClaimRule{name: key.Value}
		for _, before := range *into {
			if before.name == rule.name {
				return at(key, "the claim %q stands twice", key.Value)
			}
		}
		if value.Kind == yaml.ScalarNode {
			if err := text(value, &rule.value); err != nil {
				return err
			}
		} else if value.Kind == yaml.SequenceNode {
			if err := list(value, &rule.values); err != nil {
				return err
			}
			rule.value = strings.Join(rule.values, " or ")
		} else if err := members(value, []member{{"matches", func(n *yaml.Node) (err error) {
			if rule, err = matching(key.Value, n.Value); err != nil || n.Value == "" {
				return at(n, "expected a regular expression, got %q", n.Value)
			}
			if !strings.ContainsAny(n.Value, "^$") {
				return at(n, "the expression %q matches anywhere in the value: write \"^(%s)$\" for the whole value", n.Value, n.Value)
			}
			return nil
		}}}); err != nil {
			return err
		}
		if rule.value == "" || rule.name == "" {
			return at(key, "expected a claim's name and a value")
		}
		*into = append(*into, rule)
	}
	return nil
}

// member is a key that a mapping may have, and what reads its value.
type member struct {
	name string
	read func(*yaml.Node) error
}

// members gives each member of a mapping to its reader.
func members(n *yaml.Node, known []member) error {
	names := make([]string, len(known))
	for i := range known {
		names[i] = known[i].name
	}
	expected := strings.Join(names, ", ")
	if n.Kind != yaml.MappingNode {
		return at(n, "expected the keys %s", expected)
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		k := slices.Index(names, key.Value)
		if k < 0 || key.Kind != yaml.ScalarNode {
			return at(key, "unknown key %q, expected one of %s", key.Value, expected)
		}
		if seen[key.Value] {
			return at(key, "the key %q stands twice", key.Value)
		}
		seen[key.Value] = true
		if err := known[k].read(value); err != nil {
			return err
		}
	}
	return nil
}

func text(n *yaml.Node, into *string) error {
	if n.Kind != yaml.ScalarNode || n.Value == "" || n.Tag == "!!null" {
		return at(n, "expected text")
	}
	*into = n.Value
	return nil
}

func list(n *yaml.Node, into *[]string) error {
	elements := n.Content
	if n.Kind == yaml.ScalarNode {
		elements = []*yaml.Node{n}
	}
	if n.Kind != yaml.SequenceNode && n.Kind != yaml.ScalarNode || len(elements) == 0 {
		return at(n, "expected text or a list of texts")
	}
	for _, element := range elements {
		var one string
		if err := text(element, &one); err != nil {
			return err
		}
		*into = append(*into, one)
	}
	return nil
}

// scopes reads a list of scopes, whose letters RFC 6749, section 3.3, limits. A
// space in one is a list that lacks its brackets.
func scopes(n *yaml.Node, into *[]string) error {
	if err := list(n, into); err != nil {
		return err
	}
	for i, scope := range *into {
		if strings.ContainsFunc(scope, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }) {
			if n.Kind == yaml.SequenceNode {
				n = n.Content[i]
			}
			return at(n, "expected scopes such as [items:read, items:write], got %s", diagnosis.Quote(scope))
		}
	}
	return nil
}

func at(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%d:%d: %w", max(n.Line, 1), max(n.Column, 1), fmt.Errorf(format, args...))
}
