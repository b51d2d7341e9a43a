package token_test

import (
	"context"
	"crypto"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/go-json-experiment/json"
	gojwt "github.com/golang-jwt/jwt/v5"

	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// trial is a token and what is expected of it, as far as each library supports
// it.
type trial struct {
	raw        string
	issuer     string
	audience   []string
	algorithms []string // nil allows all but none
	leeway     time.Duration
	now        time.Time
	ours       *jwks.Set
	theirs     any // the key as go-jose takes it: a JSONWebKeySet, a public key or a secret
}

var everyAlgorithm = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519", "HS256", "HS384", "HS512"}

func (x trial) allowed() []string {
	if x.algorithms != nil {
		return x.algorithms
	}
	return everyAlgorithm
}

// golangJWT verifies with golang-jwt and all its strict options. It has no key
// sets, so it gets the keys that our verifier would choose.
func (x trial) golangJWT() error {
	p := gojwt.NewParser(gojwt.WithValidMethods(x.allowed()), gojwt.WithIssuer(x.issuer), gojwt.WithAudience(x.audience...),
		gojwt.WithExpirationRequired(), gojwt.WithIssuedAt(), gojwt.WithStrictDecoding(), gojwt.WithLeeway(x.leeway),
		gojwt.WithTimeFunc(func() time.Time { return x.now }))
	_, err := p.Parse(x.raw, func(t *gojwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		found, err := x.ours.Keys(context.Background(), jwks.Query{KeyID: kid, Algorithm: t.Method.Alg()})
		if err != nil {
			return nil, err
		}
		var set gojwt.VerificationKeySet
		for _, k := range found.Keys {
			if k.Public() == nil {
				set.Keys = append(set.Keys, k.Secret())
			} else {
				set.Keys = append(set.Keys, gojwt.VerificationKey(k.Public()))
			}
		}
		return set, nil
	})
	return err
}

// goJose verifies with go-jose, which has its own key set.
func (x trial) goJose() error {
	var algorithms []jose.SignatureAlgorithm
	for _, a := range x.allowed() {
		algorithms = append(algorithms, jose.SignatureAlgorithm(a))
	}
	t, err := josejwt.ParseSigned(x.raw, algorithms)
	if err != nil {
		return err
	}
	if x.theirs == nil {
		return errors.New("it could not read the keys")
	}
	var claims josejwt.Claims
	if err := t.Claims(x.theirs, &claims); err != nil {
		return err
	}
	if claims.Expiry == nil {
		return errors.New("a caller would have to ask for exp itself")
	}
	leeway := x.leeway
	if leeway == 0 {
		leeway = time.Nanosecond // 0 would stand for a minute
	}
	return claims.ValidateWithLeeway(josejwt.Expected{Issuer: x.issuer, AnyAudience: x.audience, Time: x.now}, leeway)
}

// joseKeys reads a key file of the corpus for go-jose; it returns nil if
// go-jose cannot read the file.
func joseKeys(name string) any {
	data, err := os.ReadFile(filepath.Join(corpusDir, "keys", name))
	if err != nil {
		return nil
	}
	switch filepath.Ext(name) {
	case ".json":
		var set jose.JSONWebKeySet
		if json.Unmarshal(data, &set) != nil {
			return nil
		}
		return set
	case ".jwk":
		var key jose.JSONWebKey
		if key.UnmarshalJSON(data) != nil {
			return nil
		}
		return key
	case ".secret":
		return data
	}
	key, err := jwks.ParsePublic(data)
	if err != nil {
		return nil
	}
	return crypto.PublicKey(key.Public())
}
