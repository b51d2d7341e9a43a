package token_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// The error says what was pasted, so that a user knows what to leave out.
func TestPastedTextIsNamed(t *testing.T) {
	good := sign(t, newKey(t, "ES256"), "at+jwt", claims(nil))
	for raw, want := range map[string]string{
		"Bearer " + good: "the name of a scheme", "bearer " + good: "the name of a scheme", `"` + good + `"`: "in quotes", "'" + good + "'": "in quotes",
		"\ufeff" + good: "byte order mark", "\u00a0" + good: "no-break space", "\u200b" + good: "zero-width space", " " + good: "a space", "\n" + good: "a line break",
		good + "\u00a0": "U+00A0 no-break space", good + "=": "padding", good[:30] + "…": "cut short", good[:30] + "\n" + good[30:]: "a line break at byte",
		good[:strings.LastIndex(good, ".")]: "the signature is missing", "access_token=" + good: "as a form", `{"access_token":"` + good + `"}`: "only the value of access_token",
		`{"kty":"EC"}`: "a key", `{"iss":"x"}`: "no one signed", `{"a":1}`: "a JSON object", "{": "begins like a JSON object", good + good: "two tokens", good + "\n" + good: "several tokens",
		"sid=" + good: "a name before", good + "~a~": "SD-JWT", "v3.public.x": "PASETO", "ory_at_a.b": "Ory Hydra", "xoxb-1.2.3": "Slack",
	} {
		_, err := token.Decode(raw)
		var d *diagnosis.Diagnosis
		if !errors.As(err, &d) || !strings.Contains(d.Got.String(), want) || strings.Contains(d.Error(), good[40:60]) {
			t.Errorf("%.40q: %v, want %q", raw, err, want)
		}
	}
	if _, err := token.Decode(good); err != nil {
		t.Error(err)
	}
}
