package devserver

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base32"
	"encoding/pem"
	"fmt"
	"strconv"
	"sync"

	"github.com/oauthctl/oauthctl/pkg/jwks"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// derive derives 32 bytes from a seed for a purpose. They are not secret:
// anyone can choose the same seed.
func derive(seed int64, purpose string) []byte {
	sum := sha256.Sum256([]byte("oauthctl dev " + strconv.FormatInt(seed, 10) + " " + purpose))
	return sum[:]
}

// generate returns the signing key, the same one for the same seed.
func generate(algorithm string, seed int64) (*jwks.PrivateKey, error) {
	if seed == 0 {
		if a, _ := jwks.LookupAlgorithm(algorithm); a.Type == "RSA" {
			// These keys protect nothing, and a longer key would make
			// verification several times slower.
			return jwks.GenerateRSA(algorithm, 2048)
		}
		return jwks.Generate(algorithm)
	}
	var key any
	switch algorithm {
	case "ES256":
		private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), derive(seed, "key"))
		if err != nil {
			return nil, fmt.Errorf("seed %d: %w", seed, err)
		}
		key = private
	case "EdDSA", "Ed25519":
		key = ed25519.NewKeyFromSeed(derive(seed, "key"))
	default:
		return nil, fmt.Errorf("a seed needs ES256 or EdDSA, whose keys can be derived from it, not %s", diagnosis.Quote(algorithm))
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return jwks.ParsePrivate(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// names generates ids, in the same order for the same seed.
type names struct {
	seed int64
	mu   sync.Mutex
	n    int
}

func newNames(seed int64) *names { return &names{seed: seed} }

func (n *names) next() string {
	if n.seed == 0 {
		return rand.Text()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.n++
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(derive(n.seed, "client "+strconv.Itoa(n.n))[:16])
}
