package jwks

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// The limits of a key set.
const (
	MaxBytes = 1 << 20
	MaxKeys  = 100

	// MaxCandidates is the maximum number of keys that are tried for one token, so
	// that a token without kid cannot multiply the work.
	MaxCandidates = 4
)

// Set is a key set (RFC 7517, section 5). It is immutable.
type Set struct {
	keys    []*Key
	skipped []Skipped
	exposed []Skipped

	names     map[keyName]bool // of the keys
	byID      map[idChoice]*Candidates
	all       pool
	anonymous pool              // the keys without a kid
	refused   map[keyName]error // why a skipped key cannot be used
}

// Skipped is a key of a set that could not be used.
type Skipped struct {
	Index  int    // position in the set, from 0
	ID     string // its kid, or "" if it has none or it could not be read
	Reason error  // a Diagnosis
}

// NewSet returns a set of these keys.
func NewSet(keys ...*Key) *Set {
	s := &Set{keys: slices.Clone(keys)}
	s.index()
	return s
}

// index precomputes the keys for each kind of token, because they never change.
func (s *Set) index() {
	s.names, s.all, s.anonymous, s.byID = map[keyName]bool{}, newPool(), newPool(), map[idChoice]*Candidates{}
	for _, k := range s.keys {
		s.all.add(k)
		if k.id == "" {
			s.anonymous.add(k)
		}
		for _, alg := range k.algorithms {
			if k.id != "" {
				add(s.byID, idChoice{k.id, alg}, k, "kid")
			}
		}
		for _, n := range k.names() {
			s.names[n] = true
		}
	}
}

// Parse parses a key set: a JSON object with an array keys, or a single JWK.
// Unusable keys are skipped and reported by [Set.Skipped]; other members are
// ignored. It returns a Diagnosis KEY_SET_INVALID for anything else, and for more
// than 1 MiB or 100 keys.
func Parse(data []byte) (*Set, error) {
	if len(data) > MaxBytes {
		return nil, notASet(fmt.Sprintf("at most %d bytes", MaxBytes), fmt.Sprint(len(data)))
	}
	text := bytes.TrimSpace(decodeText(data))
	members, err := splitObject(text)
	if err != nil {
		return nil, notASet(aKeySet, describe(data))
	}
	keys, single := jsontext.Value(nil), false
	for _, m := range members {
		switch m.name {
		case "keys":
			if keys != nil {
				return nil, notASet("one member keys", "two")
			}
			keys = m.value
		case "kty":
			single = true
		}
	}
	var elements []jsontext.Value
	switch {
	case keys == nil && single:
		elements = []jsontext.Value{text}
	case keys == nil:
		return nil, notASet(aKeySet, describe(data))
	default:
		if elements, err = splitArray(keys, MaxKeys); err != nil {
			return nil, &diagnosis.Diagnosis{ID: diagnosis.KeySetInvalid, Expected: diagnosis.Values{"an array of keys"}, Err: err}
		}
	}
	s := &Set{refused: map[keyName]error{}}
	for i, element := range elements {
		key, err := parseKey(element)
		if err != nil {
			s.skip(i, element, err)
			continue
		}
		s.keys = append(s.keys, key)
	}
	s.exposed = exposed(elements)
	s.index()
	return s, nil
}

const aKeySet = "a key set, which is a JSON object with an array keys"

func notASet(expected, got string) error {
	return &diagnosis.Diagnosis{ID: diagnosis.KeySetInvalid, Expected: diagnosis.Values{expected}, Got: diagnosis.Values{got}}
}

// kidOf returns the kid of a key that could not be read, as far as it can be.
func kidOf(key jsontext.Value) string {
	members, _ := splitObject(key)
	for _, m := range members {
		if m.name == "kid" {
			if text, err := jsontext.AppendUnquote(nil, m.value); err == nil {
				return string(text)
			}
			return diagnosis.Shorten(strings.ToValidUTF8(string(m.value), "\uFFFD"), 200)
		}
	}
	return ""
}

// All returns the keys in their order.
func (s *Set) All() []*Key { return slices.Clone(s.keys) }

// Skipped returns the keys that could not be used, and why.
func (s *Set) Skipped() []Skipped { return slices.Clone(s.skipped) }

// Generation returns 0: the set never changes.
func (s *Set) Generation() uint64 { return 0 }

// Former returns nil: a kid never changes its key.
func (s *Set) Former(string) *Key { return nil }

// Ready returns nil, because the keys need not be fetched.
func (s *Set) Ready(context.Context) error { return nil }

// State returns the number of keys; nothing was fetched.
func (s *Set) State() State { return State{Keys: len(s.keys), Skipped: len(s.skipped)} }

// MarshalJSON encodes the set for publication, with public members only.
func (s *Set) MarshalJSON() ([]byte, error) {
	keys := s.keys
	if keys == nil {
		keys = []*Key{}
	}
	return json.Marshal(map[string][]*Key{"keys": keys}, json.Deterministic(true))
}

// Keys returns the keys to try for a token, at most 4: those with its kid. For a
// token without kid, they are those with its x5t#S256 or x5t, or else, if it has
// none or no certificate of a key is known, those that fit its alg. A key
// without a kid matches every kid. Errors are Diagnoses of kind Rejected:
// KEY_SET_EMPTY, KID_UNKNOWN, ALG_MISMATCH, HS_TOKEN_NO_SECRET, and KEY_REFUSED
// if the token's key was skipped.
func (s *Set) Keys(_ context.Context, q Query) (Candidates, error) {
	if found := s.find(&q); found != nil {
		return *found, nil
	}
	return Candidates{}, s.noKey(&q)
}

// noKey returns why no key is found.
func (s *Set) noKey(q *Query) error {
	names := q.names()
	called := s.has(names)
	if strings.HasPrefix(q.Algorithm, "HS") && !s.hasSecret() {
		return &diagnosis.Diagnosis{ID: diagnosis.HSTokenNoSecret, Expected: diagnosis.Values{"a signature with a public key"}, Got: diagnosis.Values{"alg " + q.Algorithm}}
	}
	for _, n := range names {
		if err := s.refused[n]; err != nil && !called {
			return err
		}
	}
	if len(s.keys) == 0 {
		d := &diagnosis.Diagnosis{ID: diagnosis.KeySetEmpty, Expected: diagnosis.Values{"a key that verifies signatures"}, Got: diagnosis.Values{allSkipped(len(s.skipped))}}
		if len(s.skipped) > 0 {
			d.Err = s.skipped[0].Reason
		}
		return d
	}
	known, fits := s.namesLike(names), s.all.fitting[q.Algorithm] != nil
	if called || len(names) == 0 || q.KeyID != "" && len(known) == 0 || q.KeyID == "" && !fits {
		return &diagnosis.Diagnosis{ID: diagnosis.AlgMismatch, Expected: diagnosis.Values{s.offers(names, called)}, Got: diagnosis.Values{"alg " + q.Algorithm}}
	}
	return &diagnosis.Diagnosis{ID: diagnosis.KidUnknown, Expected: known, Got: texts(names)}
}

func allSkipped(n int) string {
	switch n {
	case 0:
		return "no key at all"
	case 1:
		return "one key, which was skipped"
	}
	return fmt.Sprintf("%d keys, all of them skipped", n)
}

func (s *Set) hasSecret() bool {
	return slices.ContainsFunc(s.keys, func(k *Key) bool { return k.kty == "oct" })
}

// offers returns the algorithms of the keys with one of the names or, if there are
// none, of all keys.
func (s *Set) offers(names []keyName, called bool) string {
	var algorithms []string
	for _, k := range s.keys {
		if called && !k.isCalled(names) {
			continue
		}
		for _, a := range k.algorithms {
			if !slices.Contains(algorithms, a) {
				algorithms = append(algorithms, a)
			}
		}
	}
	return "an algorithm of the key: " + strings.Join(algorithms, ", ")
}

// namesLike returns the names of the keys under the same parameters.
func (s *Set) namesLike(names []keyName) diagnosis.Values {
	values := diagnosis.Values{}
	for _, k := range s.keys {
		for _, n := range k.names() {
			alike := slices.ContainsFunc(names, func(of keyName) bool { return of.parameter == n.parameter })
			if alike && !slices.Contains(values, n.String()) {
				values = append(values, n.String())
			}
		}
	}
	return values
}

func texts(names []keyName) diagnosis.Values {
	values := diagnosis.Values{}
	for _, n := range names {
		values = append(values, n.String())
	}
	return values
}
