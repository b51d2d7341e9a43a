package challenge_test

import (
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
	// What stands before the fault is still of use.
	got, err := challenge.Parse([]string{`Bearer scope="a"`, `Basic realm="`})
	want := []challenge.Challenge{{Scheme: "Bearer", Params: []challenge.Param{{Name: "scope", Value: "a"}}}}
	if diff := cmp.Diff(want, got); diff != "" || err == nil {
		t.Errorf("err %v (-want +got):\n%s", err, diff)
	}
}

func TestGet(t *testing.T) {
	c := challenge.Challenge{Scheme: "bearer", Params: []challenge.Param{{"Scope", "a b"}}}
	if c.Get("scope") != "a b" || c.Get("realm") != "" || !c.Is("Bearer") || c.Is("DPoP") {
		t.Errorf("Get and Is must not look at case: %+v", c)
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
				t.Errorf("%q: %q reads back as %+v, %v", value, c, again, err)
			}
		}
	})
}
