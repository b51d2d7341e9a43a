package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v4"
)

// config is the profile file. The YAML tree is kept so that comments and order
// survive a change.
type config struct {
	path     string
	tree     *yaml.Node // the top mapping
	current  string
	profiles map[string]*profile
}

func (env *Env) configPath() (string, error) {
	switch {
	case env.global.config != "":
		return env.global.config, nil
	case env.Getenv("OAUTHCTL_CONFIG") != "":
		return env.Getenv("OAUTHCTL_CONFIG"), nil
	case env.ConfigDir != "":
		return filepath.Join(env.ConfigDir, "config.yaml"), nil
	}
	return "", &usageError{what: "there is no home directory for the configuration", hint: "set HOME or XDG_CONFIG_HOME, or give --config FILE"}
}

// openConfig reads the profile file; one that does not exist is empty.
func (env *Env) openConfig() (*config, error) {
	path, err := env.configPath()
	if err != nil {
		// Everything can come from flags and variables alone.
		return &config{tree: newMapping(), profiles: map[string]*profile{}}, nil //nolint:nilerr // see above
	}
	return readConfig(path)
}

func readConfig(path string) (*config, error) {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, usage("cannot read the profiles: %w", err)
	}
	c, err := parseConfig(data)
	if err != nil {
		return nil, usage("%s:%w", path, err)
	}
	c.path = path
	return c, nil
}

// parseConfig reads the file's text. Errors begin with line:column.
func parseConfig(data []byte) (*config, error) {
	c := &config{tree: newMapping(), profiles: map[string]*profile{}}
	if len(bytes.TrimSpace(data)) == 0 {
		return c, nil
	}
	var document yaml.Node
	if err := yaml.Load(data, &document); err != nil {
		return nil, fmt.Errorf(" %w", err)
	}
	if len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("1:1: expected the keys current and profiles")
	}
	c.tree = document.Content[0]
	if err := unique(c.tree); err != nil {
		return nil, err
	}
	for key, value := range pairs(c.tree) {
		switch key.Value {
		case "current":
			c.current = value.Value
		case "profiles":
			for name, body := range pairs(value) {
				p, err := parseProfile(body)
				if err != nil {
					return nil, err
				}
				if err := checkProfileName(name.Value); err != nil {
					return nil, at(name, "%w", err)
				}
				c.profiles[name.Value] = p
			}
		default:
			return nil, at(key, "unknown key %q, expected current or profiles", key.Value)
		}
	}
	return c, nil
}

func parseProfile(body *yaml.Node) (*profile, error) {
	p := &profile{}
	if body.Kind != yaml.MappingNode && body.Tag != "!!null" {
		return nil, at(body, "expected the profile's keys")
	}
	if body.Kind != yaml.MappingNode {
		*body = *newMapping()
	}
	for key, value := range pairs(body) {
		s, ok := findSetting(key.Value)
		switch {
		case !ok:
			return nil, at(key, "unknown key %q, expected one of %s", key.Value, strings.Join(settingKeys(), ", "))
		case value.Kind != yaml.ScalarNode:
			return nil, at(value, "%s: expected text; lists are separated by spaces", key.Value)
		case !s.mayHold(value.Value):
			return nil, at(value, "%s: expected %s, never the secret itself", s.key, s.form)
		}
		*s.field(p) = value.Value
	}
	return p, nil
}

func at(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%d:%d: %w", n.Line, n.Column, fmt.Errorf(format, args...))
}

// saveProfile writes p under name, or removes it if p is nil, and leaves the
// rest of the file as it is.
func (c *config) saveProfile(name string, p *profile) error {
	profiles := child(c.tree, "profiles")
	if p == nil {
		remove(profiles, name)
		delete(c.profiles, name)
		return c.write()
	}
	body := child(profiles, name)
	for _, s := range settings() {
		if v := *s.field(p); v != "" {
			setScalar(body, s.key, v)
		} else {
			remove(body, s.key)
		}
	}
	c.profiles[name] = p
	return c.write()
}

func (c *config) setCurrent(name string) error {
	c.current = name
	if name == "" {
		remove(c.tree, "current")
	} else {
		setScalar(c.tree, "current", name)
	}
	return c.write()
}

// write replaces the file in one step, so that a reader sees the old one or the
// new one.
func (c *config) write() error {
	if c.path == "" {
		return &usageError{what: "there is no home directory for the configuration", hint: "set HOME or XDG_CONFIG_HOME, or give --config FILE"}
	}
	data, err := yaml.Dump(c.tree, yaml.WithIndent(2))
	if err != nil {
		return fmt.Errorf("writing the profiles: %w", err)
	}
	// YAML can hold things that do not survive being written; then the file stays
	// as it is.
	if again, err := parseConfig(data); err != nil || len(again.profiles) != len(c.profiles) {
		return &usageError{what: c.path + " holds YAML that cannot be changed safely", hint: "simplify it by hand: plain keys and values, no anchors or tags"}
	}
	if err := os.MkdirAll(filepath.Dir(c.path), 0o700); err != nil {
		return usage("cannot write the profiles: %w", err)
	}
	// A link stays a link: dot files are often kept elsewhere.
	path := c.path
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".config-*")
	if err != nil {
		return usage("cannot write the profiles: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return usage("cannot write the profiles: %w", err)
	}
	return nil
}

func newMapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"} }

// pairs yields the keys and values of a mapping.
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

// unique refuses a key that stands twice, at any depth.
func unique(n *yaml.Node) error {
	seen := map[string]bool{}
	for key, value := range pairs(n) {
		if seen[key.Value] {
			return at(key, "the key %q stands twice", key.Value)
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

// child returns the mapping under key, made if it is missing.
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
	v.Kind, v.Tag, v.Value = yaml.ScalarNode, "!!str", value
}

func remove(n *yaml.Node, key string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			n.Content = append(n.Content[:i], n.Content[i+2:]...)
			return
		}
	}
}
