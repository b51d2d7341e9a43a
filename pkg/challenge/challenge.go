// Package challenge parses and formats the WWW-Authenticate header (RFC 9110,
// section 11.6.1) with the parameters of OAuth: RFC 6750 (error, scope), RFC
// 9470 (acr_values, max_age), RFC 9449 (algs) and RFC 9728 (resource_metadata).
//
// A client starts with [Parse], a server with [Challenge.String]. The package
// does not interpret parameters.
package challenge

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Challenge is one challenge of a WWW-Authenticate header: a scheme with a
// token68 value or with parameters.
type Challenge struct {
	Scheme  string // as sent; schemes are case-insensitive
	Token68 string // used by Basic and Negotiate; empty if there are parameters
	Params  []Param
}

// Param is one parameter of a challenge. Its value has no quotes.
type Param struct{ Name, Value string }

// Get returns the value of the first parameter with that name, or "". Names are
// case-insensitive (RFC 9110, section 11.2).
func (c Challenge) Get(name string) string {
	for _, p := range c.Params {
		if strings.EqualFold(p.Name, name) {
			return p.Value
		}
	}
	return ""
}

// Has reports whether the challenge has a parameter with that name, even an
// empty one.
func (c Challenge) Has(name string) bool {
	return slices.ContainsFunc(c.Params, func(p Param) bool { return strings.EqualFold(p.Name, name) })
}

// Is reports whether the challenge has that scheme.
func (c Challenge) Is(scheme string) bool { return strings.EqualFold(c.Scheme, scheme) }

// String formats the challenge. Values are quoted; a character that is not
// allowed in a quoted-string is replaced with a question mark.
func (c Challenge) String() string {
	var b strings.Builder
	b.WriteString(c.Scheme)
	if c.Token68 != "" {
		b.WriteByte(' ')
		b.WriteString(c.Token68)
	}
	for i, p := range c.Params {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte(' ')
		b.WriteString(p.Name)
		b.WriteByte('=')
		writeQuoted(&b, p.Value)
	}
	return b.String()
}

func writeQuoted(b *strings.Builder, value string) {
	b.WriteByte('"')
	for i := range len(value) {
		switch c := value[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' && c != '\t' || c > '~':
			b.WriteByte('?')
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
}

// SyntaxError describes a syntax error in a WWW-Authenticate header.
type SyntaxError struct {
	Line   int // number of the header line, from 1, if it was sent several times
	Offset int // offset in bytes within the line's value
}

// Error returns the position of the error.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("WWW-Authenticate cannot be parsed: line %d, byte %d (RFC 9110, section 11.6.1)", e.Line, e.Offset)
}

var errSyntax = errors.New("syntax error")

// Parse parses the values of a WWW-Authenticate header. A value may contain
// several challenges. If a value has a syntax error, Parse returns the
// challenges before it and those of the other values, and the [*SyntaxError] of
// the first such value.
func Parse(values []string) ([]Challenge, error) {
	var (
		all   []Challenge
		first error
	)
	for i, value := range values {
		p := parser{rest: value}
		challenges, err := p.challenges()
		all = append(all, challenges...)
		if err != nil && first == nil {
			first = fmt.Errorf("challenge: %w", &SyntaxError{Line: i + 1, Offset: len(value) - len(p.rest)})
		}
	}
	return all, first
}

// parser parses rest from the front. Commas separate both parameters and
// challenges; the text after a name decides which one it is.
type parser struct{ rest string }

func (p *parser) challenges() ([]Challenge, error) {
	var all []Challenge
	p.skipCommas()
	for p.rest != "" {
		scheme := p.token()
		if scheme == "" {
			return all, errSyntax
		}
		c := Challenge{Scheme: scheme}
		spaced := p.skipSpace()
		if p.rest != "" && p.rest[0] != ',' {
			if !spaced {
				return all, errSyntax
			}
			if c.Token68 = p.token68(); c.Token68 == "" {
				if err := p.params(&c); err != nil {
					if len(c.Params) > 0 {
						all = append(all, c)
					}
					return all, err
				}
			}
		}
		all = append(all, c)
		p.skipSpace()
		if p.rest != "" && p.rest[0] != ',' {
			return all, errSyntax
		}
		p.skipCommas()
	}
	return all, nil
}

// params parses name=value pairs until the end, or until the comma before the
// next challenge.
func (p *parser) params(c *Challenge) error {
	for {
		before := p.rest
		name := p.token()
		p.skipSpace()
		if name == "" || p.rest == "" || p.rest[0] != '=' {
			if name != "" && len(c.Params) > 0 {
				p.rest = "," + before
				return nil
			}
			return errSyntax
		}
		p.rest = p.rest[1:]
		p.skipSpace()
		value, ok := p.value()
		if !ok {
			return errSyntax
		}
		c.Params = append(c.Params, Param{name, value})
		p.skipSpace()
		if p.rest == "" || p.rest[0] != ',' {
			return nil
		}
		p.skipCommas()
		if p.rest == "" {
			return nil
		}
	}
}

func (p *parser) value() (string, bool) {
	if p.rest == "" || p.rest[0] != '"' {
		v := p.token()
		return v, v != ""
	}
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch p.rest[i] {
		case '"':
			p.rest = p.rest[i+1:]
			return b.String(), true
		case '\\':
			if i++; i == len(p.rest) {
				return "", false
			}
		}
		b.WriteByte(p.rest[i])
	}
	return "", false
}

// token68 parses a token68 (RFC 9110, section 11.2), if nothing else precedes
// the next comma.
func (p *parser) token68() string {
	n := 0
	for n < len(p.rest) && (isAlphanumeric(p.rest[n]) || strings.IndexByte("-._~+/", p.rest[n]) >= 0) {
		n++
	}
	for n > 0 && n < len(p.rest) && p.rest[n] == '=' {
		n++
	}
	if after := strings.TrimLeft(p.rest[n:], " \t"); n == 0 || after != "" && after[0] != ',' {
		return ""
	}
	t := p.rest[:n]
	p.rest = p.rest[n:]
	return t
}

func (p *parser) token() string {
	n := 0
	for n < len(p.rest) && (isAlphanumeric(p.rest[n]) || strings.IndexByte("!#$%&'*+-.^_`|~", p.rest[n]) >= 0) {
		n++
	}
	t := p.rest[:n]
	p.rest = p.rest[n:]
	return t
}

func (p *parser) skipSpace() bool {
	rest := strings.TrimLeft(p.rest, " \t")
	skipped := len(rest) < len(p.rest)
	p.rest = rest
	return skipped
}

func (p *parser) skipCommas() { p.rest = strings.TrimLeft(p.rest, " \t,") }

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
