package diagnosis_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

func TestValuesAsText(t *testing.T) {
	tests := map[string]struct {
		values   diagnosis.Values
		list, or string
	}{
		"nothing to say":         {nil, "", ""},
		"no value":               {diagnosis.None, "none", "none"},
		"an empty value":         {diagnosis.Values{""}, `""`, `""`},
		"an empty list":          {diagnosis.FromJSON("[]"), "[]", "[]"},
		"a null":                 {diagnosis.FromJSON("null"), "null", "null"},
		"a missing claim":        {diagnosis.FromJSON(""), "none", "none"},
		"a string claim":         {diagnosis.FromJSON(`"a b"`), "a b", "a b"},
		"an object claim":        {diagnosis.FromJSON(`{"id":7}`), `{"id":7}`, `{"id":7}`},
		"the word none":          {diagnosis.Values{"none"}, `"none"`, `"none"`},
		"several":                {diagnosis.Values{"a", "b", "c"}, "a, b, c", "a or b or c"},
		"six":                    {diagnosis.Values{"1", "2", "3", "4", "5", "6"}, "1, 2, 3, 4, 5, 6", "1 or 2 or 3 or 4 or 5 or 6"},
		"many":                   {diagnosis.Values{"1", "2", "3", "4", "5", "6", "7"}, "1, 2, 3, 4, 5, 2 more", "1 or 2 or 3 or 4 or 5 or 2 more"},
		"spaces at the ends":     {diagnosis.Values{" a", "b "}, `" a", "b "`, `" a" or "b "`},
		"a quoted value":         {diagnosis.Values{`"a"`}, `"\"a\""`, `"\"a\""`},
		"a control character":    {diagnosis.Values{"a\x1b[31m"}, `"a\x1b[31m"`, `"a\x1b[31m"`},
		"a direction mark":       {diagnosis.Values{"a\u202eb"}, `"a\u202eb"`, `"a\u202eb"`},
		"bytes that are no text": {diagnosis.Values{"a\xff"}, `"a\xff"`, `"a\xff"`},
		"a long value":           {diagnosis.Values{strings.Repeat("é", 101)}, strings.Repeat("é", 100) + "…", strings.Repeat("é", 100) + "…"},
	}
	for name, tt := range tests {
		if got := tt.values.String(); got != tt.list {
			t.Errorf("%s: String is %s, want %s", name, got, tt.list)
		}
		if got := tt.values.Or(); got != tt.or {
			t.Errorf("%s: Or is %s, want %s", name, got, tt.or)
		}
	}
}

// A value is shortened only when it is shown.
func TestValuesAreData(t *testing.T) {
	type evidence struct {
		Got diagnosis.Values `json:"got,omitzero"`
	}
	long := strings.Repeat("x", 300)
	for want, v := range map[string]diagnosis.Values{
		`{}`:                              nil,
		`{"got":[]}`:                      diagnosis.None,
		`{"got":[""]}`:                    {""},
		`{"got":["` + long + `","none"]}`: {long, "none"},
	} {
		got, err := json.Marshal(evidence{v})
		if err != nil || string(got) != want {
			t.Errorf("JSON is %s, %v, want %s", got, err, want)
		}
	}
}

func TestShortenKeepsCharactersWhole(t *testing.T) {
	for limit, want := range map[int]string{0: "…", 1: "a…", 2: "a…", 3: "aß…", 4: "aß…", 5: "aß…", 6: "aß語…", 7: "aß語x"} {
		if got := diagnosis.Shorten("aß語x", limit); got != want {
			t.Errorf("Shorten to %d bytes is %s, want %s", limit, got, want)
		}
	}
}

func TestDiagnosisInALog(t *testing.T) {
	full := diagnosis.Diagnosis{ID: diagnosis.AudMismatch, Expected: diagnosis.Values{"a", "b"}, Got: diagnosis.None, Err: errors.New("below")}
	tests := map[string]struct {
		value any
		want  string
	}{
		"by pointer": {&full, `{"d":{"id":"AUD_MISMATCH","summary":"the token is for another audience","expected":["a","b"],"got":[],"error":"below"}}`},
		"by value":   {full, `{"d":{"id":"AUD_MISMATCH","summary":"the token is for another audience","expected":["a","b"],"got":[],"error":"below"}}`},
		"only an id": {&diagnosis.Diagnosis{ID: diagnosis.Expired}, `{"d":{"id":"EXPIRED","summary":"the token has expired"}}`},
	}
	for name, tt := range tests {
		var b bytes.Buffer
		plain := func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key != "d" {
				return slog.Attr{}
			}
			return a
		}
		slog.New(slog.NewJSONHandler(&b, &slog.HandlerOptions{ReplaceAttr: plain})).Info("refused", "d", tt.value)
		if diff := cmp.Diff(tt.want+"\n", b.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
