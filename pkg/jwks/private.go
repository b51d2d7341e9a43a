package jwks

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// PrivateKey is a key that signs. Printing it shows only its kind and kid.
type PrivateKey struct {
	public    *Key
	algorithm string
	signer    crypto.Signer
}

// Public returns the public key, with the same kid.
func (p *PrivateKey) Public() *Key { return p.public }

// ID returns the key's kid, by default its thumbprint.
func (p *PrivateKey) ID() string { return p.public.id }

// Algorithm returns the algorithm that the key signs with.
func (p *PrivateKey) Algorithm() string { return p.algorithm }

// Signer returns the key itself.
func (p *PrivateKey) Signer() crypto.Signer { return p.signer }

// WithAlgorithm returns the same key for another algorithm of its type. It
// returns an error if the key does not support alg, or has another alg.
func (p *PrivateKey) WithAlgorithm(alg string) (*PrivateKey, error) {
	if !p.public.Fits(alg) {
		return nil, fmt.Errorf("expected an algorithm of the key, %s, got %s", diagnosis.Values(p.public.algorithms).Or(), diagnosis.Quote(alg))
	}
	public := *p.public
	public.algorithm = alg
	return &PrivateKey{public: &public, algorithm: alg, signer: p.signer}, nil
}

// String returns the kind and kid of the key.
func (p *PrivateKey) String() string { return p.algorithm + " private key " + p.ID() }

// Format writes the result of [PrivateKey.String] for every verb.
func (p *PrivateKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, p.String()) }

// DefaultRSABits is the size of RSA keys from [Generate].
const DefaultRSABits = 3072

// Generate generates a key for one of [PublicKeyAlgorithms]. RSA keys have 3072
// bits, see [GenerateRSA] for the cost.
func Generate(alg string) (*PrivateKey, error) { return generate(alg, DefaultRSABits) }

// GenerateRSA generates a key of 2048 to 8192 bits for one of the RSA
// algorithms, RS256 to PS512. Go verifies a signature of 2048 bits in a sixth of
// the time of 3072 bits; 2048 bits are considered secure until 2030 (NIST SP
// 800-57 part 1, table 4).
func GenerateRSA(alg string, bits int) (*PrivateKey, error) {
	if a, _ := LookupAlgorithm(alg); a.Type != "RSA" {
		return nil, fmt.Errorf("expected an algorithm with RSA keys, got %s", diagnosis.Quote(alg))
	}
	if bits < minRSABits || bits > maxRSABits {
		return nil, fmt.Errorf("expected %d to %d bits, got %d", minRSABits, maxRSABits, bits)
	}
	return generate(alg, bits)
}

func generate(alg string, bits int) (*PrivateKey, error) {
	var (
		signer crypto.Signer
		err    error
	)
	a, _ := LookupAlgorithm(alg)
	switch a.Type {
	case "RSA":
		signer, err = rsa.GenerateKey(rand.Reader, bits)
	case "EC":
		signer, err = ecdsa.GenerateKey(curveNamed(a.Curve), rand.Reader)
	case "OKP":
		_, signer, err = ed25519.GenerateKey(rand.Reader)
	default:
		return nil, fmt.Errorf("expected one of %s, got %s", strings.Join(PublicKeyAlgorithms(), ", "), diagnosis.Quote(alg))
	}
	if err != nil {
		return nil, err
	}
	return privateKey(signer, "", alg)
}

// privateKey checks a private key. The default alg is the first that the key
// supports, and the default id its thumbprint.
func privateKey(signer crypto.Signer, id, alg string) (*PrivateKey, error) {
	public, err := publicKey(signer.Public(), id, alg)
	if err != nil {
		return nil, err
	}
	if alg == "" {
		alg = public.algorithms[0]
	}
	public.algorithm = alg
	if id == "" {
		public.id = public.Thumbprint()
	}
	return &PrivateKey{public: public, algorithm: alg, signer: signer}, nil
}

// privateJWK are the members of a private JWK (RFC 7518, section 6).
type privateJWK struct {
	jwk
	P  string `json:"p,omitempty"`
	Q  string `json:"q,omitempty"`
	DP string `json:"dp,omitempty"`
	DQ string `json:"dq,omitempty"`
	QI string `json:"qi,omitempty"`
}

func (m *privateJWK) signer() (crypto.Signer, error) {
	public, err := m.public()
	if err != nil {
		return nil, err
	}
	d, err := decode("d", m.D)
	if err != nil {
		return nil, errors.New("the JWK has no private key")
	}
	switch p := public.(type) {
	case *rsa.PublicKey:
		return m.rsaSigner(p, d)
	case *ecdsa.PublicKey:
		key, err := ecdsa.ParseRawPrivateKey(p.Curve, d)
		if err != nil || !key.PublicKey.Equal(p) {
			return nil, errors.New("the private part of the JWK does not belong to its public part")
		}
		return key, nil
	case ed25519.PublicKey:
		if len(d) != ed25519.SeedSize {
			return nil, fmt.Errorf("expected d of %d bytes, got %d", ed25519.SeedSize, len(d))
		}
		key := ed25519.NewKeyFromSeed(d)
		if !p.Equal(key.Public()) {
			return nil, errors.New("the private part of the JWK does not belong to its public part")
		}
		return key, nil
	}
	return nil, errors.New("the JWK has no private key")
}

func (m *privateJWK) rsaSigner(public *rsa.PublicKey, d []byte) (crypto.Signer, error) {
	key := &rsa.PrivateKey{PublicKey: *public}
	key.D = number(d)
	for _, text := range []string{m.P, m.Q} {
		prime, err := decode("p and q", text)
		if err != nil {
			return nil, errors.New("a private RSA key needs its primes p and q")
		}
		key.Primes = append(key.Primes, number(prime))
	}
	if key.Validate() != nil {
		return nil, errors.New("the private part of the JWK does not belong to its public part")
	}
	key.Precompute()
	return key, nil
}

// MarshalPEM writes the private key as PKCS #8 in PEM.
func (p *PrivateKey) MarshalPEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(p.signer)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// MarshalPEM writes the public key as SubjectPublicKeyInfo in PEM. It returns an error
// for a shared secret.
func (k *Key) MarshalPEM() ([]byte, error) {
	if k.public == nil {
		return nil, errors.New("a shared secret is never published")
	}
	der, err := x509.MarshalPKIXPublicKey(k.public)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// MarshalJWK writes the private key as a JWK.
func (p *PrivateKey) MarshalJWK() ([]byte, error) {
	m := privateJWK{jwk: p.public.members()}
	switch key := p.signer.(type) {
	case *rsa.PrivateKey:
		m.D, m.P, m.Q = encode(key.D.Bytes()), encode(key.Primes[0].Bytes()), encode(key.Primes[1].Bytes())
		m.DP, m.DQ, m.QI = encode(key.Precomputed.Dp.Bytes()), encode(key.Precomputed.Dq.Bytes()), encode(key.Precomputed.Qinv.Bytes())
	case *ecdsa.PrivateKey:
		d, err := key.Bytes()
		if err != nil {
			return nil, err
		}
		m.D = encode(d)
	case ed25519.PrivateKey:
		m.D = encode(key.Seed())
	}
	return json.Marshal(m, json.Deterministic(true))
}
