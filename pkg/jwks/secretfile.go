package jwks

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// ParseSecret reads a file with a shared secret for HS256, HS384 and HS512: a JWK
// of type oct (RFC 7518, section 6.4), or the secret itself. The line break that an
// editor adds at the end of a text is not part of the secret; binary data is used
// unchanged. It returns a Diagnosis KEY_REFUSED for a secret that is too short, and
// for a public or private key, because everyone who has the public key could sign
// with it.
func ParseSecret(data []byte) (*Key, error) {
	text := bytes.TrimSpace(decodeText(data))
	if block := pemBlock(text); block != nil {
		return nil, refused("a shared secret", "a PEM block "+diagnosis.Quote(block.Type))
	}
	if key, err := onlyKey(text); err == nil {
		return secretOfJWK(key)
	}
	return SecretKey(withoutLineBreak(data))
}

// EncodedSecret is a secret that the text of a file may encode.
type EncodedSecret struct {
	Encoding string // base64, base64url or hex
	Key      *Key
}

// EncodedSecrets returns the secrets that the text of a file for [ParseSecret] may
// encode, to explain why a signature is not valid with the text itself. Libraries
// differ here, and the file does not show the encoding, so no signature may be
// accepted with them.
func EncodedSecrets(data []byte) []EncodedSecret {
	text := string(bytes.TrimSpace(decodeText(data)))
	unpadded := strings.TrimRight(text, "=")
	var all []EncodedSecret
	for _, try := range []struct {
		encoding string
		text     string
		decode   func(string) ([]byte, error)
	}{
		{"hex", text, hex.DecodeString},
		{"base64", unpadded, base64.RawStdEncoding.DecodeString},
		{"base64url", unpadded, base64.RawURLEncoding.DecodeString},
	} {
		secret, err := try.decode(try.text)
		if err != nil {
			continue
		}
		if key, err := SecretKey(secret); err == nil {
			all = append(all, EncodedSecret{try.encoding, key})
		}
	}
	return all
}

func secretOfJWK(data jsontext.Value) (*Key, error) {
	var m struct {
		jwk
		K string `json:"k"`
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, unreadable(data, err)
	}
	if m.Kty != "oct" {
		return nil, refused("a shared secret, kty oct", "kty "+m.Kty)
	}
	secret, err := decode("k", m.K)
	if err != nil {
		return nil, err
	}
	return secretKey(secret, m.Kid, m.Alg)
}

// withoutLineBreak removes one line break at the end of a text.
func withoutLineBreak(data []byte) []byte {
	text := bytes.TrimSuffix(bytes.TrimSuffix(data, []byte("\n")), []byte("\r"))
	printable := func(r rune) bool { return unicode.IsPrint(r) || r == '\n' || r == '\r' || r == '\t' }
	if utf8.Valid(text) && bytes.IndexFunc(text, func(r rune) bool { return !printable(r) }) < 0 {
		return text
	}
	return data
}

// secretKey is like SecretKey with a kid, for one algorithm if the key has an
// alg.
func secretKey(secret []byte, id, alg string) (*Key, error) {
	k, err := SecretKey(secret)
	if err != nil {
		return nil, err
	}
	k.id = id
	if alg == "" {
		return k, nil
	}
	if !k.Fits(alg) {
		return nil, refused("an alg that a secret of that length fits", alg)
	}
	k.algorithm, k.algorithms = alg, []string{alg}
	return k, nil
}
