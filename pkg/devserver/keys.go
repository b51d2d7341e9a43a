package devserver

import (
	"context"
	"net/http"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// keys holds the signing keys. The last one is in use; the previous one is
// still published for its tokens.
type keys struct {
	mu      sync.Mutex
	changes uint64 // number of changes to list
	list    []*jwks.PrivateKey
	fetched int       // number of requests for the key set with the fault same-kid-new-key
	other   *jwks.Key // the key that then has the kid of the key in use
}

func (k *keys) signing() *jwks.PrivateKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.list[len(k.list)-1]
}

// rotate starts to use a new key.
func (k *keys) rotate() {
	k.mu.Lock()
	defer k.mu.Unlock()
	last := k.list[len(k.list)-1]
	if next, err := generate(last.Algorithm(), 0); err == nil {
		k.list = []*jwks.PrivateKey{last, next}
		k.changes++
	}
}

func (k *keys) published() []any {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []any
	for _, key := range k.list {
		all = append(all, key.Public())
	}
	return all
}

// set returns the published keys.
func (k *keys) set() *jwks.Set {
	k.mu.Lock()
	defer k.mu.Unlock()
	var public []*jwks.Key
	for _, key := range k.list {
		public = append(public, key.Public())
	}
	return jwks.NewSet(public...)
}

// Keys returns the published keys for a verifier in the same process. They need
// no request and are up to date after [Server.Rotate].
func (s *Server) Keys() token.KeySet { return liveKeys{&s.keys} }

// Rotate signs with a new key from now on. The previous key remains published
// until the next rotation.
func (s *Server) Rotate() { s.keys.rotate() }

// liveKeys is the current key set.
type liveKeys struct{ keys *keys }

// Keys implements [token.KeySet].
func (l liveKeys) Keys(ctx context.Context, q jwks.Query) (jwks.Candidates, error) {
	return l.keys.set().Keys(ctx, q)
}

// Generation changes with each rotation.
func (l liveKeys) Generation() uint64 {
	l.keys.mu.Lock()
	defer l.keys.mu.Unlock()
	return l.keys.changes
}

// Former returns nil: here, a kid never changes its key.
func (l liveKeys) Former(string) *jwks.Key { return nil }

// renamed returns the published set the first time, and then one in which
// another key has the kid of the one in use.
func (k *keys) renamed() []any {
	all := k.published()
	k.mu.Lock()
	defer k.mu.Unlock()
	last := k.list[len(k.list)-1]
	if k.fetched++; k.fetched == 1 {
		return all
	}
	if k.other == nil {
		fresh, err := generate(last.Algorithm(), 0)
		if err != nil {
			return all
		}
		k.other = fresh.Public()
	}
	var members map[string]any
	data, err := json.Marshal(k.other)
	if err != nil || json.Unmarshal(data, &members) != nil {
		return all
	}
	members["kid"] = last.ID()
	return []any{members}
}

// serveKeys serves the key set (RFC 7517, section 5).
func (s *Server) serveKeys(w http.ResponseWriter, r *http.Request) {
	faults := faultsOf(r)
	wait(r, faults.delay(FaultJWKSSlow))
	switch {
	case faults.has(FaultJWKSHang):
		hang(r)
		return
	case faults.has(FaultJWKS500):
		http.Error(w, "the key set is not available", http.StatusInternalServerError)
		return
	}
	published := s.keys.published()
	switch {
	case faults.has(FaultSameKidNewKey):
		published = s.keys.renamed()
	case faults.has(FaultBadKeyInSet):
		published = append([]any{jsontext.Value(`{"kty":"EC","crv":"P-256","kid":"broken","x":"AA","y":"AA"}`)}, published...)
	case faults.has(FaultEmptyJWKS):
		published = []any{}
	}
	w.Header().Set("Cache-Control", "max-age=10")
	writeJSON(w, http.StatusOK, map[string]any{"keys": published})
}
