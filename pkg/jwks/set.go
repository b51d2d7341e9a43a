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

	// maxCandidates bounds how many keys are tried for one token, so that a token
	// without kid cannot multiply the work.
	maxCandidates = 4
)

// Set is a key set (RFC 7517, section 5). It is immutable.
type Set struct {
	keys    []*Key
	skipped []Skipped

	named     map[string]bool   // the kids there are
	fitting   map[choice][]*Key // by kid and alg; under the empty kid all that fit the alg
	anonymous map[string][]*Key // by alg, the keys without a kid
}

// choice is what a token says about its key.
type choice struct{ kid, alg string }

// Skipped is a key of a set that could not be used.
type Skipped struct {
	Index  int    // its place in the set, from 0
	ID     string // its kid, "" if it has none or it could not be read
	Reason error  // a Diagnosis
}

// NewSet returns a set of these keys.
func NewSet(keys ...*Key) *Set {
	s := &Set{keys: slices.Clone(keys)}
	s.index()
	return s
}

// index settles which keys are tried for which token, which is asked for every
// token and changes for none.
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
	if len(to[under]) < maxCandidates {
		to[under] = slices.Clip(append(to[under], k))
	}
}

// Parse reads a key set. A key that cannot be used is skipped and reported by
// [Set.Skipped]. It errs on what is no key set, and beyond 1 MiB or 100 keys.
func Parse(data []byte) (*Set, error) {
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("jwks: expected a key set of at most %d bytes, got %d", MaxBytes, len(data))
	}
	var document struct {
		Keys jsontext.Value `json:"keys"`
	}
	if err := json.Unmarshal(data, &document); err != nil || document.Keys.Kind() != '[' {
		return nil, errors.New("jwks: expected a JSON object with an array keys")
	}
	members, err := elements(document.Keys)
	if err != nil {
		return nil, err
	}
	s := &Set{}
	for i, member := range members {
		key, err := parseKey(member)
		if err != nil {
			var id struct {
				Kid string `json:"kid"`
			}
			_ = json.Unmarshal(member, &id)
			s.skipped = append(s.skipped, Skipped{i, id.Kid, err})
			continue
		}
		s.keys = append(s.keys, key)
	}
	s.index()
	return s, nil
}

// elements returns those of an array, of which it reads no more than may be there.
func elements(array jsontext.Value) ([]jsontext.Value, error) {
	d := jsontext.NewDecoder(bytes.NewBuffer(array))
	if _, err := d.ReadToken(); err != nil {
		return nil, fmt.Errorf("jwks: %w", err)
	}
	var values []jsontext.Value
	for d.PeekKind() != ']' {
		if len(values) == MaxKeys {
			return nil, fmt.Errorf("jwks: expected at most %d keys, got more", MaxKeys)
		}
		v, err := d.ReadValue()
		if err != nil {
			return nil, fmt.Errorf("jwks: %w", err)
		}
		values = append(values, v.Clone())
	}
	return values, nil
}

// All returns the keys in their order.
func (s *Set) All() []*Key { return slices.Clone(s.keys) }

// Skipped returns the keys that could not be used, and why.
func (s *Set) Skipped() []Skipped { return slices.Clone(s.skipped) }

// Generation returns 0: the set never changes.
func (s *Set) Generation() uint64 { return 0 }

// Former returns nil: no kid ever named another key.
func (s *Set) Former(string) *Key { return nil }

// Ready returns nil: the keys are at hand.
func (s *Set) Ready(context.Context) error { return nil }

// State returns how many keys there are; nothing was fetched.
func (s *Set) State() State { return State{Keys: len(s.keys), Skipped: len(s.skipped)} }

// MarshalJSON writes the set as it is published: public members only.
func (s *Set) MarshalJSON() ([]byte, error) {
	keys := s.keys
	if keys == nil {
		keys = []*Key{}
	}
	return json.Marshal(map[string][]*Key{"keys": keys}, json.Deterministic(true))
}

// Keys returns the keys that may have signed a token with that kid and alg, at
// most 4: those of the kid, or without a kid in the token those that fit. A key
// without a kid fits any. The caller must not change the list. Errors are
// Diagnoses of kind Rejected: KEY_SET_EMPTY, KID_UNKNOWN, ALG_MISMATCH,
// HS_TOKEN_NO_SECRET.
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
	case len(s.keys) == 0:
		return &diagnosis.Diagnosis{ID: diagnosis.KeySetEmpty, Expected: diagnosis.Values{"a key that verifies signatures"}, Got: diagnosis.Values{fmt.Sprintf("%d keys, all skipped", len(s.skipped))}}
	case named || kid == "":
		return &diagnosis.Diagnosis{ID: diagnosis.AlgMismatch, Expected: diagnosis.Values{s.offers(kid)}, Got: diagnosis.Values{"alg " + alg}}
	}
	return &diagnosis.Diagnosis{ID: diagnosis.KeyUnknown, Expected: s.ids(), Got: diagnosis.Values{kid}}
}

func (s *Set) hasSecret() bool {
	return slices.ContainsFunc(s.keys, func(k *Key) bool { return k.kty == "oct" })
}

// offers tells the algorithms of the keys of that kid.
func (s *Set) offers(kid string) string {
	var algorithms []string
	for _, k := range s.keys {
		if kid != "" && k.id != kid {
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

// ids returns the kids of the keys; a key without one has none to name.
func (s *Set) ids() diagnosis.Values {
	ids := diagnosis.Values{}
	for _, k := range s.keys {
		if k.id != "" {
			ids = append(ids, k.id)
		}
	}
	return ids
}
