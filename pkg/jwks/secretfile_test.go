package jwks_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// A secret is the content of the file without the line break that an editor
// adds to a text. A key that is publicly known is not accepted as a secret.
func TestParseSecret(t *testing.T) {
	random := bytes.Repeat([]byte{0xff, 0x01}, 16)
	text := strings.Repeat("secret 7", 5)
	public := mustGenerate(t).Public()
	publicPEM, err := public.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	publicJWK, err := public.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	oct := `{"kty":"oct","kid":"k","k":"` + base64.RawURLEncoding.EncodeToString(random) + `"}`
	for name, tt := range map[string]struct {
		file, want string // "" is refused
	}{
		"text":                    {text, text},
		"with a line break":       {text + "\n", text},
		"with CR and LF":          {text + "\r\n", text},
		"with two":                {text + "\n\n", text + "\n"},
		"several lines":           {text + "\n" + text + "\n", text + "\n" + text},
		"bytes":                   {string(random), string(random)},
		"bytes that end in LF":    {string(random) + "\n", string(random) + "\n"},
		"bytes that end in CR":    {string(random) + "\r", string(random) + "\r"},
		"bytes that end in CR LF": {string(random) + "\r\n", string(random) + "\r\n"},
		"text with a zero byte":   {text + "\x00\n", text + "\x00\n"},
		"JWK":                     {oct, string(random)},
		"JWK in a set":            {`{"keys":[` + oct + `]}` + "\n", string(random)},
		"JSON that is no JWK":     {`{"secret":"` + text + `"}`, `{"secret":"` + text + `"}`},
		"public PEM":              {string(publicPEM), ""},
		"public JWK":              {string(publicJWK), ""},
		"public set":              {`{"keys":[` + string(publicJWK) + `]}`, ""},
		"short":                   {"short", ""},
		"short JWK":               {`{"kty":"oct","k":"AAAA"}`, ""},
		"JWK, alg too long":       {strings.Replace(oct, `"kid"`, `"alg":"HS512","kid"`, 1), ""},
	} {
		k, err := jwks.ParseSecret([]byte(tt.file))
		switch {
		case tt.want == "" && idOf(err) != diagnosis.KeyRefused:
			t.Errorf("%s: %v, %v", name, k, err)
		case tt.want != "" && (err != nil || string(k.Secret()) != tt.want):
			t.Errorf("%s: %v, %v", name, k, err)
		}
	}
}

// A secret that was stored in an encoding is decoded, to explain a wrong
// signature.
func TestEncodedSecrets(t *testing.T) {
	secret := []byte("thirty-two bytes, or a few more?\xfb\xff\xfe")
	for encoding, text := range map[string]string{
		"hex":       hex.EncodeToString(secret),
		"base64":    base64.StdEncoding.EncodeToString(secret),
		"base64url": base64.RawURLEncoding.EncodeToString(secret),
	} {
		found := jwks.EncodedSecrets([]byte(text + "\n"))
		i := slices.IndexFunc(found, func(e jwks.EncodedSecret) bool { return e.Encoding == encoding })
		if i < 0 || !slices.Contains(found[i].Key.Algorithms(), "HS256") {
			t.Errorf("%s: %v", encoding, found)
		}
	}
	for _, text := range []string{"", "a text, which is no encoding of anything", "c2hvcnQ"} {
		if found := jwks.EncodedSecrets([]byte(text)); len(found) > 0 {
			t.Errorf("%q: %v", text, found)
		}
	}
}
