package dpop_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/dpop"
)

// Signatures of proofs follow the rules of tokens: PKCS #1 and PSS are distinct, a
// PSS salt is as long as the hash (RFC 7518, section 3.5), and HMAC is not
// allowed.
func TestSignatureRules(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	jwk := fmt.Sprintf(`{"kty":"RSA","n":%q,"e":%q}`, encode(key.N.Bytes()), encode(big.NewInt(int64(key.E)).Bytes()))
	pss := func(salt int) func([]byte) ([]byte, error) {
		return func(sum []byte) ([]byte, error) {
			return rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum, &rsa.PSSOptions{SaltLength: salt})
		}
	}
	pkcs1 := func(sum []byte) ([]byte, error) { return rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum) }
	for name, tt := range map[string]struct {
		alg  string
		sign func(sum []byte) ([]byte, error)
		want diagnosis.ID
	}{
		"PS256, salt of 32 bytes": {"PS256", pss(32), ""},
		"PS256, no salt":          {"PS256", pss(0), diagnosis.DPoPInvalid},
		"PS256, longest salt":     {"PS256", pss(rsa.PSSSaltLengthAuto), diagnosis.DPoPInvalid},
		"PS256 signed as RS256":   {"PS256", pkcs1, diagnosis.DPoPInvalid},
		"RS256":                   {"RS256", pkcs1, ""},
		"RS256 signed as PS256":   {"RS256", pss(32), diagnosis.DPoPInvalid},
		"HS256 by the public key": {"HS256", func(sum []byte) ([]byte, error) {
			mac := hmac.New(sha256.New, key.N.Bytes())
			mac.Write(sum)
			return mac.Sum(nil), nil
		}, diagnosis.DPoPInvalid},
		"none": {"none", func([]byte) ([]byte, error) { return nil, nil }, diagnosis.DPoPInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			header := fmt.Sprintf(`{"alg":%q,"typ":"dpop+jwt","jwk":%s}`, tt.alg, jwk)
			claims := fmt.Sprintf(`{"jti":"1","htm":"GET","htu":"https://api.example/","iat":%d}`, clock.Unix())
			signed := encode([]byte(header)) + "." + encode([]byte(claims))
			sum := sha256.Sum256([]byte(signed))
			signature, err := tt.sign(sum[:])
			if err != nil {
				t.Fatal(err)
			}
			v := &dpop.Verifier{Replay: dpop.NewMemory(dpop.MemoryOptions{Now: now}), Now: now}
			_, err = v.Verify(t.Context(), dpop.Request{Method: "GET", URL: "https://api.example/", Proofs: []string{signed + "." + encode(signature)}})
			refused(t, err, tt.want)
		})
	}
}
