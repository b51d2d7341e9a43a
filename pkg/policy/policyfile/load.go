// Package policyfile reads a policy from YAML. It is separate from package policy,
// so that a program without policy files does not link a YAML parser.
//
// Start with [Open], which reads a file and the files that it includes, or with
// [Load]. The package does not watch files for changes.
package policyfile

import (
	"errors"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/oauthctl/oauthctl/pkg/policy"
)

// Load reads a policy in YAML. Name is the name of the file; errors begin with
// name:line:column. Unknown and duplicate keys are refused, because a mistyped key
// could leave a route unprotected. YAML aliases and nulls are refused, and so are
// variables and includes: see [Open] for these.
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
// A policy with several issuers has a list issuers instead of issuer, audience,
// algorithms, accept and jwks; each element has these keys.
func Load(data []byte, name string) (*policy.Policy, error) {
	return (&Source{files: []document{{name: name, data: data}}}).Policy(nil)
}

// reader reads a policy, and stores the position of each part in the file.
type reader struct {
	policy.Config
	values
	top     *yaml.Node
	routes  []*yaml.Node // the keys of Config.Routes
	issuers []*yaml.Node // the nodes of Config.Trusted
}

func (r *reader) policy() (*policy.Policy, error) {
	if err := r.read(); err != nil {
		return nil, err
	}
	p, err := policy.New(r.Config)
	if err != nil {
		return nil, at(r.position(err), "%w", err)
	}
	return p, nil
}

func (r *reader) read() error {
	var single trustReader
	var several []trustReader
	err := members(r.top, append(single.members(r.values),
		member{"issuers", func(n *yaml.Node) (err error) { several, err = r.readIssuers(n); return err }},
		member{"scope_claims", func(n *yaml.Node) error { return r.list(n, &r.ScopeClaims) }},
		member{"routes", r.readRoutes},
		member{"types", func(n *yaml.Node) error { return r.list(n, &r.Types) }},
		member{"rfc9068", func(n *yaml.Node) error { return boolean(n, &r.RFC9068) }},
		member{"include", func(*yaml.Node) error { return nil }}, // see [Open]
		member{"scopes_supported", func(n *yaml.Node) error { return r.scopes(n, &r.ScopesSupported) }},
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
		// A Trust without audience accepts tokens for any API, so the file must say it
		// explicitly, with "audience: none".
		if t.Issuer != "" && t.Audience == nil && !t.noAudience {
			return at(t.node, "audience is missing")
		}
		r.Trusted, r.issuers = append(r.Trusted, t.Trust), append(r.issuers, t.node)
	}
	return nil
}

// position returns the part of the file that caused an error of [policy.New].
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
		if err := r.readRoute(value, &route); err != nil {
			return err
		}
		r.Routes, r.routes = append(r.Routes, route), append(r.routes, key)
	}
	return nil
}

// readRoute reads the requirement of a route.
func (v values) readRoute(n *yaml.Node, into *policy.Route) error {
	need := &into.Need
	return members(n, []member{
		{"scopes", func(n *yaml.Node) error { return v.scopes(n, &need.Scopes) }},
		{"any_scopes", func(n *yaml.Node) error { return v.scopes(n, &need.AnyScopes) }},
		{"claims", func(n *yaml.Node) error { return v.readClaims(n, &need.Claims) }},
		{"authorization_details", func(n *yaml.Node) error { return v.details(n, &need.Details) }},
		{"public", func(n *yaml.Node) error { return boolean(n, &need.Public) }},
		{"encoded_slash", func(n *yaml.Node) error { return boolean(n, &into.EncodedSlash) }},
		{"optional", func(n *yaml.Node) error { return boolean(n, &need.Optional) }},
		{"acr", func(n *yaml.Node) error { return v.list(n, &need.ACR) }},
		{"max_age", func(n *yaml.Node) error { return duration(n, &need.MaxAge) }},
	})
}

// readClaims reads claim rules: NAME: VALUE, NAME: [VALUE, ...] (any one of the
// values), and NAME: {matches: REGEX}.
func (v values) readClaims(n *yaml.Node, into *[]policy.ClaimRule) error {
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
		rule, err := v.readClaim(key.Value, value)
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

func (v values) readClaim(name string, n *yaml.Node) (rule policy.ClaimRule, err error) {
	if n.Kind == yaml.ScalarNode || n.Kind == yaml.SequenceNode {
		var accepted []string
		if err := v.list(n, &accepted); err != nil {
			return rule, err
		}
		return policy.ClaimIs(name, accepted...), nil
	}
	found := false
	err = members(n, []member{{"matches", func(n *yaml.Node) error {
		found = true
		if _, _, _, ok := cutVariable(n.Value); ok {
			return at(n, "an expression cannot have a variable: list its values instead")
		}
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
