package token_test

import (
	"errors"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// A claim about the caller that is not a string is refused, not treated as
// missing.
func TestTextClaims(t *testing.T) {
	key, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	v, err := token.NewVerifier("https://as.example", []string{"https://api.example"}, jwks.NewSet(key.Public()), token.Options{})
	if err != nil {
		t.Fatal(err)
	}
	verify := func(name string, value any) error {
		raw, err := token.Sign(key, "at+jwt", map[string]any{"iss": "https://as.example", "aud": "https://api.example", "exp": time.Now().Unix() + 60, name: value})
		if err != nil {
			t.Fatal(err)
		}
		_, err = v.Verify(t.Context(), raw)
		return err
	}
	for _, name := range []string{"sub", "jti", "client_id", "azp", "sid"} {
		if err := verify(name, "text"); err != nil {
			t.Errorf("%s, positive control: %v", name, err)
		}
		for _, value := range []any{[]string{"alice"}, map[string]any{"id": 7}, 7, true} {
			var d *diagnosis.Diagnosis
			if err := verify(name, value); !errors.As(err, &d) || d.ID != diagnosis.ClaimInvalid {
				t.Errorf("%s = %v: %v", name, value, err)
			}
		}
	}
}
