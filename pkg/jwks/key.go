// Package jwks provides the keys that verify JWTs: a JSON Web Key (RFC 7517, RFC
// 7518, RFC 8037), a set of keys, and a set that is fetched from a URL and cached.
//
// Start with [Parse] for a local set, [NewRemote] for one at a URL, and [Generate]
// for a new key. An invalid key in a set is skipped and reported, so that it does
// not affect the others. A single key is parsed strictly, and all checks are done
// when it is loaded. The package verifies no signatures and decrypts nothing.
package jwks

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// Accepted sizes of RSA keys in bits. The maximum prevents a key set from
// making verification arbitrarily slow.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// Key is a key that verifies signatures: a public key, or a shared secret. It
// is immutable and usable: an unusable key is never represented as a Key.
type Key struct {
	id         string
	kty        string
	curve      string
	algorithm  string
	public     crypto.PublicKey
	secret     *[]byte // a pointer, of which fmt prints no content
	algorithms []string
	// certificates has the thumbprints of the key's certificate.
	certificates []keyName
	warnings     []*diagnosis.Diagnosis
}

// Warnings returns what is unusual about the key although it can be used:
// Diagnoses of kind Advice.
func (k *Key) Warnings() []*diagnosis.Diagnosis { return slices.Clone(k.warnings) }

// ID returns the key's kid, or "".
func (k *Key) ID() string { return k.id }

// Type returns the key type (RFC 7518, section 6.1): RSA, EC, OKP or oct.
func (k *Key) Type() string { return k.kty }

// Curve returns the curve of an EC or OKP key, such as P-256, otherwise "".
func (k *Key) Curve() string { return k.curve }

// Algorithm returns the alg of the key, or "".
func (k *Key) Algorithm() string { return k.algorithm }

// Algorithms returns the algorithms whose signatures the key may verify.
func (k *Key) Algorithms() []string { return slices.Clone(k.algorithms) }

// Fits reports whether the key may verify signatures with that algorithm: its
// type and curve match, and it has no other alg.
func (k *Key) Fits(alg string) bool { return slices.Contains(k.algorithms, alg) }

// Public returns the *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey, or nil
// for a shared secret.
func (k *Key) Public() crypto.PublicKey { return k.public }

// Secret returns the bytes of a shared secret, which the caller must not change, or
// nil for a public key.
func (k *Key) Secret() []byte {
	if k.secret == nil {
		return nil
	}
	return *k.secret
}

// Thumbprint returns the key's SHA-256 thumbprint in base64url (RFC 7638). It returns
// "" for a shared secret, because the thumbprint would help to guess the secret.
func (k *Key) Thumbprint() string {
	if k.public == nil {
		return ""
	}
	// The required members, sorted by name, without white space.
	m := k.members()
	var text string
	switch k.kty {
	case "RSA":
		text = fmt.Sprintf(`{"e":%q,"kty":"RSA","n":%q}`, m.E, m.N)
	case "EC":
		text = fmt.Sprintf(`{"crv":%q,"kty":"EC","x":%q,"y":%q}`, m.Crv, m.X, m.Y)
	default:
		text = fmt.Sprintf(`{"crv":%q,"kty":"OKP","x":%q}`, m.Crv, m.X)
	}
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// SecretKey returns a shared secret as a key for those of HS256, HS384 and
// HS512 for which it is long enough (RFC 7518, section 3.2). It returns an
// error for fewer than 32 bytes.
func SecretKey(secret []byte) (*Key, error) {
	copied := slices.Clone(secret)
	k := &Key{kty: "oct", secret: &copied}
	k.algorithms = namesOf(func(a Algorithm) bool { return a.Symmetric() && len(secret) >= a.Hash.Size() })
	if k.algorithms == nil {
		return nil, refused("a shared secret of at least 32 bytes", fmt.Sprintf("%d bytes", len(secret)))
	}
	return k, nil
}

// publicKey checks a public key. An empty alg means every algorithm that the
// key supports.
func publicKey(public crypto.PublicKey, id, alg string) (*Key, error) {
	k := &Key{id: id, algorithm: alg, public: public}
	switch p := public.(type) {
	case *rsa.PublicKey:
		if bits := p.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return nil, refused(fmt.Sprintf("an RSA key of %d to %d bits", minRSABits, maxRSABits), fmt.Sprintf("%d bits", bits))
		}
		if p.E < 3 || p.E&1 == 0 {
			return nil, refused("an odd RSA exponent of 3 or more", fmt.Sprint(p.E))
		}
		k.kty = "RSA"
	case *ecdsa.PublicKey:
		k.kty, k.curve = "EC", p.Curve.Params().Name
		if curveNamed(k.curve) == nil {
			return nil, refused("the curve P-256, P-384 or P-521", k.curve)
		}
	case ed25519.PublicKey:
		k.kty, k.curve = "OKP", "Ed25519"
	default:
		return nil, refused("an RSA, EC or Ed25519 key", fmt.Sprintf("%T", public))
	}
	k.algorithms = algorithmsFor(k.kty, k.curve)
	// EdDSA and Ed25519 are two names of the same algorithm.
	if alg == "" || k.kty == "OKP" && k.Fits(alg) {
		return k, nil
	}
	if !k.Fits(alg) {
		return nil, refused("an alg that fits the key: "+strings.Join(k.algorithms, ", "), alg)
	}
	k.algorithms = []string{alg}
	return k, nil
}

// jwk holds the members of a JSON Web Key that are used.
type jwk struct {
	Kty    string   `json:"kty,omitempty"`
	Use    string   `json:"use,omitempty"`
	KeyOps []string `json:"key_ops,omitempty"`
	Alg    string   `json:"alg,omitempty"`
	Kid    string   `json:"kid,omitempty"`
	Crv    string   `json:"crv,omitempty"`
	X      string   `json:"x,omitempty"`
	Y      string   `json:"y,omitempty"`
	N      string   `json:"n,omitempty"`
	E      string   `json:"e,omitempty"`
	D      string   `json:"d,omitempty"`
	X5C    []string `json:"x5c,omitempty"`
}

// parseKey reads one JWK as a public key.
func parseKey(data jsontext.Value) (*Key, error) {
	var m jwk
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, unreadable(data, err)
	}
	if m.Use != "" && m.Use != "sig" && m.Use != "jwt-svid" { // the last value is that of SPIFFE
		return nil, refused("use sig", "use "+diagnosis.Quote(m.Use))
	}
	if m.KeyOps != nil && !slices.Contains(m.KeyOps, "verify") && m.D == "" {
		return nil, refused("key_ops with verify", fmt.Sprintf("key_ops %q", m.KeyOps))
	}
	public, err := m.public()
	if err != nil {
		return nil, err
	}
	k, err := publicKey(public, m.Kid, m.Alg)
	if err != nil {
		return nil, err
	}
	k.warnings, k.certificates = warningsOf(k, m.X5C), certificatesOf(data)
	return k, nil
}

// unreadable returns why a JWK cannot be parsed.
func unreadable(data jsontext.Value, err error) error {
	var (
		syntax   *jsontext.SyntacticError
		semantic *json.SemanticError
	)
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName) && errors.As(err, &syntax):
		return refused("each member once", "the member "+diagnosis.Quote(syntax.JSONPointer.LastToken())+" twice")
	case data.Kind() != '{':
		return refused("a JWK, which is a JSON object", data.Kind().String())
	case errors.As(err, &semantic) && semantic.JSONPointer != "":
		member := semantic.JSONPointer.LastToken()
		want := "a string"
		if strings.HasPrefix(string(semantic.JSONPointer), "/key_ops") || strings.HasPrefix(string(semantic.JSONPointer), "/x5c") {
			want = "a list of strings"
		}
		return refused(member+" to be "+want, semantic.JSONKind.String())
	}
	return refused("valid JSON in UTF-8", "something else")
}

func (m *jwk) public() (crypto.PublicKey, error) {
	switch m.Kty {
	case "RSA":
		return m.rsa()
	case "EC":
		return m.ec()
	case "OKP":
		if m.Crv != "Ed25519" {
			return nil, refused("the curve Ed25519", fmt.Sprintf("crv %s", diagnosis.Quote(m.Crv)))
		}
		x, err := decode("x", m.X)
		if err != nil {
			return nil, err
		}
		if len(x) != ed25519.PublicKeySize {
			return nil, refused("x of 32 bytes", fmt.Sprintf("%d", len(x)))
		}
		return ed25519.PublicKey(x), nil
	case "oct":
		return nil, refused("a public key", "a shared secret (kty oct), which must not be in a key set")
	}
	return nil, refused("kty RSA, EC or OKP", m.Kty)
}

func (m *jwk) rsa() (crypto.PublicKey, error) {
	n, err := decode("n", m.N)
	if err != nil {
		return nil, err
	}
	e, err := decode("e", m.E)
	if err != nil {
		return nil, err
	}
	exponent := new(big.Int).SetBytes(e)
	if len(e) > 4 || exponent.BitLen() > 31 {
		return nil, refused("an RSA exponent below 2^31", fmt.Sprintf("%d bytes", len(e)))
	}
	if len(n) > 2*maxRSABits/8 {
		return nil, refused(fmt.Sprintf("an RSA key of %d to %d bits", minRSABits, maxRSABits), fmt.Sprintf("%d bits", 8*len(n)))
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}, nil
}

func (m *jwk) ec() (crypto.PublicKey, error) {
	curve := curveNamed(m.Crv)
	if curve == nil {
		return nil, refused("the curve P-256, P-384 or P-521", fmt.Sprintf("crv %s", diagnosis.Quote(m.Crv)))
	}
	x, err := decode("x", m.X)
	if err != nil {
		return nil, err
	}
	y, err := decode("y", m.Y)
	if err != nil {
		return nil, err
	}
	size := (curve.Params().BitSize + 7) / 8
	if len(x) != size || len(y) != size {
		return nil, refused(fmt.Sprintf("coordinates of %d bytes", size), fmt.Sprintf("%d and %d", len(x), len(y)))
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil, refused("a point on "+m.Crv, "a point off the curve")
	}
	return public, nil
}

// members returns the public members of the key.
func (k *Key) members() jwk {
	m := jwk{Kty: k.kty, Kid: k.id, Alg: k.algorithm, Crv: k.curve, Use: "sig"}
	switch p := k.public.(type) {
	case *rsa.PublicKey:
		m.N, m.E = encode(p.N.Bytes()), encode(big.NewInt(int64(p.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := p.Bytes()
		if err == nil {
			half := len(point) / 2
			m.X, m.Y = encode(point[1:1+half]), encode(point[1+half:])
		}
	case ed25519.PublicKey:
		m.X = encode(p)
	}
	return m
}

// MarshalJSON writes the key's public members (RFC 7517). It returns an error for a
// shared secret, which must not be published.
func (k *Key) MarshalJSON() ([]byte, error) {
	if k.public == nil {
		return nil, errors.New("a shared secret is never published")
	}
	return json.Marshal(k.members(), json.Deterministic(true))
}

func number(data []byte) *big.Int { return new(big.Int).SetBytes(data) }

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// decode decodes base64url without padding. Unlike the library's strict mode,
// it rejects line breaks.
func decode(name, text string) ([]byte, error) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	got := "other characters, or bits that are not part of it"
	switch {
	case text == "":
		got = "nothing"
	case strings.ContainsAny(text, "\r\n"):
		got = "line breaks in it"
	case err == nil:
		return data, nil
	case strings.HasSuffix(text, "="):
		got = "padding (=)"
	case strings.ContainsAny(text, "+/"):
		got = "the + and / of plain base64"
	}
	return nil, refused(name+" in base64url without padding", got)
}

func refused(expected, got string) error {
	return &diagnosis.Diagnosis{ID: diagnosis.KeyRefused, Expected: diagnosis.Text(expected), Got: diagnosis.Text(got)}
}
