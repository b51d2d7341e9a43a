package policy_test

import (
	"testing"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/policy"
)

func TestDetails(t *testing.T) {
	payment := map[string]any{"type": "payment", "actions": []any{"read", "initiate"}, "locations": []any{"https://bank.example"}, "debtor": map[string]any{"iban": "DE02", "name": "A"}, "limit": 100, "id": 12345678901234567}
	account := map[string]any{"type": "account", "actions": []any{"list"}}
	type detail = policy.Detail
	for name, tt := range map[string]struct {
		claim any
		need  []policy.Detail
		want  bool
	}{
		"the type":                    {[]any{account, payment}, []detail{{"type": "payment"}}, true},
		"another type":                {[]any{account}, []detail{{"type": "payment"}}, false},
		"type is case-sensitive":      {[]any{payment}, []detail{{"type": "Payment"}}, false},
		"one action":                  {[]any{payment}, []detail{{"type": "payment", "actions": []any{"initiate"}}}, true},
		"all actions":                 {[]any{payment}, []detail{{"type": "payment", "actions": []any{"initiate", "read"}}}, true},
		"an action that is not there": {[]any{payment}, []detail{{"type": "payment", "actions": []any{"initiate", "delete"}}}, false},
		"a text in a list":            {[]any{payment}, []detail{{"type": "payment", "actions": "read"}}, true},
		"a list for a text":           {[]any{map[string]any{"type": "payment", "actions": "read"}}, []detail{{"type": "payment", "actions": []any{"read"}}}, true},
		"inner object":                {[]any{payment}, []detail{{"type": "payment", "debtor": map[string]any{"iban": "DE02"}}}, true},
		"other inner object":          {[]any{payment}, []detail{{"type": "payment", "debtor": map[string]any{"iban": "DE03"}}}, false},
		"a missing member":            {[]any{account}, []detail{{"type": "account", "locations": []any{"https://bank.example"}}}, false},
		"not spread over elements":    {[]any{map[string]any{"type": "payment", "actions": []any{"read"}}, map[string]any{"type": "account", "actions": []any{"initiate"}}}, []detail{{"type": "payment", "actions": []any{"initiate"}}}, false},
		"several needed":              {[]any{account, payment}, []detail{{"type": "payment"}, {"type": "account", "actions": []any{"list"}}}, true},
		"one of several missing":      {[]any{payment}, []detail{{"type": "payment"}, {"type": "account"}}, false},
		"a number":                    {[]any{payment}, []detail{{"type": "payment", "limit": 100}}, true},
		"another number":              {[]any{payment}, []detail{{"type": "payment", "limit": 101}}, false},
		"long numbers differ":         {[]any{payment}, []detail{{"type": "payment", "id": 12345678901234568}}, false},
		"no claim":                    {nil, []detail{{"type": "payment"}}, false},
		"an object, not a list":       {payment, []detail{{"type": "payment"}}, false},
		"a text":                      {"payment", []detail{{"type": "payment"}}, false},
		"null":                        {[]any{nil}, []detail{{"type": "payment"}}, false},
		"null for a member":           {[]any{map[string]any{"type": "payment", "actions": nil}}, []detail{{"type": "payment", "actions": []any{"read"}}}, false},
	} {
		claims := map[string]any{"scope": "a"}
		if tt.claim != nil {
			claims["authorization_details"] = tt.claim
		}
		tok := decoded(t, claims)
		r := policy.Requirement{Scopes: []string{"a"}, Details: tt.need}
		d := r.Decide(tok)
		if r.Allows(tok) != tt.want || d.Allowed != tt.want {
			t.Errorf("%s: Allows %v, Decide %v, want %v", name, r.Allows(tok), d.Allowed, tt.want)
		}
		if !tt.want && d.Diagnosis.ID != diagnosis.DetailsMissing {
			t.Errorf("%s: %v", name, d.Diagnosis)
		}
	}
}

func TestDetailsRefused(t *testing.T) {
	trust := []policy.Trust{{Issuer: "a", Audience: []string{"b"}}}
	for name, need := range map[string]policy.Requirement{
		"no type":    {Details: []policy.Detail{{"actions": "read"}}},
		"not JSON":   {Details: []policy.Detail{{"type": "a", "f": func() {}}}},
		"and public": {Details: []policy.Detail{{"type": "a"}}, Public: true},
	} {
		if _, err := policy.New(policy.Config{Trusted: trust, Routes: []policy.Route{{Pattern: "GET /x", Need: need}}}); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	good := policy.Requirement{Details: []policy.Detail{{"type": "a"}}}
	if _, err := policy.New(policy.Config{Trusted: trust, Routes: []policy.Route{{Pattern: "GET /x", Need: good}}}); err != nil {
		t.Errorf("positive control: %v", err)
	}
}

// A detail with fewer requirements is a change that accepts more.
func TestCompareDetails(t *testing.T) {
	with := func(needs ...policy.Detail) *policy.Policy {
		t.Helper()
		p, err := policy.New(policy.Config{Trusted: []policy.Trust{{Issuer: "a", Audience: []string{"b"}}}, Routes: []policy.Route{{Pattern: "GET /x", Need: policy.Requirement{Details: needs}}}})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	strict, weak := with(policy.Detail{"type": "payment", "actions": []any{"read", "initiate"}}), with(policy.Detail{"type": "payment", "actions": []any{"read"}})
	for name, tt := range map[string]struct {
		before, after *policy.Policy
		widens        bool
	}{
		"an action less": {strict, weak, true}, "an action more": {weak, strict, false}, "gone": {weak, with(), true}, "new": {with(), weak, false},
	} {
		changes := policy.Compare(tt.before, tt.after)
		if len(changes) != 1 || changes[0].Widens != tt.widens {
			t.Errorf("%s: %v", name, changes)
		}
	}
}
