package jwks

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// keyFile is a file with one key, in one of two forms.
type keyFile struct {
	block *pem.Block     // PEM, or DER with the label that it would have
	jwk   jsontext.Value // nil for a PEM block
}

// openKeyFile finds the key in a file: PEM, DER, DER in base64, a JWK, or a key
// set with one key.
func openKeyFile(data []byte) (keyFile, error) {
	text := bytes.TrimSpace(decodeText(data))
	if block := pemBlock(text); block != nil {
		return keyFile{block: block}, nil
	}
	if bytes.HasPrefix(text, []byte("{")) {
		jwk, err := onlyKey(text)
		return keyFile{jwk: jwk}, err
	}
	if block := derBlock(data); block != nil {
		return keyFile{block: block}, nil
	}
	compact := strings.Join(strings.Fields(string(text)), "")
	if der, err := base64.StdEncoding.DecodeString(compact); err == nil {
		if block := derBlock(der); block != nil {
			return keyFile{block: block}, nil
		}
	}
	return keyFile{}, fmt.Errorf("expected a key as PEM, DER or JWK, got %s", describe(data))
}

// pemBlock returns the first block that can contain a key, or nil. Environment
// variables often have PEM on one line, with \n instead of line breaks.
func pemBlock(text []byte) *pem.Block {
	if !bytes.Contains(text, []byte("-----BEGIN ")) {
		return nil
	}
	text = bytes.ReplaceAll(bytes.Trim(text, `"'`), []byte(`\n`), []byte("\n"))
	for {
		block, rest := pem.Decode(text)
		if block == nil || block.Type != "EC PARAMETERS" { // openssl writes them first
			return block
		}
		text = rest
	}
}

// derBlock returns DER with its PEM label, or nil if it is neither a key nor a
// certificate.
func derBlock(der []byte) *pem.Block {
	if len(der) == 0 || der[0] != 0x30 {
		return nil
	}
	for _, form := range []struct {
		label string
		parse func([]byte) error
	}{
		{"PUBLIC KEY", ignore(x509.ParsePKIXPublicKey)},
		{"CERTIFICATE", ignore(x509.ParseCertificate)},
		{"RSA PUBLIC KEY", ignore(x509.ParsePKCS1PublicKey)},
		{"PRIVATE KEY", ignore(x509.ParsePKCS8PrivateKey)},
		{"RSA PRIVATE KEY", ignore(x509.ParsePKCS1PrivateKey)},
		{"EC PRIVATE KEY", ignore(x509.ParseECPrivateKey)},
	} {
		if form.parse(der) == nil {
			return &pem.Block{Type: form.label, Bytes: der}
		}
	}
	return nil
}

func ignore[T any](parse func([]byte) (T, error)) func([]byte) error {
	return func(der []byte) error {
		_, err := parse(der)
		return err
	}
}

// onlyKey returns a JWK, or the only key of a key set.
func onlyKey(text []byte) (jsontext.Value, error) {
	members, err := splitObject(text)
	if err != nil {
		return nil, errors.New("expected a JWK, got JSON that is cut off or damaged")
	}
	for _, m := range members {
		switch m.name {
		case "kty":
			return text, nil
		case "keys":
			keys, err := splitArray(m.value, MaxKeys)
			if err != nil || len(keys) == 0 {
				return nil, errors.New("expected one key, got a key set without keys")
			}
			if len(keys) > 1 {
				var kids diagnosis.Values
				for _, key := range keys {
					kids = append(kids, kidOf(key))
				}
				return nil, fmt.Errorf("expected one key, got a key set of %d; put the key that is meant into a file of its own (kids: %s)", len(keys), kids)
			}
			return keys[0], nil
		}
	}
	return nil, fmt.Errorf("expected a JWK, got %s", describe(text))
}

// ParsePublic parses one public key: PEM or DER (SubjectPublicKeyInfo, PKCS #1
// or a certificate), also in base64, a JWK, or a key set with one key. For a
// private key, it returns the public key. The error is a Diagnosis KEY_REFUSED
// for a key that must not be used, and another error if it is not a key.
func ParsePublic(data []byte) (*Key, error) {
	f, err := openKeyFile(data)
	if err != nil {
		return nil, err
	}
	if f.jwk != nil {
		return publicOfJWK(f.jwk)
	}
	var public any
	switch label := f.block.Type; {
	case label == "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(f.block.Bytes)
	case label == "RSA PUBLIC KEY":
		public, err = x509.ParsePKCS1PublicKey(f.block.Bytes)
	case label == "CERTIFICATE":
		var certificate *x509.Certificate
		if certificate, err = x509.ParseCertificate(f.block.Bytes); err == nil {
			public = certificate.PublicKey
		}
	case strings.HasSuffix(label, "PRIVATE KEY"):
		signer, err := parsePEM(f.block)
		if err != nil {
			return nil, err
		}
		public = signer.Public()
	default:
		return nil, fmt.Errorf("expected a PEM block PUBLIC KEY or CERTIFICATE, got %s", diagnosis.Quote(label))
	}
	if err != nil {
		return nil, fmt.Errorf("the PEM block %s cannot be read", diagnosis.Quote(f.block.Type))
	}
	return newPublic(public)
}

// publicOfJWK parses a JWK. If it has no key parameters, the key is that of the
// first certificate in x5c.
func publicOfJWK(data jsontext.Value) (*Key, error) {
	var m jwk
	if err := json.Unmarshal(data, &m); err == nil && m.N == "" && m.X == "" && m.Kty != "oct" && len(m.X5C) > 0 {
		der, err := base64.StdEncoding.DecodeString(m.X5C[0])
		if err != nil {
			return nil, refused("x5c in base64", "something else")
		}
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, refused("a certificate in x5c", "something else")
		}
		return publicKey(certificate.PublicKey, m.Kid, m.Alg)
	}
	return parseKey(data)
}

// newPublic returns a key without kid and alg.
func newPublic(public crypto.PublicKey) (*Key, error) {
	k, err := publicKey(public, "", "")
	if err != nil {
		return nil, err
	}
	k.warnings = warningsOf(k, nil)
	return k, nil
}

// ParsePrivate parses one private key: PEM or DER (PKCS #8, PKCS #1, SEC 1), also
// in base64, a private JWK, or a key set with one. Only a JWK can specify its
// algorithm; otherwise it is the default of its type, such as RS256.
// [PrivateKey.WithAlgorithm] changes it.
func ParsePrivate(data []byte) (*PrivateKey, error) {
	f, err := openKeyFile(data)
	if err != nil {
		return nil, err
	}
	if f.block != nil {
		signer, err := parsePEM(f.block)
		if err != nil {
			return nil, err
		}
		return privateKey(signer, "", "")
	}
	var m privateJWK
	if err := json.Unmarshal(f.jwk, &m); err != nil {
		return nil, unreadable(f.jwk, err)
	}
	signer, err := m.signer()
	if err != nil {
		return nil, err
	}
	return privateKey(signer, m.Kid, m.Alg)
}

func parsePEM(block *pem.Block) (crypto.Signer, error) {
	var (
		key any
		err error
	)
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("the private key is encrypted; decrypt it first, for instance with openssl pkey")
	case "OPENSSH PRIVATE KEY":
		return nil, errors.New("this is a private key of OpenSSH; a copy of it can be converted with ssh-keygen -p -m PKCS8 -f COPY")
	default:
		return nil, fmt.Errorf("expected a PEM block PRIVATE KEY, got %s", diagnosis.Quote(block.Type))
	}
	if block.Headers["DEK-Info"] != "" {
		return nil, errors.New("the private key is encrypted; decrypt it first, for instance with openssl pkey")
	}
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		// The library's text may quote bytes of the key.
		return nil, fmt.Errorf("the PEM block %s holds no RSA, EC or Ed25519 key", diagnosis.Quote(block.Type))
	}
	return signer, nil
}
