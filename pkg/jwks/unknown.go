package jwks

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"
	"time"
)

// ask returns a set newer than c, which lacks the key for that token, or nil
// if none is available now.
func (r *Remote) ask(ctx context.Context, q *Query, c *snapshot) *snapshot {
	over := r.mayAsk(q, c)
	if over != nil {
		wait := askPatience
		if r.slow.Load() {
			wait = patience
		}
		limit := time.NewTimer(wait)
		defer limit.Stop()
		select {
		case <-over:
		case <-ctx.Done():
		case <-limit.C:
			r.slow.Store(true)
		}
	}
	if next := r.current.Load(); next != c {
		return next
	}
	return nil
}

// mayAsk starts a fetch for a key that c lacks, using a token from the bucket, or
// joins the running one. The returned channel is closed when the fetch has ended.
// It is nil if there is nothing to wait for: a fetch has just completed, the key
// is known to be missing, or the bucket is empty. In the last case, a fetch is
// scheduled for later.
func (r *Remote) mayAsk(q *Query, c *snapshot) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.current.Load() != c {
		return nil
	}
	now := r.now()
	r.refill(now)
	if at, known := r.missing[fingerprint(q)]; known && now.Sub(at) < missingFor {
		r.schedule(now)
		return nil
	}
	if r.asking != nil {
		return r.asking
	}
	if r.tokens == 0 {
		r.refused.Add(1)
		r.schedule(now)
		return nil
	}
	r.tokens--
	over := make(chan struct{})
	r.asking = over
	seen := r.attempts.Load()
	r.background(func() {
		_, _ = r.fetch(r.ctx, seen)
		r.mu.Lock()
		r.asking = nil
		r.mu.Unlock()
		close(over)
	})
	return over
}

func (r *Remote) refill(now time.Time) {
	if r.tokens == unknownBurst || now.Before(r.refilled) {
		r.refilled = now
	}
	for r.tokens < unknownBurst && now.Sub(r.refilled) >= unknownRefill {
		r.tokens++
		r.refilled = r.refilled.Add(unknownRefill)
	}
}

// schedule fetches once when the bucket has refilled, so that a rotation during
// a flood of unknown kids is noticed. The caller holds mu.
func (r *Remote) schedule(now time.Time) {
	if r.timer != nil || r.closed {
		return
	}
	wait := unknownRefill - now.Sub(r.refilled)
	if r.tokens > 0 {
		wait = unknownRefill
	}
	r.timer = time.AfterFunc(max(wait, 0), func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.timer = nil
		now := r.now()
		r.refill(now)
		switch {
		case r.closed:
		case r.tokens == 0:
			// A lookup has fetched the set first.
			r.schedule(now)
		default:
			r.tokens--
			seen := r.attempts.Load()
			r.background(func() { _, _ = r.fetch(r.ctx, seen) })
		}
	})
}

// fingerprint returns a value that differs for each alg and name of a key.
func fingerprint(q *Query) [sha256.Size]byte {
	text := strconv.AppendQuote(nil, q.Algorithm)
	for _, n := range q.names() {
		text = fmt.Appendf(text, " %s %q", n.parameter, n.value)
	}
	return sha256.Sum256(text)
}

func (r *Remote) rememberMissing(q *Query) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if len(r.missing) >= maxMissing {
		for k, at := range r.missing {
			if now.Sub(at) >= missingFor {
				delete(r.missing, k)
			}
		}
	}
	if len(r.missing) < maxMissing {
		r.missing[fingerprint(q)] = now
	}
}
