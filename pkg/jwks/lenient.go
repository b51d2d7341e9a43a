package jwks

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// A key set is split by a parser that looks only for the ends of values, so that an
// error in one member or one key does not affect the others. Then each key is parsed
// strictly.

// rawMember is a member of a JSON object whose value was not parsed.
type rawMember struct {
	name  string
	value jsontext.Value
}

// errSyntax is the error for text that is not one JSON value of the expected
// kind.
var errSyntax = errors.New("not valid JSON")

// splitObject returns the members of one JSON object, in their order, with
// duplicates.
func splitObject(data []byte) ([]rawMember, error) {
	s := scanner{data: data}
	if !s.accept('{') {
		return nil, errSyntax
	}
	var members []rawMember
	for !s.accept('}') {
		if len(members) > 0 && !s.accept(',') {
			return nil, errSyntax
		}
		s.space()
		name := s.text()
		if name == nil || !s.accept(':') {
			return nil, errSyntax
		}
		value := s.value()
		if value == nil {
			return nil, errSyntax
		}
		unquoted, _ := jsontext.AppendUnquote(nil, name) // an invalid name cannot be the expected one
		members = append(members, rawMember{string(unquoted), value})
	}
	if s.space(); s.at < len(data) {
		return nil, errSyntax
	}
	return members, nil
}

// splitArray returns the elements of a JSON array, or an error if there are more
// than limit.
func splitArray(data []byte, limit int) ([]jsontext.Value, error) {
	s := scanner{data: data}
	if !s.accept('[') {
		return nil, errSyntax
	}
	var values []jsontext.Value
	for !s.accept(']') {
		if len(values) > 0 && !s.accept(',') {
			return nil, errSyntax
		}
		if len(values) == limit {
			return nil, fmt.Errorf("expected at most %d keys, got more", limit)
		}
		value := s.value()
		if value == nil {
			return nil, errSyntax
		}
		values = append(values, value)
	}
	return values, nil
}

// scanner finds the ends of JSON values.
type scanner struct {
	data []byte
	at   int
}

func (s *scanner) space() {
	for s.at < len(s.data) && strings.IndexByte(" \t\r\n", s.data[s.at]) >= 0 {
		s.at++
	}
}

// accept skips white space and c, and reports whether c was there.
func (s *scanner) accept(c byte) bool {
	s.space()
	if s.at < len(s.data) && s.data[s.at] == c {
		s.at++
		return true
	}
	return false
}

// text returns a JSON string with its quotes, or nil.
func (s *scanner) text() jsontext.Value {
	start := s.at
	if s.at == len(s.data) || s.data[s.at] != '"' {
		return nil
	}
	for s.at++; s.at < len(s.data); s.at++ {
		switch s.data[s.at] {
		case '\\':
			s.at++
		case '"':
			s.at++
			return s.data[start:s.at]
		}
	}
	return nil
}

// value returns a value of any kind, or nil if it is incomplete.
func (s *scanner) value() jsontext.Value {
	s.space()
	start, depth := s.at, 0
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case '"':
			if s.text() == nil {
				return nil
			}
			if depth == 0 {
				return s.data[start:s.at]
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return s.literal(start)
			}
			if depth--; depth == 0 {
				s.at++
				return s.data[start:s.at]
			}
		case ',':
			if depth == 0 {
				return s.literal(start)
			}
		}
		s.at++
	}
	return nil
}

// literal returns a number, true, false or null.
func (s *scanner) literal(start int) jsontext.Value {
	if start == s.at {
		return nil
	}
	return bytes.TrimRight(s.data[start:s.at], " \t\r\n")
}

// decodeText returns a file as UTF-8 without a byte order mark. Windows programs
// write UTF-16 with a byte order mark.
func decodeText(data []byte) []byte {
	var order binary.ByteOrder = binary.LittleEndian
	switch {
	case bytes.HasPrefix(data, []byte("\xEF\xBB\xBF")):
		return data[3:]
	case bytes.HasPrefix(data, []byte("\xFE\xFF")):
		order = binary.BigEndian
	case !bytes.HasPrefix(data, []byte("\xFF\xFE")):
		return data
	}
	units := make([]uint16, 0, len(data)/2)
	for i := 2; i+1 < len(data); i += 2 {
		units = append(units, order.Uint16(data[i:]))
	}
	return []byte(string(utf16.Decode(units)))
}

// describe describes data that is not a key set or a key.
func describe(data []byte) string {
	text := bytes.TrimSpace(decodeText(data))
	switch {
	case len(text) == 0:
		return "nothing"
	case bytes.HasPrefix(text, []byte("-----BEGIN ")):
		label, _, _ := bytes.Cut(text[len("-----BEGIN "):], []byte("-----"))
		return "a PEM block " + shortened(label)
	case text[0] == '<':
		return "an HTML or XML page"
	case text[0] == '{':
		return describeObject(text)
	case text[0] == '[':
		return "a JSON array"
	case text[0] == 0x30 && !utf8.Valid(text):
		return "binary data (DER)"
	case !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0:
		return "binary data"
	case bytes.HasPrefix(text, []byte("eyJ")):
		return "a token"
	case bytes.HasPrefix(text, []byte("ssh-")), bytes.HasPrefix(text, []byte("ecdsa-sha2-")):
		return "an OpenSSH public key (ssh-keygen -e -m PKCS8 -f FILE converts it)"
	}
	return "text that is not JSON"
}

func describeObject(text []byte) string {
	members, err := splitObject(text)
	if err != nil {
		return "JSON that is cut off or damaged"
	}
	value := func(name string) (string, bool) {
		for _, m := range members {
			if m.name == name {
				s, err := jsontext.AppendUnquote(nil, m.value)
				return string(s), err == nil
			}
		}
		return "", false
	}
	if uri, ok := value("jwks_uri"); ok {
		return "the metadata of an authorization server, whose jwks_uri is " + shortened([]byte(uri))
	}
	if _, ok := value("authorization_endpoint"); ok {
		return "the metadata of an authorization server, without a jwks_uri"
	}
	if _, ok := value("private_key"); ok {
		return "a service account file; its private_key is the key"
	}
	if kty, ok := value("kty"); ok {
		return "a single JWK of type " + shortened([]byte(kty))
	}
	if len(members) > 0 && bytes.Contains(members[0].value, []byte("-----BEGIN CERTIFICATE")) {
		return "a map of X.509 certificates, as Google and Firebase publish next to their key set"
	}
	return "a JSON object without keys"
}

func shortened(text []byte) string {
	return strings.ToValidUTF8(string(text[:min(len(text), 200)]), "\uFFFD")
}
