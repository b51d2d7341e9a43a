package cmd

import "testing"

// The line break at the end of a text is not part of a secret; in binary data, such a byte is.
func TestTrimmed(t *testing.T) {
	for text, want := range map[string]string{
		"secret": "secret", "secret\n": "secret", "secret\r\n": "secret", "secret\n\n": "secret\n\n", "geheim-ä\n": "geheim-ä",
		"\xff\x01\n": "\xff\x01\n", "\x00\x01\r\n": "\x00\x01\r\n", "\x9c\r": "\x9c\r", "": "", "\n": "",
	} {
		got, err := trimmed(text, "the file")
		if (err != nil) != (want == "") || got.Reveal() != want {
			t.Errorf("%q: %q, %v, want %q", text, got.Reveal(), err, want)
		}
	}
}
