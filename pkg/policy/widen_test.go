package policy_test

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// A new route accepts more than before only if the old policy refused one of
// its requests. A removed route does so only if another route accepts its
// requests with fewer requirements.
func TestCompareNewRoutes(t *testing.T) {
	scope := func(pattern, scopes string) policy.Route {
		return policy.Route{Pattern: pattern, Need: policy.Requirement{Scopes: strings.Fields(scopes)}}
	}
	public := func(pattern string) policy.Route {
		return policy.Route{Pattern: pattern, Need: policy.Requirement{Public: true}}
	}
	slashes := func(r policy.Route) policy.Route { r.EncodedSlash = true; return r }
	all := func(r ...policy.Route) []policy.Route { return r }
	for name, tt := range map[string]struct {
		before, after []policy.Route
		widens        bool
	}{
		"an unlisted path":                 {all(scope("GET /a", "x")), all(scope("GET /a", "x"), scope("GET /b", "x y")), true},
		"a stricter exception":             {all(scope("GET /", "x")), all(scope("GET /", "x"), scope("GET /admin", "x y")), false},
		"an exception as strict":           {all(scope("GET /", "x")), all(scope("GET /", "x"), scope("GET /admin", "x")), false},
		"a weaker exception":               {all(scope("GET /", "x")), all(scope("GET /", "x"), scope("GET /admin", "")), true},
		"another scope":                    {all(scope("GET /", "x")), all(scope("GET /", "x"), scope("GET /admin", "y")), true},
		"an exception of a public one":     {all(public("GET /")), all(public("GET /"), scope("GET /admin", "")), false},
		"a public exception":               {all(scope("GET /", "")), all(scope("GET /", ""), public("GET /healthz")), true},
		"a method more":                    {all(scope("GET /", "x")), all(scope("GET /", "x"), scope("GET,PUT /admin", "x y")), true},
		"HEAD is GET's":                    {all(scope("GET /", "x")), all(scope("GET /", "x"), scope("HEAD /admin", "x y")), false},
		"a weaker HEAD":                    {all(scope("GET /", "x")), all(scope("GET /", "x"), scope("HEAD /", "")), true},
		"GET next to HEAD":                 {all(scope("HEAD /a", "x"), scope("GET /", "")), nil, false}, // a conflict
		"one split in two":                 {all(scope("GET,POST /a", "x")), all(scope("GET /a", "x"), scope("POST /a", "x y")), false},
		"two joined":                       {all(scope("GET /a", "x"), scope("POST /a", "x y")), all(scope("GET,POST /a", "x y")), false},
		"two joined, one weaker":           {all(scope("GET /a", "x"), scope("POST /a", "x y")), all(scope("GET,POST /a", "x")), true},
		"another name of a wildcard":       {all(scope("GET /u/{id}", "x")), all(scope("GET /u/{user}", "x")), false},
		"of the nearest rule":              {all(scope("GET /", ""), scope("GET /u/", "x")), all(scope("GET /", ""), scope("GET /u/", "x"), scope("GET /u/me", "")), true},
		"of the nearest rule, stricter":    {all(scope("GET /", "x"), scope("GET /u/", "")), all(scope("GET /", "x"), scope("GET /u/", ""), scope("GET /u/me", "y")), false},
		"only a part was listed":           {all(scope("GET /u/{id}", "x")), all(scope("GET /u/{id}", "x"), scope("GET /u/", "x")), true},
		"encoded slashes too":              {all(scope("GET /", "x")), all(scope("GET /", "x"), slashes(scope("GET /f/{name}", "x y"))), true},
		"encoded slashes as before":        {all(slashes(scope("GET /", "x"))), all(slashes(scope("GET /", "x")), slashes(scope("GET /f/{name}", "x y"))), false},
		"encoded slashes to a strict path": {all(slashes(public("GET /")), scope("GET /a/b", "x")), all(slashes(public("GET /")), scope("GET /a/b", "x"), slashes(public("GET /{x}"))), false},
		"two meanings become one":          {all(slashes(scope("GET /{x}", "x")), scope("GET /a/b", "y")), all(slashes(scope("GET /{x}", "x y")), scope("GET /a/b", "y")), true},
		"two meanings stay two":            {all(slashes(scope("GET /{x}", "x")), scope("GET /a/b", "y")), all(slashes(scope("GET /{x}", "x z")), scope("GET /a/b", "y")), false},
		"encoded slashes by what is left":  {all(slashes(scope("GET /", "x")), scope("GET /f/{name}", "x")), all(slashes(scope("GET /", "x"))), true},
		"gone, the nearest is as strict":   {all(scope("GET /", ""), scope("GET /u/", "x"), scope("GET /u/{id}", "x")), all(scope("GET /", ""), scope("GET /u/", "x")), false},
		"gone, the nearest is weaker":      {all(scope("GET /", "x"), scope("GET /u/", ""), scope("GET /u/{id}", "x")), all(scope("GET /", "x"), scope("GET /u/", "")), true},
		"another spelling was strict":      {all(scope("GET /{x...}", ""), scope("GET /admin/", "x")), all(scope("GET /{x...}", ""), scope("GET /admin/", "x"), scope("GET /Admin/a", "")), true},
		"another spelling of what is gone": {all(scope("GET /pub", ""), scope("GET /pub/{$}", "x")), all(scope("GET /pub", "")), true},
	} {
		before, after := routesOf(tt.before), routesOf(tt.after)
		if before == nil || after == nil {
			if tt.after != nil {
				t.Errorf("%s: the routes cannot be used", name)
			}
			continue
		}
		changes := policy.Compare(before, after)
		if len(changes) == 0 || changes[0].Widens != tt.widens {
			t.Errorf("%s: %v, want widens %v", name, changes, tt.widens)
		}
	}
}

// routesOf returns a policy with these routes, or nil if they cannot be
// combined.
func routesOf(routes []policy.Route) *policy.Policy {
	p, err := policy.New(policy.Config{Trusted: []policy.Trust{{Issuer: "a", Audience: []string{"b"}}}, Routes: routes})
	if err != nil {
		return nil
	}
	return p
}

// accepts returns whether a guard allows a request; t is nil for a request
// without a token.
func accepts(p *policy.Policy, method string, u *url.URL, t *token.Token) bool {
	m, err := p.Match(method, u)
	switch {
	case err != nil || !m.Listed:
		return false
	case t == nil:
		return m.Requirement.Public || m.Requirement.Optional
	}
	return m.Requirement.Public || m.Requirement.Allows(t)
}

// For every pair of policies, if the second accepts a request that the first
// refused, a change is marked.
func TestCompareMissesNothing(t *testing.T) {
	tokens := []*token.Token{nil}
	for _, scopes := range []string{"", "x", "y", "x y"} {
		tokens = append(tokens, decoded(t, map[string]any{"scope": scopes}))
	}
	needs := []policy.Requirement{{}, {Public: true}, {Optional: true}, {Scopes: []string{"x"}}, {Scopes: []string{"y"}}, {Scopes: []string{"x", "y"}}, {AnyScopes: []string{"x", "y"}}}
	verbs := []string{"GET", "GET", "HEAD", "POST", "GET,POST"}
	paths := []string{"/", "/{$}", "/{x}", "/{x}/b", "/{x...}", "/a", "/a/", "/a/{$}", "/a/{x}", "/a/b", "/a/{x}/c", "/A/b", "/A/{x}", "/a/b/"}
	var requests []*url.URL
	for _, text := range []string{"/", "/a", "/A", "/a/", "/A/", "/a/b", "/A/b", "/a/B", "/a/b/", "/b", "/b/b", "/b/b/", "/a/x/c", "/A/X/c", "/a/b;v=1", "/a%2Fb", "/a/b%2Fc", "/a/b%2fb/c"} {
		u, err := url.ParseRequestURI(text)
		if err != nil {
			t.Fatal(err)
		}
		requests = append(requests, u)
	}
	random := rand.New(rand.NewPCG(7, 11))
	pick := func() policy.Route {
		pattern := verbs[random.IntN(len(verbs))] + " " + paths[random.IntN(len(paths))]
		return policy.Route{Pattern: pattern, Need: needs[random.IntN(len(needs))], EncodedSlash: random.IntN(5) == 0}
	}
	pairs, wider, called := 0, 0, 0
	for pairs < 800 {
		var before, after []policy.Route
		for range 1 + random.IntN(4) {
			before = append(before, pick())
		}
		after = slices.Clone(before)
		for range 1 + random.IntN(2) { // change, remove or add a route
			switch i := random.IntN(len(after)); random.IntN(3) {
			case 0:
				after = append(after, pick())
			case 1:
				after[i].Need = needs[random.IntN(len(needs))]
			case 2:
				if len(after) > 1 {
					after = slices.Delete(after, i, i+1)
				}
			}
		}
		p, q := routesOf(before), routesOf(after)
		if p == nil || q == nil {
			continue
		}
		pairs++
		changes := policy.Compare(p, q)
		said := slices.ContainsFunc(changes, func(c policy.Change) bool { return c.Widens })
		opened := openedBy(p, q, requests, tokens)
		if opened != "" {
			wider++
		}
		if said {
			called++
		}
		if opened != "" && !said {
			t.Fatalf("%s is accepted now, and Compare says %v\nbefore %s\nafter  %s", opened, changes, listed(before), listed(after))
		}
	}
	t.Logf("%d pairs, %d accept more, %d said to", pairs, wider, called)
}

// openedBy returns a request that the first policy refuses and the second
// accepts.
func openedBy(p, q *policy.Policy, requests []*url.URL, tokens []*token.Token) string {
	for _, method := range []string{"GET", "HEAD", "POST", "PUT"} {
		for _, u := range requests {
			// Refused because servers differ in the route they choose: what is accepted
			// later has what both of them needed.
			if _, err := p.Match(method, u); err != nil && policy.CheckPath(u) == nil {
				continue
			}
			for i, t := range tokens {
				if !accepts(p, method, u, t) && accepts(q, method, u, t) {
					return fmt.Sprintf("%s %s with token %d", method, u.EscapedPath(), i)
				}
			}
		}
	}
	return ""
}

func listed(routes []policy.Route) string {
	var all []string
	for _, r := range routes {
		all = append(all, fmt.Sprintf("%s %+v %v", r.Pattern, r.Need, r.EncodedSlash))
	}
	return strings.Join(all, "; ")
}
