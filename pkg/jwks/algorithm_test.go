package jwks_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// Each algorithm of the table has a matching key; no other name is an
// algorithm.
func TestAlgorithms(t *testing.T) {
	for _, name := range jwks.Algorithms() {
		a, ok := jwks.LookupAlgorithm(name)
		if !ok || a.Name != name {
			t.Errorf("%s is listed and not found: %+v", name, a)
		}
		if public := slices.Contains(jwks.PublicKeyAlgorithms(), name); public == a.Symmetric() {
			t.Errorf("%s: with a public key: %v, symmetric: %v", name, public, a.Symmetric())
		}
		var key *jwks.Key
		switch {
		case a.Symmetric():
			k, err := jwks.SecretKey(make([]byte, a.Hash.Size()))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := jwks.Generate(name); err == nil {
				t.Errorf("%s: a secret is generated as a key pair", name)
			}
			key = k
		case a.Type == "RSA":
			k, err := jwks.GenerateRSA(name, 2048)
			if err != nil {
				t.Fatal(err)
			}
			key = k.Public()
		default:
			k, err := jwks.Generate(name)
			if err != nil {
				t.Fatal(err)
			}
			key = k.Public()
		}
		if !key.Fits(name) || key.Type() != a.Type || key.Curve() != a.Curve {
			t.Errorf("%s: the key is %s %s for %q", name, key.Type(), key.Curve(), key.Algorithms())
		}
	}
	for _, name := range []string{"", "none", "None", "rs256", "RS1", "RS255", "ES256K", "HS1024", "RSA-OAEP", "dir"} {
		if a, ok := jwks.LookupAlgorithm(name); ok {
			t.Errorf("%q is found: %+v", name, a)
		}
	}
	for _, bits := range []int{0, 1024, 2047, 8193} {
		if k, err := jwks.GenerateRSA("RS256", bits); err == nil {
			t.Errorf("%d bits: %v", bits, k)
		}
	}
	if k, err := jwks.GenerateRSA("ES256", 2048); err == nil {
		t.Errorf("ES256 as RSA: %v", k)
	}
}

func ExampleLookupAlgorithm() {
	a, ok := jwks.LookupAlgorithm("PS256")
	fmt.Println(a.Type, a.Hash, a.PSS, ok)
	// Output: RSA SHA-256 true true
}
