package policyfile

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/oauthctl/oauthctl/pkg/policy"
)

// values reads texts, in which ${NAME} is the value of a variable. Nil knows none.
type values func(name string) string

var variable = regexp.MustCompile(`\$?\$\{[A-Za-z_][A-Za-z0-9_]*\}`)

// expand puts the values of variables into a text; $${NAME} is ${NAME} itself. It
// works on the text that YAML has read, so a value cannot add keys. A variable
// that is not set or empty is an error: a rule may not become another one.
func (v values) expand(n *yaml.Node) (text string, err error) {
	text = variable.ReplaceAllStringFunc(n.Value, func(found string) string {
		if strings.HasPrefix(found, "$$") {
			return found[1:]
		}
		name := found[2 : len(found)-1]
		value := ""
		if v != nil {
			value = v(name)
		}
		if value == "" && err == nil {
			err = at(n, "the variable %s is not set or empty", name)
		}
		return value
	})
	return text, err
}

// duration reads a time such as 15m, or a number of seconds as max_age is in
// OAuth.
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

// member is a key that a mapping may have, and what reads its value.
type member struct {
	name string
	read func(*yaml.Node) error
}

// members gives each member of a mapping to its reader.
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

// scopes reads a list of scopes. A space in one is a list that lacks its
// brackets.
func (v values) scopes(n *yaml.Node, into *[]string) error {
	if err := v.list(n, into); err != nil {
		return err
	}
	for i, scope := range *into {
		if err := policy.CheckScope(scope); err != nil {
			return at(element(n, i), "%w", err)
		}
	}
	return nil
}

// place is a node of a file with what is wrong there.
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
