package audit

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/forge"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// Issuer is an issuer of access tokens that runs in this process. An API trusts it
// while it is tested. It serves metadata (RFC 8414), a key set (RFC 7517),
// introspection (RFC 7662) and revocation (RFC 7009). It has no login, and does not
// authenticate clients. It is safe for concurrent use.
type Issuer struct {
	url      string
	base     string // the URL before the paths of the endpoints, without a final slash
	attacker *forge.Attacker

	mu        sync.Mutex
	key       *jwks.PrivateKey // signs
	sibling   *jwks.PrivateKey // the key of a second tenant, always published
	published []*jwks.Key
	// generation counts the changes of published.
	generation uint64
	down       bool
	revoked    map[[sha256.Size]byte]bool
	fetched    int // how often the attacker's keys were fetched
}

// NewIssuer creates an issuer with a new key. Serve its Handler at url. Algorithm is
// the asymmetric algorithm of the key; "" means ES256.
func NewIssuer(url, algorithm string) (*Issuer, error) {
	if algorithm == "" {
		algorithm = "ES256"
	}
	i := &Issuer{url: url, base: strings.TrimSuffix(url, "/"), attacker: &forge.Attacker{}, revoked: map[[sha256.Size]byte]bool{}}
	for _, key := range []**jwks.PrivateKey{&i.key, &i.sibling} {
		var err error
		if *key, err = jwks.Generate(algorithm); err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
	}
	i.published = []*jwks.Key{i.key.Public(), i.sibling.Public()}
	return i, nil
}

// URL returns the issuer's identifier.
func (i *Issuer) URL() string { return i.url }

// JWKSURI returns the URL of the key set.
func (i *Issuer) JWKSURI() string { return i.base + "/jwks" }

// Key returns the key that currently signs tokens.
func (i *Issuer) Key() *jwks.PrivateKey {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.key
}

// Keys returns the published keys that may have signed a token. It implements
// [token.KeySet] for a verifier in the same process.
func (i *Issuer) Keys(ctx context.Context, q jwks.Query) (jwks.Candidates, error) {
	i.mu.Lock()
	set := jwks.NewSet(i.published...)
	i.mu.Unlock()
	return set.Keys(ctx, q)
}

// Generation changes with each rotation.
func (i *Issuer) Generation() uint64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.generation
}

// Former returns nil, because a kid never changes its key here.
func (i *Issuer) Former(string) *jwks.Key { return nil }

// Rotate replaces the signing key with a new one. The old key remains published
// until [Issuer.Retire].
func (i *Issuer) Rotate() error {
	next, err := jwks.Generate(i.Key().Algorithm())
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.key = next
	i.generation++
	i.published = append(i.published, next.Public())
	return nil
}

// Retire removes all old keys from the key set.
func (i *Issuer) Retire() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.published = []*jwks.Key{i.key.Public(), i.sibling.Public()}
	i.generation++
}

// SetDown makes the key set's endpoint return 503 if down is true, and the keys
// otherwise.
func (i *Issuer) SetDown(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
}

// Revoke makes the token inactive for introspection.
func (i *Issuer) Revoke(raw string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.revoked[sha256.Sum256([]byte(raw))] = true
}

// IsRevoked reports whether the token was revoked.
func (i *Issuer) IsRevoked(raw string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.revoked[sha256.Sum256([]byte(raw))]
}

// Fetched returns how often the keys were fetched at the URL that the case
// jku-header puts into the header of its token.
func (i *Issuer) Fetched() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetched
}

const attackerPath = "/not-the-issuer/jwks"

// Handler returns the handler to serve at the issuer's URL.
func (i *Issuer) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", i.serveMetadata)
	mux.HandleFunc("GET /.well-known/openid-configuration", i.serveMetadata)
	mux.HandleFunc("GET /jwks", i.serveKeys)
	mux.HandleFunc("GET /.well-known/jwks.json", i.serveKeys)
	mux.HandleFunc("GET "+attackerPath, i.serveAttacker)
	mux.HandleFunc("POST /introspect", i.serveIntrospection)
	mux.HandleFunc("POST /revoke", i.serveRevocation)
	return mux
}

func (i *Issuer) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	base := i.base
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer": i.url, "jwks_uri": i.JWKSURI(),
		"authorization_endpoint": base + "/authorize", "token_endpoint": base + "/token",
		"introspection_endpoint": base + "/introspect", "revocation_endpoint": base + "/revoke",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{i.Key().Algorithm()},
	})
}

func (i *Issuer) serveKeys(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	keys, down := i.published, i.down
	i.mu.Unlock()
	if down {
		http.Error(w, "the key set is unavailable", http.StatusServiceUnavailable)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"keys": keys})
}

// serveAttacker serves the keys that a verifier fetches if it trusts the header jku.
func (i *Issuer) serveAttacker(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	i.fetched++
	i.mu.Unlock()
	key, err := i.attacker.Key(i.Key().Algorithm())
	if err != nil {
		http.Error(w, "no key", http.StatusInternalServerError)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"keys": []any{key.Public()}})
}

// serveIntrospection reports a token as active if it was signed here, is in its
// validity period, and was not revoked (RFC 7662, section 2.2). The API itself must
// check the audience.
func (i *Issuer) serveIntrospection(w http.ResponseWriter, r *http.Request) {
	raw := r.PostFormValue("token")
	inspector, err := token.NewInspector(i.url, nil, i, token.Options{})
	if err != nil || i.IsRevoked(raw) || inspector.Check(r.Context(), raw) != nil {
		writeJSON(w, http.StatusOK, map[string]any{"active": false})
		return
	}
	read, err := token.Decode(raw)
	if err != nil {
		writeJSON(w, http.StatusOK, map[string]any{"active": false})
		return
	}
	claims := read.Claims()
	claims["active"] = true
	writeJSON(w, http.StatusOK, claims)
}

func (i *Issuer) serveRevocation(w http.ResponseWriter, r *http.Request) {
	i.Revoke(r.PostFormValue("token"))
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// lifetime is the lifetime of created tokens. A token is replaced if its remaining
// lifetime is less than renewal.
const (
	lifetime = 2 * time.Minute
	renewal  = time.Minute
)

// ServeAt sets the base URL of the key set and the other endpoints, if the handler
// is not served at the issuer's URL.
func (i *Issuer) ServeAt(base string) { i.base = strings.TrimSuffix(base, "/") }
