package audit

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// Access is whether an operation requires a token.
type Access string

// The kinds of access. The zero value requires a token.
const (
	Protected Access = ""
	Optional  Access = "optional" // a token can be sent
	Public    Access = "public"   // no token is required
)

// Operation is one operation of the API, with the values for a valid request.
type Operation struct {
	Method string // in upper case
	Path   string // with {name} for each parameter in the path
	Access Access
	Scopes []string // all of these are required
	// AnyScopes lists alternatives: one of these is required. A valid token has the
	// first.
	AnyScopes []string
	// ScopeClaims lists claims that the API also reads scopes from.
	ScopeClaims []string
	// Claims holds additional claims of a valid token.
	Claims map[string]any
	Params []Param
	Body   *Body // nil sends no body
	// Reason is why the operation cannot be tested, or "".
	Reason string
	// Source is the file that declares the operation, and Line the line in it.
	Source string
	Line   int
}

// Param is a parameter of a request.
type Param struct {
	Name  string
	In    string // path, query or header
	Value string // "" if it is unknown
	// Absent is a valid value that no object of the API has. It is sent in requests that
	// must not change data. It is "" if there is none.
	Absent   string
	Required bool
}

// Body is the body of a request.
type Body struct {
	MediaType string
	Valid     []byte // an example; nil if it is unknown
	Invalid   []byte // a body that the operation must refuse; nil if it is unknown
}

// Name returns the method and the path, such as "GET /items/{id}".
func (o *Operation) Name() string { return o.Method + " " + o.Path }

// IsSafe reports whether the operation only reads data (RFC 9110, section 9.2.1).
func (o *Operation) IsSafe() bool { return o.Method == http.MethodGet || o.Method == http.MethodHead }

// needed returns the scopes of a valid token.
func (o *Operation) needed() []string {
	return append(slices.Clone(o.Scopes), o.AnyScopes[:min(1, len(o.AnyScopes))]...)
}

// granting returns all scopes that can allow the operation.
func (o *Operation) granting() []string { return slices.Concat(o.Scopes, o.AnyScopes) }

// Mode is how operations that change data are tested.
type Mode string

// The modes.
const (
	Safe Mode = ""     // they are not tested
	Dry  Mode = "dry"  // with an invalid body, or with the id of an object that does not exist
	Real Mode = "real" // with the examples of the document
)

// missing returns why a valid request cannot be created, or "". If the reason is a
// parameter without a value, it also returns its name.
func (o *Operation) missing(mode Mode) (reason, param string) {
	if o.Reason != "" {
		return o.Reason, ""
	}
	isDry := mode == Dry && !o.IsSafe()
	hasAbsent := false
	for _, p := range o.Params {
		switch {
		case isDry && p.In == "path" && p.Absent != "":
			hasAbsent = true
		case p.Required && p.Value == "":
			return "no value for " + p.Name, p.Name
		}
	}
	switch {
	case o.IsSafe():
	case isDry && (o.Body == nil || o.Body.Invalid == nil) && !hasAbsent:
		return "no invalid body and no id that does not exist can be made, so nothing is sent", ""
	case !isDry && o.Body != nil && o.Body.Valid == nil:
		return "no example for the body", ""
	}
	return "", ""
}

// hasObject reports whether the path has a parameter, which identifies an object. If
// it has none, a 404 means that the operation does not exist.
func (o *Operation) hasObject() bool {
	return slices.ContainsFunc(o.Params, func(p Param) bool { return p.In == "path" })
}

// message is a request before it is sent.
type message struct {
	method string
	url    *url.URL
	header http.Header
	body   []byte
}

// message creates a valid request, without a token.
func (o *Operation) message(base *url.URL, common http.Header, mode Mode) *message {
	m := &message{method: o.Method, header: common.Clone()}
	if m.header == nil {
		m.header = http.Header{}
	}
	isDry := mode == Dry && !o.IsSafe()
	path, query := o.Path, url.Values{}
	for _, p := range o.Params {
		value := p.Value
		if isDry && p.In == "path" && p.Absent != "" {
			value = p.Absent
		}
		switch {
		case p.In == "path":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(value))
		case value == "":
		case p.In == "query":
			query.Set(p.Name, value)
		case p.In == "header":
			m.header.Set(p.Name, value)
		}
	}
	m.url = withPath(base, strings.TrimSuffix(base.EscapedPath(), "/")+path)
	m.url.RawQuery = query.Encode()
	if o.Body != nil {
		m.body = o.Body.Valid
		if isDry {
			m.body = o.Body.Invalid
		}
		if m.body != nil {
			m.header.Set("Content-Type", o.Body.MediaType)
		}
	}
	return m
}

// withPath returns base with an encoded path, which is sent unchanged.
func withPath(base *url.URL, escaped string) *url.URL {
	u := *base
	plain, err := url.PathUnescape(escaped)
	if err != nil {
		plain = escaped
	}
	u.Path, u.RawPath = plain, escaped
	return &u
}

// apply makes the case's change to a valid request. It returns false if the request
// has nothing that the case can change.
func (c *Case) apply(m *message, token string) bool {
	if token != "" {
		m.header["Authorization"] = []string{"Bearer " + token}
	}
	switch c.Name {
	case "scheme-lower-case":
		m.header["Authorization"] = []string{"bearer " + token}
	case "other-scheme":
		m.header["Authorization"] = []string{"Token " + token}
	case "no-scheme":
		m.header["Authorization"] = []string{token}
	case "two-tokens":
		m.header["Authorization"] = []string{"Bearer " + token, "Bearer " + token}
	case "in-query":
		delete(m.header, "Authorization")
		query := m.url.Query()
		query.Set("access_token", token)
		m.url.RawQuery = query.Encode()
	case "head":
		if m.method == http.MethodHead {
			return false
		}
		m.method = http.MethodHead
	case "method-override":
		m.header.Set("X-HTTP-Method-Override", http.MethodOptions)
	default:
		if spell := spellings[c.Name]; spell != nil {
			path, ok := spell(m.url.EscapedPath())
			m.url = withPath(m.url, path)
			return ok
		}
	}
	return true
}

// spellings holds functions that write a path in a different way, by the name of the
// case.
var spellings = map[string]func(path string) (string, bool){
	"path-slash": func(path string) (string, bool) {
		if trimmed, ok := strings.CutSuffix(path, "/"); ok {
			return trimmed, trimmed != ""
		}
		return path + "/", true
	},
	"path-case": func(path string) (string, bool) {
		upper := strings.ToUpper(path)
		return upper, upper != path && !strings.Contains(path, "%")
	},
	"path-encoded": func(path string) (string, bool) {
		start := strings.LastIndexByte(strings.TrimSuffix(path, "/"), '/') + 1
		for i, c := range path[start:] {
			if c < unicode.MaxASCII && unicode.IsLetter(c) && !strings.Contains(path[start:], "%") {
				return fmt.Sprintf("%s%%%02X%s", path[:start+i], c, path[start+i+1:]), true
			}
		}
		return path, false
	},
	"path-double-slash": func(path string) (string, bool) {
		slash := strings.LastIndexByte(strings.TrimSuffix(path, "/"), '/')
		return path[:max(slash, 0)] + "/" + path[max(slash, 0):], path != "/"
	},
}
