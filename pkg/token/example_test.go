package token_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// Issuer and audience are arguments: there is no token that is good for everybody.
func ExampleVerifier() {
	key, err := jwks.Generate("ES256")
	if err != nil {
		panic(err)
	}
	verifier, err := token.NewVerifier("https://auth.example.com", []string{"https://api.example.com"}, jwks.NewSet(key.Public()), token.Options{})
	if err != nil {
		panic(err)
	}
	for _, audience := range []string{"https://api.example.com", "https://other.example.com"} {
		raw, err := token.Sign(key, "at+jwt", map[string]any{
			"iss": "https://auth.example.com", "aud": audience, "sub": "alice", "scope": "items:read", "exp": time.Now().Add(time.Minute).Unix(),
		})
		if err != nil {
			panic(err)
		}
		t, err := verifier.Verify(context.Background(), raw)
		var d *diagnosis.Diagnosis
		if errors.As(err, &d) {
			fmt.Println(d.ID)
			continue
		}
		fmt.Println(t.Subject(), t.Scopes())
	}
	// Output:
	// alice [items:read]
	// AUD_MISMATCH
}
