package diagnosis

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Limits of a message: the bytes of one value, and the number of values.
const (
	shownBytes  = 200
	shownValues = 5
)

// Values holds the expected or actual values of a [Diagnosis]. Each element is a
// value without quotes, or a description in words. Nil means that nothing is
// known, [None] that the value is absent, and Values{""} is one empty value. A
// JSON value other than a string is its JSON text, so an empty list is "[]".
type Values []string

// None means that a value is absent.
var None = Values{}

// Text returns text as the only value, or nil if text is empty. Use it for a
// description in words.
func Text(text string) Values {
	if text == "" {
		return nil
	}
	return Values{text}
}

// String joins the values with commas, as actual values are shown: "a, b". An
// absent value is shown as none and an empty one as "". Ambiguous values are
// quoted, and long ones are shortened.
func (v Values) String() string { return v.join(", ") }

// Or joins the values with "or", as expected values are shown: "a or b".
func (v Values) Or() string { return v.join(" or ") }

func (v Values) join(separator string) string {
	if v == nil {
		return ""
	}
	if len(v) == 0 {
		return "none"
	}
	shown := make([]string, 0, min(len(v), shownValues)+1)
	for i, value := range v {
		if i == shownValues && len(v) > shownValues+1 {
			shown = append(shown, fmt.Sprintf("%d more", len(v)-i))
			break
		}
		shown = append(shown, show(value))
	}
	return strings.Join(shown, separator)
}

// show returns value, quoted if it is ambiguous.
func show(value string) string {
	if value == "" || value == "none" || value[0] == '"' || value[0] == ' ' || value[len(value)-1] == ' ' ||
		!utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return Quote(value)
	}
	return Shorten(value, shownBytes)
}

// Quote returns text in double quotes, shortened to 200 bytes, with characters
// that are not printable escaped. Use it for untrusted text in a message;
// [Values] need no quotes.
func Quote(text string) string { return strconv.Quote(Shorten(text, shownBytes)) }

// Shorten returns text if it has at most limit bytes. Otherwise it returns the
// whole characters within the first limit bytes, followed by "…".
func Shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit] + "…"
}

// FromJSON returns the value of a JSON text. A string has no quotes; any other
// value is its JSON text. An empty text is [None].
func FromJSON(text string) Values {
	if text == "" {
		return None
	}
	if text[0] == '"' {
		if s, err := jsontext.AppendUnquote(nil, text); err == nil {
			return Values{string(s)}
		}
	}
	return Values{text}
}
