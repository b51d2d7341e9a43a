// Package challenge reads and writes the WWW-Authenticate header field
// (RFC 9110, section 11.6.1), with the parameters that OAuth gives it: RFC 6750
// (error, scope), RFC 9470 (acr_values, max_age), RFC 9449 (algs) and RFC 9728
// (resource_metadata).
//
// Start with [Parse] on the client's side and [Challenge.String] on the
// server's. What a parameter means is left to the caller.
package challenge

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Challenge is one challenge of a WWW-Authenticate header field: a scheme with
// either a token68 value or parameters.
type Challenge struct {
	Scheme  string // as sent; schemes compare without case
	Token68 string // Basic, Negotiate and the like; empty where there are parameters
	Params  []Param
}

// Param is one parameter of a challenge, its value without the quotes.
type Param struct{ Name, Value string }

// Get returns the value of the first parameter of that name, "" if there is
// none. Names compare without case (RFC 9110, section 11.2).
func (c Challenge) Get(name string) string {
	for _, p := range c.Params {
		if strings.EqualFold(p.Name, name) {
			return p.Value
		}
	}
	return ""
}

// Has reports whether the challenge has a parameter of that name, which may be
// empty.
func (c Challenge) Has(name string) bool {
	return slices.ContainsFunc(c.Params, func(p Param) bool { return strings.EqualFold(p.Name, name) })
}

// Is reports whether the challenge is of that scheme.
func (c Challenge) Is(scheme string) bool { return strings.EqualFold(c.Scheme, scheme) }

// String returns the challenge as it goes on the wire. Values are quoted; a
// character that no quoted-string may hold becomes a question mark.
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

// SyntaxError is where a WWW-Authenticate field cannot be parsed.
type SyntaxError struct {
	Line   int // of the field, from 1, where it was sent several times
	Offset int // in bytes from the beginning of that line's value
}

// Error names the place.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("WWW-Authenticate cannot be parsed: line %d, byte %d (RFC 9110, section 11.6.1)", e.Line, e.Offset)
}

var errSyntax = errors.New("syntax error")

// Parse reads the field lines of a WWW-Authenticate header, several challenges
// to a line or a line each. What a line holds before a syntax error is returned,
// since a client can still act on it, and so are the other lines; the error is
// the [*SyntaxError] of the first line that has one.
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

// parser reads the grammar from the front of rest. The comma separates both
// parameters and challenges; what follows a name tells which one it was.
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

// params reads name=value pairs until the end or the next challenge's scheme,
// before which it leaves the comma.
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

// token68 reads a token68 (RFC 9110, section 11.2) if there is nothing else
// before the next comma.
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
