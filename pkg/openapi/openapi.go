// Package openapi reads the operations of an OpenAPI document, version 3.0, 3.1
// or 3.2, in YAML or JSON: the line, the security requirement, the parameters and
// the body of each.
//
// Start with [Load]. Only references inside the document are followed, and
// nothing is fetched. A schema is read only to find a value for a request: from
// example, examples, default, const and the first of enum. Values that are not in
// the document are never invented.
package openapi

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// maxBytes is the size limit of a document.
const maxBytes = 16 << 20

// Document is a parsed OpenAPI document.
type Document struct {
	Version string // "3.1.0"
	// BasePath is the path of the first server, with the defaults of its variables,
	// or "".
	BasePath string
	// Server is the URL of the first server, or "" if it is not absolute.
	Server string
	// Issuer is that of the first scheme of type openIdConnect, or "".
	Issuer     string
	Operations []Operation
}

// Operation is one operation, in the order of the document.
type Operation struct {
	Method     string // in capitals
	Path       string // with {name} for each path parameter
	ID         string // operationId
	Line       int
	Security   Security
	Parameters []Parameter
	Body       *Body // nil if it has none
}

// Security is the security requirement of an operation (OpenAPI, Security
// Requirement Object).
type Security struct {
	// Public means that every alternative is empty, Optional that one of them is.
	Public, Optional bool
	// Scopes of the first alternative with a bearer token.
	Scopes []string
	// Other lists the schemes if none of them is a bearer token, for example
	// "basic (http)".
	Other string
}

// Parameter is a parameter of an operation.
type Parameter struct {
	Name     string
	In       string // path, query, header or cookie
	Required bool
	Type     string // of its schema, "" if unknown
	Format   string
	Value    string
	HasValue bool // false if the document has no value
}

// Body is the body of a request.
type Body struct {
	MediaType string
	Required  bool
	// Example is a body in the document, as JSON if MediaType is JSON, or nil.
	Example []byte
	// Type is the type of the schema, and Members the required members of an object.
	Type    string
	Members []string
}

// Load parses a document. Name is the name of the file; errors begin with
// name:line:column.
func Load(data []byte, name string) (*Document, error) {
	d, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", name, err)
	}
	return d, nil
}

var errNoDocument = errors.New("1:1: expected an OpenAPI document")

func parse(data []byte) (*Document, error) {
	if len(data) > maxBytes {
		return nil, fmt.Errorf("1:1: a document has at most %d bytes", maxBytes)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errNoDocument
	}
	var root yaml.Node
	if err := yaml.Load(plain(data), &root); err != nil {
		return nil, syntax(err)
	}
	if len(root.Content) != 1 || root.Content[0].Kind != yaml.MappingNode {
		return nil, errNoDocument
	}
	r := &reader{top: root.Content[0], budget: maxNodes}
	d := &Document{Version: r.text(r.top, "openapi")}
	switch {
	case r.member(r.top, "swagger") != nil:
		return nil, at(r.top, "expected OpenAPI 3.0, 3.1 or 3.2, got Swagger %s; convert it first", r.text(r.top, "swagger"))
	case !slices.ContainsFunc([]string{"3.0", "3.1", "3.2"}, func(v string) bool { return d.Version == v || strings.HasPrefix(d.Version, v+".") }):
		return nil, at(r.top, "expected openapi: 3.0, 3.1 or 3.2, got %q", d.Version)
	}
	d.Server, d.BasePath = r.server()
	d.Issuer = r.issuer()
	paths := r.member(r.top, "paths")
	if paths != nil && paths.Kind != yaml.MappingNode {
		return nil, at(paths, "expected paths such as /items")
	}
	for key, item := range r.members(paths) {
		if !strings.HasPrefix(key.Value, "/") {
			continue // an extension
		}
		d.Operations = append(d.Operations, r.pathItem(key.Value, item)...)
	}
	if r.budget <= 0 {
		return nil, at(r.top, "the document has too many references")
	}
	if len(d.Operations) == 0 {
		return nil, at(r.top, "the document has no operations")
	}
	return d, nil
}

// plain rewrites what is valid in JSON but not in YAML: tabs between tokens,
// and surrogate pairs.
func plain(data []byte) []byte {
	trimmed := bytes.TrimLeft(data, " \t\r\n\ufeff")
	if len(trimmed) == 0 || trimmed[0] != '{' {
		return data
	}
	data = bytes.ReplaceAll(data, []byte("\t"), []byte(" "))
	if !bytes.Contains(data, []byte(`\u`)) {
		return data
	}
	out := make([]byte, 0, len(data))
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' || i+1 == len(data) {
			out = append(out, data[i])
			continue
		}
		if high, low := escape(data[i:]), escape(data[min(i+6, len(data)):]); utf16.IsSurrogate(high) && utf16.IsSurrogate(low) {
			out = utf8.AppendRune(out, utf16.DecodeRune(high, low))
			i += 11
			continue
		}
		out = append(out, data[i], data[i+1])
		i++
	}
	return out
}

// escape parses \uXXXX. It returns 0 if there is none.
func escape(text []byte) rune {
	var r rune
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0
	}
	if _, err := fmt.Sscanf(string(text[2:6]), "%04x", &r); err != nil {
		return 0
	}
	return r
}

// syntax adds the position to YAML's own errors.
func syntax(err error) error {
	var wrong *yaml.LoadError
	if errors.As(err, &wrong) && wrong.Mark.Line > 0 {
		return fmt.Errorf("%d:%d: %s", wrong.Mark.Line, max(wrong.Mark.Column, 1), wrong.Message)
	}
	return fmt.Errorf("1:1: %w", err)
}

func at(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%d:%d: %w", max(n.Line, 1), max(n.Column, 1), fmt.Errorf(format, args...))
}

// issuer returns the issuer that a metadata URL belongs to (OpenID Connect
// Discovery, section 4).
func (r *reader) issuer() string {
	for _, scheme := range r.members(r.member(r.member(r.top, "components"), "securitySchemes")) {
		if issuer, ok := strings.CutSuffix(r.text(r.follow(scheme), "openIdConnectUrl"), "/.well-known/openid-configuration"); ok {
			return issuer
		}
	}
	return ""
}

// server returns the URL of the first server, and its path.
func (r *reader) server() (address, path string) {
	servers := r.member(r.top, "servers")
	if servers == nil || servers.Kind != yaml.SequenceNode || len(servers.Content) == 0 {
		return "", ""
	}
	first := r.follow(servers.Content[0])
	raw := r.text(first, "url")
	for key, variable := range r.members(r.member(first, "variables")) {
		raw = strings.ReplaceAll(raw, "{"+key.Value+"}", r.text(variable, "default"))
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "", ""
	}
	if u.Host != "" && u.Scheme != "" {
		address = strings.TrimSuffix(u.Scheme+"://"+u.Host+u.Path, "/")
	}
	return address, strings.TrimSuffix(u.Path, "/")
}

var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace", "query"}

// pathItem reads the operations of one path.
func (r *reader) pathItem(path string, item *yaml.Node) []Operation {
	var all []Operation
	item = r.follow(item)
	shared := r.member(item, "parameters")
	add := func(method string, key, value *yaml.Node) {
		value = r.follow(value)
		if value == nil || value.Kind != yaml.MappingNode {
			return
		}
		all = append(all, Operation{
			Method: strings.ToUpper(method), Path: path, ID: r.text(value, "operationId"), Line: key.Line,
			Security: r.security(value), Parameters: r.parameters(shared, r.member(value, "parameters")), Body: r.body(value),
		})
	}
	for key, value := range r.members(item) {
		switch {
		case slices.Contains(methods, key.Value):
			add(key.Value, key, value)
		case key.Value == "additionalOperations": // OpenAPI 3.2
			for key, value := range r.members(value) {
				add(key.Value, key, value)
			}
		}
	}
	return all
}

// security returns the requirement of an operation, or that of the document.
func (r *reader) security(operation *yaml.Node) Security {
	list := r.member(operation, "security")
	if list == nil || list.Kind != yaml.SequenceNode {
		list = r.member(r.top, "security")
	}
	if list == nil || list.Kind != yaml.SequenceNode || len(list.Content) == 0 {
		return Security{Public: true}
	}
	var s Security
	var others []string
	found := false
	for _, alternative := range list.Content {
		alternative = r.follow(alternative)
		empty := true
		for key, scopes := range r.members(alternative) {
			empty = false
			kind, isBearer := r.scheme(key.Value)
			if !isBearer {
				others = append(others, key.Value+" ("+kind+")")
			} else if !found {
				found = true
				s.Scopes = r.texts(scopes)
			}
		}
		s.Optional = s.Optional || empty
	}
	if !found && len(others) > 0 {
		s.Other = strings.Join(others, ", ")
	}
	s.Public = !found && len(others) == 0
	s.Optional = s.Optional && !s.Public
	return s
}

// scheme returns the type of a security scheme, and whether it is a bearer
// token.
func (r *reader) scheme(name string) (kind string, isBearer bool) {
	scheme := r.member(r.member(r.member(r.top, "components"), "securitySchemes"), name)
	switch kind = r.text(scheme, "type"); kind {
	case "oauth2", "openIdConnect":
		return kind, true
	case "http":
		return kind + " " + r.text(scheme, "scheme"), strings.EqualFold(r.text(scheme, "scheme"), "bearer")
	case "":
		return "not defined", false
	}
	return kind, false
}
