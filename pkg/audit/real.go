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

// RealTokens makes the tokens of an audit from tokens that a real issuer signed. What
// only the issuer's key can sign is lacking. It is safe for concurrent use.
type RealTokens struct {
	// Fetch requests a token with these scopes for that resource, the API if it is
	// "", and returns it with the scopes that were granted, nil if they are unknown.
	// Where NarrowsScopes is false it always returns the same token.
	Fetch         func(ctx context.Context, scopes []string, resource string) (raw string, granted []string, err error)
	NarrowsScopes bool
	// OtherResource is another API of the issuer; "" if there is none.
	OtherResource string
	// Others are real tokens by the name of their case, for instance an ID token for
	// id-token-as-access-token.
	Others map[string]string
	// Public is the key that verifies the tokens; nil if it is unknown.
	Public *jwks.Key
	// OtherScopes are all scopes of the API.
	OtherScopes []string
	// From says where the tokens come from.
	From string

	attacker forge.Attacker
	mu       sync.Mutex
	fetched  map[string]fetched
}

// fetched is a token of the issuer with the scopes that it has, nil if they are
// unknown.
type fetched struct {
	raw    string
	scopes []string
}

// Source says where the tokens come from.
func (r *RealTokens) Source() string { return r.From }

// Lacks says what a real token cannot show.
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

// Token returns a real token, or one that was made from it.
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

// narrower requests a token without the scopes that open the operation. An issuer
// may grant others than were requested (RFC 6749, section 3.3), so they are
// checked.
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

// fetch gets a token once for each set of scopes and resource.
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

// Why a token of the issuer does not show what a case asks.
const (
	errOpaque        = constant("the token is opaque")
	errUnknownScopes = constant("the scopes of the token are unknown")
	errNotNarrower   = constant("the issuer does not grant fewer scopes")
)
