package token

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// unwrap removes text around a token and characters within it that do not belong
// to it, and notes each of them.
func (r *Reading) unwrap(text string) string {
	if decoded, ok := decodeUTF16(text); ok {
		r.strayed("text in UTF-16 (PowerShell writes it with >)")
		text = decoded
	}
	text = r.dropInvisible(text)
	// The line break at the end of a file is not noted.
	text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	if trimmed := strings.TrimSpace(text); trimmed != text {
		r.strayed("white space around it")
		text = trimmed
	}
	text = r.dropLabel(text)
	if quoted := strings.Trim(text, "\"'`“”‘’«»,;"); quoted != text {
		r.strayed("quotes or punctuation around it")
		text = r.dropLabel(strings.TrimSpace(quoted))
	}
	if strings.HasPrefix(text, "{") {
		return text
	}
	if token, name := ofForm(text); token != "" {
		r.odd(diagnosis.Malformed, "a token alone", "a form or a URL; its "+name+" is shown")
		text = token
	}
	for _, ellipsis := range []string{"…", "..."} {
		if strings.Contains(text, ellipsis) {
			r.strayed("an ellipsis: a program has shortened it")
			text = strings.ReplaceAll(text, ellipsis, "")
		}
	}
	if joined := strings.Join(strings.Fields(text), ""); joined != text {
		if isTwo(text) {
			r.odd(diagnosis.Malformed, "one token", "more than one, in lines; the first is shown")
			return strings.Fields(text)[0]
		}
		r.strayed("white space or line breaks within it")
		text = joined
	}
	return text
}

func (r *Reading) strayed(got string) { r.odd(diagnosis.Malformed, "a token alone", got) }

// isTwo reports whether each of several lines begins a token.
func isTwo(text string) bool {
	lines := strings.Fields(text)
	return len(lines) > 1 && strings.HasPrefix(lines[0], "eyJ") && strings.Count(lines[0], ".") >= 2 && strings.HasPrefix(lines[1], "eyJ")
}

// dropLabel removes the name of a header, the authorization scheme, and the name of
// a variable.
func (r *Reading) dropLabel(text string) string {
	for _, label := range []string{"authorization:", "dpop:", "bearer", "dpop", "token:", "export ", "access_token:", "access_token=", "id_token=", "token=", "oauthctl_token="} {
		if len(text) > len(label) && strings.EqualFold(text[:len(label)], label) {
			rest := strings.TrimSpace(text[len(label):])
			if last := label[len(label)-1]; last != ':' && last != '=' && last != ' ' && rest == text[len(label):] {
				continue // the word is only the beginning of a longer word
			}
			if last := label[len(label)-1]; last == '=' && strings.Contains(rest, "&") {
				continue // a form
			}
			r.strayed("the word " + strings.TrimSpace(text[:len(label)]) + " before it")
			return r.dropLabel(rest)
		}
	}
	return text
}

// invisible lists invisible characters that are often copied together with a text.
var invisible = map[rune]string{
	'\u00a0': "no-break space", '\u00ad': "soft hyphen", '\u200b': "zero-width space", '\u200c': "zero-width non-joiner", '\u200d': "zero-width joiner",
	'\u200e': "left-to-right mark", '\u200f': "right-to-left mark", '\u2060': "word joiner", '\ufeff': "byte order mark",
}

func (r *Reading) dropInvisible(text string) string {
	seen := map[rune]bool{}
	return strings.Map(func(c rune) rune {
		name, ok := invisible[c]
		if !ok {
			return c
		}
		if !seen[c] {
			seen[c] = true
			r.strayed(fmt.Sprintf("the character U+%04X (%s)", c, name))
		}
		return -1
	}, text)
}

// decodeUTF16 decodes a text that has a byte order mark, or a zero byte after or
// before each letter.
func decodeUTF16(text string) (string, bool) {
	if len(text) < 4 {
		return text, false
	}
	var low int // the position of the low byte in a unit
	switch {
	case strings.HasPrefix(text, "\xff\xfe"), text[1] == 0 && text[3] == 0:
		low = 0
	case strings.HasPrefix(text, "\xfe\xff"), text[0] == 0 && text[2] == 0:
		low = 1
	default:
		return text, false
	}
	units := make([]uint16, 0, len(text)/2)
	for i := 0; i+1 < len(text); i += 2 {
		units = append(units, uint16(text[i+low])|uint16(text[i+1-low])<<8)
	}
	return strings.TrimPrefix(string(utf16.Decode(units)), "\ufeff"), true
}

// tokenNames lists the parameters and members that contain a token, in the order in
// which they are looked for.
var tokenNames = []string{"access_token", "id_token", "logout_token", "token", "assertion", "subject_token", "refresh_token"}

// ofForm returns the token in a form body, a query or the fragment of a URL, and the
// parameter's name.
func ofForm(text string) (token, name string) {
	if !strings.Contains(text, "=") || strings.HasSuffix(text, "=") && !strings.Contains(text, "&") {
		return "", ""
	}
	query := text[strings.LastIndexAny(text, "?#")+1:]
	values, err := url.ParseQuery(query)
	if err != nil {
		return "", ""
	}
	for _, name := range tokenNames {
		if value := values.Get(name); value != "" {
			return value, name
		}
	}
	return "", ""
}

// readJSON reads a JSON object: a token in JSON serialization, or an object that
// contains a token.
func (r *Reading) readJSON(text string) {
	members := readLeniently([]byte(text))
	value := func(name string) string {
		s, _ := unquote(string(members[name]))
		return s
	}
	for _, name := range tokenNames {
		if inner := value(name); inner != "" {
			r.odd(diagnosis.Malformed, "a token alone", "JSON; its "+name+" is shown")
			r.readCompact(inner)
			return
		}
	}
	switch {
	case members == nil:
		r.odd(diagnosis.Malformed, "three parts joined by dots", "JSON that is cut off or damaged")
	case members["ciphertext"] != nil:
		r.Format = FormatJWE
		r.note(notJWT(text))
		r.readHeader(value("protected"))
	case members["payload"] != nil && (members["signatures"] != nil || members["signature"] != nil):
		r.Format = FormatJWSJSON
		r.note(notJWT(text))
		r.readSignatures(value("payload"), value("protected"), value("signature"), members["signatures"])
	default:
		r.odd(diagnosis.Malformed, "three parts joined by dots", "a JSON object without a token")
	}
}

// readSignatures reads a JWS in JSON. If it has several signatures, the first is
// used.
func (r *Reading) readSignatures(payload, protected, signature string, several jsontext.Value) {
	if several != nil {
		d := jsontext.NewDecoder(strings.NewReader(string(several)), tolerant()...)
		if _, err := d.ReadToken(); err == nil {
			if first, err := d.ReadValue(); err == nil {
				members := readLeniently(first)
				protected, _ = unquote(string(members["protected"]))
				signature, _ = unquote(string(members["signature"]))
			}
		}
	}
	r.readJWT([]string{protected, payload, signature})
}

// readDisclosures decodes the disclosures of an SD-JWT; the last part may be the
// holder's key binding, which is a JWT.
func (r *Reading) readDisclosures(text string) {
	for _, part := range strings.Split(text, "~") {
		data, _ := decodeLeniently(part)
		if v := jsontext.Value(data); v.Kind() == '[' && v.IsValid(tolerant()...) {
			r.Disclosures = append(r.Disclosures, v)
		}
	}
}

// readPASETO reads the claims of a PASETO with the purpose public, which are followed
// by the signature. It ignores any other text.
func (r *Reading) readPASETO(text string) {
	sizes := map[string]int{"v1.public": 256, "v2.public": 64, "v3.public": 96, "v4.public": 64}
	parts := strings.SplitN(text, ".", 4)
	if len(parts) < 3 || parts[0] == "" || parts[0][0] != 'v' {
		return
	}
	r.Format = FormatPASETO
	size, public := sizes[parts[0]+"."+parts[1]]
	data, _ := base64.RawURLEncoding.DecodeString(parts[2])
	if !public || len(data) <= size {
		return
	}
	if claims := object(data[:len(data)-size]); claims != nil {
		r.Claims = claims
		r.Token.claimsJSON, r.Token.claims = string(claims), lenientMembers(claims)
		r.Signature = base64.RawURLEncoding.EncodeToString(data[len(data)-size:])
	}
}

// printable reports whether data is text that can be shown.
func printable(data []byte) bool {
	if !utf8.Valid(data) {
		return false
	}
	for _, c := range string(data) {
		if !unicode.IsPrint(c) && !unicode.IsSpace(c) {
			return false
		}
	}
	return true
}

// PayloadText returns a payload that is not a JSON object as text, and whether it
// is text.
func (r *Reading) PayloadText() (string, bool) {
	if r.Payload == nil || !printable(r.Payload) {
		return "", false
	}
	return string(r.Payload), true
}
