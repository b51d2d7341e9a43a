package audit

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oauthctl/oauthctl/pkg/forge"
	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// Tokens creates the tokens of an audit. [Signer] signs them with the issuer's key;
// [RealTokens] creates them from tokens of a real issuer.
type Tokens interface {
	// Lacks returns why the case's token cannot be created, or "".
	Lacks(c *Case, o *Operation) string
	// Token returns the token of a case of [forge.Cases], with the scopes and claims
	// of the operation.
	Token(ctx context.Context, name string, o *Operation) (string, error)
	// Source describes in a few words where the tokens come from.
	Source() string
}

// created is a claim of all tokens that an audit signs, so that they can be
// recognised.
const created = "oauthctl_audit"

// Signer signs tokens with the issuer's private key. It is safe for concurrent
// use.
type Signer struct {
	Issuer   string
	Audience string
	// Key signs the tokens. If Own is set, its key is used instead: the issuer runs in
	// this process.
	Key *jwks.PrivateKey
	Own *Issuer
	// KeyID is the kid of Key in the issuer's key set; "" means its thumbprint.
	KeyID string
	// Subject and ClientID of the tokens; "" means oauthctl-audit.
	Subject, ClientID string
	// Type is the typ of the header; "" means at+jwt.
	Type string
	// ScopeClaim is the claim with the scopes; "" means scope.
	ScopeClaim string
	// Claims are added to every valid token.
	Claims map[string]any
	// OtherScopes lists all scopes of the API.
	OtherScopes []string
	// Trap serves the key whose URL is in the token of the case jku-header, and counts
	// the requests for it. If nil, Own is used. If both are nil, the case is not tested.
	Trap *Issuer
	// Now is the clock; nil means time.Now.
	Now func() time.Time

	attacker forge.Attacker
	mu       sync.Mutex
	signed   map[string]*tokenFamily
}

// tokenFamily holds the tokens of an operation: a valid one, and tokens that each
// differ from it in one way.
type tokenFamily struct {
	issued time.Time
	id     string            // jti
	tokens map[string]string // by case
}

// Source describes whose key signs the tokens.
func (s *Signer) Source() string {
	if s.Own != nil {
		return "tokens from oauthctl's own issuer"
	}
	return "tokens signed with the issuer's key"
}

// Lacks returns why a case cannot be tested, or "": it needs control over the issuer,
// or the API reads scopes from the claim that the case changes.
func (s *Signer) Lacks(c *Case, o *Operation) string {
	switch {
	case c.Needs == NeedIssuer && s.Own == nil:
		return "needs control over the issuer"
	case c.NeedsScopes && s.inElsewhere(c, o):
		return "the API reads scopes from permissions or roles"
	}
	return ""
}

// inElsewhere reports whether the API reads scopes from the claims that the case
// scope-elsewhere puts them into.
func (s *Signer) inElsewhere(c *Case, o *Operation) bool {
	return c.Name == "scope-elsewhere" && slices.ContainsFunc(append(slices.Clone(o.ScopeClaims), s.ScopeClaim), func(claim string) bool {
		return claim == "permissions" || claim == "roles"
	})
}

// Token signs a token, or returns the one it signed before if that is valid for at
// least another minute. All tokens of an operation have the same jti, iat and exp,
// unless their case changes them, so that they differ from a valid one in one way.
func (s *Signer) Token(_ context.Context, name string, o *Operation) (string, error) {
	like := fmt.Sprintf("%s\x00%v\x00%s", strings.Join(o.granting(), " "), o.Claims, s.key().ID())
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	family := s.signed[like]
	if family == nil || family.issued.Add(lifetime).Sub(now) < renewal {
		family = &tokenFamily{issued: now, id: rand.Text(), tokens: map[string]string{}}
		if s.signed == nil {
			s.signed = map[string]*tokenFamily{}
		}
		s.signed[like] = family
	}
	if raw, ok := family.tokens[name]; ok {
		return raw, nil
	}
	raw, err := forge.Sign(name, s.draft(o, family.issued, family.id))
	if err != nil {
		return "", fmt.Errorf("audit: %w", err)
	}
	family.tokens[name] = raw
	return raw, nil
}

func (s *Signer) key() *jwks.PrivateKey {
	if s.Own != nil {
		return s.Own.Key()
	}
	return s.Key
}

func (s *Signer) trap() *Issuer {
	if s.Trap != nil {
		return s.Trap
	}
	return s.Own
}

// lasting signs a valid token whose lifetime is longer by extra, which is the time
// for which an audit waits for a key change.
func (s *Signer) lasting(o *Operation, extra time.Duration) (string, error) {
	draft := s.draft(o, s.now(), rand.Text())
	draft.Claims["exp"] = s.now().Add(lifetime + extra).Unix()
	raw, err := forge.Sign("good", draft)
	if err != nil {
		return "", fmt.Errorf("audit: %w", err)
	}
	return raw, nil
}

func (s *Signer) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// draft returns the valid token of an operation, issued at now.
func (s *Signer) draft(o *Operation, now time.Time, id string) forge.Draft {
	text := func(value, otherwise string) string {
		if value == "" {
			return otherwise
		}
		return value
	}
	key := s.key()
	subject := text(s.Subject, "oauthctl-audit")
	claims := map[string]any{
		"iss": s.Issuer, "aud": s.Audience, "sub": subject, "client_id": text(s.ClientID, "oauthctl-audit"),
		"jti": id, "iat": now.Unix(), "exp": now.Add(lifetime).Unix(), created: true,
	}
	maps.Copy(claims, s.Claims)
	maps.Copy(claims, o.Claims)
	d := forge.Draft{
		Key: key, Attacker: &s.attacker, ScopeClaim: s.ScopeClaim, Claims: claims,
		Header: map[string]any{"alg": key.Algorithm(), "kid": text(s.KeyID, key.ID()), "typ": text(s.Type, "at+jwt")},
	}
	if s.Own != nil {
		d.Sibling = s.Own.sibling
	}
	if trap := s.trap(); trap != nil {
		d.Attacker, d.KeyURL = trap.attacker, trap.base+attackerPath
	}
	d.SetScopes(o.needed())
	granting := o.granting()
	d.OtherScopes = slices.DeleteFunc(slices.Clone(s.OtherScopes), func(scope string) bool { return slices.Contains(granting, scope) })
	return d
}
