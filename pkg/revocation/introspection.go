package revocation

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// Limits of an [Introspection].
const (
	defaultMaxAge      = 10 * time.Second
	defaultTimeout     = 2 * time.Second
	defaultConcurrency = 8
	maxAnswers         = 50_000 // in each of two generations
)

// IntrospectionOptions are the options of an [Introspection]. The zero value is
// safe.
type IntrospectionOptions struct {
	// MaxAge is how long a response is cached, but never beyond the token's
	// expiry. A revoked token is refused within this time. 0 means 10 seconds.
	MaxAge time.Duration
	// Timeout limits one request, including the wait for its turn. 0 means 2
	// seconds.
	Timeout time.Duration
	// Concurrency is the maximum number of concurrent requests. 0 means 8.
	Concurrency int
	// InsecureAllowWhenAway accepts a token if the server is unreachable.
	InsecureAllowWhenAway bool
	Now                   func() time.Time // nil means time.Now
}

// Introspection asks the authorization server whether a token is still active
// (RFC 7662). Concurrent checks of one token share one request. If the server is
// unreachable, the error is REVOCATION_UNKNOWN and the API returns 503, unless
// InsecureAllowWhenAway is set. It is safe for concurrent use.
type Introspection struct {
	client  *oauth.Client
	options IntrospectionOptions
	turns   chan struct{}
	flight  singleflight.Group

	mu         sync.Mutex
	young, old map[Key]answer
}

// answer is the server's response and how long it is cached.
type answer struct {
	active bool
	until  time.Time
}

// NewIntrospection returns a checker that sends requests as client. It returns an
// error if the client's metadata has no introspection endpoint.
func NewIntrospection(client *oauth.Client, o IntrospectionOptions) (*Introspection, error) {
	if client == nil || client.Server == nil || client.Server.IntrospectionEndpoint == "" {
		return nil, errNoEndpoint
	}
	o.setDefaults()
	return &Introspection{client: client, options: o, turns: make(chan struct{}, o.Concurrency), young: map[Key]answer{}}, nil
}

var errNoEndpoint = errors.New("revocation: the metadata of the authorization server has no introspection_endpoint")

func (o *IntrospectionOptions) setDefaults() {
	if o.MaxAge <= 0 {
		o.MaxAge = defaultMaxAge
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.Concurrency <= 0 {
		o.Concurrency = defaultConcurrency
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

// Revoked reports whether the server reports t as inactive.
func (i *Introspection) Revoked(ctx context.Context, t *token.Token) (bool, error) {
	key := contentKey(t)
	if a, ok := i.known(key); ok {
		return !a.active, nil
	}
	question := i.flight.DoChan(string(key[:]), func() (any, error) { return i.ask(key, t) })
	select {
	case result := <-question:
		if result.Err == nil {
			return !result.Val.(answer).active, nil
		}
		if i.options.InsecureAllowWhenAway {
			return false, nil
		}
		return false, fmt.Errorf("revocation: %w", &diagnosis.Diagnosis{ID: diagnosis.RevocationUnknown, Err: result.Err})
	case <-ctx.Done():
		return false, fmt.Errorf("revocation: %w", &diagnosis.Diagnosis{ID: diagnosis.RevocationUnknown, Err: ctx.Err()})
	}
}

// ask sends one request. It does not end with the context of the first caller,
// because others wait for the response too.
func (i *Introspection) ask(key Key, t *token.Token) (answer, error) {
	if a, ok := i.known(key); ok {
		return a, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), i.options.Timeout)
	defer cancel()
	select {
	case i.turns <- struct{}{}:
		defer func() { <-i.turns }()
	case <-ctx.Done():
		return answer{}, errors.New("too many introspection requests are in progress")
	}
	// Measured before the request, because the response may be that old.
	until := i.options.Now().Add(i.options.MaxAge)
	found, err := i.client.Introspect(ctx, t.Raw(), "access_token")
	if err != nil {
		return answer{}, err
	}
	if expiry := t.Expiry(); expiry.Before(until) {
		until = expiry
	}
	a := answer{found.Active, until}
	i.keep(key, a)
	return a, nil
}

func (i *Introspection) known(key Key) (answer, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	a, ok := i.young[key]
	if !ok {
		a, ok = i.old[key]
	}
	return a, ok && i.options.Now().Before(a.until)
}

// keep limits the number of responses by dropping the older generation.
func (i *Introspection) keep(key Key, a answer) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.young) >= maxAnswers {
		i.young, i.old = map[Key]answer{}, i.young
	}
	i.young[key] = a
}
