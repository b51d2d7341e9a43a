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

// Opaque verifies tokens that are not JWTs by asking their server (RFC 7662): a
// bearer.Verifier. An answer counts for [IntrospectionOptions.MaxAge], and never
// beyond the token's expiry, so that a token which was revoked is refused within
// it. It is safe for concurrent use.
type Opaque struct {
	find     func(context.Context) (*oauth.Client, error)
	client   atomic.Pointer[oauth.Client]
	verifier *token.ResponseVerifier
	options  IntrospectionOptions
	turns    chan struct{}
	flight   singleflight.Group

	mu         sync.Mutex
	young, old map[[sha256.Size]byte]answered
}

// answered is what came of a question, and how long that counts.
type answered struct {
	active  bool
	token   *token.Token // nil if it is refused
	refused error
	until   time.Time
}

// maxOpaque is the longest token that is sent to a server.
const maxOpaque = 16 << 10

// NewOpaque returns a verifier of the tokens that v accepts by the response of
// their server. It asks as the client that find returns, which is called until it
// returns one whose metadata names an introspection endpoint: so an issuer that is
// unreachable keeps nothing from starting.
func NewOpaque(find func(context.Context) (*oauth.Client, error), v *token.ResponseVerifier, o IntrospectionOptions) (*Opaque, error) {
	if find == nil || v == nil {
		return nil, errors.New("revocation: a client and a verifier are needed")
	}
	o.setDefaults()
	return &Opaque{find: find, verifier: v, options: o, turns: make(chan struct{}, o.Concurrency), young: map[[sha256.Size]byte]answered{}}, nil
}

// found returns the client, once there is one.
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

// Revoked implements bearer.RevocationChecker, for tokens that were verified by
// their signature and are asked about as well.
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

// answer returns what the server says, which is asked if that is not known. All
// who wait for the same token share one question.
func (o *Opaque) answer(ctx context.Context, raw secret.String) (answered, error) {
	key := sha256.Sum256([]byte(raw.Reveal()))
	if a, ok := o.known(key); ok {
		return a, nil
	}
	select {
	case result := <-o.flight.DoChan(string(key[:]), func() (any, error) { return o.ask(key, raw) }):
		if result.Err != nil {
			return answered{}, &diagnosis.Diagnosis{ID: diagnosis.RevocationUnknown, Err: result.Err}
		}
		return result.Val.(answered), nil
	case <-ctx.Done():
		return answered{}, &diagnosis.Diagnosis{ID: diagnosis.RevocationUnknown, Err: ctx.Err()}
	}
}

// ask sends one question for all who wait for it.
func (o *Opaque) ask(key [sha256.Size]byte, raw secret.String) (answered, error) {
	if v, ok := o.known(key); ok {
		return v, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.options.Timeout)
	defer cancel()
	select {
	case o.turns <- struct{}{}:
		defer func() { <-o.turns }()
	case <-ctx.Done():
		return answered{}, errors.New("too many questions are under way")
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
	v := answered{active: found.Active}
	v.token, v.refused = o.verifier.Verify(raw, found.Raw)
	v.until = asked.Add(o.options.MaxAge)
	if v.token != nil && v.token.Expiry().Before(v.until) {
		v.until = v.token.Expiry()
	}
	o.keep(key, v)
	return v, nil
}

func (o *Opaque) known(key [sha256.Size]byte) (answered, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	v, ok := o.young[key]
	if !ok {
		v, ok = o.old[key]
	}
	return v, ok && o.options.Now().Before(v.until)
}

// keep bounds the answers by forgetting the older generation as a whole.
func (o *Opaque) keep(key [sha256.Size]byte, v answered) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.young) >= maxAnswers {
		o.young, o.old = map[[sha256.Size]byte]answered{}, o.young
	}
	o.young[key] = v
}
