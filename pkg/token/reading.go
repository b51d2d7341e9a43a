package token

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// Format is the format of a text.
type Format string

// Formats of tokens.
const (
	FormatJWT      Format = "JWT"          // compact serialization with three parts, possibly damaged (RFC 7519)
	FormatJWE      Format = "JWE"          // encrypted: only the header can be read (RFC 7516)
	FormatSDJWT    Format = "SD-JWT"       // with selectively disclosed claims (RFC 9901)
	FormatJWSJSON  Format = "JWS in JSON"  // JSON serialization (RFC 7515, section 7.2)
	FormatPASETO   Format = "PASETO"       // another format for signed or encrypted tokens
	FormatOpaque   Format = "opaque token" // a reference that only its issuer can resolve
	FormatUnknown  Format = "no token"     // not readable
	maxReadingSize        = 1 << 20
)

// Reading holds everything that can be shown of a token, even of a damaged one.
// None of it is verified.
type Reading struct {
	Format Format
	// Token holds the parsed values, for its methods Kind, Expiry, Warnings and
	// others. It is never nil. Values that could not be parsed are missing.
	Token *Token
	// Header and Claims are the JSON of the header and the payload. They are
	// nil if they are missing or not JSON objects.
	Header, Claims jsontext.Value
	// Payload is a payload that is not a JSON object, or nil if Claims is set.
	Payload []byte
	// Signature is the encoded signature, or "".
	Signature string
	// Disclosures are the JSON arrays of an SD-JWT's disclosures.
	Disclosures []jsontext.Value
	// Nested is the token in the payload, or nil.
	Nested *Reading
	// Oddities are the reasons why a verifier refuses the text.
	Oddities []*diagnosis.Diagnosis
}

// Read parses a text as a person pastes it: with the word Bearer, quotes or line
// breaks, in UTF-16, incomplete, or in another format. It returns as much as
// possible, and the faults as oddities. [Decode] and a [Verifier] are strict
// instead.
func Read(text string) *Reading {
	r := &Reading{Format: FormatUnknown, Token: &Token{}}
	if len(text) > maxReadingSize {
		r.odd(diagnosis.TokenTooLarge, fmt.Sprintf("at most %d bytes", MaxBytes), fmt.Sprint(len(text)))
		return r
	}
	if len(text) > MaxBytes {
		r.odd(diagnosis.TokenTooLarge, fmt.Sprintf("at most %d bytes", MaxBytes), fmt.Sprint(len(text)))
	}
	cleaned := r.unwrap(text)
	r.Token.raw = secret.New(cleaned)
	if cleaned == "" {
		r.Oddities = append(r.Oddities, &diagnosis.Diagnosis{ID: diagnosis.TokenMissing})
		return r
	}
	if strings.HasPrefix(cleaned, "{") {
		r.readJSON(cleaned)
		return r
	}
	r.readCompact(cleaned)
	return r
}

func (r *Reading) odd(id diagnosis.ID, expected, got string) {
	r.Oddities = append(r.Oddities, &diagnosis.Diagnosis{ID: id, Expected: diagnosis.Text(expected), Got: diagnosis.Text(got)})
}

// note adds an error of the strict parser.
func (r *Reading) note(err error) {
	if d, ok := err.(*diagnosis.Diagnosis); ok && d != nil {
		r.Oddities = append(r.Oddities, d)
	}
}

// readCompact parses a text that is or was in compact form.
func (r *Reading) readCompact(text string) {
	if before, after, ok := strings.Cut(text, "~"); ok && strings.Count(before, ".") == 2 {
		r.Format = FormatSDJWT
		r.note(notJWT(text))
		r.readJWT(strings.Split(before, "."))
		r.readDisclosures(after)
		return
	}
	if d := opaqueForm(text); d != nil {
		r.Format = FormatOpaque
		r.note(d)
		r.readPASETO(text)
		return
	}
	r.readParts(strings.Split(text, "."))
}

// readParts parses the parts of a JWT or a JWE, and reports whether it is one
// of these.
func (r *Reading) readParts(parts []string) {
	header, _ := decodeLeniently(parts[0])
	if !strings.HasPrefix(strings.TrimSpace(string(header)), "{") {
		r.Format = FormatOpaque
		got := "one part"
		if len(parts) > 1 {
			got = "parts that are not JSON"
		}
		r.odd(diagnosis.OpaqueToken, "three parts joined by dots", got)
		return
	}
	_, encrypted := readLeniently(header)["enc"]
	switch n := len(parts); {
	case encrypted:
		r.Format = FormatJWE
		r.note(fiveParts(parts[0]))
		r.readHeader(parts[0])
		if n != 5 {
			r.odd(diagnosis.Malformed, "five parts of a JWE", fmt.Sprint(n))
		}
		return
	case n > 3 && strings.Contains(strings.Join(parts[2:], "."), "eyJ"):
		r.odd(diagnosis.Malformed, "one token", "more than one, pasted together; the first is shown")
		parts = parts[:3]
		if at := strings.Index(parts[2], "eyJ"); at >= 0 {
			parts[2] = parts[2][:at]
		}
	case n > 3:
		r.odd(diagnosis.Malformed, "three parts joined by dots", fmt.Sprint(n))
	case n < 3:
		r.odd(diagnosis.Malformed, "three parts joined by dots", fmt.Sprintf("%d; the end is cut off", n))
	}
	r.Format = FormatJWT
	r.readJWT(parts)
}

func (r *Reading) readJWT(parts []string) {
	r.readHeader(parts[0])
	if len(parts) > 1 {
		r.readPayload(parts[1])
	}
	if len(parts) > 2 {
		r.Signature = parts[2]
		_, err := decodePart(nil, "signature", parts[2])
		r.note(err)
		if parts[2] == "" && !strings.EqualFold(r.Token.header.query.Algorithm, "none") {
			r.odd(diagnosis.SignatureInvalid, "a signature", "nothing; it was cut off")
		}
	}
}

// readHeader parses the header and notes each member for which a verifier
// refuses it.
func (r *Reading) readHeader(part string) {
	data, _ := decodeLeniently(part)
	_, err := decodePart(nil, "header", part)
	r.note(err)
	r.Header = object(data)
	if r.Header == nil {
		r.odd(diagnosis.HeaderInvalid, "one JSON object in UTF-8", shownText(data))
		return
	}
	r.Token.headerJSON = string(data)
	var w workspace
	if _, err := w.readObject(data, string(data), diagnosis.HeaderInvalid); err != nil {
		r.note(err)
	}
	members := lenientMembers(r.Header)
	alg := false
	for _, m := range members {
		alone := []member{{"alg", `"RS256"`}, m}
		if m.name == "alg" {
			alg, alone = true, []member{m}
		}
		h, err := headerOf(alone)
		r.note(err)
		switch m.name {
		case "alg":
			r.Token.header.query.Algorithm, r.Token.header.algorithm = h.query.Algorithm, h.algorithm
		case "kid":
			r.Token.header.query.KeyID = h.query.KeyID
		case "typ":
			r.Token.header.typ, r.Token.header.kind = h.typ, h.kind
		}
	}
	if !alg {
		_, err := headerOf(nil)
		r.note(err)
	}
}

// readPayload parses the claims, or describes the payload.
func (r *Reading) readPayload(part string) {
	data, _ := decodeLeniently(part)
	_, err := decodePart(nil, "payload", part)
	r.note(err)
	r.Claims = object(data)
	if r.Claims == nil {
		r.Payload = data
		if isToken(string(data)) {
			r.Nested = Read(string(data))
			r.odd(diagnosis.PayloadInvalid, "one JSON object", "another token, which is nested in this one")
			return
		}
		r.odd(diagnosis.PayloadInvalid, "one JSON object in UTF-8", shownText(data))
		return
	}
	r.Token.claimsJSON = string(data)
	var w workspace
	if _, err := w.readObject(data, string(data), diagnosis.PayloadInvalid); err != nil {
		r.note(err)
	}
	r.Token.claims = lenientMembers(r.Claims)
	for _, m := range r.Token.claims {
		if name, meant := misspelt([]member{m}, registeredClaims); name != "" {
			r.Oddities = append(r.Oddities, &diagnosis.Diagnosis{ID: diagnosis.MemberCase, Expected: diagnosis.Values{meant}, Got: diagnosis.Values{name}})
		}
	}
}

// isToken reports whether a payload is itself a token in compact form.
func isToken(text string) bool {
	return strings.HasPrefix(text, "eyJ") && strings.Count(text, ".") >= 2
}

// shownText returns the beginning of invalid data, for a message.
func shownText(data []byte) string {
	if len(data) == 0 {
		return "nothing"
	}
	if data[0] == '{' {
		return "JSON that is cut off or damaged"
	}
	return "something else"
}

// tolerant holds the options for JSON that is only shown.
func tolerant() []jsontext.Options {
	return []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}
}

// object returns data if it is a JSON object for a tolerant parser, or nil.
func object(data []byte) jsontext.Value {
	v := jsontext.Value(data)
	if v.Kind() != '{' || !v.IsValid(tolerant()...) {
		return nil
	}
	return v
}

// lenientMembers returns the members of an object that [object] returned. Of
// duplicate names, the last one counts.
func lenientMembers(v jsontext.Value) []member {
	text := strings.TrimSpace(string(v))
	all, _ := splitObject(text, nil)
	var members []member
	for i, m := range all {
		last := true
		for _, later := range all[i+1:] {
			last = last && later.name != m.name
		}
		if last {
			members = append(members, m)
		}
	}
	return members
}

// readLeniently returns the members of a JSON object, or nil if data is not
// one.
func readLeniently(data []byte) map[string]jsontext.Value {
	if object(data) == nil {
		return nil
	}
	var members map[string]jsontext.Value
	if json.Unmarshal(data, &members, json.JoinOptions(tolerant()...)) != nil {
		return nil
	}
	return members
}

// decodeLeniently decodes base64 of either alphabet, with or without padding, as
// far as possible, and reports whether it was valid.
func decodeLeniently(part string) (data []byte, ok bool) {
	plain := strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(part, "="))
	data, err := base64.RawURLEncoding.DecodeString(plain)
	if err != nil { // the last character may be incomplete: the part was cut off
		data, _ = base64.RawURLEncoding.DecodeString(plain[:len(plain)-len(plain)%4])
	}
	return data, err == nil && plain == part
}
