package guard

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// KeySet is a key set whose readiness and state the guard reports. [jwks.Set] and
// [jwks.Remote] are key sets.
type KeySet interface {
	token.KeySet
	// Ready returns nil once there are keys to verify tokens with; it fetches
	// them if necessary, within ctx.
	Ready(ctx context.Context) error
	State() jwks.State
}

// FileKeys is a key set: the keys in a file, which [FileKeys.Reload] reads
// again.
type FileKeys struct {
	file    string
	mu      sync.Mutex
	current atomic.Pointer[fileSet]
}

type fileSet struct {
	set        *jwks.Set
	generation uint64
	read       time.Time
}

// OpenKeys returns the keys in a file.
func OpenKeys(file string) (*FileKeys, error) {
	k := &FileKeys{file: file}
	k.current.Store(&fileSet{set: jwks.NewSet()})
	if err := k.Reload(); err != nil {
		return nil, err
	}
	return k, nil
}

// Reload reads the file again. On an error the keys in use stay.
func (k *FileKeys) Reload() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	data, err := os.ReadFile(k.file)
	if err != nil {
		return err
	}
	set, err := jwks.Parse(data)
	if err != nil {
		return err
	}
	if len(set.All()) == 0 {
		return errors.New("the key set has no usable key")
	}
	old := k.current.Load()
	k.current.Store(&fileSet{set: set, generation: old.generation + 1, read: time.Now()})
	return nil
}

// Keys implements [token.KeySet].
func (k *FileKeys) Keys(ctx context.Context, kid, alg string) ([]*jwks.Key, error) {
	return k.current.Load().set.Keys(ctx, kid, alg)
}

// Ready implements [KeySet].
func (k *FileKeys) Ready(context.Context) error { return nil }

// State implements [KeySet].
func (k *FileKeys) State() jwks.State {
	c := k.current.Load()
	return jwks.State{FetchedAt: c.read, Keys: len(c.set.All()), Fetches: c.generation, Generation: c.generation}
}

// Generation implements [KeySet].
func (k *FileKeys) Generation() uint64 { return k.current.Load().generation }

// Former implements [KeySet].
func (k *FileKeys) Former(string) *jwks.Key { return nil }

// IssuerKeys is a key set: the keys that an issuer's metadata names. The
// metadata is looked for when the first token asks, so that an issuer that is
// away keeps nothing from starting, and once a second while it cannot be had.
type IssuerKeys struct {
	client *safehttp.Client
	issuer string
	now    func() time.Time
	remote atomic.Pointer[jwks.Remote]

	mu       sync.Mutex
	finding  chan struct{} // closed when a search is over; nil if there is none
	failed   error
	tried    time.Time
	searches uint64
}

// The bounds of a search for metadata.
const (
	searchTimeout = 10 * time.Second
	searchWait    = 3 * time.Second // how long a request waits for one
	searchAgain   = time.Second
)

// NewIssuerKeys returns the keys of an issuer. A nil now means the system's clock.
func NewIssuerKeys(client *safehttp.Client, issuer string, now func() time.Time) *IssuerKeys {
	if now == nil {
		now = time.Now
	}
	return &IssuerKeys{client: client, issuer: issuer, now: now}
}

// find returns the key set, once the metadata is there.
func (k *IssuerKeys) find(ctx context.Context, wait time.Duration) (*jwks.Remote, error) {
	if r := k.remote.Load(); r != nil {
		return r, nil
	}
	done := k.search()
	if done != nil {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-done:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if r := k.remote.Load(); r != nil {
		return r, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return nil, &diagnosis.Diagnosis{ID: diagnosis.KeysUnavailable, Err: k.failed}
}

// search begins a search unless one is under way or failed a moment ago.
func (k *IssuerKeys) search() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.finding != nil {
		return k.finding
	}
	if k.failed != nil && time.Since(k.tried) < searchAgain {
		return nil
	}
	done := make(chan struct{})
	k.finding, k.searches = done, k.searches+1
	go func() {
		defer close(done)
		// Not bound to the request that began it, since others wait for it too.
		ctx, cancel := context.WithTimeout(context.Background(), searchTimeout)
		defer cancel()
		server, _, err := discovery.FindServer(ctx, k.client, k.issuer)
		if err == nil && server.JWKSURI == "" {
			err = &diagnosis.Diagnosis{ID: diagnosis.MetadataInvalid, Expected: diagnosis.Text("a jwks_uri in the metadata of " + k.issuer), Got: diagnosis.None}
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		k.finding, k.failed, k.tried = nil, err, time.Now()
		if err == nil {
			k.remote.Store(jwks.NewRemote(server.JWKSURI, jwks.RemoteOptions{HTTP: k.client, Now: k.now}))
		}
	}()
	return done
}

// Keys implements [token.KeySet].
func (k *IssuerKeys) Keys(ctx context.Context, kid, alg string) ([]*jwks.Key, error) {
	r, err := k.find(ctx, searchWait)
	if err != nil {
		return nil, err
	}
	return r.Keys(ctx, kid, alg)
}

// Ready implements [KeySet].
func (k *IssuerKeys) Ready(ctx context.Context) error {
	r, err := k.find(ctx, searchTimeout)
	if err != nil {
		return err
	}
	return r.Ready(ctx)
}

// State implements [KeySet]. Searches for metadata that failed count as
// fetches that failed.
func (k *IssuerKeys) State() jwks.State {
	k.mu.Lock()
	failures, last := k.searches, k.failed
	k.mu.Unlock()
	r := k.remote.Load()
	if r == nil {
		return jwks.State{Fetches: failures, Failures: failures, LastError: last}
	}
	s := r.State()
	s.Fetches, s.Failures = s.Fetches+failures-1, s.Failures+failures-1
	return s
}

// Generation implements [KeySet].
func (k *IssuerKeys) Generation() uint64 {
	if r := k.remote.Load(); r != nil {
		return r.Generation()
	}
	return 0
}

// Former implements [KeySet].
func (k *IssuerKeys) Former(kid string) *jwks.Key {
	if r := k.remote.Load(); r != nil {
		return r.Former(kid)
	}
	return nil
}

// Close ends what is under way in the background.
func (k *IssuerKeys) Close() {
	if r := k.remote.Load(); r != nil {
		r.Close()
	}
}
