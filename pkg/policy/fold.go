package policy

import (
	"errors"
	"slices"
	"strings"
)

// Many servers ignore the letter case of a path, its final slash, and parameters
// after a semicolon, and some decode %2F. The comments below call them lenient servers. On a lenient
// server, a path that matches a route with few requirements here can reach the
// handler of a route with more requirements. This file finds those routes.

// foldText removes differences of letter case. Both conversions are needed, because
// some Unicode letters have three forms.
func foldText(text string) string { return strings.ToLower(strings.ToUpper(text)) }

// foldPath splits a path as a lenient server reads it.
func foldPath(path string) []string {
	path = strings.Trim(foldText(path), "/")
	if path == "" {
		return nil
	}
	parts := strings.Split(path, "/")
	for i, part := range parts {
		parts[i], _, _ = strings.Cut(part, ";")
	}
	return parts
}

func foldPattern(segments []segment) []segment {
	var all []segment
	for _, s := range segments {
		if s == (segment{}) { // {$}
			continue
		}
		s.literal, _, _ = strings.Cut(foldText(s.literal), ";")
		all = append(all, s)
	}
	return all
}

// matchesFolded reports whether the path matches the pattern on a lenient server.
func matchesFolded(pattern []segment, path []string) bool {
	for i, s := range pattern {
		switch {
		case s.rest:
			return true
		case i >= len(path) || !s.any && s.literal != path[i]:
			return false
		}
	}
	return len(pattern) == len(path)
}

// overlap reports whether some path matches both patterns.
func overlap(a, b []segment) bool {
	for i := 0; ; i++ {
		switch {
		case i < len(a) && a[i].rest || i < len(b) && b[i].rest:
			return true
		case i == len(a) || i == len(b):
			return len(a) == len(b)
		case !a[i].meets(b[i]):
			return false
		}
	}
}

// meets reports whether some segment matches both; {name} matches no empty one, as
// {$} does. Neither matches more than one segment.
func (s segment) meets(other segment) bool {
	if s.any || other.any {
		return s != (segment{}) && other != (segment{})
	}
	return s.literal == other.literal
}

// within reports whether every path that matches a also matches b.
func within(a, b []segment) bool {
	for i := 0; ; i++ {
		switch {
		case i < len(b) && b[i].rest:
			return true
		case i == len(a) || i == len(b):
			return len(a) == len(b)
		case a[i].rest || a[i].any && !b[i].any || !a[i].meets(b[i]):
			return false
		}
	}
}

// findStricter stores with each route the routes that a lenient server could choose
// instead, and that require something this route does not.
func (p *Policy) findStricter() {
	for _, r := range p.routes {
		for _, other := range p.routes {
			narrower := within(r.folded, other.folded) && !within(other.folded, r.folded)
			if other != r && sharesMethod(r, other) && overlap(r.decoded(), other.folded) && !narrower && !r.need.covers(other.need) {
				r.stricter = append(r.stricter, other)
			}
		}
	}
}

// decoded returns the pattern of the paths that the route accepts, as a server that
// decodes %2F reads them: a segment can then be several.
func (r *route) decoded() []segment {
	i := slices.IndexFunc(r.folded, func(s segment) bool { return s.any })
	if !r.encodedSlash || i < 0 {
		return r.folded
	}
	return append(slices.Clone(r.folded[:i]), segment{rest: true})
}

func sharesMethod(a, b *route) bool {
	for _, m := range methods {
		if a.serves(m) && b.serves(m) {
			return true
		}
	}
	return false
}

var errTwoRoutes = errors.New("servers that ignore case, a final slash or path parameters give the path to another route, which needs something else")

// strictest returns the route that applies to a path that matched r. That is a
// stricter route if a lenient server could choose it, or else r. It returns an error
// if two routes are possible and neither covers the other.
func (r *route) strictest(method, path string) (*route, error) {
	if len(r.stricter) == 0 {
		return r, nil
	}
	parts := foldPath(path)
	found := r
	for _, other := range r.stricter {
		switch {
		case !other.serves(method) || !matchesFolded(other.folded, parts) || found.need.covers(other.need):
		case other.need.covers(found.need):
			found = other
		default:
			return nil, errTwoRoutes
		}
	}
	return found, nil
}
