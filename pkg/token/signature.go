package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// algorithm describes how a signature is verified.
type algorithm struct {
	name  string
	hash  crypto.Hash // 0 for Ed25519, which uses the text itself
	check func(a *algorithm, w *workspace, k *jwks.Key) bool
	curve string // of ECDSA
	size  int    // of each of the two numbers of an ECDSA signature, in bytes
}

// algorithms has the verification details of each algorithm in the table of
// jwks.
var algorithms = func() map[string]*algorithm {
	sizes := map[string]int{"P-256": 32, "P-384": 48, "P-521": 66}
	checks := map[string]func(*algorithm, *workspace, *jwks.Key) bool{"RSA": checkPKCS1, "EC": checkECDSA, "OKP": checkEd25519, "oct": checkHMAC}
	table := map[string]*algorithm{}
	for _, name := range jwks.Algorithms() {
		a, _ := jwks.LookupAlgorithm(name)
		table[name] = &algorithm{name: name, hash: a.Hash, check: checks[a.Type], curve: a.Curve, size: sizes[a.Curve]}
		if a.PSS {
			table[name].check = checkPSS
		}
	}
	return table
}()

// VerifySignature returns nil if key signed the token, otherwise a Diagnosis of
// kind Rejected. It checks neither times nor issuer nor audience. Use it for a
// DPoP proof, whose key is in its header; for an access token, use a [Verifier].
func (t *Token) VerifySignature(key *jwks.Key) error {
	p, err := split(t.raw.Reveal())
	if err != nil {
		return err
	}
	if t.header.algorithm == nil {
		return unsupported(t.header.query.Algorithm)
	}
	var w workspace
	_, err = w.verifySignature(&jwks.Candidates{Keys: []*jwks.Key{key}}, &t.header, p)
	return err
}

// algorithmOf returns nil for a name that is not supported. Names are
// case-sensitive, and none is not supported.
func algorithmOf(alg string) *algorithm { return algorithms[alg] }

// unsupported returns the error for an algorithm that is not supported.
func unsupported(alg string) error {
	return &diagnosis.Diagnosis{ID: diagnosis.AlgUnsupported, Expected: jwks.Algorithms(), Got: diagnosis.Values{alg}}
}

// verifySignature returns the number of keys that it tried, including the one that
// verifies the signature.
func (w *workspace) verifySignature(c *jwks.Candidates, h *header, p parts) (tried int, err error) {
	if w.signature, err = decodePart(w.signature[:0], "signature", p.signature); err != nil {
		return 0, err
	}
	a := h.algorithm
	w.signed = append(w.signed[:0], p.signed...)
	for i, k := range c.Keys {
		// re-checked: a custom KeySet may return a key that does not fit
		if !k.Fits(a.name) {
			return 0, &diagnosis.Diagnosis{ID: diagnosis.AlgMismatch, Expected: diagnosis.Values{"a key for " + a.name}, Got: diagnosis.Values{k.Type()}}
		}
		if a.check(a, w, k) {
			return i + 1, nil
		}
	}
	return 0, &diagnosis.Diagnosis{ID: diagnosis.SignatureInvalid, Expected: diagnosis.Values{"a signature by " + signers(c, h)}, Got: diagnosis.Values{"another"}}
}

// sum hashes the signed text.
func (w *workspace) sum(h crypto.Hash) []byte {
	switch h {
	case crypto.SHA256:
		sum := sha256.Sum256(w.signed)
		return append(w.digest[:0], sum[:]...)
	case crypto.SHA384:
		sum := sha512.Sum384(w.signed)
		return append(w.digest[:0], sum[:]...)
	}
	w.digest = sha512.Sum512(w.signed)
	return w.digest[:]
}

func checkPKCS1(a *algorithm, w *workspace, k *jwks.Key) bool {
	public, ok := k.Public().(*rsa.PublicKey)
	return ok && rsa.VerifyPKCS1v15(public, a.hash, w.sum(a.hash), w.signature) == nil
}

// checkPSS requires a salt that is as long as the hash (RFC 7518, section 3.5);
// other libraries accept any length.
func checkPSS(a *algorithm, w *workspace, k *jwks.Key) bool {
	public, ok := k.Public().(*rsa.PublicKey)
	if !ok {
		return false
	}
	o := rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
	return rsa.VerifyPSS(public, a.hash, w.sum(a.hash), w.signature, &o) == nil
}

// checkECDSA requires the two numbers at their full length (RFC 7518, section
// 3.4).
func checkECDSA(a *algorithm, w *workspace, k *jwks.Key) bool {
	public, ok := k.Public().(*ecdsa.PublicKey)
	if !ok || len(w.signature) != 2*a.size || public.Curve.Params().Name != a.curve {
		return false
	}
	w.der = appendSequence(w.der[:0], w.signature[:a.size], w.signature[a.size:])
	return ecdsa.VerifyASN1(public, w.sum(a.hash), w.der)
}

// appendSequence encodes two numbers as a DER sequence, the form that the
// library accepts without allocating.
func appendSequence(der, r, s []byte) []byte {
	r, s = trimInteger(r), trimInteger(s)
	der = append(der, 0x30)
	content := 2 + integerSize(r) + 2 + integerSize(s)
	if content > 0x7f {
		der = append(der, 0x81)
	}
	der = append(der, byte(content))
	return appendInteger(appendInteger(der, r), s)
}

// trimInteger removes leading zeros, except the last byte.
func trimInteger(n []byte) []byte {
	for len(n) > 1 && n[0] == 0 {
		n = n[1:]
	}
	return n
}

// integerSize includes a leading zero if the number would be negative.
func integerSize(n []byte) int { return len(n) + int(n[0]>>7) }

func appendInteger(der, n []byte) []byte {
	der = append(der, 0x02, byte(integerSize(n)))
	if n[0]&0x80 != 0 {
		der = append(der, 0)
	}
	return append(der, n...)
}

func checkEd25519(_ *algorithm, w *workspace, k *jwks.Key) bool {
	public, ok := k.Public().(ed25519.PublicKey)
	return ok && len(public) == ed25519.PublicKeySize && ed25519.Verify(public, w.signed, w.signature)
}

func checkHMAC(a *algorithm, w *workspace, k *jwks.Key) bool {
	secret := k.Secret()
	if len(secret) == 0 {
		return false
	}
	if w.mac == nil || w.macKey != k || w.macHash != a.hash {
		w.mac, w.macKey, w.macHash = hmac.New(a.hash.New, secret), k, a.hash
	}
	w.mac.Reset()
	w.mac.Write(w.signed)
	return hmac.Equal(w.mac.Sum(w.digest[:0]), w.signature)
}
