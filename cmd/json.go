package cmd

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// printJSON prints v on stdout, in the form that --json or --jq requests.
func (env *Env) printJSON(v any) error { return env.writeJSON(env.Stdout, v) }

func (env *Env) writeJSON(w io.Writer, v any) error {
	if env.global.jq != "" {
		return env.filter(w, v)
	}
	return encode(w, v)
}

// encode writes v indented. It escapes every character that a terminal could
// interpret: JSON already requires that for control characters in strings, and
// C1 controls and direction marks are escaped too.
func encode(w io.Writer, v any) error {
	data, err := json.Marshal(v, json.Deterministic(true), jsontext.WithIndent("  "), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	_, err = io.WriteString(w, escapeJSON(string(data))+"\n")
	return err
}

// escapeJSON replaces the characters that clean would replace with JSON
// escapes, so the text is still the same JSON.
func escapeJSON(text string) string {
	if isClean(strings.ReplaceAll(text, "\n", "")) {
		return text
	}
	out := make([]byte, 0, len(text)+16)
	for _, r := range text {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			out = utf8.AppendRune(out, r)
		case r > 0xFFFF:
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xD800+(r>>10), 0xDC00+(r&0x3FF))
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return string(out)
}

// json paints JSON that is already safe for a terminal: names apart from texts,
// texts apart from everything else.
func (s *screen) json(text string) string {
	if !s.colour {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		end := i + 1
		switch c := text[i]; {
		case c == '"':
			for end < len(text) && text[end] != '"' {
				if text[end] == '\\' {
					end++
				}
				end++
			}
			end = min(end+1, len(text))
			if strings.HasPrefix(text[end:], ":") {
				b.WriteString(s.name(text[i:end]))
			} else {
				b.WriteString(s.paint(text[i:end], "2", false))
			}
		case strings.IndexByte("{}[],: \n", c) >= 0:
			b.WriteByte(c)
		default:
			for end < len(text) && strings.IndexByte("{}[],: \n", text[end]) < 0 {
				end++
			}
			b.WriteString(s.paint(text[i:end], "3", false))
		}
		i = end
	}
	return b.String()
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
