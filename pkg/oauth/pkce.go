package oauth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"

	"github.com/oauthctl/oauthctl/pkg/secret"
)

// s256 returns BASE64URL(SHA-256(ASCII(verifier))) (RFC 7636, section 4.2).
func s256(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// random returns 32 random bytes as 43 characters of the URL-safe alphabet,
// which is the length that RFC 7636, section 4.1, advises for a verifier.
func random() secret.String {
	var b [32]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return secret.New(base64.RawURLEncoding.EncodeToString(b[:]))
}
