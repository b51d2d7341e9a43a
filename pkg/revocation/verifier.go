package revocation

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/sync/singleflight"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// Opaque verifies tokens that are not JWTs by asking their server (RFC 7662): a
// bearer.Verifier. An answer counts for [IntrospectionOptions.MaxAge], and never
// beyond the token's expiry, so that a token which was revoked is refused within
// it. Issuer and audience are compared where the response has them; an audience
// is required. It is safe for concurrent use.
type Opaque struct {
	find     func(context.Context) (*oauth.Client, error)
	client   atomic.Pointer[oauth.Client]
	issuer   string
	audience []string
	options  IntrospectionOptions
	turns    chan struct{}
	flight   singleflight.Group

	mu         sync.Mutex
	young, old map[[sha256.Size]byte]verdict
}

// verdict is what came of a question, and how long that counts.
type verdict struct {
	token   *token.Token
	refused *diagnosis.Diagnosis
	until   time.Time
}

// maxOpaque is the longest token that is sent to a server.
const maxOpaque = 16 << 10

// NewOpaque returns a verifier of tokens from issuer for one of the audiences.
// It asks as the client that find returns, which is called until it returns one
// whose metadata names an introspection endpoint: so an issuer that is away keeps
// nothing from starting.
func NewOpaque(find func(context.Context) (*oauth.Client, error), issuer string, audience []string, o IntrospectionOptions) (*Opaque, error) {
	if find == nil || issuer == "" || len(audience) == 0 {
		return nil, errors.New("revocation: a client, an issuer and an audience are needed")
	}
	o.setDefaults()
	return &Opaque{find: find, issuer: issuer, audience: audience, options: o, turns: make(chan struct{}, o.Concurrency), young: map[[sha256.Size]byte]verdict{}}, nil
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
	_, err := o.Verify(ctx, t.Raw().Reveal())
	var d *diagnosis.Diagnosis
	switch {
	case err == nil:
		return false, nil
	case errors.As(err, &d) && d.Kind() == diagnosis.Rejected:
		return true, nil
	}
	return false, err
}

// Verify implements bearer.Verifier.
func (o *Opaque) Verify(ctx context.Context, raw string) (*token.Token, error) {
	if len(raw) > maxOpaque {
		return nil, fmt.Errorf("revocation: %w", &diagnosis.Diagnosis{ID: diagnosis.TokenTooLarge})
	}
	key := sha256.Sum256([]byte(raw))
	v, ok := o.known(key)
	if !ok {
		select {
		case result := <-o.flight.DoChan(string(key[:]), func() (any, error) { return o.ask(key, raw) }):
			if result.Err != nil {
				return nil, fmt.Errorf("revocation: %w", &diagnosis.Diagnosis{ID: diagnosis.RevocationUnknown, Err: result.Err})
			}
			v = result.Val.(verdict)
		case <-ctx.Done():
			return nil, fmt.Errorf("revocation: %w", &diagnosis.Diagnosis{ID: diagnosis.RevocationUnknown, Err: ctx.Err()})
		}
	}
	if v.refused != nil {
		return nil, fmt.Errorf("revocation: %w", v.refused)
	}
	return v.token, nil
}

// ask sends one question for all who wait for it.
func (o *Opaque) ask(key [sha256.Size]byte, raw string) (verdict, error) {
	if v, ok := o.known(key); ok {
		return v, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.options.Timeout)
	defer cancel()
	select {
	case o.turns <- struct{}{}:
		defer func() { <-o.turns }()
	case <-ctx.Done():
		return verdict{}, errors.New("too many questions are under way")
	}
	asked := o.options.Now()
	client, err := o.found(ctx)
	if err != nil {
		return verdict{}, err
	}
	found, err := client.Introspect(ctx, secret.New(raw), "access_token")
	if err != nil {
		return verdict{}, err
	}
	v := o.decide(found, raw, asked)
	v.until = asked.Add(o.options.MaxAge)
	if v.token != nil && v.token.Expiry().Before(v.until) {
		v.until = v.token.Expiry()
	}
	o.keep(key, v)
	return v, nil
}

// decide checks what the server said, as a verifier checks the claims of a JWT.
func (o *Opaque) decide(found *oauth.Introspection, raw string, now time.Time) verdict {
	refused := func(id diagnosis.ID, expected, got diagnosis.Values) verdict {
		return verdict{refused: &diagnosis.Diagnosis{ID: id, Expected: expected, Got: got}}
	}
	if !found.Active {
		return refused(diagnosis.Revoked, diagnosis.Text("an active token"), diagnosis.Values{"one that is not"})
	}
	response := []byte(found.Raw)
	if found.Issuer == "" && len(response) > 1 {
		// Without iss the API and the revocations would know the caller by no issuer.
		name, _ := json.Marshal(o.issuer)
		response = slices.Concat([]byte(`{"iss":`), name, []byte(","), bytes.TrimLeft(response, " \t\r\n")[1:])
	}
	t, err := token.FromIntrospection(secret.New(raw), response)
	if err != nil {
		var d *diagnosis.Diagnosis
		if errors.As(err, &d) {
			return verdict{refused: d}
		}
		return refused(diagnosis.PayloadInvalid, nil, nil)
	}
	meant := func(audience string) bool { return slices.Contains(o.audience, audience) }
	switch audience := t.Audience(); {
	case t.Issuer() != o.issuer:
		return refused(diagnosis.IssuerMismatch, diagnosis.Values{o.issuer}, diagnosis.Values{t.Issuer()})
	case len(audience) == 0:
		return refused(diagnosis.AudienceMissing, o.audience, diagnosis.None)
	case !slices.ContainsFunc(audience, meant):
		return refused(diagnosis.AudienceMismatch, o.audience, audience)
	case t.Expiry().IsZero():
		return refused(diagnosis.ExpiryMissing, diagnosis.Text("exp"), diagnosis.None)
	case !now.Before(t.Expiry()):
		return refused(diagnosis.Expired, nil, nil)
	case strings.EqualFold(found.TokenType, "refresh_token"):
		return refused(diagnosis.TypeRefused, diagnosis.Text("an access token"), diagnosis.Values{found.TokenType})
	}
	return verdict{token: t}
}

func (o *Opaque) known(key [sha256.Size]byte) (verdict, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	v, ok := o.young[key]
	if !ok {
		v, ok = o.old[key]
	}
	return v, ok && o.options.Now().Before(v.until)
}

// keep bounds the answers by forgetting the older generation as a whole.
func (o *Opaque) keep(key [sha256.Size]byte, v verdict) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.young) >= maxAnswers {
		o.young, o.old = map[[sha256.Size]byte]verdict{}, o.young
	}
	o.young[key] = v
}
