package jwks

import (
	"crypto"
	"crypto/elliptic"
	_ "crypto/sha256" // the hashes of the table
	_ "crypto/sha512"
	"slices"
)

// Algorithm is a signature algorithm of JSON Web Signature, with its
// requirements for keys and its hash.
type Algorithm struct {
	Name  string      // the value of alg
	Type  string      // the kty of its keys: RSA, EC, OKP or oct
	Curve string      // the crv of its EC and OKP keys, such as P-256; otherwise ""
	Hash  crypto.Hash // 0 for Ed25519, which signs the text itself
	PSS   bool        // RSASSA-PSS with a salt as long as the hash; otherwise RSA keys sign with PKCS #1 v1.5
}

// algorithms has the algorithms of RFC 7518, section 3.1, without none, and
// those of RFC 8037, section 3.1, with the name of RFC 9864 for EdDSA with
// Ed25519 keys. Every list of algorithm names is derived from this table. The
// first algorithm of a key type is its default.
var algorithms = []Algorithm{
	{Name: "RS256", Type: "RSA", Hash: crypto.SHA256},
	{Name: "RS384", Type: "RSA", Hash: crypto.SHA384},
	{Name: "RS512", Type: "RSA", Hash: crypto.SHA512},
	{Name: "PS256", Type: "RSA", Hash: crypto.SHA256, PSS: true},
	{Name: "PS384", Type: "RSA", Hash: crypto.SHA384, PSS: true},
	{Name: "PS512", Type: "RSA", Hash: crypto.SHA512, PSS: true},
	{Name: "ES256", Type: "EC", Curve: "P-256", Hash: crypto.SHA256},
	{Name: "ES384", Type: "EC", Curve: "P-384", Hash: crypto.SHA384},
	{Name: "ES512", Type: "EC", Curve: "P-521", Hash: crypto.SHA512},
	{Name: "EdDSA", Type: "OKP", Curve: "Ed25519"},
	{Name: "Ed25519", Type: "OKP", Curve: "Ed25519"},
	{Name: "HS256", Type: "oct", Hash: crypto.SHA256},
	{Name: "HS384", Type: "oct", Hash: crypto.SHA384},
	{Name: "HS512", Type: "oct", Hash: crypto.SHA512},
}

// LookupAlgorithm returns the algorithm with that name, and whether it is
// supported. Names are case-sensitive, and none is not supported.
func LookupAlgorithm(name string) (Algorithm, bool) {
	for _, a := range algorithms {
		if a.Name == name {
			return a, true
		}
	}
	return Algorithm{}, false
}

// Algorithms returns the names of all supported algorithms: those with public
// keys, then HS256, HS384 and HS512 with a shared secret.
func Algorithms() []string {
	return namesOf(func(Algorithm) bool { return true })
}

// PublicKeyAlgorithms returns the names of the algorithms with a private and a
// public key. They can be used for key sets, DPoP proofs (RFC 9449, section
// 4.2), client assertions and [Generate].
func PublicKeyAlgorithms() []string {
	return namesOf(func(a Algorithm) bool { return !a.Symmetric() })
}

// Symmetric reports whether the algorithm verifies with the secret that it signs
// with.
func (a Algorithm) Symmetric() bool { return a.Type == "oct" }

func namesOf(wanted func(Algorithm) bool) []string {
	var names []string
	for _, a := range algorithms {
		if wanted(a) {
			names = append(names, a.Name)
		}
	}
	return names
}

// algorithmsFor returns the names of the algorithms for a key type and curve.
func algorithmsFor(kty, curve string) []string {
	return namesOf(func(a Algorithm) bool { return a.Type == kty && a.Curve == curve })
}

// curveNamed returns the elliptic curve with that name, or nil.
func curveNamed(name string) elliptic.Curve {
	curves := []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()}
	i := slices.IndexFunc(curves, func(c elliptic.Curve) bool { return c.Params().Name == name })
	if i < 0 {
		return nil
	}
	return curves[i]
}
