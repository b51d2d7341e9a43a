// Package policyfile reads a policy from YAML. It is a package of its own so that
// a program which protects an API with a policy written in Go, or with none, links
// no YAML parser.
//
// Start with [Load]. It does not watch the file; a guard does.
package policyfile

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/oauthctl/oauthctl/pkg/policy"
)

// maxBytes bounds a policy file.
const maxBytes = 1 << 20

// Load reads a policy in YAML. Name is the file's, for errors, which begin with
// name:line:column. An unknown or duplicate key is refused, since a mistyped one
// would leave a route open; so are YAML's aliases and nulls.
//
//	issuer: https://auth.example.com
//	audience: https://api.example.com   # or a list; or none, with a client_id in every route
//	algorithms: [RS256, ES256]          # optional: what the keys can do
//	scope_claims: [permissions]         # optional: claims that hold scopes in addition to scope and scp
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
func Load(data []byte, name string) (*policy.Policy, error) {
	p, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", name, err)
	}
	return p, nil
}

var errNoPolicy = errors.New("1:1: expected a policy with issuer, audience and routes")

func parse(data []byte) (*policy.Policy, error) {
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
	r := reader{top: document.Content[0], Config: policy.Config{Digest: sha256.Sum256(data)}}
	if err := r.read(); err != nil {
		return nil, err
	}
	p, err := policy.New(r.Config)
	if err != nil {
		return nil, at(r.position(err), "%w", err)
	}
	return p, nil
}

// reader reads a policy, and remembers where each part of it is in the file.
type reader struct {
	policy.Config
	top     *yaml.Node
	routes  []*yaml.Node // the key of each of Config.Routes
	issuers []*yaml.Node // of each of Config.Trusted
}

func (r *reader) read() error {
	var single trustReader
	var several []trustReader
	err := members(r.top, append(single.members(),
		member{"issuers", func(n *yaml.Node) (err error) { several, err = readIssuers(n); return err }},
		member{"scope_claims", func(n *yaml.Node) error { return list(n, &r.ScopeClaims) }},
		member{"routes", r.readRoutes},
		member{"types", func(n *yaml.Node) error { return list(n, &r.Types) }},
		member{"rfc9068", func(n *yaml.Node) error { return boolean(n, &r.RFC9068) }},
		member{"scopes_supported", func(n *yaml.Node) error { return scopes(n, &r.ScopesSupported) }},
	))
	switch {
	case err != nil:
		return err
	case several != nil && single.used:
		return at(r.top, "issuers has the issuer, audience, algorithms, accept and jwks of each issuer; none of them can be at the top too")
	case several == nil:
		single.node = r.top
		several = []trustReader{single}
	}
	for _, t := range several {
		// A Trust without audience accepts tokens for any API: the file has to say so.
		if t.Issuer != "" && t.Audience == nil && !t.noAudience {
			return at(t.node, "audience is missing")
		}
		r.Trusted, r.issuers = append(r.Trusted, t.Trust), append(r.issuers, t.node)
	}
	return nil
}

// position returns the part of the file that an error of [policy.New] is about.
func (r *reader) position(err error) *yaml.Node {
	wrong, ok := errors.AsType[*policy.ConfigError](err)
	switch {
	case ok && wrong.Route >= 0:
		return r.routes[wrong.Route]
	case ok && wrong.Trust >= 0:
		return r.issuers[wrong.Trust]
	}
	return r.top
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

func (r *reader) readRoutes(n *yaml.Node) error {
	const expected = `expected patterns such as "GET /api/items"`
	if n.Kind != yaml.MappingNode {
		return at(n, expected)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			return at(key, expected)
		}
		route := policy.Route{Pattern: key.Value, Line: key.Line}
		if err := readRoute(value, &route); err != nil {
			return err
		}
		r.Routes, r.routes = append(r.Routes, route), append(r.routes, key)
	}
	return nil
}

// readRoute reads what a route needs.
func readRoute(n *yaml.Node, into *policy.Route) error {
	need := &into.Need
	return members(n, []member{
		{"scopes", func(n *yaml.Node) error { return scopes(n, &need.Scopes) }},
		{"any_scopes", func(n *yaml.Node) error { return scopes(n, &need.AnyScopes) }},
		{"claims", func(n *yaml.Node) error { return readClaims(n, &need.Claims) }},
		{"public", func(n *yaml.Node) error { return boolean(n, &need.Public) }},
		{"encoded_slash", func(n *yaml.Node) error { return boolean(n, &into.EncodedSlash) }},
		{"optional", func(n *yaml.Node) error { return boolean(n, &need.Optional) }},
		{"acr", func(n *yaml.Node) error { return list(n, &need.ACR) }},
		{"max_age", func(n *yaml.Node) error { return duration(n, &need.MaxAge) }},
	})
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
func readClaims(n *yaml.Node, into *[]policy.ClaimRule) error {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		return at(n, "expected names and values")
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		for _, before := range *into {
			if before.Name() == key.Value {
				return at(key, "duplicate claim %q", key.Value)
			}
		}
		rule, err := readClaim(key.Value, value)
		if err != nil {
			return err
		}
		if key.Value == "" {
			return at(key, "expected a claim's name and a value")
		}
		*into = append(*into, rule)
	}
	return nil
}

func readClaim(name string, n *yaml.Node) (rule policy.ClaimRule, err error) {
	if n.Kind == yaml.ScalarNode || n.Kind == yaml.SequenceNode {
		var values []string
		if err := list(n, &values); err != nil {
			return rule, err
		}
		return policy.ClaimIs(name, values...), nil
	}
	found := false
	err = members(n, []member{{"matches", func(n *yaml.Node) error {
		found = true
		if rule, err = policy.ClaimMatches(name, n.Value); err != nil || n.Value == "" {
			return at(n, "expected a regular expression, got %q", n.Value)
		}
		if !strings.ContainsAny(n.Value, "^$") {
			return at(n, "the expression %q matches anywhere in the value: write \"^(%s)$\" for the whole value", n.Value, n.Value)
		}
		return nil
	}}})
	if err == nil && !found {
		err = at(n, "expected a claim's name and a value")
	}
	return rule, err
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
			return at(key, "duplicate key %q", key.Value)
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

// scopes reads a list of scopes. A space in one is a list that lacks its
// brackets.
func scopes(n *yaml.Node, into *[]string) error {
	if err := list(n, into); err != nil {
		return err
	}
	for i, scope := range *into {
		if err := policy.CheckScope(scope); err != nil {
			return at(element(n, i), "%w", err)
		}
	}
	return nil
}

func at(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%d:%d: %w", max(n.Line, 1), max(n.Column, 1), fmt.Errorf(format, args...))
}
