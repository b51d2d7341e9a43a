package jwks

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"math/big"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// warningsOf returns what is unusual about a usable key.
func warningsOf(k *Key, chain []string) []*diagnosis.Diagnosis {
	var warnings []*diagnosis.Diagnosis
	if public, ok := k.public.(*rsa.PublicKey); ok && hasROCA(public.N) {
		warnings = append(warnings, &diagnosis.Diagnosis{ID: diagnosis.KeyROCA})
	}
	if len(chain) == 0 {
		return warnings
	}
	// RFC 7517, section 4.7: standard base64, and the key of the first certificate.
	der, err := base64.StdEncoding.DecodeString(chain[0])
	if err != nil {
		return append(warnings, certificateWarning("something that is not base64"))
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return append(warnings, certificateWarning("something that is not a certificate"))
	}
	if public, ok := k.public.(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(certificate.PublicKey) {
		warnings = append(warnings, certificateWarning("a certificate of another key"))
	}
	return warnings
}

func certificateWarning(got string) *diagnosis.Diagnosis {
	return &diagnosis.Diagnosis{ID: diagnosis.KeyCertificate, Expected: diagnosis.Values{"a certificate of the same key in x5c"}, Got: diagnosis.Values{got}}
}

// hasROCA reports whether an RSA modulus has the structure of CVE-2017-15361,
// with which it can be factored: modulo each small prime it is a power of
// 65537. For another modulus, the probability of this is below 2^-25.
func hasROCA(n *big.Int) bool {
	remainder := new(big.Int)
	for _, p := range smallPrimes() {
		want := int(remainder.Mod(n, big.NewInt(int64(p))).Int64())
		power, found := 1, false
		for range p {
			if power == want {
				found = true
				break
			}
			power = power * (65537 % p) % p
		}
		if !found {
			return false
		}
	}
	return true
}

// smallPrimes returns the odd primes up to 167. The faulty library uses them for every
// key size.
func smallPrimes() []int {
	var primes []int
	for n := 3; n <= 167; n += 2 {
		if big.NewInt(int64(n)).ProbablyPrime(0) {
			primes = append(primes, n)
		}
	}
	return primes
}
