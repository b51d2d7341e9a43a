package main

import (
	"context"
	"net/http"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

func verifier(s subject, cached int) (*token.Verifier, error) {
	return token.NewVerifier(issuer, []string{audience}, jwks.NewSet(s.key), token.Options{CacheTokens: cached})
}

func handler(v *token.Verifier) func(raw string) error {
	return serve(bearer.Require(v, bearer.Scopes("items:read"))(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
}

func ours(s subject) (named, error) {
	v, err := verifier(s, 0)
	return named{"oauthctl token.Verifier", func(raw string) error {
		_, err := v.Verify(context.Background(), raw)
		return err
	}}, err
}

func oursHandler(s subject) (named, error) {
	v, err := verifier(s, 0)
	if err != nil {
		return named{}, err
	}
	return named{"oauthctl bearer, handler with a scope", handler(v)}, nil
}

// cached holds the verifier and the handler with a cache.
func cached(s subject) ([]contender, error) {
	v, err := verifier(s, 1000)
	if err != nil {
		return nil, err
	}
	verify := func(raw string) error {
		_, err := v.Verify(context.Background(), raw)
		return err
	}
	for _, n := range []named{{"verifier", verify}, {"handler", handler(v)}} {
		if err := n.prove(s); err != nil {
			return nil, err
		}
	}
	h := handler(v)
	return []contender{
		{"oauthctl token.Verifier, the token again", must(func() error { return verify(s.raw) })},
		{"oauthctl bearer, the token again", must(func() error { return h(s.raw) })},
	}, nil
}
