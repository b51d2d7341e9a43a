package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// Sign returns claims as a JWT in compact form, signed with key, with that typ
// ("at+jwt" for an access token; "" omits it) and the key's kid. Claims may be
// anything that marshals to a JSON object.
func Sign(key *jwks.PrivateKey, typ string, claims any) (string, error) {
	header := map[string]any{"alg": key.Algorithm(), "kid": key.ID()}
	if typ != "" {
		header["typ"] = typ
	}
	return SignWithHeader(key, header, claims)
}

// SignWithHeader returns claims as a JWT with exactly that header. Its alg must
// be one that the key supports. It is for tests and tools; [Sign] writes the
// usual header.
func SignWithHeader(key *jwks.PrivateKey, header map[string]any, claims any) (string, error) {
	return sign(key.Public(), signingKey(key.Signer()), header, claims)
}

// SignWithSecret returns claims as a JWT with exactly that header, signed with a
// shared secret. It is for tests: anyone who can verify such a token can also
// sign one.
func SignWithSecret(secret *jwks.Key, header map[string]any, claims any) (string, error) {
	return sign(secret, secret.Secret(), header, claims)
}

func sign(key *jwks.Key, with any, header map[string]any, claims any) (string, error) {
	alg, _ := header["alg"].(string)
	method := methodOf(alg)
	if method == nil || !key.Fits(alg) {
		return "", fmt.Errorf("the key signs with %s, not with %s", diagnosis.Values(key.Algorithms()).Or(), diagnosis.Quote(alg))
	}
	head, err := encodeJSON(header)
	if err != nil {
		return "", err
	}
	payload, err := encodeJSON(claims)
	if err != nil {
		return "", err
	}
	signed := head + "." + payload
	signature, err := method.Sign(signed, with)
	if err != nil {
		return "", errors.New("signing failed")
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// signingKey returns the key in the type that the library needs.
func signingKey(s crypto.Signer) any {
	switch k := s.(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey:
		return k
	}
	return s
}

func encodeJSON(v any) (string, error) {
	data, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(data), nil
}

// methodOf returns the signing method of an algorithm, or nil if it is not
// supported.
func methodOf(alg string) jwt.SigningMethod {
	a, ok := jwks.LookupAlgorithm(alg)
	switch {
	case !ok:
		return nil
	case a.Type == "OKP":
		return jwt.SigningMethodEdDSA // the library uses one of its two names
	}
	return jwt.GetSigningMethod(alg)
}
