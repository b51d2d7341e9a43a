package jwks_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// certified returns a key and its certificate in base64.
func certified(t *testing.T) (*jwks.Key, string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "as.example"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := jwks.ParsePublic(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	return key, base64.StdEncoding.EncodeToString(der)
}

// rocaKey returns a JWK whose modulus is a power of 65537 modulo each small
// prime, as in CVE-2017-15361. It is not a product of two primes, but that is
// not checked.
func rocaKey() string {
	product := big.NewInt(1)
	for n := int64(3); n <= 167; n += 2 {
		if big.NewInt(n).ProbablyPrime(0) {
			product.Mul(product, big.NewInt(n))
		}
	}
	n := new(big.Int).Exp(big.NewInt(65537), big.NewInt(12345), product)
	k := new(big.Int).Lsh(big.NewInt(1), uint(2047-product.BitLen()+1))
	n.Add(n, k.Mul(k, product))
	if n.Bit(0) == 0 {
		n.Add(n, product)
	}
	return `{"kty":"RSA","e":"AQAB","n":"` + base64.RawURLEncoding.EncodeToString(n.Bytes()) + `"}`
}

// Each form in which users have a key gives the same key.
func TestKeyFiles(t *testing.T) {
	private, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	want := private.Public().Thumbprint()
	must := func(data []byte, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	privatePEM, publicPEM := must(private.MarshalPEM()), must(private.Public().MarshalPEM())
	privateJWK, publicJWK := must(private.MarshalJWK()), must(json.Marshal(private.Public()))
	der := func(text string) string {
		block, _ := pem.Decode([]byte(text))
		return string(block.Bytes)
	}
	body := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(der(text))) }
	for name, tt := range map[string]struct {
		file    string
		private bool
	}{
		"public PEM":           {publicPEM, false},
		"private PEM":          {privatePEM, true},
		"on one line":          {strings.ReplaceAll(publicPEM, "\n", `\n`), false},
		"private, on one line": {`"` + strings.ReplaceAll(privatePEM, "\n", `\n`) + `"`, true},
		"public DER":           {der(publicPEM), false},
		"private DER":          {der(privatePEM), true},
		"bare base64":          {body(publicPEM), false},
		"in lines of base64":   {body(publicPEM)[:64] + "\r\n" + body(publicPEM)[64:] + "\n", false},
		"private base64":       {body(privatePEM), true},
		"public JWK":           {publicJWK, false},
		"private JWK":          {privateJWK + "\n", true},
		"set of one":           {`{"keys":[` + publicJWK + `]}`, false},
		"private set of one":   {`{"keys":[` + privateJWK + `]}`, true},
		"byte order mark":      {"\xef\xbb\xbf" + publicPEM, false},
		"UTF-16":               {utf16Text(publicPEM), false},
		"openssl parameters":   {"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + privatePEM, true},
		"text before it":       {"Bag Attributes\n" + publicPEM, false},
	} {
		k, err := jwks.ParsePublic([]byte(tt.file))
		if err != nil || k.Thumbprint() != want {
			t.Errorf("%s: %v, %v", name, k, err)
		}
		p, err := jwks.ParsePrivate([]byte(tt.file))
		if tt.private != (err == nil) || err == nil && p.Public().Thumbprint() != want {
			t.Errorf("%s as a private key: %v, %v", name, p, err)
		}
	}
	key, certificate := certified(t)
	for name, file := range map[string]string{
		"certificate, base64": certificate,
		"x5c alone":           `{"kty":"EC","kid":"c","x5c":["` + certificate + `"]}`,
	} {
		if k, err := jwks.ParsePublic([]byte(file)); err != nil || k.Thumbprint() != key.Thumbprint() {
			t.Errorf("%s: %v, %v", name, k, err)
		}
	}
}

// The error says what a file without a key contains; only a key that must not
// be used is KEY_REFUSED.
func TestNoKeyFile(t *testing.T) {
	for file, want := range map[string]string{
		"":                                    "got nothing",
		"<html>":                              "an HTML or XML page",
		"hello":                               "text that is not JSON",
		"\x9f\x01\xfe\xff":                    "binary data",
		"a\x00b":                              "binary data",
		`{"keys":[]}`:                         "a key set without keys",
		`{"keys":[{"kid":"a"},{"kid":"b"}]}`:  "a key set of 2; put the key that is meant into a file of its own (kids: a, b)",
		`{"kty":"EC",`:                        "cut off or damaged",
		`{"a":"-----BEGIN CERTIFICATE-----"}`: "a map of X.509 certificates",

		`{"issuer":"i","jwks_uri":"https://as.example/k"}`: "jwks_uri is https://as.example/k",
		"ssh-ed25519 AAAA me@here":                         "ssh-keygen -e -m PKCS8",
		"eyJhbGciOiJSUzI1NiJ9.e30.x":                       "a token",

		"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----": "encrypted",
		"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----":     "OpenSSH",
		"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----":     "CERTIFICATE REQUEST",
		"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----":                       "cannot be read",
	} {
		k, err := jwks.ParsePublic([]byte(file))
		var d *diagnosis.Diagnosis
		if err == nil || errors.As(err, &d) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, %v, want %q", file, k, err, want)
		}
		if p, err := jwks.ParsePrivate([]byte(file)); err == nil {
			t.Errorf("%.40q as a private key: %v", file, p)
		}
	}
	for file, want := range map[string]string{
		`{"kty":"RSA","n":"AQAB","e":"AQAB"}`:     "RSA key of 2048 to 8192 bits",
		`{"kty":"oct","k":"AAAA"}`:                "a shared secret",
		`{"kty":"OKP","crv":"X25519","x":"AAAA"}`: "the curve Ed25519",
		`{"kty":"EC","kty":"EC"}`:                 `the member "kty" twice`,
		`{"keys":[{"kty":"RSA","use":"enc"}]}`:    `use "enc"`,
	} {
		k, err := jwks.ParsePublic([]byte(file))
		if idOf(err) != diagnosis.KeyRefused || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v, want %q", file, k, err, want)
		}
	}
}

func TestWithAlgorithm(t *testing.T) {
	key, err := jwks.GenerateRSA("PS512", 2048)
	if err != nil {
		t.Fatal(err)
	}
	data, err := key.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	read, err := jwks.ParsePrivate(data)
	if err != nil || read.Algorithm() != "RS256" {
		t.Fatalf("%v, %v", read, err)
	}
	again, err := read.WithAlgorithm("PS512")
	if err != nil || again.Algorithm() != "PS512" || again.ID() != key.ID() || again.Public().Algorithm() != "PS512" {
		t.Errorf("%v, %v", again, err)
	}
	for _, alg := range []string{"", "ES256", "HS256", "none"} {
		if k, err := read.WithAlgorithm(alg); err == nil {
			t.Errorf("%s: %v", alg, k)
		}
	}
	if k, err := key.WithAlgorithm("RS256"); err == nil {
		t.Errorf("a key that names its algorithm takes another: %v", k)
	}
}
