package token_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/token"
)

// HasScope must agree with Scopes, for every way to write the claims.
func TestHasScopeAgreesWithScopes(t *testing.T) {
	key := newKey(t, "EdDSA")
	values := []string{
		`"a b"`, `"a\tb"`, `"a\u0020b"`, `"\u0061"`, `""`, `" "`, `["a","b"]`, `["a b"]`, `[1,"b"]`, `{"a":"b"}`, `null`, `1`, "\"a\u00a0b\"",
		`{"x":{"roles":["a"]}}`,
	}
	for _, value := range values {
		for _, name := range []string{"scope", "scp", "roles", "realm"} {
			raw := sign(t, key, "", claims(map[string]any{"scope": nil, name: jsontext.Value(value)}))
			tok, err := token.Decode(raw)
			if err != nil {
				t.Fatal(err)
			}
			for _, named := range [][]string{nil, {"roles"}, {"realm.x.roles"}} {
				all := tok.Scopes(named...)
				for _, scope := range []string{"a", "b", "a b", "", " ", "A", "x"} {
					if got := tok.HasScope(scope, named...); got != slices.Contains(all, scope) {
						t.Errorf("%s %s, claims %q: HasScope(%q) = %v, Scopes = %q", name, value, named, scope, got, all)
					}
				}
			}
		}
	}
}

// A token can be passed on unchanged, and is not shown in a log by accident.
func TestRaw(t *testing.T) {
	key := newKey(t, "EdDSA")
	raw := sign(t, key, "", claims(nil))
	decoded, err := token.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	verified, err := verifier(t, token.Options{}, key).Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	signature := raw[strings.LastIndex(raw, ".")+1:]
	for _, tok := range []*token.Token{decoded, verified} {
		if tok.Raw().Reveal() != raw {
			t.Errorf("Raw = %q, want %q", tok.Raw().Reveal(), raw)
		}
		if shown := fmt.Sprintf("%v %+v %#v", tok, *tok, tok); strings.Contains(shown, signature) {
			t.Errorf("printing a token shows it: %s", shown)
		}
	}
}
