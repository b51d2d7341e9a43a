// Package dpop creates and verifies DPoP proofs (RFC 9449): a signed JWT that
// is sent with each request and binds a token to a key.
//
// A client starts with [NewProver], which creates one proof for each request
// and stores the nonces of servers by origin. A server starts with a
// [Verifier], which verifies the proof of a request and needs a [ReplayStore];
// [NewMemory] is one for a single process.
//
// The package sends no requests and reads no header except DPoP-Nonce. Whether
// a token is bound to a key is for the caller to read from its cnf claim.
package dpop

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

const proofType = "dpop+jwt"

// Prover creates proofs with one key. It is safe for concurrent use.
type Prover struct {
	key    *jwks.PrivateKey
	header map[string]any // the same in every proof; read-only
	now    func() time.Time

	mu     sync.Mutex
	nonces map[string]string // by origin
}

// ProverOptions are the options of a [Prover].
type ProverOptions struct {
	Now func() time.Time // nil means time.Now
}

// NewProver returns a Prover that signs with the algorithm of key, which must
// be asymmetric.
func NewProver(key *jwks.PrivateKey, o ProverOptions) (*Prover, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	alg := key.Algorithm()
	if !signsProofs(alg) {
		return nil, fmt.Errorf("dpop: algorithm %q cannot sign proofs", alg)
	}
	public, err := publicJWK(key.Public())
	if err != nil {
		return nil, fmt.Errorf("dpop: %w", err)
	}
	header := map[string]any{"typ": proofType, "alg": alg, "jwk": public}
	return &Prover{key: key, header: header, now: o.Now, nonces: map[string]string{}}, nil
}

type proofClaims struct {
	ID         string `json:"jti"`
	Method     string `json:"htm"`
	URL        string `json:"htu"`
	IssuedAt   int64  `json:"iat"`
	TokenHash  string `json:"ath,omitempty"`
	ServerOnce string `json:"nonce,omitempty"`
}

// Thumbprint returns the key's JWK thumbprint (RFC 7638). It is the jkt of
// bound tokens and the dpop_jkt of an authorization request.
func (p *Prover) Thumbprint() string { return p.key.Public().Thumbprint() }

// Proof returns the value of the DPoP header for one request (RFC 9449, section
// 4.2). It contains a hash of accessToken, which is empty at a token endpoint,
// and the last nonce of the origin.
func (p *Prover) Proof(method, rawURL string, accessToken secret.String) (string, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" {
		return "", errors.New("dpop: the request's URL is not absolute")
	}
	p.mu.Lock()
	nonce := p.nonces[safehttp.Origin(u)]
	p.mu.Unlock()
	claims := proofClaims{
		ID: newID(), Method: method, IssuedAt: p.now().Unix(), ServerOnce: nonce,
		URL: (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String(),
	}
	if !accessToken.IsZero() {
		claims.TokenHash = hash(accessToken)
	}
	proof, err := token.SignWithHeader(p.key, p.header, claims)
	if err != nil {
		return "", fmt.Errorf("dpop: %w", err)
	}
	return proof, nil
}

const (
	maxNonces = 100
	maxNonce  = 1 << 10
)

// Learn stores the nonce in the DPoP-Nonce header of a response for the origin
// of rawURL, and reports whether it is new. A request that was refused for its
// nonce is worth repeating only if it is (RFC 9449, sections 8 and 9).
func (p *Prover) Learn(rawURL string, header http.Header) bool {
	nonce := header.Get("DPoP-Nonce")
	u, err := url.Parse(rawURL)
	if err != nil || nonce == "" || len(nonce) > maxNonce {
		return false
	}
	origin := safehttp.Origin(u)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.nonces[origin] == nonce {
		return false
	}
	if len(p.nonces) >= maxNonces {
		clear(p.nonces)
	}
	p.nonces[origin] = nonce
	return true
}

// publicJWK returns the members that the thumbprint consists of (RFC 7638,
// section 3.2), and no others.
func publicJWK(key *jwks.Key) (jsontext.Value, error) {
	data, err := key.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var members struct {
		Type     string `json:"kty"`
		Curve    string `json:"crv,omitempty"`
		X        string `json:"x,omitempty"`
		Y        string `json:"y,omitempty"`
		Modulus  string `json:"n,omitempty"`
		Exponent string `json:"e,omitempty"`
	}
	if err := json.Unmarshal(data, &members); err != nil {
		return nil, err
	}
	return json.Marshal(members)
}

func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand crashes the program instead
	return encode(b[:])
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// hash returns the ath of an access token (RFC 9449, section 4.2).
func hash(accessToken secret.String) string {
	sum := sha256.Sum256([]byte(accessToken.Reveal()))
	return encode(sum[:])
}
