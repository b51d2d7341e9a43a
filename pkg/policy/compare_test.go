package policy_test

import (
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// Everything that a new policy accepts and the old one refused is marked, in
// every part of the policy.
func TestCompare(t *testing.T) {
	trust := func(issuer string, change func(*policy.Trust)) policy.Trust {
		one := policy.Trust{Issuer: issuer, Audience: []string{"api"}, Algorithms: []string{"RS256"}, JWKS: "keys.json"}
		if change != nil {
			change(&one)
		}
		return one
	}
	admin := policy.Route{Pattern: "DELETE /users/{id}", Need: policy.Requirement{Scopes: []string{"admin"}}}
	users := policy.Route{Pattern: "GET,DELETE /users/", Need: policy.Requirement{Scopes: []string{"users"}}}
	strict := policy.Route{Pattern: "GET,DELETE /users/", Need: policy.Requirement{Scopes: []string{"admin", "users"}}}
	weak := policy.Route{Pattern: "DELETE /users/{id}"}
	accepts := func(one *policy.Trust) { one.Accept = []token.Kind{token.KindIDToken} }
	moreAudience := func(one *policy.Trust) { one.Audience = []string{"api", "other"} }
	type config struct {
		trusted []policy.Trust
		routes  []policy.Route
	}
	a, b := trust("a", nil), trust("b", nil)
	plain := config{[]policy.Trust{a}, []policy.Route{users}}
	tests := map[string]struct {
		before, after config
		want          string // the changes, with a ! where more is accepted
	}{
		"the same":                  {plain, plain, ""},
		"another issuer":            {plain, config{[]policy.Trust{b}, plain.routes}, "! issuer is b, was a"},
		"an issuer more":            {plain, config{[]policy.Trust{a, b}, plain.routes}, "! issuer b is new"},
		"an issuer less":            {config{[]policy.Trust{a, b}, plain.routes}, plain, "issuer b is gone"},
		"the order of issuers":      {config{[]policy.Trust{a, b}, plain.routes}, config{[]policy.Trust{b, a}, plain.routes}, ""},
		"ID tokens too":             {plain, config{[]policy.Trust{trust("a", accepts)}, plain.routes}, "! accept is new: ID token"},
		"no ID tokens any more":     {config{[]policy.Trust{trust("a", accepts)}, plain.routes}, plain, "accept is gone, was ID token"},
		"another key set":           {plain, config{[]policy.Trust{trust("a", func(one *policy.Trust) { one.JWKS = "" })}, plain.routes}, "! jwks is the one in the metadata, was keys.json"},
		"an audience more":          {plain, config{[]policy.Trust{trust("a", moreAudience)}, plain.routes}, "! audience also has other"},
		"any algorithm":             {plain, config{[]policy.Trust{trust("a", func(one *policy.Trust) { one.Algorithms = nil })}, plain.routes}, "! algorithms is gone, was RS256"},
		"of the second issuer":      {config{[]policy.Trust{a, b}, plain.routes}, config{[]policy.Trust{a, trust("b", moreAudience)}, plain.routes}, "! issuer b: audience also has other"},
		"a route less":              {config{plain.trusted, []policy.Route{users, {Pattern: "GET /x"}}}, plain, `"GET /x" is gone`},
		"an exception less":         {config{plain.trusted, []policy.Route{users, admin}}, plain, `! "DELETE /users/{id}" is gone and needed scopes admin; "GET,DELETE /users/" matches its requests and needs scopes users`},
		"a weak exception less":     {config{plain.trusted, []policy.Route{users, weak}}, plain, `"DELETE /users/{id}" is gone`},
		"an exception as strict":    {config{plain.trusted, []policy.Route{strict, admin}}, config{plain.trusted, []policy.Route{strict}}, `"DELETE /users/{id}" is gone`},
		"the rule of an exception":  {config{plain.trusted, []policy.Route{users, weak}}, config{plain.trusted, []policy.Route{weak}}, `"GET,DELETE /users/" is gone`},
		"HEAD is that of GET again": {config{plain.trusted, []policy.Route{{Pattern: "GET /x"}, {Pattern: "HEAD /x", Need: admin.Need}}}, config{plain.trusted, []policy.Route{{Pattern: "GET /x"}}}, `! "HEAD /x" is gone and needed scopes admin; "GET /x" matches its requests and needs any token`},
	}
	for name, tt := range tests {
		load := func(c config) *policy.Policy {
			p, err := policy.New(policy.Config{Trusted: c.trusted, Routes: c.routes})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return p
		}
		var got []string
		for _, c := range policy.Compare(load(tt.before), load(tt.after)) {
			text := c.String()
			if c.Widens {
				text = "! " + text
			}
			got = append(got, text)
		}
		if text := strings.Join(got, "\n"); text != tt.want {
			t.Errorf("%s: %q, want %q", name, text, tt.want)
		}
	}
}
