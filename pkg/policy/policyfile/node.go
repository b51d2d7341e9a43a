package policyfile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/policy"
)

// values returns the value of a variable, or "" if it is not set. Texts of a policy
// contain variables as ${NAME}. If it is nil, no variable is set.
type values func(name string) string

// expand replaces the variables in a text with their values. $${NAME} is the text
// ${NAME}. It is applied after YAML was parsed, so a value cannot add keys. A
// variable that is unset or empty is an error, because the rule would change its
// meaning.
func (v values) expand(n *yaml.Node) (string, error) {
	var text strings.Builder
	for _, p := range partsOf(n.Value) {
		text.WriteString(p.literal)
		if p.variable == "" {
			continue
		}
		value := ""
		if v != nil {
			value = v(p.variable)
		}
		if value == "" {
			return "", at(n, "the variable %s is not set or empty", p.variable)
		}
		text.WriteString(value)
	}
	return text.String(), nil
}

// part is a piece of a text, with the name of the variable after it or "".
type part struct{ literal, variable string }

func partsOf(text string) []part {
	var all []part
	for {
		before, name, after, ok := cutVariable(text)
		switch {
		case !ok:
			return append(all, part{text, ""})
		case strings.HasSuffix(before, "$"):
			all = append(all, part{before + "{" + name + "}", ""})
		default:
			all = append(all, part{before, name})
		}
		text = after
	}
}

// unusable returns the error of a value that is not of a kind, such as a scope.
// An error that quotes the value is not shown if a variable is part of it,
// because that may be a secret; the text of the file is shown instead.
func unusable(n *yaml.Node, kind string, err error) error {
	if slices.ContainsFunc(partsOf(n.Value), func(p part) bool { return p.variable != "" }) {
		return at(n, "the value of %s is not %s", diagnosis.Quote(n.Value), kind)
	}
	return at(n, "%w", err)
}

// cutVariable finds the first ${NAME} in a text.
func cutVariable(text string) (before, name, after string, ok bool) {
	for i := strings.Index(text, "${"); i >= 0; {
		name, after, closed := strings.Cut(text[i+2:], "}")
		if closed && isVariable(name) {
			return text[:i], name, after, true
		}
		next := strings.Index(text[i+2:], "${")
		if next < 0 {
			break
		}
		i += 2 + next
	}
	return "", "", "", false
}

func isVariable(name string) bool {
	letter := func(c rune) bool { return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
	for i, c := range name {
		if !letter(c) && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// duration reads a duration such as 15m, or a number of seconds, which is the form
// of max_age in OAuth.
func duration(n *yaml.Node, into *time.Duration) error {
	if seconds, err := strconv.ParseUint(n.Value, 10, 31); err == nil && n.Kind == yaml.ScalarNode && seconds > 0 {
		*into = time.Duration(seconds) * time.Second
		return nil
	}
	d, err := time.ParseDuration(n.Value)
	if err != nil || d < time.Second || n.Kind != yaml.ScalarNode {
		return at(n, "expected a time such as 15m, of at least a second, got %q", n.Value)
	}
	*into = d
	return nil
}

func boolean(n *yaml.Node, into *bool) error {
	if n.Kind != yaml.ScalarNode || n.Value != "true" && n.Value != "false" {
		return at(n, "expected true or false, got %q", n.Value)
	}
	*into = n.Value == "true"
	return nil
}

// member is a key that a mapping may have, with the function that reads its value.
type member struct {
	name string
	read func(*yaml.Node) error
}

// members reads each member of a mapping. Unknown and duplicate keys are errors.
func members(n *yaml.Node, known []member) error {
	names := make([]string, len(known))
	for i := range known {
		names[i] = known[i].name
	}
	expected := strings.Join(names, ", ")
	if n.Kind != yaml.MappingNode {
		return at(n, "expected the keys %s", expected)
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		k := slices.Index(names, key.Value)
		if k < 0 || key.Kind != yaml.ScalarNode {
			return at(key, "unknown key %q, expected one of %s", key.Value, expected)
		}
		if seen[key.Value] {
			return at(key, "duplicate key %q", key.Value)
		}
		seen[key.Value] = true
		if err := known[k].read(value); err != nil {
			return err
		}
	}
	return nil
}

func (v values) text(n *yaml.Node, into *string) error {
	if n.Kind != yaml.ScalarNode || n.Value == "" || n.Tag == "!!null" {
		return at(n, "expected text")
	}
	var err error
	*into, err = v.expand(n)
	return err
}

func (v values) list(n *yaml.Node, into *[]string) error {
	elements := n.Content
	if n.Kind == yaml.ScalarNode {
		elements = []*yaml.Node{n}
	}
	if n.Kind != yaml.SequenceNode && n.Kind != yaml.ScalarNode || len(elements) == 0 {
		return at(n, "expected text or a list of texts")
	}
	for _, element := range elements {
		var one string
		if err := v.text(element, &one); err != nil {
			return err
		}
		*into = append(*into, one)
	}
	return nil
}

// scopes reads a list of scopes. A scope with a space is an error: it is usually a
// list without brackets.
func (v values) scopes(n *yaml.Node, into *[]string) error {
	if err := v.list(n, into); err != nil {
		return err
	}
	for i, scope := range *into {
		if err := policy.CheckScope(scope); err != nil {
			return unusable(element(n, i), "a scope, such as items:read", err)
		}
	}
	return nil
}

// details reads elements of authorization_details: one object, or a list.
func (v values) details(n *yaml.Node, into *[]policy.Detail) error {
	elements := n.Content
	if n.Kind != yaml.SequenceNode {
		elements = []*yaml.Node{n}
	}
	if len(elements) == 0 {
		return at(n, "expected objects such as {type: payment, actions: [initiate]}")
	}
	for _, one := range elements {
		value, err := v.any(one)
		if err != nil {
			return err
		}
		detail, ok := value.(map[string]any)
		if _, typed := detail["type"].(string); !ok || !typed {
			return at(one, "expected an object with a type, such as {type: payment, actions: [initiate]}")
		}
		*into = append(*into, detail)
	}
	return nil
}

// any reads a JSON value. Numbers are returned as strings, so that no digit is lost.
func (v values) any(n *yaml.Node) (any, error) {
	switch n.Kind {
	case yaml.MappingNode:
		object := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			name := n.Content[i].Value
			if _, twice := object[name]; twice {
				return nil, at(n.Content[i], "duplicate key %q", name)
			}
			value, err := v.any(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			object[name] = value
		}
		return object, nil
	case yaml.SequenceNode:
		list := []any{}
		for _, element := range n.Content {
			value, err := v.any(element)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		return list, nil
	}
	var one string
	err := v.text(n, &one)
	return one, err
}

// place is an error with its position in a file.
type place struct {
	node *yaml.Node
	err  error
}

func (p *place) Error() string {
	return fmt.Sprintf("%d:%d: %s", max(p.node.Line, 1), max(p.node.Column, 1), p.err)
}

func (p *place) Unwrap() error { return p.err }

func at(n *yaml.Node, format string, args ...any) error {
	return &place{n, fmt.Errorf(format, args...)}
}
