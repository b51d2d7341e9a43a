package jwks

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// The contract of a [Remote], in numbers.
const (
	minFresh     = 10 * time.Second // minimum for Cache-Control
	maxFresh     = 24 * time.Hour   // maximum for Cache-Control
	defaultFresh = 5 * time.Minute  // without Cache-Control
	defaultStale = 24 * time.Hour   // how long old keys are used while the endpoint fails

	unknownBurst  = 2                      // fetches for unknown kids in a row
	unknownRefill = 10 * time.Second       // until one more is allowed
	missingFor    = 10 * time.Second       // how long a missing kid is cached
	maxMissing    = 256                    // number of cached missing kids
	coldRetry     = time.Second            // between fetches while there is no set
	fetchTimeout  = 10 * time.Second       // for one fetch
	firstPatience = 3 * time.Second        // how long a lookup waits for the first set
	askPatience   = 2 * time.Second        // maximum wait for a set that may have the kid
	patience      = 250 * time.Millisecond // how long a lookup waits otherwise, and after the endpoint was too slow
)

// RemoteOptions are the options of a [Remote]; the zero value is the safe
// choice.
type RemoteOptions struct {
	HTTP *safehttp.Client // nil means the zero client
	Now  func() time.Time // nil means time.Now
	// MaxStale is how long the last valid set is used while the endpoint fails.
	// 0 means 24 hours.
	MaxStale time.Duration
}

// Remote is a key set at a URL. It is fetched when it is first needed and cached. It
// is safe for concurrent use. Its contract:
//
//   - One fetch at a time. Concurrent callers share its result, even an error.
//   - A set is fresh according to Cache-Control, at least 10 seconds, at most 24
//     hours, and 5 minutes by default. At a random time between 50 and 90 % of
//     that, it is refreshed in the background, so that the instances of an API do
//     not fetch at the same time. Meanwhile the old set is used.
//   - A kid or thumbprint that is not in the set causes a fetch: at most two in a
//     row, and then one every 10 seconds. If the limit is reached, the key is
//     unknown, and the set is fetched when the limit allows it. Callers wait at most
//     2 seconds for a fetch in progress. So a rotation is noticed immediately after
//     one forged kid, and within 10 seconds after a flood of them.
//   - If the endpoint fails or hangs, or returns no key set or no usable key, the
//     last valid set is used for up to MaxStale, and callers wait at most 250 ms.
//     After that, or if there never was a valid set, the error is KEYS_UNAVAILABLE
//     (HTTP 503, never 401), with at most one fetch a second. [Remote.Keys] waits
//     3 seconds for the first set, and 250 ms after a lookup timed out;
//     [Remote.Set] waits as long as its context and the fetch allow, at most 10
//     seconds.
//
// A key that was removed from the set stops working when the set is refreshed. A
// kid with a new key is updated too.
type Remote struct {
	url     string
	http    *safehttp.Client
	now     func() time.Time
	stale   time.Duration
	ctx     context.Context
	cancel  context.CancelFunc
	flight  singleflight.Group
	current atomic.Pointer[snapshot]
	running sync.WaitGroup

	mu       sync.Mutex
	tokens   int       // number of tokens in the bucket
	refilled time.Time // when the bucket last gained a token
	missing  map[[sha256.Size]byte]time.Time
	tried    time.Time
	failed   error
	timer    *time.Timer
	asking   chan struct{} // closed when the fetch for a kid has ended, or nil
	renewing bool
	closed   bool

	slow atomic.Bool // a lookup has timed out

	fetches, failures, refused, generation atomic.Uint64

	attempts atomic.Uint64 // number of completed fetches; written with mu held
}

// State is the state of a key set, with the statistics of a [Remote].
type State struct {
	FetchedAt  time.Time // when the set in use was fetched; zero if none was
	Keys       int       // usable keys of that set
	Skipped    int       // keys of that set that are not usable
	Fetches    uint64    // requests sent
	Failures   uint64    // requests that returned no usable set
	Refused    uint64    // lookups for which the limit of fetches was reached
	Generation uint64    // number of sets that differed from the previous one
	LastError  error     // the error of the last fetch, or nil
}

// NewRemote returns the key set at rawURL. Nothing is fetched yet.
func NewRemote(rawURL string, o RemoteOptions) *Remote {
	r := &Remote{url: rawURL, http: o.HTTP, now: o.Now, stale: o.MaxStale, tokens: unknownBurst, missing: map[[sha256.Size]byte]time.Time{}}
	if r.http == nil {
		r.http = &safehttp.Client{}
	}
	if r.now == nil {
		r.now = time.Now
	}
	if r.stale == 0 {
		r.stale = defaultStale
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// Close stops background fetches. A closed Remote still returns the keys that
// it has.
func (r *Remote) Close() {
	r.mu.Lock()
	r.closed = true
	if r.timer != nil {
		r.timer.Stop()
	}
	r.mu.Unlock()
	r.cancel()
	r.running.Wait()
}

// Generation changes whenever the set in use changes, for caches built on it.
func (r *Remote) Generation() uint64 { return r.generation.Load() }

// State returns the current state.
func (r *Remote) State() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := State{
		Fetches: r.fetches.Load(), Failures: r.failures.Load(), Refused: r.refused.Load(),
		Generation: r.generation.Load(), LastError: r.failed,
	}
	if c := r.current.Load(); c != nil {
		s.FetchedAt, s.Keys, s.Skipped = c.fetched, len(c.set.keys), len(c.set.skipped)
	}
	return s
}

// Set returns the key set. It fetches it if there is none or it has expired.
// Errors are Diagnoses KEYS_UNAVAILABLE. The underlying error may be a Diagnosis
// of kind Usage, such as KEY_SET_INVALID or INSECURE_URL; then a retry does not
// help.
func (r *Remote) Set(ctx context.Context) (*Set, error) {
	c, err := r.get(ctx, fetchTimeout)
	if err != nil {
		return nil, err
	}
	return c.set, nil
}

// Ready returns nil if there is a usable key set. It fetches one if there is
// none, like [Remote.Set].
func (r *Remote) Ready(ctx context.Context) error {
	_, err := r.get(ctx, fetchTimeout)
	return err
}

// Keys returns the keys to try for a token, like [Set.Keys]. If the token's key is
// not in the set, the set is fetched again, within the limits of the contract.
func (r *Remote) Keys(ctx context.Context, q Query) (Candidates, error) {
	c, err := r.get(ctx, firstPatience)
	if err != nil {
		return Candidates{}, err
	}
	keys, err := c.set.Keys(ctx, q)
	if err == nil || !worthAsking(err) {
		return keys, err
	}
	next := r.ask(ctx, &q, c)
	switch {
	case next == nil && ctx.Err() != nil:
		return Candidates{}, ctx.Err()
	case next == nil:
		return Candidates{}, err // the error is that of the old set
	}
	keys, err = next.set.Keys(ctx, q)
	if err != nil {
		r.rememberMissing(&q)
	}
	return keys, err
}

// Former returns the previous key with that kid, or nil if it has had no other
// key since the first fetch. It is used to explain why a signature is not valid,
// never to accept one.
func (r *Remote) Former(kid string) *Key {
	if c := r.current.Load(); c != nil {
		return c.former[kid]
	}
	return nil
}

// worthAsking reports whether a newer set could have the key.
func worthAsking(err error) bool {
	var d *diagnosis.Diagnosis
	return errors.As(err, &d) && slices.Contains([]diagnosis.ID{diagnosis.KidUnknown, diagnosis.KeyRefused, diagnosis.KeySetEmpty, diagnosis.AlgMismatch}, d.ID)
}

// get returns the current set, and refreshes it in the background or before
// returning, depending on its age. If there is none, it waits for one, unless
// an earlier lookup has timed out.
func (r *Remote) get(ctx context.Context, wait time.Duration) (*snapshot, error) {
	seen := r.attempts.Load()
	c := r.current.Load()
	now := r.now()
	switch {
	case c != nil && now.Before(c.renew):
		return c, nil
	case c != nil && now.Before(c.expires):
		r.renewInBackground(seen)
		return c, nil
	}
	if c != nil && now.Before(c.fetched.Add(r.stale)) {
		return r.newer(ctx, c, seen), nil
	}
	if !r.mayTry(now) {
		return nil, r.unavailable()
	}
	if wait < fetchTimeout && r.slow.Load() {
		wait = patience
	}
	bounded, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	next, err := r.fetch(bounded, seen)
	switch {
	case err == nil:
		return next, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case bounded.Err() != nil:
		r.slow.Store(true)
	}
	return nil, r.unavailable()
}

// newer waits briefly for the set after c, which has expired. It does not wait
// if the endpoint has failed or was too slow, or if a background fetch is
// running: then the old keys are used.
func (r *Remote) newer(ctx context.Context, c *snapshot, seen uint64) *snapshot {
	if r.isInTrouble() {
		r.renewInBackground(seen)
		return c
	}
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	next, err := r.fetch(bounded, seen)
	if err == nil {
		return next
	}
	if bounded.Err() != nil && ctx.Err() == nil {
		r.slow.Store(true)
	}
	return c
}

// mayTry limits the rate of fetches while the endpoint fails.
func (r *Remote) mayTry(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed == nil || now.Sub(r.tried) >= coldRetry || now.Before(r.tried)
}

func (r *Remote) unavailable() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &diagnosis.Diagnosis{ID: diagnosis.KeysUnavailable, Err: r.failed}
}

func (r *Remote) isInTrouble() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.slow.Load() || r.renewing || r.failed != nil
}
