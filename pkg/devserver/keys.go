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

// keys are the keys that sign: the last is in use, the one before it is still
// published for the tokens that it signed.
type keys struct {
	mu      sync.Mutex
	changes uint64 // how often list was replaced
	list    []*jwks.PrivateKey
	fetched int       // how often the set was given with the fault same-kid-new-key
	other   *jwks.Key // what it then names the key in use
}

func (k *keys) signing() *jwks.PrivateKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.list[len(k.list)-1]
}

// rotate puts a new key in use.
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

// Keys returns the published keys as a verifier in the same process needs them:
// without a request, and up to date after [Server.Rotate].
func (s *Server) Keys() token.KeySet { return liveKeys{&s.keys} }

// Rotate signs with a new key from now on. The key before it stays published
// until the next rotation.
func (s *Server) Rotate() { s.keys.rotate() }

// liveKeys is the key set as it is at each moment.
type liveKeys struct{ keys *keys }

// Keys returns the keys that may have signed a token with that kid and alg.
func (l liveKeys) Keys(ctx context.Context, kid, alg string) ([]*jwks.Key, error) {
	return l.keys.set().Keys(ctx, kid, alg)
}

// Generation changes with each rotation.
func (l liveKeys) Generation() uint64 {
	l.keys.mu.Lock()
	defer l.keys.mu.Unlock()
	return l.keys.changes
}

// Former returns nil: a kid always names the same key here.
func (l liveKeys) Former(string) *jwks.Key { return nil }

// renamed is the published set at first, and from the second time on one in
// which another key has the name of the one in use.
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

// serveKeys is the key set (RFC 7517, section 5).
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
