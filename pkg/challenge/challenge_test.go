package challenge_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/challenge"
)

func TestParse(t *testing.T) {
	type C = challenge.Challenge
	type P = []challenge.Param
	tests := map[string]struct {
		values []string
		want   []C
	}{
		"no field":          {nil, nil},
		"empty":             {[]string{""}, nil},
		"scheme alone":      {[]string{"Bearer"}, []C{{Scheme: "Bearer"}}},
		"one parameter":     {[]string{`Bearer realm="api"`}, []C{{Scheme: "Bearer", Params: P{{"realm", "api"}}}}},
		"unquoted value":    {[]string{`Bearer error=invalid_token`}, []C{{Scheme: "Bearer", Params: P{{"error", "invalid_token"}}}}},
		"space around =":    {[]string{`Bearer realm = "a" , scope	= "b"`}, []C{{Scheme: "Bearer", Params: P{{"realm", "a"}, {"scope", "b"}}}}},
		"quotes and commas": {[]string{`Bearer error_description="say \"no\", please"`}, []C{{Scheme: "Bearer", Params: P{{"error_description", `say "no", please`}}}}},
		"empty list members": {
			[]string{`, Bearer realm="a",, ,scope="b",`},
			[]C{{Scheme: "Bearer", Params: P{{"realm", "a"}, {"scope", "b"}}}},
		},
		"two in one line": {
			[]string{`Basic realm="x", Bearer realm="y", scope="a b"`},
			[]C{{Scheme: "Basic", Params: P{{"realm", "x"}}}, {Scheme: "Bearer", Params: P{{"realm", "y"}, {"scope", "a b"}}}},
		},
		"bare scheme before another":   {[]string{`Negotiate, Bearer realm="y"`}, []C{{Scheme: "Negotiate"}, {Scheme: "Bearer", Params: P{{"realm", "y"}}}}},
		"bare scheme after parameters": {[]string{`Bearer realm="y", Negotiate`}, []C{{Scheme: "Bearer", Params: P{{"realm", "y"}}}, {Scheme: "Negotiate"}}},
		"token68":                      {[]string{`Negotiate YII+/a==, Bearer`}, []C{{Scheme: "Negotiate", Token68: "YII+/a=="}, {Scheme: "Bearer"}}},
		"two lines":                    {[]string{`DPoP algs="ES256"`, `Bearer`}, []C{{Scheme: "DPoP", Params: P{{"algs", "ES256"}}}, {Scheme: "Bearer"}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := challenge.Parse(tt.values)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Parse(%q) (-want +got):\n%s", tt.values, diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, value := range []string{
		`Bearer realm="never closed`, `Bearer realm="a\`, `="x"`, `Bearer realm="a", scope=`, `Bearer realm="a" scope="b"`,
		`"Bearer"`, `Bearer;realm="a"`, "Bearer \x00",
	} {
		if got, err := challenge.Parse([]string{value}); err == nil {
			t.Errorf("Parse(%q) = %+v, want an error", value, got)
		}
	}
}

// Everything before a syntax error, and the other lines, can be used.
func TestParseUsesWhatIsReadable(t *testing.T) {
	type P = []challenge.Param
	scope := challenge.Challenge{Scheme: "Bearer", Params: P{{"scope", "a"}}}
	for name, tt := range map[string]struct {
		values       []string
		want         []challenge.Challenge
		line, offset int
	}{
		"an earlier line":      {[]string{`Bearer scope="a"`, `Basic realm="`}, []challenge.Challenge{scope}, 2, 12},
		"a later line":         {[]string{`Basic realm="`, `Bearer scope="a"`}, []challenge.Challenge{scope}, 1, 12},
		"an earlier parameter": {[]string{`Bearer scope="a", error="x`}, []challenge.Challenge{scope}, 1, 24},
		"an earlier challenge": {[]string{`Bearer scope="a", Basic realm="`}, []challenge.Challenge{scope}, 1, 30},
		"two broken lines":     {[]string{`Bearer scope="a", ="`, `="x"`}, []challenge.Challenge{scope}, 1, 18},
		"nothing":              {[]string{`"Bearer"`}, nil, 1, 0},
	} {
		got, err := challenge.Parse(tt.values)
		var at *challenge.SyntaxError
		if diff := cmp.Diff(tt.want, got); diff != "" || !errors.As(err, &at) || at.Line != tt.line || at.Offset != tt.offset {
			t.Errorf("%s: %v, want line %d, byte %d (-want +got):\n%s", name, err, tt.line, tt.offset, diff)
		}
	}
}

func TestGet(t *testing.T) {
	c := challenge.Challenge{Scheme: "bearer", Params: []challenge.Param{{"Scope", "a b"}}}
	if c.Get("scope") != "a b" || c.Get("realm") != "" || !c.Is("Bearer") || c.Is("DPoP") {
		t.Errorf("Get and Is must ignore the case: %+v", c)
	}
}

func ExampleChallenge_String() {
	fmt.Println(challenge.Challenge{Scheme: "Bearer", Params: []challenge.Param{
		{"error", "insufficient_scope"},
		{"error_description", "say \"please\"\r\nSet-Cookie: x"},
	}})
	// Output: Bearer error="insufficient_scope", error_description="say \"please\"??Set-Cookie: x"
}

func FuzzParse(f *testing.F) {
	f.Add(`Bearer realm="a", scope="b c", Basic, Negotiate YWJj==`)
	f.Add(`Bearer error_description="\"\\"`)
	f.Fuzz(func(t *testing.T, value string) {
		parsed, err := challenge.Parse([]string{value})
		if err != nil {
			return
		}
		for _, c := range parsed {
			again, err := challenge.Parse([]string{c.String()})
			if err != nil || len(again) != 1 || again[0].Scheme != c.Scheme || len(again[0].Params) != len(c.Params) {
				t.Errorf("%q: %q was parsed as %+v, %v", value, c, again, err)
			}
		}
	})
}
