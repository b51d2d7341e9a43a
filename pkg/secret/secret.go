// Package secret holds values that must not be shown: tokens, codes, verifiers and
// client secrets.
//
// A [String] is printed as [redacted] by fmt with any verb, by log/slog, and by
// reflection on an unexported field. Encoding one, for example as JSON, is an
// error. Only [String.Reveal] returns the value, so a search for it lists every
// place where a secret leaves the program.
//
// The package does not protect memory: the value is an ordinary Go string on the
// heap.
package secret

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// String is a string that is printed as [redacted]. The zero value is the empty
// secret. Compare with [String.Equal]; == compares identity, not content.
type String struct {
	// A pointer, because fmt prints the content of unexported fields without
	// calling their methods; of a pointer it prints only the address.
	value *string
}

// New returns s as a secret.
func New(s string) String {
	if s == "" {
		return String{}
	}
	return String{&s}
}

// Reveal returns the value.
func (s String) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero reports whether the secret is empty.
func (s String) IsZero() bool { return s.value == nil || *s.value == "" }

// Equal reports whether two secrets have the same value. The time it takes
// depends only on their lengths.
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

// Format writes the result of [String.String] for every verb.
func (s String) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// LogValue implements [slog.LogValuer].
func (s String) LogValue() slog.Value { return slog.StringValue(s.String()) }

// ErrMarshal is the error of encoding a secret. Neither the value nor a
// placeholder is encoded, because the value would leak and a placeholder would
// be decoded as the value.
var ErrMarshal = errors.New("secret: a secret cannot be encoded; encode the result of Reveal if necessary")

// MarshalText returns [ErrMarshal], or "" for the empty secret.
func (s String) MarshalText() ([]byte, error) {
	if s.IsZero() {
		return nil, nil
	}
	return nil, ErrMarshal
}

// UnmarshalText sets the value to text, so that a response can be decoded into
// a secret.
func (s *String) UnmarshalText(text []byte) error {
	*s = New(string(text))
	return nil
}
