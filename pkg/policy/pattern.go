package policy

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// methods lists the request methods that a pattern can have: those of RFC 9110,
// section 9, PATCH (RFC 5789), QUERY, those of WebDAV (RFC 4918, RFC 3253, RFC
// 5323), and PURGE.
var methods = []string{
	"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY",
	"ACL", "CHECKOUT", "COPY", "LOCK", "MERGE", "MKCALENDAR", "MKCOL", "MOVE", "PROPFIND", "PROPPATCH", "PURGE", "REPORT", "SEARCH", "UNLOCK",
}

// pattern is the key of a route: one or more methods and a path.
type pattern struct {
	text     string // as in the file
	methods  []string
	path     string // as [http.ServeMux] reads it
	segments []segment
	folded   []segment // for servers that ignore case, a final slash and path parameters
}

// segment is one part of a path pattern. Any matches any one segment. Rest is always
// the last part and matches any number of segments, including none.
type segment struct {
	literal   string
	any, rest bool
}

const patternForm = `expected a pattern "METHOD /path", such as "GET /users/{id}"`

// parsePattern reads a route's key. It refuses text that looks like the syntax of
// another router, because such text would be compared literally and never match.
func parsePattern(text string) (*pattern, error) {
	left, path, ok := strings.Cut(text, " ")
	path = strings.TrimLeft(path, " ")
	if !ok || left == "" || !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf(`%s, got %s`, patternForm, diagnosis.Quote(text))
	}
	p := &pattern{text: text, path: path}
	for method := range strings.SplitSeq(left, ",") {
		switch upper := strings.ToUpper(method); {
		case slices.Contains(p.methods, method):
			return nil, fmt.Errorf("duplicate method %s in %s", method, diagnosis.Quote(text))
		case slices.Contains(methods, method):
			p.methods = append(p.methods, method)
		case slices.Contains(methods, upper):
			return nil, fmt.Errorf("methods are case-sensitive: write %s instead of %s", upper, diagnosis.Quote(method))
		default:
			return nil, fmt.Errorf(`unknown method %s: list the methods, such as "GET,POST %s"`, diagnosis.Quote(method), diagnosis.Shorten(path, 100))
		}
	}
	if err := p.readPath(); err != nil {
		return nil, fmt.Errorf("the path of %s: %w", diagnosis.Quote(text), err)
	}
	return p, nil
}

func (p *pattern) readPath() error {
	parts := strings.Split(p.path[1:], "/")
	names := map[string]bool{}
	for i, part := range parts {
		last := i == len(parts)-1
		s, err := readSegment(part, last)
		if err != nil {
			return err
		}
		if name := wildcardName(part); name != "" {
			if names[name] {
				return fmt.Errorf("duplicate wildcard name {%s}", name)
			}
			names[name] = true
		}
		p.segments = append(p.segments, s)
	}
	p.folded = foldPattern(p.segments)
	return nil
}

// wildcardName returns the name in {name} and {name...}, or "" for any other text.
func wildcardName(part string) string {
	if !strings.HasPrefix(part, "{") || !strings.HasSuffix(part, "}") {
		return ""
	}
	return strings.TrimSuffix(strings.TrimSuffix(part[1:], "}"), "...")
}

func readSegment(part string, last bool) (segment, error) {
	switch name := wildcardName(part); {
	case part == "" && last: // a final slash: everything below
		return segment{rest: true}, nil
	case part == "":
		return segment{}, errors.New("it has an empty segment, which no request has")
	case part == "{$}" && last: // this path with its final slash
		return segment{}, nil
	case part == "{$}":
		return segment{}, errors.New("{$} must be the last segment")
	case name != "" && isIdentifier(name):
		rest := strings.HasSuffix(part, "...}")
		if rest && !last {
			return segment{}, fmt.Errorf("%s must be the last segment", part)
		}
		return segment{any: !rest, rest: rest}, nil
	case name != "":
		return segment{}, fmt.Errorf("the name in %s is not a word of letters, digits and _", diagnosis.Quote(part))
	}
	if err := checkLiteral(part); err != nil {
		return segment{}, err
	}
	return segment{literal: part}, nil
}

func isIdentifier(name string) bool {
	return name[0] > '9' && !strings.ContainsFunc(name, func(c rune) bool { return !isWord(c) })
}

func isWord(c rune) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// checkLiteral refuses text that no path can match, and the wildcards of other
// routers. The error shows the correct form.
func checkLiteral(part string) error {
	word := strings.TrimFunc(part, func(c rune) bool { return !isWord(c) })
	if word == "" {
		word = "name"
	}
	switch {
	case part[0] == ':' || part[0] == '<':
		return fmt.Errorf("%s is compared as text: write {%s} for any one segment", diagnosis.Quote(part), word)
	case strings.Trim(part, "*") == "":
		return fmt.Errorf("%s is compared as text: write {name} for any one segment, {rest...} for all that follow", diagnosis.Quote(part))
	case strings.Contains(part, "*"):
		return fmt.Errorf("%s is compared as text: a wildcard is a whole segment, {name} or {rest...}", diagnosis.Quote(part))
	case strings.ContainsAny(part, "{}"):
		return fmt.Errorf("%s: a wildcard is a whole segment, such as {id}", diagnosis.Quote(part))
	case strings.ContainsAny(part, `^|[]\`) || strings.HasSuffix(part, "$") || strings.Contains(part, "(?"):
		return fmt.Errorf("%s looks like a regular expression, and is compared as text: write {name} for any one segment", diagnosis.Quote(part))
	case strings.Contains(part, "%"):
		return fmt.Errorf("%s: write the characters themselves, not percent-encoded", diagnosis.Quote(part))
	case strings.ContainsAny(part, "?#"):
		return fmt.Errorf("%s: a route has no query and no fragment", diagnosis.Quote(part))
	}
	if err := CheckPath(&url.URL{Path: "/" + part}); err != nil {
		return fmt.Errorf("%s never matches: %w", diagnosis.Quote(part), err)
	}
	return nil
}

// serves reports whether the pattern matches a request's method. GET also matches
// HEAD.
func (p *pattern) serves(method string) bool {
	return slices.Contains(p.methods, method) || method == http.MethodHead && slices.Contains(p.methods, http.MethodGet)
}

// handle registers a route with the standard library's router. The router panics if
// a pattern is invalid or conflicts with another; handle returns an error instead.
func (p *Policy) handle(r *route) (err error) {
	for _, other := range p.routes {
		if err := r.contradicts(other); err != nil {
			return err
		}
	}
	defer func() {
		if wrong := recover(); wrong != nil {
			err = fmt.Errorf("the pattern %s cannot be used", diagnosis.Quote(r.text))
		}
	}()
	for _, method := range r.methods {
		p.mux.Handle(method+" "+r.path, r)
	}
	return nil
}

// contradicts returns an error if a request could match two routes and neither is
// more specific.
func (r *route) contradicts(other *route) error {
	i := slices.IndexFunc(r.methods, other.serves)
	if i < 0 {
		if i = slices.IndexFunc(other.methods, r.serves); i < 0 {
			return nil
		}
		return r.contradictsBy(other, other.methods[i])
	}
	return r.contradictsBy(other, r.methods[i])
}

func (r *route) contradictsBy(other *route, method string) error {
	shared := slices.ContainsFunc(r.methods, func(m string) bool { return slices.Contains(other.methods, m) })
	if shared && sameButCase(r.segments, other.segments) {
		return fmt.Errorf("the route %s differs from %s only in letter case, and many servers ignore case: keep one of them", diagnosis.Quote(r.text), other.where())
	}
	if !conflict(r, other) {
		return nil
	}
	return fmt.Errorf("the route %s conflicts with %s: both match %s %s, and neither is more specific; change one of them, or add a route for the paths that both match",
		diagnosis.Quote(r.text), other.where(), method, common(r.segments, other.segments))
}

// where returns the route's pattern and its line in the file.
func (r *route) where() string {
	if r.line == 0 {
		return diagnosis.Quote(r.text)
	}
	return fmt.Sprintf("%s in line %d", diagnosis.Quote(r.text), r.line)
}

// conflict reports whether the router refuses to have both routes.
func conflict(a, b *route) (yes bool) {
	defer func() { yes = recover() != nil }()
	mux := http.NewServeMux()
	for _, r := range []*route{a, b} {
		for _, method := range r.methods {
			mux.Handle(method+" "+r.path, r)
		}
	}
	return false
}

func sameButCase(a, b []segment) bool {
	same := slices.EqualFunc(a, b, func(x, y segment) bool {
		x.literal, y.literal = foldText(x.literal), foldText(y.literal)
		return x == y
	})
	return same && !slices.Equal(a, b)
}

// common returns a path that matches both of two overlapping patterns.
func common(a, b []segment) string {
	var path strings.Builder
	for i := range max(len(a), len(b)) {
		text := "x"
		for _, side := range [][]segment{a, b} {
			if i < len(side) && !side[i].any && !side[i].rest {
				text = side[i].literal
			}
		}
		path.WriteString("/" + text)
	}
	return path.String()
}
