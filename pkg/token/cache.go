package token

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"
)

// Default limits of a cache.
const defaultCacheBytes = 64 << 20

// cache stores tokens that were accepted, by the SHA-256 of their text. On every
// hit, the times and the key set are checked again. Refused tokens are never
// stored. When the newer of two generations is full, the older one is dropped.
type cache struct {
	tokens, bytes int // limits of one generation

	mu         sync.RWMutex
	young, old map[[sha256.Size]byte]accepted
	held       int // bytes in the newer generation
}

// accepted is a token with the generation of its key set and the time window in
// which it is valid.
type accepted struct {
	token       *Token
	generation  uint64
	from, until time.Time
}

func newCache(o Options) *cache {
	if o.CacheTokens <= 0 {
		return nil
	}
	bytes := o.CacheBytes
	if bytes <= 0 {
		bytes = defaultCacheBytes
	}
	return &cache{tokens: max(1, o.CacheTokens/2), bytes: bytes / 2, young: map[[sha256.Size]byte]accepted{}}
}

// verifyCached is Verify for a verifier with a cache.
func (v *Verifier) verifyCached(ctx context.Context, raw string) (*Token, error) {
	if len(raw) > MaxBytes {
		return v.verify(ctx, raw)
	}
	sum := v.j.hashOf(raw)
	if found, ok := v.cache.get(sum); ok && v.stillValid(ctx, found) {
		return found.token, nil
	}
	generation := v.j.keys.Generation()
	t, err := v.verify(ctx, raw)
	// If the set has changed meanwhile, it may not be the one that was used.
	if err == nil && v.j.keys.Generation() == generation {
		from, until := v.j.window(t)
		v.cache.put(sum, accepted{t, generation, from, until})
	}
	return t, err
}

// stillValid checks what may have changed since the token was accepted: the
// time, and the key set, which is refreshed by the call. In doubt, the token is
// verified again.
func (v *Verifier) stillValid(ctx context.Context, found accepted) bool {
	t := found.token
	if _, err := v.j.keys.Keys(ctx, t.header.query); err != nil || v.j.keys.Generation() != found.generation {
		return false
	}
	now := v.j.options.Now()
	return !now.Before(found.from) && now.Before(found.until)
}

func (j *checker) hashOf(raw string) [sha256.Size]byte {
	w := j.workspaces.Get().(*workspace)
	w.signed = append(w.signed[:0], raw...)
	sum := sha256.Sum256(w.signed)
	j.workspaces.Put(w)
	return sum
}

func (c *cache) get(sum [sha256.Size]byte) (accepted, bool) {
	c.mu.RLock()
	found, ok := c.young[sum]
	if ok {
		c.mu.RUnlock()
		return found, true
	}
	found, ok = c.old[sum]
	c.mu.RUnlock()
	if ok {
		c.put(sum, found)
	}
	return found, ok
}

func (c *cache) put(sum [sha256.Size]byte, a accepted) {
	// A token holds its decoded parts in addition to the text, and a list of its
	// claims.
	size := 512 + 2*(len(a.token.headerJSON)+len(a.token.claimsJSON)) + 48*len(a.token.claims)
	c.mu.Lock()
	defer c.mu.Unlock()
	if size > c.bytes {
		return
	}
	if _, ok := c.young[sum]; !ok {
		if len(c.young) >= c.tokens || c.held+size > c.bytes {
			c.young, c.old, c.held = map[[sha256.Size]byte]accepted{}, c.young, 0
		}
		c.held += size
	}
	c.young[sum] = a
}
