package cmd

import (
	"bytes"
	"io"
	"mime"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// JSON from an API is read as tolerantly as other tools read it, with any
// declared type: with a byte order mark (RFC 8259, section 8.1), a duplicate
// name, a byte of another charset, and several values in a row (NDJSON, RFC
// 7464). Tokens are read strictly, elsewhere.

// jsonValues returns the JSON values in a body, or nil if it is not JSON.
// Without lax, a body that is not declared as JSON must be an object or a list,
// since any number or quoted word is JSON.
func jsonValues(body []byte, kind string, lax bool) []jsontext.Value {
	text, _ := readable(body, kind)
	trimmed := strings.TrimLeft(text, " \t\r\n\x1e")
	if trimmed == "" || !lax && !isJSON(kind) && trimmed[0] != '{' && trimmed[0] != '[' {
		return nil
	}
	var values []jsontext.Value
	from := jsontext.NewDecoder(strings.NewReader(strings.ReplaceAll(trimmed, "\x1e", " ")), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	for {
		value, err := from.ReadValue()
		if err == io.EOF {
			return values
		}
		if err != nil {
			return nil
		}
		values = append(values, value.Clone())
	}
}

// isJSON reports whether a Content-Type is a type of JSON or of a sequence of
// JSON values.
func isJSON(contentType string) bool {
	kind, _, _ := mime.ParseMediaType(contentType)
	switch kind {
	case "application/json", "text/json", "application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-seq", "text/x-json":
		return true
	}
	return strings.HasSuffix(kind, "+json")
}

// readable decodes a body to UTF-8 by its byte order mark or its charset, and
// reports whether it is text. Invalid bytes are replaced.
func readable(body []byte, kind string) (string, bool) {
	_, params, _ := mime.ParseMediaType(kind)
	charset := strings.ToLower(params["charset"])
	switch {
	case bytes.HasPrefix(body, []byte("\xef\xbb\xbf")):
		body = body[3:]
	case charset == "iso-8859-1", charset == "latin1", charset == "windows-1252":
		// Browsers decode ISO-8859-1 as Windows-1252, which has more letters.
		return fromWindows1252(body), true
	case strings.HasPrefix(charset, "utf-16"), bytes.HasPrefix(body, []byte("\xff\xfe")), bytes.HasPrefix(body, []byte("\xfe\xff")):
		return fromUTF16(body, charset), len(body)%2 == 0
	}
	if utf8.Valid(body) {
		return string(body), !bytes.ContainsRune(body, 0)
	}
	return strings.ToValidUTF8(string(body), "\uFFFD"), mostlyText(body)
}

// windows1252 is what the bytes 0x80 to 0x9f are in Windows-1252, by the Encoding
// Standard, section 9.1; every other byte is the character of its number. The five
// bytes without a character are replaced.
const windows1252 = "€\uFFFD‚ƒ„…†‡ˆ‰Š‹Œ\uFFFDŽ\uFFFD\uFFFD‘’“”•–—˜™š›œ\uFFFDžŸ"

func fromWindows1252(body []byte) string {
	letters := []rune(windows1252)
	text := make([]rune, len(body))
	for i, b := range body {
		text[i] = rune(b)
		if 0x80 <= b && b < 0xa0 {
			text[i] = letters[b-0x80]
		}
	}
	return string(text)
}

// mostlyText reports whether bytes that are not UTF-8 are still worth reading: few
// of them are no characters.
func mostlyText(body []byte) bool {
	odd := 0
	for i := 0; i < len(body); {
		r, n := utf8.DecodeRune(body[i:])
		if r == utf8.RuneError && n == 1 || r < ' ' && !strings.ContainsRune("\t\r\n\x1b", r) {
			odd++
		}
		if r == 0 {
			return false
		}
		i += n
	}
	return odd*10 <= len(body)
}

func fromUTF16(body []byte, charset string) string {
	big := charset == "utf-16be"
	if len(body) >= 2 && (body[0] == 0xfe && body[1] == 0xff || body[0] == 0xff && body[1] == 0xfe) {
		big = body[0] == 0xfe
		body = body[2:]
	}
	units := make([]uint16, 0, len(body)/2)
	for i := 0; i+1 < len(body); i += 2 {
		if big {
			units = append(units, uint16(body[i])<<8|uint16(body[i+1]))
		} else {
			units = append(units, uint16(body[i+1])<<8|uint16(body[i]))
		}
	}
	return string(utf16.Decode(units))
}

// bodyValue returns a body as part of JSON output: its own JSON, or a string.
func bodyValue(body []byte, kind string) any {
	switch values := jsonValues(body, kind, false); {
	case len(body) == 0:
		return nil
	case len(values) == 1:
		return values[0]
	case len(values) > 1:
		return values
	}
	text, _ := readable(body, kind)
	return text
}

// filterBody runs the --jq expression on each JSON value of a body, or on its text.
func (env *Env) filterBody(body []byte, kind string) error {
	values := jsonValues(body, kind, true)
	if values == nil {
		if len(body) == 0 {
			return env.filter(env.Stdout, nil)
		}
		text, _ := readable(body, kind)
		return env.filter(env.Stdout, text)
	}
	for _, value := range values {
		if err := env.filterText(env.Stdout, value); err != nil {
			return err
		}
	}
	return nil
}
