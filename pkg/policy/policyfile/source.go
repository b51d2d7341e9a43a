package policyfile

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/oauthctl/oauthctl/pkg/policy"
)

// maxBytes bounds each file of a policy, and maxIncludes their number.
const (
	maxBytes    = 1 << 20
	maxIncludes = 100
)

// Source is a policy file with the files that it includes, as they were read.
type Source struct {
	files []document // the first includes the others
	err   error      // why one that is included could not be read
}

type document struct {
	name string
	data []byte
}

// Open reads a policy file and the files that it includes:
//
//	include: [shared.yaml]   # a file or a list, from the folder of this file
//
// An included file has the same keys, but for include. Its routes are added to
// those of the others; any key else may be in one of the files only. What is
// wrong with the content is an error of [Source.Policy].
func Open(file string) (*Source, error) {
	data, err := read(file)
	if err != nil {
		return nil, err
	}
	s := &Source{files: []document{{file, data}}}
	top, err := parse(data)
	if err != nil {
		return s, nil // an error of Policy
	}
	names, node, _ := includes(top)
	for i, name := range names {
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(file), name)
		}
		data, err := read(name)
		if err != nil {
			s.err = fmt.Errorf("%s:%w", file, at(element(node, i), "include: %w", err))
			break
		}
		s.files = append(s.files, document{name, data})
	}
	return s, nil
}

// read reads a file up to the bound, and a byte more where it is larger.
func read(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxBytes+1))
}

// includes returns the files that a policy includes, and where it says so.
func includes(top *yaml.Node) (names []string, node *yaml.Node, err error) {
	if node = memberOf(top, "include"); node == nil {
		return nil, nil, nil
	}
	if err := values(nil).list(node, &names); err != nil {
		return nil, node, err
	}
	if len(names) > maxIncludes {
		return nil, node, at(node, "at most %d files can be included", maxIncludes)
	}
	return names, node, nil
}

// Digest returns a SHA-256 of all files; for a single file, that of its content.
func (s *Source) Digest() [sha256.Size]byte {
	if len(s.files) == 1 {
		return sha256.Sum256(s.files[0].data)
	}
	all := sha256.New()
	for _, f := range s.files {
		_ = binary.Write(all, binary.BigEndian, uint64(len(f.data))) // so that no byte can move to another file
		all.Write(f.data)
	}
	return [sha256.Size]byte(all.Sum(nil))
}

// Policy returns the policy. Getenv returns the value of a variable, which a text
// of the policy names as ${NAME}, and "" if it is not set; nil knows none. Errors
// are those of [Load].
func (s *Source) Policy(getenv func(name string) string) (*policy.Policy, error) {
	if s.err != nil {
		return nil, s.err
	}
	r := reader{values: getenv, Config: policy.Config{Digest: s.Digest()}}
	files := map[*yaml.Node]string{}
	for i, f := range s.files {
		top, err := parse(f.data)
		if err == nil && i > 0 {
			note(files, top, f.name)
			err = merge(r.top, top)
		} else if err == nil {
			r.top = top
			err = s.checkIncludes(top)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%w", f.name, err)
		}
	}
	p, err := r.policy()
	if err == nil {
		return p, nil
	}
	name := s.files[0].name
	if wrong, ok := errors.AsType[*place](err); ok && files[wrong.node] != "" {
		name = files[wrong.node]
	}
	return nil, fmt.Errorf("%s:%w", name, err)
}

// checkIncludes makes sure that [Open] read what a policy includes.
func (s *Source) checkIncludes(top *yaml.Node) error {
	names, node, err := includes(top)
	if err == nil && len(names) != len(s.files)-1 {
		return at(node, "a policy that is not read from a file cannot include others")
	}
	return err
}

// merge adds an included file to a policy.
func merge(into, from *yaml.Node) error {
	if node := memberOf(from, "include"); node != nil {
		return at(node, "an included file cannot include others")
	}
	routes := memberOf(into, "routes")
	for i := 0; i+1 < len(from.Content); i += 2 {
		key, value := from.Content[i], from.Content[i+1]
		if key.Value == "routes" && routes != nil && routes.Kind == value.Kind {
			routes.Content = append(routes.Content, value.Content...)
		} else {
			into.Content = append(into.Content, key, value)
		}
	}
	return nil
}

func memberOf(n *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

// note remembers the file of each node.
func note(files map[*yaml.Node]string, n *yaml.Node, name string) {
	files[n] = name
	for _, child := range n.Content {
		note(files, child, name)
	}
}

var errNoPolicy = errors.New("1:1: expected a policy with issuer, audience and routes")

// parse reads the YAML of one file.
func parse(data []byte) (*yaml.Node, error) {
	if len(data) > maxBytes {
		return nil, fmt.Errorf("1:1: a policy is at most %d bytes", maxBytes)
	}
	var document yaml.Node
	if err := yaml.Load(data, &document); err != nil {
		return nil, syntax(err)
	}
	if len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return nil, errNoPolicy
	}
	return document.Content[0], nil
}

// syntax returns what YAML itself found, with the position in front.
func syntax(err error) error {
	var several *yaml.LoadErrors
	var wrong *yaml.LoadError
	switch {
	case errors.As(err, &several) && len(several.Errors) > 0:
		wrong = several.Errors[0]
	case !errors.As(err, &wrong):
		return errNoPolicy
	}
	if wrong.Message == "" || strings.Contains(wrong.Message, "no documents") {
		return errNoPolicy
	}
	return fmt.Errorf("%d:%d: %s", max(wrong.Mark.Line, 1), max(wrong.Mark.Column, 1), wrong.Message)
}
