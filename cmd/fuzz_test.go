package cmd

import (
	"strings"
	"testing"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"
)

// No text of a server or a token can control a terminal.
func FuzzClean(f *testing.F) {
	f.Add("plain")
	f.Add("\x1b]0;title\x07\x1b[2J")
	f.Add("\u202egnp.exe\u2066 \u0085\x9b31m\xff\n\t\r")
	f.Fuzz(func(t *testing.T, text string) {
		for name, shown := range map[string]string{"clean": clean(text), "cleanLines": strings.ReplaceAll(cleanLines(text), "\n", "")} {
			for _, r := range shown {
				if !unicode.IsPrint(r) {
					t.Errorf("%s(%q) leaves %q", name, text, r)
				}
			}
		}
	})
}

func TestCleanLeavesPlainTextAlone(t *testing.T) {
	for _, text := range []string{"", "plain", "Grüße, 世界 ✓ …", `back\slash "quoted"`} {
		if got := clean(text); got != text {
			t.Errorf("clean(%q) = %q", text, got)
		}
	}
}

// JSON on a terminal cannot control it either, and remains the same JSON.
func FuzzEscapeJSON(f *testing.F) {
	f.Add("\u009b31m\u202e\U000e0001")
	f.Fuzz(func(t *testing.T, text string) {
		quoted, err := jsontext.AppendQuote(nil, text)
		if err != nil {
			return
		}
		shown := escapeJSON(string(quoted))
		for _, r := range shown {
			if !unicode.IsPrint(r) {
				t.Errorf("escapeJSON(%q) leaves %q", quoted, r)
			}
		}
		if back, err := jsontext.AppendUnquote(nil, shown); err != nil || string(back) != text {
			t.Errorf("escapeJSON(%q) reads back as %q, %v", quoted, back, err)
		}
	})
}
