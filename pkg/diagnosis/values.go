package diagnosis

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Limits of what a message shows: the bytes of one value, and how many of
// several values.
const (
	shownBytes  = 200
	shownValues = 5
)

// Values is what a [Diagnosis] expected or found, as data: each element is one
// value as it was, without quotes, or a description of values in words. Nil
// says nothing, [None] says that there was no value, and Values{""} is one
// value that is empty. A value that is JSON but not a string is its JSON text,
// so an empty list is "[]".
type Values []string

// None is the absence of a value where one could be.
var None = Values{}

// Text returns text as the only value, nil if it is empty. It is for a
// description in words, which is never empty.
func Text(text string) Values {
	if text == "" {
		return nil
	}
	return Values{text}
}

// String joins the values with commas: "a, b". It is how found values are
// shown. An absent value is shown as none and an empty one as "". A value that
// could be misread is quoted, a long one shortened.
func (v Values) String() string { return v.join(", ") }

// Or joins the values with "or": "a or b". It is how expected values are shown.
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

// show returns value as it is, or quoted if it could be misread.
func show(value string) string {
	if value == "" || value == "none" || value[0] == '"' || value[0] == ' ' || value[len(value)-1] == ' ' ||
		!utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return Quote(value)
	}
	return Shorten(value, shownBytes)
}

// Quote returns text in double quotes with escapes for what is not printable,
// shortened to 200 bytes. It is for text from outside within a sentence;
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

// FromJSON returns the value of a JSON text: a string without its quotes, null
// and every other value as its JSON text. An empty text is [None].
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
