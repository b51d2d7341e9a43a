package devserver

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base32"
	"encoding/pem"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/jwks"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// derive returns 32 bytes that belong to a seed and a purpose. Nothing made of
// them is secret: anyone can choose the same seed.
func derive(seed int64, purpose string) []byte {
	sum := sha256.Sum256([]byte("oauthctl dev " + strconv.FormatInt(seed, 10) + " " + purpose))
	return sum[:]
}

// generate makes the key that signs, the same one for the same seed.
func generate(algorithm string, seed int64) (*jwks.PrivateKey, error) {
	switch {
	case strings.HasPrefix(algorithm, "RS"), strings.HasPrefix(algorithm, "PS"):
		if seed == 0 {
			return generateRSA(algorithm)
		}
	case seed == 0:
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

// generateRSA makes a key of 2048 bits: nothing is protected here, and a longer
// one costs each verifier several times as much.
func generateRSA(algorithm string) (*jwks.PrivateKey, error) {
	if !slices.Contains(jwks.PublicKeyAlgorithms(), algorithm) {
		return jwks.Generate(algorithm)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	generated, err := jwks.ParsePrivate(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err != nil {
		return nil, err
	}
	data, err := generated.MarshalJWK()
	if err != nil {
		return nil, err
	}
	var members map[string]any
	if err := json.Unmarshal(data, &members); err != nil {
		return nil, err
	}
	members["alg"] = algorithm
	if data, err = json.Marshal(members); err != nil {
		return nil, err
	}
	return jwks.ParsePrivate(data)
}

// names gives ids, the same in the same order for the same seed.
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
