package token

import (
	"context"
	"errors"

	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// KeySet returns the keys for a token. [jwks.Set] and [jwks.Remote] implement
// it. A set that wraps one of them can embed it; a set that combines several
// must combine the results of every method. It must be safe for concurrent use.
type KeySet interface {
	// Keys returns the keys to try for a token with that header. An error is a
	// Diagnosis; kind Unavailable means that the token could not be verified now.
	Keys(ctx context.Context, q jwks.Query) (jwks.Candidates, error)
	// Generation returns a number that changes whenever a key is added, removed
	// or replaced. Verified tokens are cached for one generation only
	// ([Options.CacheTokens]). A set that never changes returns a constant.
	Generation() uint64
	// Former returns the previous key with that kid, or nil. It is used to
	// explain why a signature is not valid, never to accept one.
	Former(kid string) *jwks.Key
}

// Verifier verifies access tokens for an API. It is safe for concurrent use.
type Verifier struct {
	j      checker
	cache  *cache             // nil if it is disabled
	joined *joined[*Verifier] // nil for one issuer
}

// NewVerifier returns a verifier for tokens from issuer for one of the
// audiences, signed with one of keys. Issuer and audience are compared character
// for character. It returns an error if either is missing.
func NewVerifier(issuer string, audience []string, keys KeySet, o Options) (*Verifier, error) {
	if err := o.check(issuer, audience); err != nil {
		return nil, err
	}
	if keys == nil {
		return nil, errors.New("token: a verifier needs keys")
	}
	if o.InsecureSkipAudience {
		audience = nil
	}
	j, err := newChecker(issuer, audience, keys, o)
	if err != nil {
		return nil, err
	}
	return &Verifier{j: j, cache: newCache(o)}, nil
}

// Verify returns the token if every check passes. Otherwise it returns the
// first failure, a Diagnosis of kind Rejected, or of kind Unavailable if the
// keys could not be fetched.
func (v *Verifier) Verify(ctx context.Context, raw string) (*Token, error) {
	if v.joined != nil {
		one, d := v.joined.choose(raw)
		if d != nil {
			return nil, d
		}
		return one.Verify(ctx, raw)
	}
	if v.cache != nil {
		return v.verifyCached(ctx, raw)
	}
	return v.verify(ctx, raw)
}

func (v *Verifier) verify(ctx context.Context, raw string) (*Token, error) {
	var x examination
	v.j.examine(ctx, raw, &x)
	if x.failed != nil {
		return nil, x.failed[0].diagnosis
	}
	return x.token, nil
}

// Report verifies a token like Verify and returns the result of every check.
func (v *Verifier) Report(ctx context.Context, raw string) *Report {
	if v.joined != nil {
		one, d := v.joined.choose(raw)
		if d != nil {
			return v.joined.list[0].j.foreign(ctx, raw, d)
		}
		return one.Report(ctx, raw)
	}
	return v.j.report(ctx, raw)
}

// Inspector reports on tokens. A check without an expectation is reported as
// not checked. It must not be used to protect an API.
type Inspector struct {
	j      checker
	joined *joined[*Inspector] // nil for one issuer
}

// NewInspector returns an inspector. An empty issuer or audience is not checked.
func NewInspector(issuer string, audience []string, keys KeySet, o Options) (*Inspector, error) {
	if keys == nil {
		return nil, errors.New("token: an inspector needs keys")
	}
	j, err := newChecker(issuer, audience, keys, o)
	if err != nil {
		return nil, err
	}
	return &Inspector{j: j}, nil
}

// Report verifies a token and returns the result of every check.
func (i *Inspector) Report(ctx context.Context, raw string) *Report {
	if i.joined != nil {
		one, d := i.joined.choose(raw)
		if d != nil {
			return i.joined.list[0].j.foreign(ctx, raw, d)
		}
		return one.Report(ctx, raw)
	}
	return i.j.report(ctx, raw)
}

// Check verifies a token and returns only the first failure, like [Report.Err],
// at the cost of [Verifier.Verify].
func (i *Inspector) Check(ctx context.Context, raw string) error {
	if i.joined != nil {
		one, d := i.joined.choose(raw)
		if d != nil {
			return d
		}
		return one.Check(ctx, raw)
	}
	var x examination
	i.j.examine(ctx, raw, &x)
	if x.failed != nil {
		return x.failed[0].diagnosis
	}
	if d := i.j.unconfigured(); d != nil {
		return d
	}
	return nil
}
