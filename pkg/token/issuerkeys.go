package token

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// Timing of an [IssuerKeys].
const (
	locateTime     = 10 * time.Second // of one attempt
	locatePatience = 3 * time.Second  // how long a token waits for the first attempt
	locateRetry    = time.Second      // between failed attempts
)

// NewIssuerVerifier returns a verifier for tokens from issuer for one of the
// audiences. The keys are found with the issuer's metadata (RFC 8414, OpenID
// Connect Discovery) when the first token needs them. The issuer need not be
// reachable when NewIssuerVerifier is called. Until the metadata is available,
// tokens are refused with a Diagnosis of kind Unavailable, which package bearer
// answers with 503.
//
// It returns the errors of [NewVerifier]. Use [NewIssuerKeys] with NewVerifier
// to close the keys or to read their state.
func NewIssuerVerifier(issuer string, audience []string, o Options) (*Verifier, error) {
	return NewVerifier(issuer, audience, NewIssuerKeys(issuer, jwks.RemoteOptions{HTTP: o.HTTP, Now: o.Now}), o)
}

// IssuerKeys is the key set of an issuer. It is found with the issuer's metadata
// when it is first needed, and then behaves like a [jwks.Remote]. While the
// metadata cannot be fetched, there is at most one attempt per second, for any number
// of tokens. It is safe for concurrent use.
type IssuerKeys struct {
	issuer  string
	options jwks.RemoteOptions
	flight  singleflight.Group
	remote  atomic.Pointer[jwks.Remote]

	mu       sync.Mutex
	attempts uint64
	tried    time.Time
	failed   error
	closed   bool
}

// NewIssuerKeys returns the key set of issuer without sending a request.
func NewIssuerKeys(issuer string, o jwks.RemoteOptions) *IssuerKeys {
	if o.HTTP == nil {
		o.HTTP = &safehttp.Client{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &IssuerKeys{issuer: issuer, options: o}
}

// Keys returns the keys to try for a token, like [jwks.Remote.Keys]. Without
// metadata, it waits at most 3 seconds.
func (k *IssuerKeys) Keys(ctx context.Context, q jwks.Query) (jwks.Candidates, error) {
	remote := k.remote.Load()
	if remote == nil {
		var err error
		if remote, err = k.locate(ctx, locatePatience); err != nil {
			return jwks.Candidates{}, err
		}
	}
	return remote.Keys(ctx, q)
}

// Ready returns nil if there are keys to verify tokens with. It fetches them if
// needed, within ctx.
func (k *IssuerKeys) Ready(ctx context.Context) error {
	remote, err := k.locate(ctx, locateTime)
	if err != nil {
		return err
	}
	return remote.Ready(ctx)
}

// Generation changes whenever the keys change.
func (k *IssuerKeys) Generation() uint64 {
	if remote := k.remote.Load(); remote != nil {
		return remote.Generation()
	}
	return 0
}

// Former returns the previous key with that kid, like [jwks.Remote.Former].
func (k *IssuerKeys) Former(kid string) *jwks.Key {
	if remote := k.remote.Load(); remote != nil {
		return remote.Former(kid)
	}
	return nil
}

// State returns the state of the key set. Without metadata, it has the number
// of failed attempts and the last error.
func (k *IssuerKeys) State() jwks.State {
	if remote := k.remote.Load(); remote != nil {
		return remote.State()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return jwks.State{Fetches: k.attempts, Failures: k.attempts, LastError: k.failed}
}

// Close stops background requests.
func (k *IssuerKeys) Close() {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	if remote := k.remote.Load(); remote != nil {
		remote.Close()
	}
}

// locate returns the key set at the jwks_uri of the metadata. Concurrent
// callers share one attempt, and each waits within its own context.
func (k *IssuerKeys) locate(ctx context.Context, wait time.Duration) (*jwks.Remote, error) {
	if remote := k.remote.Load(); remote != nil {
		return remote, nil
	}
	if err := k.recent(); err != nil {
		return nil, err
	}
	attempt := k.flight.DoChan("", func() (any, error) {
		if remote := k.remote.Load(); remote != nil {
			return remote, nil
		}
		if err := k.recent(); err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), locateTime)
		defer cancel()
		return k.find(ctx)
	})
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("token: %w", ctx.Err())
	case <-timer.C:
		return nil, &diagnosis.Diagnosis{ID: diagnosis.KeysUnavailable, Expected: diagnosis.Values{"the metadata of " + k.issuer + " within " + wait.String()}, Got: diagnosis.None}
	case got := <-attempt:
		if got.Err != nil {
			return nil, got.Err
		}
		return got.Val.(*jwks.Remote), nil
	}
}

// recent returns the error of an attempt that has just failed.
func (k *IssuerKeys) recent() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.options.Now()
	if k.failed == nil || now.Sub(k.tried) >= locateRetry || now.Before(k.tried) {
		return nil
	}
	return k.failed
}

func (k *IssuerKeys) find(ctx context.Context) (*jwks.Remote, error) {
	server, err := discovery.FindServer(ctx, k.options.HTTP, k.issuer)
	if err == nil && server.JWKSURI == "" {
		err = &diagnosis.Diagnosis{ID: diagnosis.TrustUnknown, Expected: diagnosis.Values{"a jwks_uri in the metadata of " + k.issuer}, Got: diagnosis.None}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		k.attempts++
		k.tried, k.failed = k.options.Now(), err
		return nil, err
	}
	remote := jwks.NewRemote(server.JWKSURI, k.options)
	k.remote.Store(remote)
	if k.closed {
		remote.Close()
	}
	return remote, nil
}
