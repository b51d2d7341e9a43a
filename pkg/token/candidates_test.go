package token_test

import (
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// The message says which keys were tried: the one that the token names, the only
// one, or as many as are tried for a token without kid.
func TestWhichKeysWereTried(t *testing.T) {
	signer := newKey(t, "ES256")
	for name, tt := range map[string]struct {
		keys int
		kid  bool
		want string
	}{
		"named":         {3, true, `a signature by key "`},
		"the only one":  {1, false, `a signature by key "`},
		"two":           {2, false, "one of the 2 keys that fit,"},
		"four":          {4, false, "one of the first 4 keys that fit; no more are tried"},
		"six":           {6, false, "one of the first 4 keys that fit; no more are tried"},
		"without a kid": {0, false, "a signature by the key,"},
	} {
		var keys []*jwks.Key
		for range tt.keys {
			keys = append(keys, newKey(t, "ES256").Public())
		}
		if tt.keys == 0 {
			data, err := newKey(t, "ES256").Public().MarshalPEM()
			if err != nil {
				t.Fatal(err)
			}
			key, err := jwks.ParsePublic(data)
			if err != nil {
				t.Fatal(err)
			}
			keys = []*jwks.Key{key}
		}
		header := map[string]any{"alg": "ES256"}
		if tt.kid {
			header["kid"] = keys[1].ID()
		}
		raw, err := token.SignWithHeader(signer, header, claims(nil))
		if err != nil {
			t.Fatal(err)
		}
		v, err := token.NewVerifier(issuer, []string{audience}, jwks.NewSet(keys...), token.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(t.Context(), raw); idOf(err) != diagnosis.SignatureInvalid || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}
