package jwks

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

func (r *Remote) renewInBackground(seen uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if r.renewing || r.closed || r.failed != nil && now.Sub(r.tried) < coldRetry {
		return
	}
	r.renewing = true
	r.background(func() {
		_, _ = r.fetch(r.ctx, seen)
		r.mu.Lock()
		r.renewing = false
		r.mu.Unlock()
	})
}

// background runs f until Close. The caller holds mu.
func (r *Remote) background(f func()) { r.running.Go(f) }

// fetch fetches the set once for all concurrent callers. The request does not
// end with the context of a caller, because others wait for it. seen is
// r.attempts before the caller read the state; a fetch that has completed since
// then also serves this caller.
func (r *Remote) fetch(ctx context.Context, seen uint64) (*snapshot, error) {
	result := r.flight.DoChan("", func() (any, error) { return r.fetchOnce(seen) })
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case got := <-result:
		if got.Err != nil {
			return nil, got.Err
		}
		return got.Val.(*snapshot), nil
	}
}

// fetchOnce fetches the set and takes it over.
func (r *Remote) fetchOnce(seen uint64) (*snapshot, error) {
	if next, err, ended := r.endedSince(seen); ended {
		return next, err
	}
	ctx, cancel := context.WithTimeout(r.ctx, fetchTimeout)
	defer cancel()
	next, err := r.load(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	// Last, so that a caller that sees the new number also finds the new
	// state.
	defer r.attempts.Add(1)
	r.tried, r.failed = r.now(), err
	if err != nil {
		r.failures.Add(1)
		return nil, err
	}
	clear(r.missing)
	r.slow.Store(false)
	r.current.Store(next)
	// Only now: who reads the new number must find the new set.
	r.generation.Store(next.generation)
	return next, nil
}

// endedSince returns the result of the last fetch, if one has ended since the
// number of attempts was seen.
func (r *Remote) endedSince(seen uint64) (next *snapshot, err error, ended bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.attempts.Load() == seen {
		return nil, nil, false
	}
	return r.current.Load(), r.failed, true
}

// load fetches and parses the set. A set without usable keys is an error, so
// that an endpoint that temporarily returns {"keys":[]} does no harm.
func (r *Remote) load(ctx context.Context) (*snapshot, error) {
	r.fetches.Add(1)
	res, err := r.http.Get(ctx, r.url, "application/jwk-set+json, application/json", MaxBytes)
	if err != nil {
		return nil, err // it contains the URL
	}
	set, err := readAnswer(r.url, res)
	if err != nil {
		return nil, err
	}
	if len(set.keys) == 0 && r.current.Load() != nil {
		return nil, fmt.Errorf("%s: the key set no longer has a usable key", r.url)
	}
	fresh := freshness(res.Header)
	now := r.now()
	next := &snapshot{set: set, fetched: now, renew: now.Add(renewAfter(fresh, rand.N)), expires: now.Add(fresh)}
	next.generation = r.generation.Load()
	before := r.current.Load()
	if before == nil || !sameKeys(before.set, set) {
		next.generation++
	}
	next.former = formerKeys(before, set)
	return next, nil
}

// readAnswer parses the key set in a response. A permanent fault is
// KEY_SET_INVALID.
func readAnswer(url string, res *safehttp.Response) (*Set, error) {
	switch {
	case res.Status == http.StatusOK:
	case res.Status >= 400 && res.Status < 500 && !passes(res.Status):
		return nil, notASet("a key set at "+url, fmt.Sprintf("status %d %s", res.Status, http.StatusText(res.Status)))
	default:
		return nil, fmt.Errorf("%s answered %d %s", url, res.Status, http.StatusText(res.Status))
	}
	set, err := Parse(res.Body)
	var d *diagnosis.Diagnosis
	if errors.As(err, &d) {
		return nil, &diagnosis.Diagnosis{ID: d.ID, Expected: d.Expected, Got: d.Got, Err: errors.Join(d.Err, errors.New("the URL is "+url))}
	}
	return set, err
}

// passes reports whether a status from 400 to 499 may be another one later.
func passes(status int) bool {
	return status == http.StatusRequestTimeout || status == http.StatusTooEarly || status == http.StatusTooManyRequests
}
