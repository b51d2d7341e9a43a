package jwks_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
)

var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}

func idOf(err error) diagnosis.ID {
	var d *diagnosis.Diagnosis
	if errors.As(err, &d) {
		return d.ID
	}
	return ""
}

// The thumbprints of RFC 7638, section 3.1, RFC 8037, appendix A.3, and RFC
// 9449, section 6.1.
func TestThumbprint(t *testing.T) {
	data, err := os.ReadFile("testdata/thumbprints.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		ID     string         `json:"id"`
		Key    map[string]any `json:"key"`
		Expect string         `json:"expect"`
	}
	if err := json.Unmarshal(data, &vectors); err != nil || len(vectors) != 3 {
		t.Fatal(err, len(vectors))
	}
	for _, v := range vectors {
		text, err := json.Marshal(v.Key)
		if err != nil {
			t.Fatal(err)
		}
		k, err := jwks.ParsePublic(text)
		if err != nil || k.Thumbprint() != v.Expect {
			t.Errorf("%s: %v, %v", v.ID, k.Thumbprint(), err)
		}
	}
}

func TestGenerateAndRoundTrip(t *testing.T) {
	for _, alg := range algorithms {
		t.Run(alg, func(t *testing.T) {
			key, err := jwks.Generate(alg)
			if err != nil {
				t.Fatal(err)
			}
			if key.ID() != key.Public().Thumbprint() || !key.Public().Fits(alg) {
				t.Errorf("kid %q, thumbprint %q", key.ID(), key.Public().Thumbprint())
			}
			inPEM, err := key.MarshalPEM()
			if err != nil {
				t.Fatal(err)
			}
			inJWK, err := key.MarshalJWK()
			if err != nil {
				t.Fatal(err)
			}
			for form, data := range map[string][]byte{"PEM": inPEM, "JWK": inJWK} {
				again, err := jwks.ParsePrivate(data)
				if err != nil || again.Public().Thumbprint() != key.Public().Thumbprint() {
					t.Errorf("%s: %v", form, err)
				}
				if public, err := jwks.ParsePublic(data); err != nil || public.Thumbprint() != key.Public().Thumbprint() {
					t.Errorf("public part of %s: %v", form, err)
				}
			}
			if text := fmt.Sprintf("%v %+v %#v %s", key, key, *key, key); strings.Contains(text, "big.Int") || strings.Contains(text, "[]byte") {
				t.Errorf("the private key is printed: %s", text)
			}
			var judge jose.JSONWebKey
			published, err := json.Marshal(key.Public())
			if err != nil || judge.UnmarshalJSON(published) != nil || !judge.IsPublic() || !judge.Valid() {
				t.Errorf("go-jose does not read %s: %v", published, err)
			}
		})
	}
	if _, err := jwks.Generate("none"); err == nil {
		t.Error("a key for none")
	}
}

const (
	goodEC  = `"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"`
	goodOKP = `"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"`
)

func rsaKey(n int, e string) string {
	return fmt.Sprintf(`"kty":"RSA","n":"%s","e":%q`, "_"+strings.Repeat("w", n-1), e)
}

func TestKeyRules(t *testing.T) {
	tests := map[string]struct {
		key  string
		good bool
	}{
		"EC":                     {`{` + goodEC + `}`, true},
		"EC with use and kid":    {`{` + goodEC + `,"use":"sig","kid":"1","alg":"ES256","key_ops":["verify"],"x5c":["x"]}`, true},
		"OKP":                    {`{` + goodOKP + `}`, true},
		"OKP named EdDSA":        {`{` + goodOKP + `,"alg":"EdDSA"}`, true},
		"OKP named Ed25519":      {`{` + goodOKP + `,"alg":"Ed25519"}`, true},
		"RSA 2048":               {`{` + rsaKey(342, "AQAB") + `}`, true},
		"RSA 1024":               {`{` + rsaKey(171, "AQAB") + `}`, false},
		"RSA 16384":              {`{` + rsaKey(2731, "AQAB") + `}`, false},
		"RSA even exponent":      {`{` + rsaKey(342, "AAEA") + `}`, false},
		"RSA exponent 1":         {`{` + rsaKey(342, "AQ") + `}`, false},
		"RSA large exponent":     {`{` + rsaKey(342, "AQAAAAAB") + `}`, false},
		"RSA no modulus":         {`{"kty":"RSA","e":"AQAB"}`, false},
		"use enc":                {`{` + goodEC + `,"use":"enc"}`, false},
		"key_ops without verify": {`{` + goodEC + `,"key_ops":["encrypt"]}`, false},
		"alg of another type":    {`{` + goodEC + `,"alg":"RS256"}`, false},
		"alg of another curve":   {`{` + goodEC + `,"alg":"ES384"}`, false},
		"point off the curve":    {`{` + strings.Replace(goodEC, "f83O", "f83P", 1) + `}`, false},
		"short coordinate":       {`{` + strings.Replace(goodEC, `"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"`, `"f83O"`, 1) + `}`, false},
		"unknown curve":          {`{` + strings.Replace(goodEC, "P-256", "secp256k1", 1) + `}`, false},
		"X25519":                 {`{` + strings.Replace(goodOKP, "Ed25519", "X25519", 1) + `}`, false},
		"shared secret":          {`{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}`, false},
		"unknown type":           {`{"kty":"XXX"}`, false},
		"padding":                {`{` + strings.Replace(goodOKP, `URo"`, `URo="`, 1) + `}`, false},
		"line break":             {`{` + strings.Replace(goodOKP, `11qY`, `11qY\n`, 1) + `}`, false},
		"kid a number":           {`{` + goodEC + `,"kid":1}`, false},
		"member twice":           {`{` + goodEC + `,"kty":"EC"}`, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			set, err := jwks.Parse([]byte(`{"keys":[{` + goodEC + `,"kid":"control"},` + tt.key + `]}`))
			if err != nil {
				if strings.Contains(name, "twice") {
					return // no JSON at all by the strict reading
				}
				t.Fatal(err)
			}
			if tt.good != (len(set.All()) == 2) || tt.good != (len(set.Skipped()) == 0) {
				t.Errorf("keys %v, skipped %+v, want good %v", set.All(), set.Skipped(), tt.good)
			}
			for _, s := range set.Skipped() {
				if idOf(s.Reason) != diagnosis.KeyRefused || s.Index != 1 {
					t.Errorf("skipped %+v", s)
				}
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	many := `{"keys":[` + strings.TrimSuffix(strings.Repeat(`{},`, 101), ",") + `]}`
	for name, text := range map[string]string{
		"empty": "", "HTML": "<html>", "a list": "[]", "no keys": "{}", "keys no list": `{"keys":{}}`, "too many keys": many,
		"too large": `{"keys":[]}` + strings.Repeat(" ", 1<<20),
	} {
		if s, err := jwks.Parse([]byte(text)); err == nil {
			t.Errorf("%s: Parse = %+v", name, s)
		}
	}
	if s, err := jwks.Parse([]byte(`{"keys":[]}`)); err != nil || len(s.All()) != 0 {
		t.Errorf("positive control: %v, %v", s, err)
	}
}

func TestSetKeys(t *testing.T) {
	key := func(alg string) *jwks.Key {
		k, err := jwks.Generate(alg)
		if err != nil {
			t.Fatal(err)
		}
		return k.Public()
	}
	ec, ed := key("ES256"), key("EdDSA")
	nameless, err := jwks.ParsePublic([]byte(`{` + goodEC + `}`))
	if err != nil {
		t.Fatal(err)
	}
	secret, err := jwks.SecretKey([]byte(strings.Repeat("s", 32)))
	if err != nil {
		t.Fatal(err)
	}
	set := jwks.NewSet(ec, ed)
	tests := map[string]struct {
		set      *jwks.Set
		kid, alg string
		want     []*jwks.Key
		id       diagnosis.ID
	}{
		"by kid":                     {set, ec.ID(), "ES256", []*jwks.Key{ec}, ""},
		"without kid":                {set, "", "EdDSA", []*jwks.Key{ed}, ""},
		"key without kid":            {jwks.NewSet(ed, nameless), "any", "ES256", []*jwks.Key{nameless}, ""},
		"secret":                     {jwks.NewSet(secret), "any", "HS256", []*jwks.Key{secret}, ""},
		"at most four":               {jwks.NewSet(key("ES256"), key("ES256"), key("ES256"), key("ES256"), key("ES256")), "", "ES256", nil, ""},
		"unknown kid":                {set, "other", "ES256", nil, diagnosis.KidUnknown},
		"alg not the key's":          {set, ec.ID(), "EdDSA", nil, diagnosis.AlgMismatch},
		"HS with public keys":        {set, ec.ID(), "HS256", nil, diagnosis.HSTokenNoSecret},
		"empty set":                  {jwks.NewSet(), "x", "ES256", nil, diagnosis.KeySetEmpty},
		"secret too short for HS512": {jwks.NewSet(secret), "", "HS512", nil, diagnosis.AlgMismatch},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := tt.set.Keys(t.Context(), jwks.Query{KeyID: tt.kid, Algorithm: tt.alg})
			if idOf(err) != tt.id || (err == nil) != (tt.id == "") {
				t.Fatalf("Keys = %v, want %q", err, tt.id)
			}
			if name == "at most four" && len(got.Keys) != 4 {
				t.Errorf("%d keys", len(got.Keys))
			}
			if tt.want != nil && !cmp.Equal(tt.want, got.Keys, cmp.Comparer(func(a, b *jwks.Key) bool { return a == b })) {
				t.Errorf("Keys = %v", got)
			}
		})
	}
	if _, err := jwks.SecretKey(make([]byte, 31)); idOf(err) != diagnosis.KeyRefused {
		t.Errorf("a short secret: %v", err)
	}
	if data, err := json.Marshal(jwks.NewSet(secret)); err == nil {
		t.Errorf("a secret is published: %s", data)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"keys":[{` + goodEC + `}]}`))
	f.Add([]byte(`{"keys":[{` + goodOKP + `},{"kty":"RSA"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := jwks.Parse(data)
		if err != nil {
			return
		}
		published, err := json.Marshal(set)
		if err != nil {
			t.Fatalf("published: %v", err)
		}
		again, err := jwks.Parse(published)
		if err != nil || len(again.All()) != len(set.All()) {
			t.Errorf("%s reads back as %v, %v", published, again, err)
		}
	})
}
