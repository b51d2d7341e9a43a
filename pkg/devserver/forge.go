package devserver

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/token"
)

// otherIssuer and otherAPI are nobody's (RFC 2606).
const (
	otherIssuer = "https://issuer.example"
	otherAPI    = "https://api.example"
)

// forgery returns what spoils an access token for the fault of that name, nil if
// it does not concern access tokens.
func forgery(name string) func(*Server, *draft) {
	switch name {
	case "expired":
		return func(_ *Server, d *draft) { d.shift(-2*time.Hour, "iat"); d.set("exp", d.at("iat")+3600) }
	case "not-yet-valid":
		return func(_ *Server, d *draft) { d.set("nbf", d.at("iat")+3600); d.shift(time.Hour, "exp") }
	case "clock-skew":
		return func(_ *Server, d *draft) { d.shift(2*time.Minute, "iat"); d.shift(2*time.Minute, "exp") }
	case "wrong-issuer":
		return func(_ *Server, d *draft) { d.claims["iss"] = otherIssuer }
	case "issuer-slash":
		return func(s *Server, d *draft) { d.claims["iss"] = s.config.Issuer + "/" }
	case "wrong-audience":
		return func(_ *Server, d *draft) { d.claims["aud"] = otherAPI }
	case "no-audience":
		return func(_ *Server, d *draft) { delete(d.claims, "aud") }
	case "unknown-kid":
		return func(_ *Server, d *draft) { d.header["kid"] = "not-published" }
	case "missing-scope":
		return func(_ *Server, d *draft) { d.claims["scope"] = "openid" }
	case "scope-as-array":
		return func(_ *Server, d *draft) { d.claims["scope"] = strings.Fields(fmt.Sprint(d.claims["scope"])) }
	case "bad-signature":
		return func(_ *Server, d *draft) { d.finish = spoilSignature }
	case "alg-none":
		return func(_ *Server, d *draft) { d.finish = leaveUnsigned }
	case "alg-confusion":
		return func(_ *Server, d *draft) { d.finish = signWithPublicKey }
	case "opaque-token":
		return func(_ *Server, d *draft) { d.finish = makeOpaque }
	case "id-token", "id-token-as-access-token":
		return makeIDToken
	}
	return nil
}

func (d *draft) at(claim string) int64 {
	seconds, _ := d.claims[claim].(int64)
	return seconds
}

func (d *draft) set(claim string, seconds int64) { d.claims[claim] = seconds }

func (d *draft) shift(by time.Duration, claim string) { d.set(claim, d.at(claim)+int64(by.Seconds())) }

// makeIDToken turns the draft into an ID token for the same client.
func makeIDToken(_ *Server, d *draft) {
	d.header["typ"] = "JWT"
	d.claims["aud"] = d.claims["client_id"]
	d.claims["nonce"] = rand.Text()
	for _, name := range []string{"client_id", "scope", "jti"} {
		delete(d.claims, name)
	}
}

func spoilSignature(_ *Server, d *draft) (string, error) {
	raw, err := token.SignWithHeader(d.key, d.header, d.claims)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	dot := strings.LastIndexByte(raw, '.')
	signature, err := base64.RawURLEncoding.DecodeString(raw[dot+1:])
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	signature[len(signature)/2] ^= 1
	return raw[:dot+1] + base64.RawURLEncoding.EncodeToString(signature), nil
}

func leaveUnsigned(_ *Server, d *draft) (string, error) {
	d.header["alg"] = "none"
	delete(d.header, "kid")
	raw, err := d.signingInput()
	return raw + ".", err
}

// signWithPublicKey is what an attacker does to a verifier that takes the
// algorithm from the token (RFC 8725, section 2.1).
func signWithPublicKey(_ *Server, d *draft) (string, error) {
	public, err := d.key.Public().MarshalPEM()
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	d.header["alg"] = "HS256"
	input, err := d.signingInput()
	mac := hmac.New(sha256.New, public)
	mac.Write([]byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), err
}

func makeOpaque(*Server, *draft) (string, error) { return rand.Text() + rand.Text(), nil }

func (d *draft) signingInput() (string, error) {
	header, err := json.Marshal(d.header, json.Deterministic(true))
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	claims, err := json.Marshal(d.claims, json.Deterministic(true))
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode(header) + "." + encode(claims), nil
}
