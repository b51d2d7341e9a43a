package policyfile

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// trustReader reads the settings of one issuer.
type trustReader struct {
	policy.Trust
	node       *yaml.Node
	issuer     *yaml.Node // nil without one
	noAudience bool
	used       bool
}

// members returns the keys of one issuer.
func (t *trustReader) members(v values) []member {
	used := func(read func(*yaml.Node) error) func(*yaml.Node) error {
		return func(n *yaml.Node) error { t.used = true; return read(n) }
	}
	return []member{
		{"issuer", used(func(n *yaml.Node) error { t.issuer = n; return v.text(n, &t.Issuer) })},
		{"audience", used(func(n *yaml.Node) error {
			if t.noAudience = n.Kind == yaml.ScalarNode && n.Value == "none"; t.noAudience {
				return nil
			}
			return v.list(n, &t.Audience)
		})},
		{"algorithms", used(func(n *yaml.Node) error { return v.algorithms(n, &t.Algorithms) })},
		{"accept", used(func(n *yaml.Node) error { return t.readAccept(v, n) })},
		{"jwks", used(func(n *yaml.Node) error { return v.text(n, &t.JWKS) })},
	}
}

func (t *trustReader) readAccept(v values, n *yaml.Node) error {
	var names []string
	if err := v.list(n, &names); err != nil {
		return err
	}
	for i, name := range names {
		kind, err := token.ParseKind(name)
		if err != nil {
			return unusable(element(n, i), "a kind of token that can be accepted", err)
		}
		t.Accept = append(t.Accept, kind)
	}
	return nil
}

// algorithms reads a list of signature algorithms.
func (v values) algorithms(n *yaml.Node, into *[]string) error {
	if err := v.list(n, into); err != nil {
		return err
	}
	for i, name := range *into {
		if _, ok := jwks.LookupAlgorithm(name); !ok {
			const known = "RS, PS, ES or HS with 256, 384 or 512, EdDSA or Ed25519"
			return unusable(element(n, i), "an algorithm: "+known, fmt.Errorf("unknown algorithm %q, expected %s", name, known))
		}
	}
	return nil
}

// element returns the node of the i-th text of a list. A single text is a list of
// one.
func element(n *yaml.Node, i int) *yaml.Node {
	if n.Kind == yaml.SequenceNode {
		return n.Content[i]
	}
	return n
}

func (v values) readIssuers(n *yaml.Node) ([]trustReader, error) {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		return nil, at(n, "expected a list of issuers, each with issuer and audience")
	}
	var all []trustReader
	for _, one := range n.Content {
		t := trustReader{node: one}
		if err := members(one, t.members(v)); err != nil {
			return nil, err
		}
		if t.issuer != nil && slices.ContainsFunc(all, func(other trustReader) bool { return other.Issuer == t.Issuer }) {
			return nil, at(t.issuer, "the issuer %s is given twice", diagnosis.Quote(t.issuer.Value))
		}
		all = append(all, t)
	}
	return all, nil
}
