package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/oauthctl/oauthctl/pkg/forge"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// RealTokens creates the tokens of an audit from tokens of a real issuer. Cases that
// need the issuer's private key are not possible. It is safe for concurrent use.
type RealTokens struct {
	// Fetch requests a token with these scopes for a resource; "" is the API itself. It
	// returns the token and the granted scopes, or nil if they are unknown. If
	// NarrowsScopes is false, it always returns the same token.
	Fetch         func(ctx context.Context, scopes []string, resource string) (raw string, granted []string, err error)
	NarrowsScopes bool
	// OtherResource is another API of the issuer, or "".
	OtherResource string
	// Others holds real tokens by the name of their case, for example an ID token for
	// id-token-as-access-token.
	Others map[string]string
	// Public is the key that verifies the tokens, or nil if it is unknown.
	Public *jwks.Key
	// OtherScopes lists all scopes of the API.
	OtherScopes []string
	// From describes where the tokens come from. Source returns it.
	From string

	attacker forge.Attacker
	mu       sync.Mutex
	fetched  map[string]fetched
}

// fetched is a token of the issuer and its scopes, or nil if they are unknown.
type fetched struct {
	raw    string
	scopes []string
}

// Source returns From.
func (r *RealTokens) Source() string { return r.From }

// Lacks returns why a case cannot be tested without the issuer's key, or "".
func (r *RealTokens) Lacks(c *Case, _ *Operation) string {
	_, isReal := r.Others[c.Token]
	scoped := r.NarrowsScopes && (c.Token == "missing-scope" || c.Token == "scope-other")
	switch {
	case isReal, scoped, c.Token == "wrong-audience" && r.OtherResource != "":
		return ""
	case c.Needs == NeedIssuer:
		return "needs control over the issuer"
	case c.Needs == NeedKey:
		return "needs the issuer's key"
	case strings.HasPrefix(c.Token, "alg-confusion") && r.Public == nil:
		return "needs the issuer's public key"
	}
	return ""
}

// Token returns a real token, or a token created from one.
func (r *RealTokens) Token(ctx context.Context, name string, o *Operation) (string, error) {
	if raw, ok := r.Others[name]; ok {
		return raw, nil
	}
	granting := o.granting()
	switch name {
	case "missing-scope", "scope-other":
		others := slices.DeleteFunc(slices.Clone(r.OtherScopes), func(s string) bool { return slices.Contains(granting, s) })
		return r.narrower(ctx, others, granting)
	case "wrong-audience":
		got, err := r.fetch(ctx, o.needed(), r.OtherResource)
		return got.raw, err
	}
	got, err := r.fetch(ctx, o.needed(), "")
	switch {
	case err != nil:
		return "", err
	case got.scopes != nil && slices.ContainsFunc(o.needed(), func(s string) bool { return !slices.Contains(got.scopes, s) }):
		return "", fmt.Errorf("the token lacks the scopes %s", strings.Join(o.needed(), " "))
	case name == "good":
		return got.raw, nil
	case name == "malformed-text":
		return "abc", nil
	}
	draft, err := forge.FromToken(got.raw)
	if err != nil {
		return "", errOpaque
	}
	draft.Attacker, draft.Public = &r.attacker, r.Public
	raw, err := forge.Sign(name, draft)
	if err != nil {
		return "", fmt.Errorf("audit: %w", err)
	}
	return raw, nil
}

// narrower requests a token without the scopes that allow the operation. The granted
// scopes are checked, because an issuer may grant other scopes than were requested
// (RFC 6749, section 3.3).
func (r *RealTokens) narrower(ctx context.Context, wanted, without []string) (string, error) {
	got, err := r.fetch(ctx, wanted, "")
	switch {
	case err != nil:
		return "", err
	case got.scopes == nil:
		return "", errUnknownScopes
	case slices.ContainsFunc(without, func(s string) bool { return slices.Contains(got.scopes, s) }):
		return "", errNotNarrower
	}
	return got.raw, nil
}

// fetch requests a token once for each combination of scopes and resource.
func (r *RealTokens) fetch(ctx context.Context, scopes []string, resource string) (fetched, error) {
	key := strings.Join(scopes, " ") + "\x00" + resource
	r.mu.Lock()
	defer r.mu.Unlock()
	if got, ok := r.fetched[key]; ok {
		return got, nil
	}
	raw, granted, err := r.Fetch(ctx, scopes, resource)
	if err != nil {
		return fetched{}, err
	}
	if read, err := token.Decode(raw); err == nil && len(read.Scopes()) > 0 {
		granted = read.Scopes()
	}
	if r.fetched == nil {
		r.fetched = map[string]fetched{}
	}
	r.fetched[key] = fetched{raw, granted}
	return r.fetched[key], nil
}

// Reasons why a case cannot be tested with a token of the issuer.
const (
	errOpaque        = constant("the token is opaque")
	errUnknownScopes = constant("the scopes of the token are unknown")
	errNotNarrower   = constant("the issuer does not grant fewer scopes")
)
