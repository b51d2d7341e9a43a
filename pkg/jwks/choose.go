package jwks

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// Query holds the parts of a token's header that choose the key (RFC 7515,
// section 4.1), "" for those that the header does not have. They are not
// verified: they choose the key to try, and its signature decides.
type Query struct {
	KeyID     string // kid
	Algorithm string // alg
	X5T       string // x5t, the SHA-1 thumbprint of the key's certificate
	X5TS256   string // x5t#S256, the SHA-256 thumbprint
}

// Candidates are the keys to try for a token.
type Candidates struct {
	Keys []*Key // at most [MaxCandidates]; the caller must not change the list
	Fit  int    // number of keys that fit, of which Keys are the first
	// By is the header parameter that chose the keys: kid, x5t#S256 or x5t. It
	// is "" if none did, and every key that fits the alg is a candidate.
	By string
}

// keyName is a name of a key in a header: the parameter and its value.
type keyName struct{ parameter, value string }

// String returns the value for a kid, otherwise both.
func (n keyName) String() string {
	if n.parameter == "kid" {
		return n.value
	}
	return n.parameter + " " + n.value
}

// names returns the names of the key in the header. If there is a kid, it is the
// only one. Of two thumbprints, the stronger one is first.
func (q *Query) names() []keyName {
	if q.KeyID != "" {
		return []keyName{{"kid", q.KeyID}}
	}
	var names []keyName
	for _, n := range q.thumbprints() {
		if n.value != "" {
			names = append(names, n)
		}
	}
	return names
}

func (q *Query) thumbprints() [2]keyName {
	return [2]keyName{{"x5t#S256", q.X5TS256}, {"x5t", q.X5T}}
}

// idChoice is a kid and an alg, which together select a key.
type idChoice struct{ kid, alg string }

// choice is the thumbprint of a certificate and an alg.
type choice struct {
	keyName
	alg string
}

// pool holds keys by the values that select them.
type pool struct {
	certified map[choice]*Candidates
	fitting   map[string]*Candidates // by alg
	bare      map[string]*Candidates // by alg, the keys without a known certificate
}

func newPool() pool {
	return pool{map[choice]*Candidates{}, map[string]*Candidates{}, map[string]*Candidates{}}
}

func (p *pool) add(k *Key) {
	for _, alg := range k.algorithms {
		add(p.fitting, alg, k, "")
		if k.certificates == nil {
			add(p.bare, alg, k, "")
		}
		for _, n := range k.certificates {
			add(p.certified, choice{n, alg}, k, n.parameter)
		}
	}
}

func add[K comparable](to map[K]*Candidates, under K, k *Key, by string) {
	c := to[under]
	if c == nil {
		c = &Candidates{By: by}
		to[under] = c
	}
	if len(c.Keys) < MaxCandidates {
		c.Keys = slices.Clip(append(c.Keys, k))
	}
	c.Fit++
}

// byCertificate returns the keys whose certificate has the thumbprint in the header.
func (p *pool) byCertificate(q *Query) *Candidates {
	for _, n := range q.thumbprints() {
		if found := p.certified[choice{n, q.Algorithm}]; found != nil {
			return found
		}
	}
	return nil
}

// find returns the keys to try, or nil if no key has this name or fits.
func (s *Set) find(q *Query) *Candidates {
	if q.KeyID != "" {
		if found := s.byID[idChoice{q.KeyID, q.Algorithm}]; found != nil {
			return found
		}
		if s.names[keyName{"kid", q.KeyID}] {
			return nil
		}
		if found := s.anonymous.byCertificate(q); found != nil {
			return found
		}
		return s.anonymous.fitting[q.Algorithm]
	}
	if q.X5T == "" && q.X5TS256 == "" {
		return s.all.fitting[q.Algorithm]
	}
	if found := s.all.byCertificate(q); found != nil || s.has(q.names()) {
		return found
	}
	// It may be the certificate of any key whose certificate is unknown.
	return s.all.bare[q.Algorithm]
}

// names returns the names that a header can have for the key.
func (k *Key) names() []keyName {
	if k.id == "" {
		return k.certificates
	}
	return append([]keyName{{"kid", k.id}}, k.certificates...)
}

// has reports whether a key has one of the names.
func (s *Set) has(names []keyName) bool {
	return slices.ContainsFunc(names, func(n keyName) bool { return s.names[n] })
}

// isCalled reports whether the key has one of the names.
func (k *Key) isCalled(names []keyName) bool {
	return slices.ContainsFunc(k.names(), func(n keyName) bool { return slices.Contains(names, n) })
}

// maxNames is how many thumbprints the members of one key can have.
const maxNames = 4

// certificatesOf returns the thumbprints of a JWK's certificate: its x5t#S256 and
// x5t (RFC 7517, sections 4.8 and 4.9), and those of the first certificate in
// x5c. An error in one of these members does not matter for the others. A key that
// has a member many times has no more names than another.
func certificatesOf(key jsontext.Value) []keyName {
	var names []keyName
	note := func(parameter, value string) {
		if n := (keyName{parameter, value}); value != "" && len(names) < maxNames && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	members, _ := splitObject(key)
	for _, m := range members {
		switch m.name {
		case "x5t#S256", "x5t":
			if text, err := jsontext.AppendUnquote(nil, m.value); err == nil {
				note(m.name, string(text))
			}
		case "x5c":
			var chain []string
			if json.Unmarshal(m.value, &chain) != nil || len(chain) == 0 {
				continue
			}
			if der, err := base64.StdEncoding.DecodeString(chain[0]); err == nil {
				strong, weak := sha256.Sum256(der), sha1.Sum(der)
				note("x5t#S256", encode(strong[:]))
				note("x5t", encode(weak[:]))
			}
		}
	}
	return names
}

// skip adds a key that cannot be used, and stores the reason for each of its names.
func (s *Set) skip(i int, key jsontext.Value, reason error) {
	skipped := Skipped{i, kidOf(key), reason}
	s.skipped = append(s.skipped, skipped)
	names := certificatesOf(key)
	if skipped.ID != "" {
		names = append(names, keyName{"kid", skipped.ID})
	}
	var d *diagnosis.Diagnosis
	if !errors.As(reason, &d) {
		return
	}
	for _, n := range names {
		if s.refused[n] == nil {
			s.refused[n] = &diagnosis.Diagnosis{ID: diagnosis.KeyRefused, Expected: d.Expected, Got: d.Got, Err: fmt.Errorf("the key is %s of the key set", diagnosis.Quote(n.String()))}
		}
	}
}
