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

// How an [IssuerKeys] looks for the metadata.
const (
	locateTime     = 10 * time.Second // for one attempt
	locatePatience = 3 * time.Second  // how long a token waits for the first attempts
	locateRetry    = time.Second      // between attempts while they fail
)

// NewIssuerVerifier returns a verifier of tokens from issuer for one of the
// audiences, whose keys are found by the issuer's metadata (RFC 8414, OpenID
// Connect Discovery) when the first token needs them. The issuer may be
// unreachable when it is called: until the metadata is there, tokens are refused
// with a Diagnosis of kind Unavailable, which package bearer answers with 503.
//
// It errs as [NewVerifier] does. Use [NewIssuerKeys] with NewVerifier for keys
// that can be closed or whose state is of interest.
func NewIssuerVerifier(issuer string, audience []string, o Options) (*Verifier, error) {
	return NewVerifier(issuer, audience, NewIssuerKeys(issuer, jwks.RemoteOptions{HTTP: o.HTTP, Now: o.Now}), o)
}

// IssuerKeys is the key set of an issuer, found by the issuer's metadata when it
// is first needed, and from then on a [jwks.Remote] with its contract. While the
// metadata cannot be fetched there is one attempt a second, however many tokens
// ask. It is safe for concurrent use.
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

// NewIssuerKeys returns the key set of issuer. Nothing is requested yet.
func NewIssuerKeys(issuer string, o jwks.RemoteOptions) *IssuerKeys {
	if o.HTTP == nil {
		o.HTTP = &safehttp.Client{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &IssuerKeys{issuer: issuer, options: o}
}

// Keys returns the keys that may have signed a token with that kid and alg, as
// [jwks.Remote.Keys] does. While there is no metadata it waits 3 seconds at most.
func (k *IssuerKeys) Keys(ctx context.Context, kid, alg string) ([]*jwks.Key, error) {
	remote := k.remote.Load()
	if remote == nil {
		var err error
		if remote, err = k.locate(ctx, locatePatience); err != nil {
			return nil, err
		}
	}
	return remote.Keys(ctx, kid, alg)
}

// Ready returns nil once there are keys to verify tokens with; it fetches what is
// missing, within ctx.
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

// Former returns the key that kid named before, as [jwks.Remote.Former] does.
func (k *IssuerKeys) Former(kid string) *jwks.Key {
	if remote := k.remote.Load(); remote != nil {
		return remote.Former(kid)
	}
	return nil
}

// State returns the state of the key set; before there is metadata, how many
// attempts to find it failed and the last error.
func (k *IssuerKeys) State() jwks.State {
	if remote := k.remote.Load(); remote != nil {
		return remote.State()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return jwks.State{Fetches: k.attempts, Failures: k.attempts, LastError: k.failed}
}

// Close ends what is under way in the background.
func (k *IssuerKeys) Close() {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	if remote := k.remote.Load(); remote != nil {
		remote.Close()
	}
}

// locate returns the key set at the jwks_uri of the metadata. All who ask while
// an attempt is under way wait for it, each within its own time.
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

// recent returns the error of an attempt that failed a moment ago.
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
	server, _, err := discovery.FindServer(ctx, k.options.HTTP, k.issuer)
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
