package token

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// Limits of a token. A larger token is refused before it is parsed.
const (
	MaxBytes       = 64 << 10
	MaxHeaderBytes = 8 << 10
	maxDepth       = 32
)

// parts holds the encoded parts of a token in compact form.
type parts struct{ header, payload, signature, signed, raw string }

// checkSize returns an error for a token that is empty or too large.
func checkSize(raw string) error {
	switch {
	case raw == "":
		return &diagnosis.Diagnosis{ID: diagnosis.TokenMissing}
	case len(raw) > MaxBytes:
		return &diagnosis.Diagnosis{ID: diagnosis.TokenTooLarge, Expected: diagnosis.Values{fmt.Sprintf("at most %d bytes", MaxBytes)}, Got: diagnosis.Values{strconv.Itoa(len(raw))}}
	}
	return nil
}

// split splits a token into its parts. It reads each byte at most once, and
// none of a token that is too large.
func split(raw string) (parts, error) {
	if err := checkSize(raw); err != nil {
		return parts{}, err
	}
	header, rest, found := strings.Cut(raw, ".")
	if !found {
		return parts{}, notJWT(raw)
	}
	if len(header) > base64.RawURLEncoding.EncodedLen(MaxHeaderBytes) {
		return parts{}, &diagnosis.Diagnosis{ID: diagnosis.TokenTooLarge, Expected: diagnosis.Values{fmt.Sprintf("a header of at most %d bytes", MaxHeaderBytes)}, Got: diagnosis.Values{"more"}}
	}
	payload, signature, found := strings.Cut(rest, ".")
	if !found || strings.IndexByte(signature, '.') >= 0 || strings.IndexByte(signature, '~') >= 0 || raw[0] != 'e' && hasOtherForm(raw) {
		return parts{}, notJWT(raw)
	}
	return parts{header, payload, signature, raw[:len(header)+1+len(payload)], raw}, nil
}

// strict is base64url without padding, white space or unused bits (RFC 7515,
// section 2). The library accepts line breaks even so.
var strict = base64.RawURLEncoding.Strict()

// decodePart appends the decoded text to into.
func decodePart(into []byte, name, text string) ([]byte, error) {
	size := strict.DecodedLen(len(text))
	into = slices.Grow(into, size)
	n, err := strict.Decode(into[len(into):len(into)+size], []byte(text))
	// If a line break was skipped, there are fewer bytes than the length of the
	// text implies.
	if err != nil || n != size || len(text)%4 == 1 {
		return nil, &diagnosis.Diagnosis{ID: diagnosis.Malformed, Expected: diagnosis.Values{"a " + name + " in base64url without padding"}, Got: diagnosis.Values{badCharacter(text)}}
	}
	return into[:len(into)+n], nil
}

// badCharacter describes the first error in a base64url text.
func badCharacter(text string) string {
	for i, c := range text {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' {
			continue
		}
		return characterName(c, text[i:]) + " at byte " + strconv.Itoa(i)
	}
	return "unused bits at the end that are not zero"
}

// characterName names a character that is often pasted by accident.
func characterName(c rune, text string) string {
	switch c {
	case ' ':
		return "a space"
	case '\n', '\r':
		return "a line break"
	case '\t':
		return "a tab"
	case '=':
		return "padding (=)"
	case '"', '\'':
		return "a quote"
	case 0x00A0:
		return "U+00A0 no-break space"
	case 0xFEFF:
		return "U+FEFF byte order mark"
	case 0x200B:
		return "U+200B zero-width space"
	case 0x2026:
		return "U+2026 ellipsis"
	case utf8.RuneError:
		if _, size := utf8.DecodeRuneInString(text); size == 1 {
			return fmt.Sprintf("byte 0x%02X", text[0])
		}
	}
	if unicode.IsPrint(c) {
		return fmt.Sprintf("%q", c)
	}
	return fmt.Sprintf("%U", c)
}

// header holds the parts of the JOSE header that matter for verification.
type header struct {
	query     jwks.Query // alg and what names the key
	typ       string
	algorithm *algorithm // nil if it is not supported
	kind      Kind       // the kind in typ
}

// registeredHeaders and registeredClaims list names of which no other spelling
// is allowed, because some parsers ignore case.
var (
	registeredHeaders = []string{"alg", "kid", "typ", "cty", "crit", "b64", "jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "enc", "zip"}
	registeredClaims  = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scope", "scp", "client_id", "azp", "cnf", "nonce", "at_hash", "auth_time", "acr", "amr"}
)

// misspelt returns the first name that differs from a registered one only in letter
// case. It uses Unicode case folding, because some parsers treat the long s (ſ) as
// an s.
func misspelt(members []member, registered []string) (name, meant string) {
	for _, m := range members {
		if isLower(m.name) && m.name != "x5t#s256" {
			continue // a registered name, or similar to none
		}
		for _, r := range registered {
			if m.name != r && strings.EqualFold(m.name, r) {
				return m.name, r
			}
		}
	}
	return "", ""
}

func isLower(name string) bool {
	for i := range len(name) {
		if c := name[i]; 'A' <= c && c <= 'Z' || c >= 0x80 {
			return false
		}
	}
	return true
}

// headerOf parses the JOSE header (RFC 7515, section 4).
func headerOf(members []member) (header, error) {
	var h header
	if name, meant := misspelt(members, registeredHeaders); name != "" {
		return h, &diagnosis.Diagnosis{ID: diagnosis.MemberCase, Expected: diagnosis.Values{meant}, Got: diagnosis.Values{name}}
	}
	for _, m := range members {
		var field *string
		switch m.name {
		case "crit":
			return h, &diagnosis.Diagnosis{ID: diagnosis.CritUnsupported, Expected: diagnosis.Values{"no crit"}, Got: diagnosis.Values{"crit " + m.value}}
		case "b64":
			if m.value != "true" {
				return h, &diagnosis.Diagnosis{ID: diagnosis.CritUnsupported, Expected: diagnosis.Values{"no b64"}, Got: diagnosis.Values{"b64 " + m.value}}
			}
		case "alg":
			field = &h.query.Algorithm
		case "kid":
			field = &h.query.KeyID
		case "x5t":
			field = &h.query.X5T
		case "x5t#S256":
			field = &h.query.X5TS256
		case "typ":
			field = &h.typ
		}
		if field == nil {
			continue
		}
		text, ok := unquote(m.value)
		if !ok {
			return h, &diagnosis.Diagnosis{ID: diagnosis.HeaderInvalid, Expected: diagnosis.Values{m.name + " to be a string"}, Got: diagnosis.FromJSON(m.value)}
		}
		*field = text
	}
	if h.query.Algorithm == "" {
		return h, &diagnosis.Diagnosis{ID: diagnosis.HeaderInvalid, Expected: diagnosis.Values{"an alg"}, Got: diagnosis.None}
	}
	h.algorithm, h.kind = algorithmOf(h.query.Algorithm), kindOfType(h.typ)
	return h, nil
}

// numericDate parses a NumericDate (RFC 7519, section 2): seconds, with an
// optional fraction.
func numericDate(text string) (float64, bool) {
	if text == "" || text[0] != '-' && (text[0] < '0' || text[0] > '9') {
		return 0, false
	}
	if len(text) <= 15 && digitsEnd(text, 0) == len(text) {
		n := int64(0) // exact as float64, and found in less time
		for i := range len(text) {
			n = 10*n + int64(text[i]-'0')
		}
		return float64(n), n > 0
	}
	seconds, err := strconv.ParseFloat(text, 64)
	return seconds, err == nil && seconds > 0 && seconds < 1e15
}
