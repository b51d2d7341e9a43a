package revocation

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// Opaque verifies tokens that are not JWTs by introspection (RFC 7662). It is a
// bearer.Verifier. A response is cached for [IntrospectionOptions.MaxAge], but
// never beyond the token's expiry, so a revoked token is refused within this
// time. It is safe for concurrent use.
type Opaque struct {
	find     func(context.Context) (*oauth.Client, error)
	client   atomic.Pointer[oauth.Client]
	verifier atomic.Pointer[token.ResponseVerifier]
	options  IntrospectionOptions
	turns    chan struct{}
	flight   singleflight.Group

	mu         sync.Mutex
	young, old map[[sha256.Size]byte]answered
}

// answered is the result of a request, and how long it is cached.
type answered struct {
	by      *token.ResponseVerifier
	active  bool
	token   *token.Token // nil if it is refused
	refused error
	until   time.Time
}

// maxOpaque is the maximum length in bytes of a token that is sent to a server.
const maxOpaque = 16 << 10

// NewOpaque returns a verifier of tokens whose introspection responses v accepts.
// It sends requests as the client that find returns. Find is called until its
// client's metadata has an introspection endpoint, so that the program can start
// while the issuer is unreachable.
func NewOpaque(find func(context.Context) (*oauth.Client, error), v *token.ResponseVerifier, o IntrospectionOptions) (*Opaque, error) {
	if find == nil || v == nil {
		return nil, errors.New("revocation: a client and a verifier are needed")
	}
	o.setDefaults()
	opaque := &Opaque{find: find, options: o, turns: make(chan struct{}, o.Concurrency), young: map[[sha256.Size]byte]answered{}}
	opaque.verifier.Store(v)
	return opaque, nil
}

// SetVerifier replaces the verifier of responses, for example when a policy was
// loaded again; it must not be nil. Results of the previous one are no longer used.
func (o *Opaque) SetVerifier(v *token.ResponseVerifier) { o.verifier.Store(v) }

// found returns the client. It calls find until the client has an introspection
// endpoint.
func (o *Opaque) found(ctx context.Context) (*oauth.Client, error) {
	if c := o.client.Load(); c != nil {
		return c, nil
	}
	c, err := o.find(ctx)
	switch {
	case err != nil:
		return nil, err
	case c == nil || c.Server == nil || c.Server.IntrospectionEndpoint == "":
		return nil, errNoEndpoint
	}
	o.client.Store(c)
	return c, nil
}

// Revoked implements bearer.RevocationChecker, for tokens whose signature was
// verified.
func (o *Opaque) Revoked(ctx context.Context, t *token.Token) (bool, error) {
	a, err := o.answer(ctx, t.Raw())
	return err == nil && !a.active, err
}

// Verify implements bearer.Verifier.
func (o *Opaque) Verify(ctx context.Context, raw string) (*token.Token, error) {
	if len(raw) > maxOpaque {
		return nil, fmt.Errorf("revocation: %w", &diagnosis.Diagnosis{ID: diagnosis.TokenTooLarge})
	}
	a, err := o.answer(ctx, secret.New(raw))
	if err == nil {
		err = a.refused
	}
	if err != nil {
		return nil, fmt.Errorf("revocation: %w", err)
	}
	return a.token, nil
}

// answer returns the cached response, or sends a request. Concurrent calls for
// the same token share one request.
func (o *Opaque) answer(ctx context.Context, raw secret.String) (answered, error) {
	key, by := sha256.Sum256([]byte(raw.Reveal())), o.verifier.Load()
	if a, ok := o.known(key, by); ok {
		return a, nil
	}
	select {
	case result := <-o.flight.DoChan(fmt.Sprintf("%s%p", key, by), func() (any, error) { return o.ask(key, raw, by) }):
		if result.Err != nil {
			return answered{}, &diagnosis.Diagnosis{ID: diagnosis.RevocationUnknown, Err: result.Err}
		}
		return result.Val.(answered), nil
	case <-ctx.Done():
		return answered{}, &diagnosis.Diagnosis{ID: diagnosis.RevocationUnknown, Err: ctx.Err()}
	}
}

// ask sends one request for all concurrent callers.
func (o *Opaque) ask(key [sha256.Size]byte, raw secret.String, by *token.ResponseVerifier) (answered, error) {
	if v, ok := o.known(key, by); ok {
		return v, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.options.Timeout)
	defer cancel()
	select {
	case o.turns <- struct{}{}:
		defer func() { <-o.turns }()
	case <-ctx.Done():
		return answered{}, errors.New("too many introspection requests are in progress")
	}
	asked := o.options.Now()
	client, err := o.found(ctx)
	if err != nil {
		return answered{}, err
	}
	found, err := client.Introspect(ctx, raw, "access_token")
	if err != nil {
		return answered{}, err
	}
	v := answered{by: by, active: found.Active}
	v.token, v.refused = by.Verify(raw, found.Raw)
	v.until = asked.Add(o.options.MaxAge)
	if v.token != nil && v.token.Expiry().Before(v.until) {
		v.until = v.token.Expiry()
	}
	o.keep(key, v)
	return v, nil
}

func (o *Opaque) known(key [sha256.Size]byte, by *token.ResponseVerifier) (answered, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	v, ok := o.young[key]
	if !ok {
		v, ok = o.old[key]
	}
	return v, ok && v.by == by && o.options.Now().Before(v.until)
}

// keep limits the number of responses by dropping the older generation.
func (o *Opaque) keep(key [sha256.Size]byte, v answered) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.young) >= maxAnswers {
		o.young, o.old = map[[sha256.Size]byte]answered{}, o.young
	}
	o.young[key] = v
}
