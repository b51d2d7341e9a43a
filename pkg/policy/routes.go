package policy

import "strings"

// Routes returns all routes, in the order of Config.Routes.
func (p *Policy) Routes() []Route {
	all := make([]Route, len(p.routes))
	for i, r := range p.routes {
		all[i] = Route{Pattern: r.text, Need: r.need, EncodedSlash: r.encodedSlash, Line: r.line}
	}
	return all
}

// Methods returns the methods of the route's pattern.
func (r Route) Methods() []string {
	methods, _, _ := strings.Cut(r.Pattern, " ")
	return strings.Split(methods, ",")
}

// Path returns the route's pattern without its methods, in the syntax of
// [http.ServeMux].
func (r Route) Path() string {
	_, path, _ := strings.Cut(r.Pattern, " ")
	return strings.TrimLeft(path, " ")
}
