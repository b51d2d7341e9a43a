package jwks

import (
	"bytes"
	"context"
	"errors"
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

	// MaxCandidates is how many keys are tried for one token at most, so that a
	// token without kid cannot multiply the work.
	MaxCandidates = 4
)

// Set is a key set (RFC 7517, section 5). It is immutable.
type Set struct {
	keys    []*Key
	skipped []Skipped
	exposed []Skipped

	named     map[string]bool   // the kids in the set
	fitting   map[choice][]*Key // by kid and alg; under the empty kid all that fit the alg
	anonymous map[string][]*Key // by alg, the keys without a kid
}

// choice holds the values of a token that select a key.
type choice struct{ kid, alg string }

// Skipped is a key of a set that could not be used.
type Skipped struct {
	Index  int    // position in the set, from 0
	ID     string // its kid, "" if it has none or it could not be read
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
	s.named, s.fitting, s.anonymous = map[string]bool{}, map[choice][]*Key{}, map[string][]*Key{}
	for _, k := range s.keys {
		if k.id != "" {
			s.named[k.id] = true
		}
		for _, alg := range k.algorithms {
			add(s.fitting, choice{"", alg}, k)
			if k.id != "" {
				add(s.fitting, choice{k.id, alg}, k)
			} else {
				add(s.anonymous, alg, k)
			}
		}
	}
}

func add[K comparable](to map[K][]*Key, under K, k *Key) {
	if len(to[under]) < MaxCandidates {
		to[under] = slices.Clip(append(to[under], k))
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
	s := &Set{}
	for i, element := range elements {
		key, err := parseKey(element)
		if err != nil {
			s.skipped = append(s.skipped, Skipped{i, kidOf(element), err})
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

// Ready returns nil: the keys are at hand.
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

// Keys returns at most 4 keys for a token with that kid and alg: those with the
// kid or, for a token without kid, those that fit. A key without a kid matches
// every token. The caller must not change the list. Errors are Diagnoses of
// kind Rejected: KEY_SET_EMPTY, KID_UNKNOWN, ALG_MISMATCH, HS_TOKEN_NO_SECRET,
// and KEY_REFUSED if the key with that kid was skipped.
func (s *Set) Keys(_ context.Context, kid, alg string) ([]*Key, error) {
	if fitting := s.fitting[choice{kid, alg}]; fitting != nil {
		return fitting, nil
	}
	named := kid != "" && s.named[kid]
	if fitting := s.anonymous[alg]; fitting != nil && !named {
		return fitting, nil
	}
	return nil, s.noKey(kid, alg, named)
}

func (s *Set) noKey(kid, alg string, named bool) error {
	switch {
	case strings.HasPrefix(alg, "HS") && !s.hasSecret():
		return &diagnosis.Diagnosis{ID: diagnosis.HSTokenNoSecret, Expected: diagnosis.Values{"a signature with a public key"}, Got: diagnosis.Values{"alg " + alg}}
	case kid != "" && !named && s.skippedKey(kid) != nil:
		return s.skippedKey(kid)
	case len(s.keys) == 0:
		d := &diagnosis.Diagnosis{ID: diagnosis.KeySetEmpty, Expected: diagnosis.Values{"a key that verifies signatures"}, Got: diagnosis.Values{allSkipped(len(s.skipped))}}
		if len(s.skipped) > 0 {
			d.Err = s.skipped[0].Reason
		}
		return d
	case named || kid == "" || len(s.named) == 0:
		return &diagnosis.Diagnosis{ID: diagnosis.AlgMismatch, Expected: diagnosis.Values{s.offers(kid)}, Got: diagnosis.Values{"alg " + alg}}
	}
	return &diagnosis.Diagnosis{ID: diagnosis.KeyUnknown, Expected: s.ids(), Got: diagnosis.Values{kid}}
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

// skippedKey returns why the key of that kid cannot be used, nil if no key of that
// kid was skipped.
func (s *Set) skippedKey(kid string) error {
	for _, skipped := range s.skipped {
		var d *diagnosis.Diagnosis
		if skipped.ID == kid && errors.As(skipped.Reason, &d) {
			return &diagnosis.Diagnosis{ID: diagnosis.KeyRefused, Expected: d.Expected, Got: d.Got, Err: fmt.Errorf("the key is %s of the key set", diagnosis.Quote(kid))}
		}
	}
	return nil
}

func (s *Set) hasSecret() bool {
	return slices.ContainsFunc(s.keys, func(k *Key) bool { return k.kty == "oct" })
}

// offers returns the algorithms of the keys with that kid.
func (s *Set) offers(kid string) string {
	var algorithms []string
	for _, k := range s.keys {
		if s.named[kid] && k.id != kid {
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

// ids returns the kids of the keys; a key without one is omitted.
func (s *Set) ids() diagnosis.Values {
	ids := diagnosis.Values{}
	for _, k := range s.keys {
		if k.id != "" {
			ids = append(ids, k.id)
		}
	}
	return ids
}
