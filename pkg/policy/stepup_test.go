package policy_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// The age of a login is measured with the given clock, and an invalid auth_time
// is not a fresh login.
func TestLoginAge(t *testing.T) {
	noon := time.Date(2040, 5, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) int64 { return noon.Add(d).Unix() }
	for name, tt := range map[string]struct {
		authTime any
		fresh    bool
	}{
		"just now":                {at(0), true},
		"at the limit":            {at(-15 * time.Minute), true},
		"a second too old":        {at(-15*time.Minute - time.Second), false},
		"by today's clock":        {time.Now().Unix(), false},
		"of a clock a bit ahead":  {at(50 * time.Second), true},
		"in the future":           {at(2 * time.Minute), false},
		"in milliseconds":         {noon.UnixMilli(), false},
		"beyond all times":        {1e300, false},
		"before all times":        {-1e300, false},
		"zero":                    {0, false},
		"a text":                  {"2040-05-01T12:00:00Z", false},
		"a fraction of a second":  {float64(at(-time.Minute)) + 0.25, true},
		"missing":                 {nil, false},
		"in nanoseconds, rounded": {float64(noon.UnixNano()), false},
	} {
		claims := map[string]any{}
		if tt.authTime != nil {
			claims["auth_time"] = tt.authTime
		}
		tok := decoded(t, claims)
		need := policy.Requirement{MaxAge: 15 * time.Minute, Now: func() time.Time { return noon }}
		d := need.Decide(tok)
		if d.Allowed != tt.fresh || need.Allows(tok) != tt.fresh || !tt.fresh && d.Diagnosis.ID != diagnosis.StepUpRequired {
			t.Errorf("%s: %+v, Allows %v", name, d, need.Allows(tok))
		}
	}
}

// Every match of a policy has its clock, and the policy without one is unchanged.
func TestWithClock(t *testing.T) {
	p, err := policy.New(policy.Config{
		Trusted: []policy.Trust{{Issuer: "a", Audience: []string{"b"}}},
		Routes:  []policy.Route{{Pattern: "GET /pay", Need: policy.Requirement{MaxAge: time.Hour}}, {Pattern: "GET /PAY/{id}", Need: policy.Requirement{MaxAge: time.Minute}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	year2040 := time.Date(2040, 5, 1, 12, 0, 0, 0, time.UTC)
	then := p.WithClock(func() time.Time { return year2040 })
	old, fresh := decoded(t, map[string]any{"auth_time": time.Now().Unix()}), decoded(t, map[string]any{"auth_time": year2040.Unix()})
	for _, path := range []string{"/pay", "/PAY/1"} {
		for name, tt := range map[string]struct {
			policy         *policy.Policy
			allows, denies *token.Token
		}{"with a clock": {then, fresh, old}, "without": {p, old, fresh}} {
			m, err := tt.policy.Match("GET", &url.URL{Path: path})
			if err != nil || !m.Requirement.Allows(tt.allows) || m.Requirement.Allows(tt.denies) {
				t.Errorf("%s %s: %+v, %v", path, name, m, err)
			}
		}
	}
}
