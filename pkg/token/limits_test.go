package token_test

import (
	"encoding/base64"
	"runtime"
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// A token that is too large is refused before it is read: that takes almost no
// memory, for any size.
func TestLargeTokens(t *testing.T) {
	key := newKey(t, "ES256")
	v := verifier(t, token.Options{}, key)
	good := sign(t, key, "at+jwt", claims(nil))
	header, _, _ := strings.Cut(good, ".")
	payload := base64.RawURLEncoding.EncodeToString([]byte(`{"a":"` + strings.Repeat("a", 10<<20) + `"}`))
	roomy := sign(t, key, "at+jwt", claims(map[string]any{"a": strings.Repeat("a", 40<<10)}))
	tokens := map[string]struct {
		raw  string
		want diagnosis.ID
	}{
		"1 MB of dots":           {strings.Repeat(".", 1<<20), diagnosis.TokenTooLarge},
		"a header of 1 MB":       {strings.Repeat("e", 1<<20) + ".e.e", diagnosis.TokenTooLarge},
		"a payload of 10 MB":     {header + "." + payload + ".AAAA", diagnosis.TokenTooLarge},
		"a payload of 40 kB":     {roomy, ""},
		"a token as they are":    {good, ""},
		"a header of 10 kB":      {strings.Repeat("e", 10<<10) + ".e.e", diagnosis.HeaderInvalid},
		"60,000 dots":            {strings.Repeat(".", 60_000), diagnosis.Malformed},
		"a signature of 60 kB":   {good + strings.Repeat("A", 60_000), diagnosis.SignatureInvalid},
		"60,000 bytes of nought": {strings.Repeat("\x00", 60_000), diagnosis.OpaqueToken},
	}
	for name, tt := range tokens {
		t.Run(name, func(t *testing.T) {
			var err error
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err = v.Verify(t.Context(), tt.raw)
			runtime.ReadMemStats(&after)
			if idOf(err) != tt.want || tt.want == "" && err != nil {
				t.Errorf("Verify: %s, want %q", idOf(err), tt.want)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
				t.Errorf("%d bytes of token took %d bytes of heap", len(tt.raw), took)
			}
			if err != nil && len(err.Error()) > 1000 {
				t.Errorf("the error is %d bytes long", len(err.Error()))
			}
			if r := v.Report(t.Context(), tt.raw); idOf(r.Err()) != tt.want {
				t.Errorf("Report: %s, want %q", idOf(r.Err()), tt.want)
			}
		})
	}
}
