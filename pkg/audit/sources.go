package audit

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/oauthctl/oauthctl/pkg/openapi"
	"github.com/oauthctl/oauthctl/pkg/policy"
)

// FromOpenAPI returns the operations of a document. File is the name of its file.
// The paths do not include the base path of the document.
func FromOpenAPI(d *openapi.Document, file string) []Operation {
	var all []Operation
	for _, o := range d.Operations {
		op := Operation{Method: o.Method, Path: o.Path, Scopes: o.Security.Scopes, Source: file, Line: o.Line, Body: bodyOf(o.Body)}
		switch {
		case o.Security.Public:
			op.Access = Public
		case o.Security.Optional:
			op.Access = Optional
		case o.Security.Other != "":
			op.Reason = "it needs " + o.Security.Other + ", not a bearer token"
		}
		for _, p := range o.Parameters {
			if p.In == "path" || p.In == "query" || p.In == "header" {
				op.Params = append(op.Params, Param{Name: p.Name, In: p.In, Value: p.Value, Required: p.Required, Absent: absent(p.Type, p.Format)})
			}
		}
		op.addPathParams()
		all = append(all, op)
	}
	return all
}

// absent returns a valid value of a type that no object is expected to have.
func absent(kind, format string) string {
	switch {
	case kind == "integer", kind == "number", kind == "":
		return "2147483600"
	case format == "uuid":
		return "00000000-0000-4000-8000-0000000a0d17"
	case kind == "string":
		return "oauthctl-audit-no-such-id"
	}
	return ""
}

// bodyOf returns the example of the document as the valid body. The invalid body is
// an object without its members, or a value of another type.
func bodyOf(b *openapi.Body) *Body {
	if b == nil {
		return nil
	}
	body := &Body{MediaType: b.MediaType, Valid: b.Example}
	if b.Example == nil && !b.Required {
		body.Valid = []byte{}
	}
	isJSON := b.MediaType == "application/json" || strings.HasSuffix(b.MediaType, "+json")
	switch {
	case isJSON && b.Type == "object" && len(b.Members) == 0, isJSON && b.Type == "":
		body.Invalid = []byte("[]")
	case isJSON:
		body.Invalid = []byte("{}")
	case b.MediaType == "application/x-www-form-urlencoded" && len(b.Members) > 0:
		body.Invalid = []byte{}
	}
	return body
}

var placeholder = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\{([^{}]+)\}`)
})

// addPathParams adds the parameters in the path that the document does not describe.
func (o *Operation) addPathParams() {
	for _, m := range placeholder().FindAllStringSubmatch(o.Path, -1) {
		if !slices.ContainsFunc(o.Params, func(p Param) bool { return p.In == "path" && p.Name == m[1] }) {
			o.Params = append(o.Params, Param{Name: m[1], In: "path", Required: true, Absent: absent("", "")})
		}
	}
}

// FromPolicy returns the routes of a policy as operations. File is the name of its
// file. Claims holds the claims that every valid token has.
func FromPolicy(p *policy.Policy, file string, claims map[string]any) []Operation {
	var all []Operation
	for _, r := range p.Routes() {
		for _, method := range r.Methods() {
			op := Operation{
				Method: method, Path: strings.NewReplacer("{$}", "", "...}", "}").Replace(r.Path()), Scopes: r.Need.Scopes, AnyScopes: r.Need.AnyScopes,
				ScopeClaims: r.Need.ScopeClaims, Source: file, Line: r.Line, Body: unknownBody(method),
			}
			if r.Need.Public {
				op.Access = Public
			}
			op.addClaims(r.Need.Claims, claims)
			op.addDetails(r.Need.Details, claims)
			op.addPathParams()
			all = append(all, op)
		}
	}
	return all
}

// addClaims adds the claims that the rules require to valid tokens, except those in
// given, which every valid token has.
func (o *Operation) addClaims(rules []policy.ClaimRule, given map[string]any) {
	for _, rule := range rules {
		if _, has := given[rule.Name()]; has {
			continue
		}
		value, ok := rule.Value()
		if !ok {
			o.Reason = "no value for the claim " + rule.Name()
			continue
		}
		if o.Claims == nil {
			o.Claims = map[string]any{}
		}
		o.Claims[rule.Name()] = value
	}
}

// addDetails adds the authorization_details that the policy requires to valid
// tokens.
func (o *Operation) addDetails(details []policy.Detail, given map[string]any) {
	const name = "authorization_details"
	if _, has := given[name]; has || len(details) == 0 {
		return
	}
	if o.Claims == nil {
		o.Claims = map[string]any{}
	}
	o.Claims[name] = details
}

// unknownBody returns the body for an operation whose body no document describes:
// as the invalid body a list, which is seldom valid.
func unknownBody(method string) *Body {
	if slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch}, method) {
		return &Body{MediaType: "application/json", Invalid: []byte("[]")}
	}
	return nil
}

// ParseOperation reads METHOD /path, or METHOD /path=SCOPE. Several scopes are
// separated by spaces.
func ParseOperation(text string) (Operation, error) {
	name, scopes, _ := strings.Cut(text, "=")
	method, path, ok := strings.Cut(name, " ")
	if !ok || method == "" || method != strings.ToUpper(method) || !strings.HasPrefix(path, "/") || strings.ContainsAny(path, " ?#") {
		return Operation{}, fmt.Errorf(`expected "METHOD /path" or "METHOD /path=SCOPE", got %q`, cut(text))
	}
	o := Operation{Method: method, Path: path, Scopes: strings.Fields(scopes), Body: unknownBody(method)}
	o.addPathParams()
	return o, nil
}

// Merge combines the operations of a document with those of a policy. The
// requirements of the policy replace those of the document. Base is the base path of
// the document. Merge also returns the operations that are in only one of them.
func Merge(document, rules []Operation, base string) (all []Operation, unlisted []string) {
	taken := make([]bool, len(rules))
	for _, op := range document {
		i := slices.IndexFunc(rules, func(r Operation) bool {
			return r.Method == op.Method && (shape(r.Path) == shape(base+op.Path) || shape(r.Path) == shape(op.Path))
		})
		if i < 0 {
			unlisted = append(unlisted, op.Name())
			all = append(all, op)
			continue
		}
		taken[i] = true
		r := rules[i]
		op.Access, op.Scopes, op.AnyScopes, op.ScopeClaims, op.Claims = r.Access, r.Scopes, r.AnyScopes, r.ScopeClaims, r.Claims
		if op.Reason = ""; r.Reason != "" {
			op.Reason = r.Reason
		}
		all = append(all, op)
	}
	for i, r := range rules {
		if taken[i] {
			continue
		}
		unlisted = append(unlisted, r.Name())
		r.Path = "/" + strings.TrimPrefix(strings.TrimPrefix(r.Path, base), "/")
		all = append(all, r)
	}
	return all, unlisted
}

// shape returns a path without the names of its parameters.
func shape(path string) string { return placeholder().ReplaceAllString(path, "{}") }

// SetParam sets the value of every parameter with a name. It returns false if there
// is none.
func SetParam(operations []Operation, name, value string) bool {
	found := false
	for i := range operations {
		for j := range operations[i].Params {
			if p := &operations[i].Params[j]; p.Name == name {
				p.Value, found = value, true
			}
		}
	}
	return found
}
