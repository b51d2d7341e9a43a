package policy_test

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/policy"
)

// A policy written in Go is checked like one in a file.
func TestNew(t *testing.T) {
	trust := []policy.Trust{{Issuer: "https://auth.example.com", Audience: []string{"https://api.example.com"}}}
	anyClient := []policy.Trust{{Issuer: "https://auth.example.com"}}
	routes := []policy.Route{
		{Pattern: "GET,POST /orders/{id}", Need: policy.Requirement{Scopes: []string{"orders"}}},
		{Pattern: "GET /health", Need: policy.Requirement{Public: true}},
	}
	with := func(r policy.Route) policy.Config {
		return policy.Config{Trusted: trust, Routes: append(slices.Clone(routes), r)}
	}
	for name, tt := range map[string]struct {
		config policy.Config
		trust  int
		route  int
		want   string
	}{
		"no issuer at all":  {policy.Config{Routes: routes}, -1, -1, "issuer is missing"},
		"unnamed issuer":    {policy.Config{Trusted: append(slices.Clone(trust), policy.Trust{}), Routes: routes}, 1, -1, "issuer is missing"},
		"issuer twice":      {policy.Config{Trusted: append(slices.Clone(trust), trust...), Routes: routes}, 1, -1, "given twice"},
		"no routes":         {policy.Config{Trusted: trust}, -1, -1, "routes is missing"},
		"any client":        {policy.Config{Trusted: anyClient, Routes: routes}, -1, -1, "client_id in every route"},
		"a client unnamed":  {policy.Config{Trusted: anyClient, Routes: []policy.Route{{Pattern: "GET /x", Need: policy.Requirement{Claims: []policy.ClaimRule{policy.ClaimIs("client_id")}}}}}, -1, -1, "client_id in every route"},
		"no pattern":        {with(policy.Route{}), -1, 2, `"METHOD /path"`},
		"same pattern":      {with(policy.Route{Pattern: "GET /health"}), -1, 2, "duplicate route"},
		"conflict":          {with(policy.Route{Pattern: "GET /orders/{number}"}), -1, 2, `conflicts with "GET,POST /orders/{id}":`},
		"public with scope": {with(policy.Route{Pattern: "GET /x", Need: policy.Requirement{Public: true, AnyScopes: []string{"a"}}}), -1, 2, "public route"},
		"optional and acr":  {with(policy.Route{Pattern: "GET /x", Need: policy.Requirement{Optional: true, ACR: []string{"a"}}}), -1, 2, "optional credentials"},
		"two scopes in one": {with(policy.Route{Pattern: "GET /x", Need: policy.Requirement{Scopes: []string{"a b"}}}), -1, 2, `got "a b"`},
	} {
		p, err := policy.New(tt.config)
		wrong, ok := errors.AsType[*policy.ConfigError](err)
		if !ok || !strings.Contains(err.Error(), tt.want) || wrong.Trust != tt.trust || wrong.Route != tt.route {
			t.Errorf("%s: New = %v, %+v, want %q at trust %d, route %d", name, p, err, tt.want, tt.trust, tt.route)
		}
	}
	named := policy.Requirement{Claims: []policy.ClaimRule{policy.ClaimIs("client_id", "app", "job")}}
	for name, config := range map[string]policy.Config{
		"an audience": {Trusted: trust, Routes: routes},
		"a client":    {Trusted: anyClient, Routes: []policy.Route{{Pattern: "GET /x", Need: named}}},
	} {
		if _, err := policy.New(config); err != nil {
			t.Errorf("positive control, %s: %v", name, err)
		}
	}
}

// A value that looks like a list of values is not equal to that list.
func TestStricterRouteByClaims(t *testing.T) {
	route := func(pattern string, values ...string) policy.Route {
		return policy.Route{Pattern: pattern, Need: policy.Requirement{Claims: []policy.ClaimRule{policy.ClaimIs("tenant", values...)}}}
	}
	for name, tt := range map[string]struct {
		wide, narrow []string
		counts       string // the route of /A/b at a server that ignores case; "" if it is ambiguous
	}{
		"one of the same":      {[]string{"acme"}, []string{"acme", "other"}, "GET /{any}/b"},
		"one of two":           {[]string{"acme", "other"}, []string{"acme"}, "GET /a/b"},
		"text like two values": {[]string{"acme or other"}, []string{"acme", "other"}, ""},
	} {
		p, err := policy.New(policy.Config{
			Trusted: []policy.Trust{{Issuer: "a", Audience: []string{"b"}}},
			Routes:  []policy.Route{route("GET /{any}/b", tt.wide...), route("GET /a/b", tt.narrow...)},
		})
		if err != nil {
			t.Fatal(err)
		}
		m, err := p.Match("GET", &url.URL{Path: "/A/b"})
		if (err != nil) != (tt.counts == "") || m.Pattern != tt.counts {
			t.Errorf("%s: %q, %v, want %q", name, m.Pattern, err, tt.counts)
		}
	}
}

func ExampleNew() {
	p, err := policy.New(policy.Config{
		Trusted: []policy.Trust{{Issuer: "https://auth.example.com", Audience: []string{"https://api.example.com"}}},
		Routes: []policy.Route{
			{Pattern: "GET /api/items", Need: policy.Requirement{Scopes: []string{"items:read"}}},
			{Pattern: "GET /healthz", Need: policy.Requirement{Public: true}},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	need, pattern, listed := p.Operation("GET", "/api/items?page=2")
	fmt.Println(pattern, need.Scopes, listed)
	// Output: GET /api/items [items:read] true
}
