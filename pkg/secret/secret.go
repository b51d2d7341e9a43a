// Package secret holds the values that must never be seen: tokens, codes,
// verifiers, client secrets.
//
// A [String] prints as [redacted] however it is printed by accident: by fmt with
// any verb, by log/slog, and by reflection that finds it in an unexported field.
// Encoding one, as JSON for instance, is an error. [String.Reveal] is the only way
// to the value, so a search for it lists every place where a secret leaves the
// program.
//
// It does not protect memory: the value is an ordinary Go string on the heap.
package secret

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// String is a string that prints as [redacted]. The zero value is the empty
// secret. Compare two with [String.Equal]; == compares identity, not content.
type String struct {
	// A pointer, because fmt prints the content of unexported fields without
	// asking their methods; of a pointer it can only print the address.
	value *string
}

// New returns s as a secret.
func New(s string) String {
	if s == "" {
		return String{}
	}
	return String{&s}
}

// Reveal returns the value itself.
func (s String) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero reports whether the secret is empty.
func (s String) IsZero() bool { return s.value == nil || *s.value == "" }

// Equal reports whether two secrets hold the same value, in time that depends
// only on their lengths.
func (s String) Equal(t String) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(t.Reveal())) == 1
}

// String returns "[redacted]", or "" for the empty secret.
func (s String) String() string {
	if s.IsZero() {
		return ""
	}
	return redacted
}

// Format writes what [String.String] returns, whatever the verb.
func (s String) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// LogValue implements [slog.LogValuer].
func (s String) LogValue() slog.Value { return slog.StringValue(s.String()) }

// ErrMarshal is what an encoder gets instead of a secret: neither the value,
// which would leak, nor a placeholder, which would be read back as the value.
var ErrMarshal = errors.New("secret: a secret is not encoded; if it has to be, encode what Reveal returns")

// MarshalText returns [ErrMarshal], for the empty secret "".
func (s String) MarshalText() ([]byte, error) {
	if s.IsZero() {
		return nil, nil
	}
	return nil, ErrMarshal
}

// UnmarshalText keeps text as the value, so that an answer is decoded straight
// into a secret.
func (s *String) UnmarshalText(text []byte) error {
	*s = New(string(text))
	return nil
}
