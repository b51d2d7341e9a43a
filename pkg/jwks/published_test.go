package jwks_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
)

func TestExposed(t *testing.T) {
	private, err := jwks.Generate("RS256")
	if err != nil {
		t.Fatal(err)
	}
	secret, _ := private.MarshalJWK()
	public, _ := private.Public().MarshalJSON()
	curve, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	other, _ := curve.Public().MarshalJSON()
	small := `{"kty":"RSA","kid":"small","e":"AQAB","n":"` + strings.Repeat("x", 171) + `"}`
	for name, tt := range map[string]struct {
		keys []string
		want string
	}{
		"two keys":        {[]string{string(public), string(other)}, ""},
		"unknown curve":   {[]string{`{"kty":"OKP","crv":"X25519","kid":"e","x":"AA"}`, string(public)}, ""},
		"kid, other type": {[]string{`{"kty":"RSA","kid":"a","n":"!"}`, `{"kty":"EC","kid":"a"}`}, ""},
		"private":         {[]string{string(other), string(secret)}, "key 2: the member d"},
		"secret":          {[]string{`{"kty":"oct","k":"AAAA","kid":"s"}`}, "key 1: the member k"},
		"unreadable":      {[]string{`{"kty":7,"d":{"a":1}}`}, "key 1: the member d"},
		"kid twice":       {[]string{string(other), `{"kty":"EC","kid":"` + curve.ID() + `"}`}, "key 2: the kid of key 1 again"},
		"small":           {[]string{small}, "key 1: 1024 bits"},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := jwks.Parse([]byte(`{"keys":[` + strings.Join(tt.keys, ",") + `]}`))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range set.Exposed() {
				var d *diagnosis.Diagnosis
				if !errors.As(e.Reason, &d) || d.ID != diagnosis.KeyRefused {
					t.Fatalf("got %v", e.Reason)
				}
				got = append(got, fmt.Sprintf("key %d: %s", e.Index+1, d.Got))
			}
			if strings.Join(got, "; ") != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
