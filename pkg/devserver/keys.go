package devserver

import (
	"net/http"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// keys are the keys that sign: the last is in use, the one before it is still
// published for the tokens that it signed.
type keys struct {
	mu      sync.Mutex
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
	if next, err := jwks.Generate(last.Algorithm()); err == nil {
		k.list = []*jwks.PrivateKey{last, next}
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
		fresh, err := jwks.Generate(last.Algorithm())
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
	wait(r, faults.delay("jwks-slow"))
	switch {
	case faults.has("jwks-hang"):
		hang(r)
		return
	case faults.has("jwks-500"):
		http.Error(w, "the key set is not available", http.StatusInternalServerError)
		return
	}
	published := s.keys.published()
	switch {
	case faults.has("same-kid-new-key"):
		published = s.keys.renamed()
	case faults.has("bad-key-in-set"):
		published = append([]any{jsontext.Value(`{"kty":"EC","crv":"P-256","kid":"broken","x":"AA","y":"AA"}`)}, published...)
	case faults.has("empty-jwks"):
		published = []any{}
	}
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Cache-Control", "max-age=10")
	writeJSON(w, http.StatusOK, map[string]any{"keys": published})
}
