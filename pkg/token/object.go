package token

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// member is a member of a JSON object: its name and its JSON text.
type member struct {
	name  string
	value string
}

// workspace holds scratch buffers that are reused. A [Token] never refers to
// them.
type workspace struct {
	signed    []byte // the signed text
	part      []byte // a decoded part
	signature []byte
	digest    [64]byte
	der       []byte
	mac       hash.Hash // for macKey, which is immutable, and macHash
	macKey    *jwks.Key
	macHash   crypto.Hash
	input     bytes.Buffer
	decoder   jsontext.Decoder
	members   []member
}

// readObject parses one JSON object strictly: UTF-8 without a byte order mark,
// no duplicate names at any depth, at most 32 levels, nothing after it. The
// members are substrings of text.
func (w *workspace) readObject(data []byte, text string, id diagnosis.ID) ([]member, error) {
	members, ok := scanObject(data, text, w.members[:0])
	w.members = members
	if !ok {
		clear(members) // otherwise the buffer would keep the text in memory
		var err error
		if members, err = w.readAnyObject(data, text, id); err != nil {
			return nil, err
		}
	}
	members = slices.Clone(members)
	if members == nil {
		members = []member{}
	}
	clear(w.members)
	return members, nil
}

// readAnyObject reads an object that scanObject does not support, and returns an
// error that describes an invalid one.
func (w *workspace) readAnyObject(data []byte, text string, id diagnosis.ID) ([]member, error) {
	w.input = *bytes.NewBuffer(data)
	w.decoder.Reset(&w.input)
	if k := w.decoder.PeekKind(); k != '{' && k != 0 {
		return nil, objectFault(id, nil)
	}
	value, err := w.decoder.ReadValue()
	if err != nil {
		return nil, objectFault(id, err)
	}
	end := int(w.decoder.InputOffset())
	if strings.TrimLeft(text[end:], " \t\r\n") != "" {
		return nil, &diagnosis.Diagnosis{ID: id, Expected: diagnosis.Values{"one JSON object"}, Got: diagnosis.Values{"data after it"}}
	}
	members, deepest := splitObject(text[end-len(value):end], w.members[:0])
	w.members = members
	if deepest > maxDepth {
		return nil, &diagnosis.Diagnosis{ID: id, Expected: diagnosis.Values{fmt.Sprintf("at most %d levels", maxDepth)}, Got: diagnosis.Values{"more"}}
	}
	return members, nil
}

func objectFault(id diagnosis.ID, err error) error {
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return &diagnosis.Diagnosis{ID: diagnosis.DuplicateMember, Expected: diagnosis.Values{"each name once"}, Got: diagnosis.Values{pointer(err)}}
	case errors.Is(err, io.EOF):
		return &diagnosis.Diagnosis{ID: id, Expected: diagnosis.Values{"one JSON object in UTF-8"}, Got: diagnosis.None}
	case err != nil:
		return &diagnosis.Diagnosis{ID: id, Expected: diagnosis.Values{"one JSON object in UTF-8"}, Got: diagnosis.Values{"something else"}}
	}
	return &diagnosis.Diagnosis{ID: id, Expected: diagnosis.Values{"one JSON object"}, Got: diagnosis.Values{"another JSON value"}}
}

func pointer(err error) string {
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("%.100q twice", string(syntax.JSONPointer))
	}
	return "a name twice"
}

// splitObject appends the members of a JSON object to list and returns its
// depth. The text must be valid JSON; splitObject only looks for the ends of
// values.
func splitObject(text string, list []member) (members []member, deepest int) {
	deepest = 1
	for i := skipSpace(text, 1); text[i] != '}'; i = skipSpace(text, i) {
		if text[i] == ',' {
			i = skipSpace(text, i+1)
		}
		end := stringEnd(text, i)
		name := text[i:end]
		i = skipSpace(text, skipSpace(text, end)+1) // after the colon
		end, levels := valueEnd(text, i)
		list = append(list, member{plain(name), text[i:end]})
		deepest = max(deepest, 1+levels)
		i = end
	}
	return list, deepest
}

// plain is unquote for a text that is known to be a string.
func plain(text string) string {
	s, _ := unquote(text)
	return s
}

func skipSpace(text string, i int) int {
	for text[i] == ' ' || text[i] == '\t' || text[i] == '\r' || text[i] == '\n' {
		i++
	}
	return i
}

// stringEnd returns the index after the string that begins at i.
func stringEnd(text string, i int) int {
	for i++; text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// valueEnd returns the index after the value that begins at i, and its depth.
func valueEnd(text string, i int) (end, levels int) {
	level := 0
	for {
		switch text[i] {
		case '"':
			i = stringEnd(text, i)
		case '{', '[':
			level++
			levels = max(levels, level)
			i++
			continue
		case '}', ']':
			level--
			i++
		case ',', ':', ' ', '\t', '\r', '\n':
			i++
			continue
		default:
			for i < len(text) && isLiteral(text[i]) {
				i++
			}
		}
		if level == 0 {
			return i, levels
		}
	}
}

// isLiteral reports whether c is part of a number, true, false or null.
func isLiteral(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'E'
}

// unquote returns the value of a JSON string, and whether text is one.
func unquote(text string) (string, bool) {
	if len(text) < 2 || text[0] != '"' {
		return "", false
	}
	if inner := text[1 : len(text)-1]; strings.IndexByte(inner, '\\') < 0 {
		return inner, true
	}
	out, err := jsontext.AppendUnquote(nil, text)
	return string(out), err == nil
}

// eachString calls f with each string of a JSON text that is a string or a list
// of strings, and reports whether it is one of these.
func eachString(text string, f func(string)) bool {
	if s, ok := unquote(text); ok {
		f(s)
		return true
	}
	if text == "" || text[0] != '[' {
		return false
	}
	for i := skipSpace(text, 1); text[i] != ']'; i = skipSpace(text, i) {
		if text[i] == ',' {
			i = skipSpace(text, i+1)
		}
		if text[i] != '"' {
			return false
		}
		end := stringEnd(text, i)
		f(plain(text[i:end]))
		i = end
	}
	return true
}

func stringOrList(text string) ([]string, bool) {
	list := []string{}
	if !eachString(text, func(s string) { list = append(list, s) }) {
		return nil, false
	}
	return list, true
}
