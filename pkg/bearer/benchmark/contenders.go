package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	gojwt "github.com/golang-jwt/jwt/v5"

	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

const (
	issuer   = "https://auth.example.com/realms/acme"
	audience = "https://api.example.com"
	keyID    = "2026-11-24-k1"
)

// subject is the token that all contenders verify, with its key.
type subject struct {
	alg     string
	raw     string
	public  crypto.PublicKey // nil for a shared secret
	private *jwks.PrivateKey
	secret  []byte
	key     *jwks.Key
}

// verifyingKey returns the key in the form that most libraries need.
func (s subject) verifyingKey() any {
	if s.public == nil {
		return s.secret
	}
	return s.public
}

func newSubject(alg string) (subject, error) {
	s := subject{alg: alg}
	var err error
	if alg == "HS256" {
		s.secret = []byte(strings.Repeat("k", 32))
		if s.key, err = jwks.SecretKey(s.secret); err != nil {
			return s, err
		}
		t := gojwt.NewWithClaims(gojwt.SigningMethodHS256, gojwt.MapClaims(claims()))
		t.Header["kid"], t.Header["typ"] = keyID, "at+jwt"
		s.raw, err = t.SignedString(s.secret)
		return s, err
	}
	private, err := newKey(alg)
	if err != nil {
		return s, err
	}
	s.private = private
	s.public, s.key = private.Public().Public(), private.Public()
	s.raw, err = token.Sign(private, "at+jwt", claims())
	return s, err
}

func newKey(alg string) (*jwks.PrivateKey, error) {
	if alg != "RS256" && alg != "PS256" {
		return jwks.Generate(alg)
	}
	// 2048 bits, as most issuers use, so that the overhead around the signature
	// check matters most.
	return jwks.GenerateRSA(alg, 2048)
}

// distinct returns n tokens that differ in their jti.
func (s subject) distinct(n int) ([]string, error) {
	all := make([]string, n)
	for i := range all {
		c := claims()
		c["jti"] = fmt.Sprintf("7d3f3a52-3f0e-4b5e-8d0a-%012d", i)
		var err error
		if all[i], err = token.Sign(s.private, "at+jwt", c); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// forged returns the token with another signature.
func (s subject) forged() string {
	at := len(s.raw) - 10
	other := map[bool]string{true: "B", false: "A"}[s.raw[at] == 'A']
	return s.raw[:at] + other + s.raw[at+1:]
}

// claims are the twelve of a usual access token.
func claims() map[string]any {
	now := time.Now()
	return map[string]any{
		"iss": issuer, "aud": audience, "sub": "6f0d8f6c-2d2e-4d0a-9a0e-0d9c3f2b7a11", "jti": "7d3f3a52-3f0e-4b5e-8d0a-f1c5d4a7e2b9",
		"exp": now.Add(time.Hour).Unix(), "iat": now.Unix(), "nbf": now.Unix(), "client_id": "web", "scope": "openid profile items:read items:write",
		"tenant": "acme", "roles": []string{"reader", "writer"}, "email_verified": true,
	}
}

// contenders returns the contenders that support an algorithm. Each was tested
// to accept a valid token and to refuse a forged and an expired one.
func contenders(alg string) ([]contender, error) {
	s, err := newSubject(alg)
	if err != nil {
		return nil, err
	}
	check, err := bareCheck(s)
	if err != nil {
		return nil, err
	}
	all := []contender{{bare, must(check)}}
	for _, add := range []func(subject) (named, error){golangMap, golangRegistered, keyfuncSet, goJose, goOIDC, jwx, cristalhq, auth0Handler, ours, oursHandler} {
		n, err := add(s)
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			continue
		case err != nil:
			return nil, err
		}
		if err := n.prove(s); err != nil {
			return nil, fmt.Errorf("%s: %w", n.name, err)
		}
		all = append(all, contender{n.name, must(func() error { return n.judge(s.raw) })})
	}
	again, err := cached(s)
	return append(all, again...), err
}

// named is a contender for any token.
type named struct {
	name  string
	judge func(raw string) error
}

// prove tests that a contender verifies tokens.
func (n named) prove(s subject) error {
	if err := n.judge(s.raw); err != nil {
		return fmt.Errorf("refuses a valid token: %w", err)
	}
	if n.judge(s.forged()) == nil {
		return errors.New("accepts a forged token")
	}
	return nil
}

func must(f func() error) func() {
	return func() {
		if err := f(); err != nil {
			panic(err)
		}
	}
}

// bareCheck is the minimum for every verifier: the hash and the signature check
// of crypto/*, with a decoded signature.
func bareCheck(s subject) (func() error, error) {
	dot := strings.LastIndexByte(s.raw, '.')
	signed := []byte(s.raw[:dot])
	signature, err := base64.RawURLEncoding.DecodeString(s.raw[dot+1:])
	if err != nil {
		return nil, err
	}
	failed := errors.New("not the signature")
	switch key := s.verifyingKey().(type) {
	case *rsa.PublicKey:
		if s.alg == "PS256" {
			o := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
			return func() error {
				sum := sha256.Sum256(signed)
				return rsa.VerifyPSS(key, crypto.SHA256, sum[:], signature, o)
			}, nil
		}
		return func() error {
			sum := sha256.Sum256(signed)
			return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature)
		}, nil
	case *ecdsa.PublicKey:
		half := len(signature) / 2
		der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])})
		return func() error {
			if sum := sha256.Sum256(signed); !ecdsa.VerifyASN1(key, sum[:], der) {
				return failed
			}
			return nil
		}, err
	case ed25519.PublicKey:
		return func() error {
			if !ed25519.Verify(key, signed, signature) {
				return failed
			}
			return nil
		}, nil
	}
	return func() error {
		mac := hmac.New(sha256.New, s.secret)
		mac.Write(signed)
		if !hmac.Equal(mac.Sum(nil), signature) {
			return failed
		}
		return nil
	}, nil
}
