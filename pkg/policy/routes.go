package policy

import "slices"

// Route is a route of a policy as the file has it.
type Route struct {
	Methods []string
	Path    string // a pattern of net/http.ServeMux without its method
	Need    Requirement
	Line    int // in the file
}

// Routes returns all routes, in the order of the file.
func (p *Policy) Routes() []Route {
	all := make([]Route, len(p.routes))
	for i, r := range p.routes {
		all[i] = Route{slices.Clone(r.methods), r.path, r.need, r.line}
	}
	return all
}

// Name returns the name of the claim that the rule is about.
func (r ClaimRule) Name() string { return r.name }

// Value returns the value that the rule asks for; false if it asks for a pattern.
func (r ClaimRule) Value() (string, bool) { return r.value, r.pattern == nil }
