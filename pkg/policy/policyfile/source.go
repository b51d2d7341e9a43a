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

// maxBytes is the maximum size of each file of a policy, and maxIncludes the maximum
// number of included files.
const (
	maxBytes    = 1 << 20
	maxIncludes = 100
)

// Source holds the content of a policy file and of the files that it includes.
type Source struct {
	files []document // the first includes the others
	err   error      // why an included file could not be read
}

type document struct {
	name string
	data []byte
}

// Open reads a policy file and the files that it includes:
//
//	include: [shared.yaml]   # a file or a list, from the folder of this file
//
// An included file has the same keys, except include. The routes of all files are
// joined; any other key may be in one file only. Open returns an error only if file
// itself cannot be read; [Source.Policy] returns all other errors.
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

// read reads at most maxBytes+1 bytes of a file, so that a larger file can be
// detected.
func read(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxBytes+1))
}

// includes returns the names of the files that a policy includes, and the node that
// lists them.
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

// Digest returns a SHA-256 of all files. For a single file, it is the SHA-256 of its
// content.
func (s *Source) Digest() [sha256.Size]byte {
	if len(s.files) == 1 {
		return sha256.Sum256(s.files[0].data)
	}
	all := sha256.New()
	for _, f := range s.files {
		_ = binary.Write(all, binary.BigEndian, uint64(len(f.data))) // moving bytes to another file changes the digest
		all.Write(f.data)
	}
	return [sha256.Size]byte(all.Sum(nil))
}

// Policy returns the policy. Getenv returns the value of a variable that the policy
// contains as ${NAME}, or "" if it is not set. If getenv is nil, no variable is set.
// Errors are those of [Load].
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

// checkIncludes returns an error if the included files were not read, because the
// policy is not from [Open].
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

// note stores the file name of a node and of all nodes below it.
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

// syntax returns the error of the YAML parser, with the position in front.
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
