package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/oauthctl/oauthctl/pkg/forge"
	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// RealTokens makes the tokens of an audit from tokens that a real issuer signed. What
// only the issuer's key can sign is lacking. It is safe for concurrent use.
type RealTokens struct {
	// Fetch returns a token with these scopes for that resource, the API if it is "".
	// Where NarrowsScopes is false it always returns the same token.
	Fetch         func(ctx context.Context, scopes []string, resource string) (string, error)
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
	fetched  map[string]string
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
	scopes, resource := o.needed(), ""
	switch name {
	case "missing-scope":
		return r.fetch(ctx, nil, "")
	case "scope-other":
		granting := o.granting()
		others := slices.DeleteFunc(slices.Clone(r.OtherScopes), func(s string) bool { return slices.Contains(granting, s) })
		return r.fetch(ctx, others, "")
	case "wrong-audience":
		resource = r.OtherResource
	}
	raw, err := r.fetch(ctx, scopes, resource)
	if err != nil || name == "good" || name == "wrong-audience" {
		return raw, err
	}
	if name == "malformed-text" {
		return "abc", nil
	}
	draft, err := forge.FromToken(raw)
	if err != nil {
		return "", errOpaque
	}
	draft.Attacker, draft.Public = &r.attacker, r.Public
	raw, err = forge.Sign(name, draft)
	if err != nil {
		return "", fmt.Errorf("audit: %w", err)
	}
	return raw, nil
}

// fetch gets a token once for each set of scopes and resource.
func (r *RealTokens) fetch(ctx context.Context, scopes []string, resource string) (string, error) {
	key := strings.Join(scopes, " ") + "\x00" + resource
	r.mu.Lock()
	defer r.mu.Unlock()
	if raw, ok := r.fetched[key]; ok {
		return raw, nil
	}
	raw, err := r.Fetch(ctx, scopes, resource)
	if err != nil {
		return "", err
	}
	if r.fetched == nil {
		r.fetched = map[string]string{}
	}
	r.fetched[key] = raw
	return raw, nil
}

type constant string

func (c constant) Error() string { return string(c) }

// errOpaque is why nothing can be changed in a token that is not a JWT.
const errOpaque = constant("the token is opaque")
