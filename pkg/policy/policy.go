package policy

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Policy is a policy file: whose tokens an API accepts, and what each route
// needs.
type Policy struct {
	Issuer      string
	Audience    []string // nil means none, which needs a rule for client_id
	Algorithms  []string
	ScopeClaims []string

	routes map[string]Requirement
	mux    *http.ServeMux
}

// Load reads a policy in YAML. Name is the file's, for errors, which begin with
// name:line:column. An unknown or doubled key is refused, since a mistyped one
// would leave a route open.
func Load(data []byte, name string) (*Policy, error) {
	p, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", name, err)
	}
	return p, nil
}

func parse(data []byte) (*Policy, error) {
	var document yaml.Node
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errors.New("1:1: expected a policy with issuer, audience and routes")
	}
	if err := yaml.Load(data, &document); err != nil {
		return nil, fmt.Errorf(" %w", err)
	}
	if err := unique(&document); err != nil {
		return nil, err
	}
	if len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("1:1: expected a policy with issuer, audience and routes")
	}
	top := document.Content[0]
	p := &Policy{routes: map[string]Requirement{}, mux: http.NewServeMux()}
	noAudience := false
	err := members(top, map[string]func(*yaml.Node) error{
		"issuer":       func(n *yaml.Node) error { return text(n, &p.Issuer) },
		"algorithms":   func(n *yaml.Node) error { return list(n, &p.Algorithms) },
		"scope_claims": func(n *yaml.Node) error { return list(n, &p.ScopeClaims) },
		"audience": func(n *yaml.Node) error {
			if noAudience = n.Kind == yaml.ScalarNode && n.Value == "none"; noAudience {
				return nil
			}
			return list(n, &p.Audience)
		},
		"routes": p.readRoutes,
	})
	switch {
	case err != nil:
		return nil, err
	case p.Issuer == "":
		return nil, at(top, "issuer is missing")
	case p.Audience == nil && !noAudience:
		return nil, at(top, "audience is missing")
	case len(p.routes) == 0:
		return nil, at(top, "routes is missing; an unlisted route is denied, so nothing would be allowed")
	}
	if noAudience {
		for pattern, need := range p.routes {
			if !need.Public && !need.namesClient() {
				return nil, at(top, "audience none needs a rule for the claim client_id in every route; %q has none", pattern)
			}
		}
	}
	for pattern, need := range p.routes {
		need.ScopeClaims = p.ScopeClaims
		p.routes[pattern] = need
	}
	return p, nil
}

func (r Requirement) namesClient() bool {
	return slices.ContainsFunc(r.Claims, func(c ClaimRule) bool { return c.name == "client_id" })
}

func (p *Policy) readRoutes(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return at(n, `routes: expected patterns such as "GET /api/items"`)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		need, err := readRequirement(value)
		if err != nil {
			return err
		}
		if err := p.handle(key.Value); err != nil {
			return at(key, "%w", err)
		}
		p.routes[key.Value] = need
	}
	return nil
}

// handle gives a pattern to the standard library's router, whose patterns these
// are; it panics on one that is wrong or in conflict with another.
func (p *Policy) handle(pattern string) (err error) {
	defer func() {
		if wrong := recover(); wrong != nil {
			err = fmt.Errorf("the pattern %q: %v", pattern, wrong)
		}
	}()
	if method, rest, ok := strings.Cut(pattern, " "); !ok || method != strings.ToUpper(method) || !strings.HasPrefix(rest, "/") {
		return fmt.Errorf(`expected a pattern "METHOD /path", got %q`, pattern)
	}
	p.mux.Handle(pattern, http.NotFoundHandler())
	return nil
}

func readRequirement(n *yaml.Node) (Requirement, error) {
	var need Requirement
	err := members(n, map[string]func(*yaml.Node) error{
		"scopes":     func(n *yaml.Node) error { return list(n, &need.Scopes) },
		"any_scopes": func(n *yaml.Node) error { return list(n, &need.AnyScopes) },
		"public": func(n *yaml.Node) error {
			if n.Value != "true" && n.Value != "false" {
				return at(n, "public: expected true or false, got %q", n.Value)
			}
			need.Public = n.Value == "true"
			return nil
		},
		"claims": func(n *yaml.Node) error {
			if n.Kind != yaml.MappingNode {
				return at(n, "claims: expected names and values")
			}
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i+1].Kind != yaml.ScalarNode {
					return at(n.Content[i+1], "claims: expected a value for %s", n.Content[i].Value)
				}
				need.Claims = append(need.Claims, ClaimRule{name: n.Content[i].Value, value: n.Content[i+1].Value})
			}
			return nil
		},
	})
	if err == nil && need.Public && len(need.Scopes)+len(need.AnyScopes)+len(need.Claims) > 0 {
		return need, at(n, "a public route needs no scopes or claims")
	}
	return need, err
}

// members gives each member of a mapping to its reader.
func members(n *yaml.Node, readers map[string]func(*yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return at(n, "expected the keys %s", names(readers))
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		read, ok := readers[key.Value]
		if !ok {
			return at(key, "unknown key %q, expected one of %s", key.Value, names(readers))
		}
		if err := read(value); err != nil {
			return err
		}
	}
	return nil
}

// unique refuses a key that stands twice in a mapping, at any depth: one reader
// takes the first, another the last.
func unique(n *yaml.Node) error {
	seen := map[string]bool{}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			if seen[child.Value] {
				return at(child, "the key %q stands twice", child.Value)
			}
			seen[child.Value] = true
		}
		if err := unique(child); err != nil {
			return err
		}
	}
	return nil
}

func names(readers map[string]func(*yaml.Node) error) string {
	var all []string
	for name := range readers {
		all = append(all, name)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func text(n *yaml.Node, into *string) error {
	if n.Kind != yaml.ScalarNode || n.Value == "" {
		return at(n, "expected text")
	}
	*into = n.Value
	return nil
}

func list(n *yaml.Node, into *[]string) error {
	if n.Kind == yaml.ScalarNode && n.Value != "" {
		*into = []string{n.Value}
		return nil
	}
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		return at(n, "expected text or a list of texts")
	}
	for _, element := range n.Content {
		if element.Kind != yaml.ScalarNode || element.Value == "" {
			return at(element, "expected text")
		}
		*into = append(*into, element.Value)
	}
	return nil
}

func at(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%d:%d: %w", n.Line, n.Column, fmt.Errorf(format, args...))
}

// Operation returns what a request needs and the pattern that says so, the most
// specific one as net/http has it; ok is false where no route is listed. A path
// that is not in its clean form matches nothing, since the API behind could read
// it as another one.
func (p *Policy) Operation(method, requestPath string) (need Requirement, pattern string, ok bool) {
	u, err := url.ParseRequestURI(requestPath)
	if err != nil || u.Host != "" || !isClean(u) {
		return Requirement{}, "", false
	}
	_, pattern = p.mux.Handler(&http.Request{Method: method, URL: u, Host: ""})
	need, ok = p.routes[pattern]
	return need, pattern, ok
}

// isClean refuses dot segments, doubled and encoded slashes and backslashes.
func isClean(u *url.URL) bool {
	cleaned := path.Clean(u.Path)
	if strings.HasSuffix(u.Path, "/") && cleaned != "/" {
		cleaned += "/"
	}
	escaped := strings.ToLower(u.EscapedPath())
	return cleaned == u.Path && !strings.ContainsAny(u.Path, "\\\x00") && !strings.Contains(escaped, "%2f") && !strings.Contains(escaped, "%5c")
}
