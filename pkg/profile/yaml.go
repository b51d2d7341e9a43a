package profile

import (
	"fmt"

	"go.yaml.in/yaml/v4"
)

func at(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%d:%d: %w", n.Line, n.Column, fmt.Errorf(format, args...))
}

func newMapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"} }

// pairs iterates over the keys and values of a mapping.
func pairs(n *yaml.Node) func(func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		if n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i], n.Content[i+1]) {
				return
			}
		}
	}
}

// unique returns an error for a duplicate key at any depth.
func unique(n *yaml.Node) error {
	seen := map[string]bool{}
	for key, value := range pairs(n) {
		if seen[key.Value] {
			return at(key, "the key %q is set twice", key.Value)
		}
		seen[key.Value] = true
		if err := unique(value); err != nil {
			return err
		}
	}
	return nil
}

func lookup(n *yaml.Node, key string) *yaml.Node {
	for k, v := range pairs(n) {
		if k.Value == key {
			return v
		}
	}
	return nil
}

// child returns the mapping under key. It creates the mapping if it is missing.
func child(n *yaml.Node, key string) *yaml.Node {
	v := lookup(n, key)
	if v == nil {
		v = newMapping()
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, v)
	}
	if v.Kind != yaml.MappingNode {
		*v = *newMapping()
	}
	return v
}

func setScalar(n *yaml.Node, key, value string) {
	v := lookup(n, key)
	if v == nil {
		v = &yaml.Node{}
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, v)
	}
	v.Kind, v.Tag, v.Value, v.Content = yaml.ScalarNode, "!!str", value, nil
}

func remove(n *yaml.Node, key string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			n.Content = append(n.Content[:i], n.Content[i+2:]...)
			return
		}
	}
}
