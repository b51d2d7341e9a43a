package openapi

import (
	"errors"
	"iter"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v4"
)

const (
	maxNodes = 1 << 20 // in total, because references can multiply them
	maxDepth = 32
)

// reader reads the nodes of a document and follows references inside it.
type reader struct {
	top    *yaml.Node
	budget int
}

// follow resolves aliases and references. It returns nil for a reference
// without a target, in a circle or to another document.
func (r *reader) follow(n *yaml.Node) *yaml.Node {
	for range maxDepth {
		if n == nil || r.budget <= 0 {
			return nil
		}
		r.budget--
		if n.Kind == yaml.AliasNode {
			n = n.Alias
			continue
		}
		ref := r.own(n, "$ref")
		if ref == nil || ref.Kind != yaml.ScalarNode {
			return n
		}
		n = r.pointed(ref.Value)
	}
	return nil
}

// pointed returns the target of a reference such as #/components/parameters/id
// (RFC 6901). References on the way are not followed.
func (r *reader) pointed(ref string) *yaml.Node {
	path, ok := strings.CutPrefix(ref, "#/")
	if !ok {
		return nil
	}
	n := r.top
	for part := range strings.SplitSeq(path, "/") {
		if plain, err := url.PathUnescape(part); err == nil {
			part = plain
		}
		n = r.own(r.alias(n), strings.NewReplacer("~1", "/", "~0", "~").Replace(part))
	}
	return n
}

// own returns the value of a member without following references, or nil if it
// is missing.
func (r *reader) own(n *yaml.Node, name string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

// member returns the value of a member, with references followed.
func (r *reader) member(n *yaml.Node, name string) *yaml.Node {
	return r.follow(r.own(r.follow(n), name))
}

// members iterates over the keys and values of a mapping, in their order.
func (r *reader) members(n *yaml.Node) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(*yaml.Node, *yaml.Node) bool) {
		n = r.follow(n)
		if n == nil || n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i], n.Content[i+1]) {
				return
			}
		}
	}
}

// text returns a scalar member, or "".
func (r *reader) text(n *yaml.Node, name string) string {
	if value := r.member(n, name); value != nil && value.Kind == yaml.ScalarNode && value.Tag != "!!null" {
		return value.Value
	}
	return ""
}

// texts returns the scalars of a list.
func (r *reader) texts(n *yaml.Node) []string {
	var all []string
	n = r.follow(n)
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	for _, element := range n.Content {
		if element = r.follow(element); element != nil && element.Kind == yaml.ScalarNode {
			all = append(all, element.Value)
		}
	}
	return all
}

// first returns the first element of a list, or the first value of a mapping.
func (r *reader) first(n *yaml.Node) *yaml.Node {
	n = r.follow(n)
	switch {
	case n == nil || len(n.Content) == 0:
		return nil
	case n.Kind == yaml.SequenceNode:
		return r.follow(n.Content[0])
	case n.Kind == yaml.MappingNode:
		return r.follow(n.Content[1])
	}
	return nil
}

// parameters returns the parameters of the path and the operation. Those of the
// operation replace others with the same name and place.
func (r *reader) parameters(lists ...*yaml.Node) []Parameter {
	var all []Parameter
	for _, list := range lists {
		if list == nil || list.Kind != yaml.SequenceNode {
			continue
		}
		for _, n := range list.Content {
			p := r.parameter(r.follow(n))
			if p.Name == "" {
				continue
			}
			same := func(q Parameter) bool { return q.Name == p.Name && q.In == p.In }
			if i := slices.IndexFunc(all, same); i >= 0 {
				all[i] = p
				continue
			}
			all = append(all, p)
		}
	}
	return all
}

func (r *reader) parameter(n *yaml.Node) Parameter {
	schema := r.member(n, "schema")
	media := r.first(r.member(n, "content"))
	if schema == nil {
		schema = r.member(media, "schema")
	}
	p := Parameter{
		Name: r.text(n, "name"), In: r.text(n, "in"), Type: r.schemaType(schema), Format: r.text(schema, "format"),
		Required: r.text(n, "required") == "true" || r.text(n, "in") == "path",
	}
	for _, value := range []*yaml.Node{r.example(n), r.example(media), r.schemaValue(schema, 0)} {
		if p.Value, p.HasValue = r.plainText(value); p.HasValue {
			break
		}
	}
	return p
}

// example returns the value of example, or the first one of examples.
func (r *reader) example(n *yaml.Node) *yaml.Node {
	if value := r.member(n, "example"); value != nil {
		return value
	}
	return r.member(r.first(r.member(n, "examples")), "value")
}

// schemaValue returns a value in a schema.
func (r *reader) schemaValue(schema *yaml.Node, depth int) *yaml.Node {
	if schema == nil || depth > maxDepth {
		return nil
	}
	if value := r.member(schema, "example"); value != nil {
		return value
	}
	if list := r.member(schema, "examples"); list != nil && list.Kind == yaml.SequenceNode {
		if value := r.first(list); value != nil {
			return value
		}
	}
	for _, name := range []string{"default", "const"} {
		if value := r.member(schema, name); value != nil {
			return value
		}
	}
	if value := r.first(r.member(schema, "enum")); value != nil {
		return value
	}
	for _, name := range []string{"allOf", "anyOf", "oneOf"} { // FastAPI writes optional types like this
		if value := r.schemaValue(r.first(r.member(schema, name)), depth+1); value != nil {
			return value
		}
	}
	return nil
}

// schemaType returns the type of a schema; of several types (3.1), the first
// that is not null.
func (r *reader) schemaType(schema *yaml.Node) string {
	if list := r.texts(r.member(schema, "type")); len(list) > 0 {
		for _, one := range list {
			if one != "null" {
				return one
			}
		}
	}
	if text := r.text(schema, "type"); text != "" {
		return text
	}
	if r.member(schema, "properties") != nil {
		return "object"
	}
	for _, name := range []string{"allOf", "anyOf", "oneOf"} {
		if inner := r.first(r.member(schema, name)); inner != nil && inner != schema {
			if text := r.text(inner, "type"); text != "" {
				return text
			}
		}
	}
	return ""
}

// plainText formats a scalar, or a list of scalars separated by commas, as is
// the default in paths and queries.
func (r *reader) plainText(n *yaml.Node) (string, bool) {
	if n == nil {
		return "", false
	}
	switch n.Kind {
	case yaml.ScalarNode:
		return n.Value, n.Tag != "!!null" && n.Value != ""
	case yaml.SequenceNode:
		list := r.texts(n)
		return strings.Join(list, ","), len(list) > 0 && len(list) == len(n.Content)
	}
	return "", false
}

// body returns the body of an operation, preferring JSON.
func (r *reader) body(operation *yaml.Node) *Body {
	body := r.member(operation, "requestBody")
	var mediaType string
	var media *yaml.Node
	for key, value := range r.members(r.member(body, "content")) {
		name, _, _ := strings.Cut(key.Value, ";")
		if media == nil || isJSON(name) && !isJSON(mediaType) {
			mediaType, media = strings.TrimSpace(name), r.follow(value)
		}
	}
	if media == nil {
		return nil
	}
	schema := r.member(media, "schema")
	b := &Body{MediaType: mediaType, Required: r.text(body, "required") == "true", Type: r.schemaType(schema), Members: r.texts(r.member(schema, "required"))}
	value := r.example(media)
	if value == nil {
		value = r.schemaValue(schema, 0)
	}
	if isJSON(mediaType) {
		if text, err := r.json(value, schema); err == nil {
			b.Example = text
		}
		return b
	}
	if text, ok := r.plainText(value); ok {
		b.Example = []byte(text)
	}
	return b
}

func isJSON(mediaType string) bool {
	return mediaType == "application/json" || strings.HasSuffix(mediaType, "+json")
}

var errNoValue = errors.New("no value")

// json formats a value, or the object of a schema whose members have values.
func (r *reader) json(value, schema *yaml.Node) ([]byte, error) {
	v, ok := r.value(value, 0)
	if value == nil {
		v, ok = r.object(schema, 0, budget())
	}
	if !ok {
		return nil, errNoValue
	}
	return json.Marshal(v, json.Deterministic(true))
}

// maxMembers limits the members of a generated example.
const maxMembers = 2000

// object builds an object from the values in a schema. It returns false if a
// required member has none. Left limits the number of members to visit, because
// schemas can contain themselves.
func (r *reader) object(schema *yaml.Node, depth int, left *int) (any, bool) {
	if *left--; schema == nil || depth > maxDepth || *left < 0 {
		return nil, false
	}
	if value := r.schemaValue(schema, 0); value != nil {
		return r.value(value, 0)
	}
	if r.schemaType(schema) != "object" {
		return nil, false
	}
	required := r.texts(r.member(schema, "required"))
	out := map[string]any{}
	for key, property := range r.members(r.member(schema, "properties")) {
		property = r.follow(property)
		isRequired := slices.Contains(required, key.Value)
		if !isRequired && r.schemaValue(property, 0) == nil {
			continue
		}
		value, ok := r.object(property, depth+1, left)
		if !ok && isRequired {
			return nil, false
		}
		if ok {
			out[key.Value] = value
		}
	}
	return out, len(out) > 0
}

// value converts a node to a JSON value.
func (r *reader) value(n *yaml.Node, depth int) (any, bool) {
	if n = r.alias(n); n == nil || depth > maxDepth {
		return nil, false
	}
	switch n.Kind {
	case yaml.ScalarNode:
		return scalar(n), true
	case yaml.SequenceNode:
		list := []any{}
		for _, element := range n.Content {
			v, ok := r.value(element, depth+1)
			if !ok {
				return nil, false
			}
			list = append(list, v)
		}
		return list, true
	case yaml.MappingNode:
		object := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			v, ok := r.value(n.Content[i+1], depth+1)
			if !ok {
				return nil, false
			}
			object[n.Content[i].Value] = v
		}
		return object, true
	}
	return nil, false
}

// alias follows only aliases: in an example, $ref is an ordinary name.
func (r *reader) alias(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode && r.budget > 0 {
		n = n.Alias
		r.budget--
	}
	if r.budget--; r.budget <= 0 {
		return nil
	}
	return n
}

// scalar keeps numbers as they are written. A date remains a string.
func scalar(n *yaml.Node) any {
	switch n.Tag {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int", "!!float":
		if number := jsontext.Value(n.Value); number.IsValid() {
			return number
		}
	}
	return n.Value
}

func budget() *int {
	n := maxMembers
	return &n
}
