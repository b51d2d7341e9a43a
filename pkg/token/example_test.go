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

// Issuer and audience are arguments: no token is valid for every API.
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

// An API starts even if its issuer cannot be reached.
func ExampleNewIssuerVerifier() {
	verifier, err := token.NewIssuerVerifier("https://auth.example.com", []string{"https://api.example.com"}, token.Options{})
	if err != nil {
		panic(err)
	}
	_, err = verifier.Verify(context.Background(), "9f2c7e31") // no JWT, so nothing is requested
	fmt.Println(err)
	// Output: the token is opaque, not a JWT: expected three parts joined by dots, got one part
}

// Claims of your own are read into a struct.
func ExampleToken_UnmarshalClaims() {
	key, err := jwks.Generate("EdDSA")
	if err != nil {
		panic(err)
	}
	raw, err := token.Sign(key, "at+jwt", map[string]any{"sub": "alice", "tenant": map[string]any{"id": 7}})
	if err != nil {
		panic(err)
	}
	t, err := token.Decode(raw) // an API has it from Verify
	if err != nil {
		panic(err)
	}
	var claims struct {
		Subject string `json:"sub"`
		Tenant  struct {
			ID int `json:"id"`
		} `json:"tenant"`
	}
	if err := t.UnmarshalClaims(&claims); err != nil {
		panic(err)
	}
	fmt.Println(claims.Subject, claims.Tenant.ID)
	// Output: alice 7
}

// A token of each issuer in a closed list is verified with that issuer's keys.
func ExampleJoin() {
	var verifiers []*token.Verifier
	for _, issuer := range []string{"https://auth.example.com", "https://partner.example"} {
		v, err := token.NewIssuerVerifier(issuer, []string{"https://api.example.com"}, token.Options{})
		if err != nil {
			panic(err)
		}
		verifiers = append(verifiers, v)
	}
	verifier, err := token.Join(verifiers...)
	if err != nil {
		panic(err)
	}
	key, err := jwks.Generate("EdDSA")
	if err != nil {
		panic(err)
	}
	raw, err := token.Sign(key, "at+jwt", map[string]any{"iss": "https://evil.example"})
	if err != nil {
		panic(err)
	}
	_, err = verifier.Verify(context.Background(), raw)
	fmt.Println(err)
	// Output: the token is from another issuer: expected https://auth.example.com or https://partner.example, got https://evil.example
}
