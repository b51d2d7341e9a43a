package token

import (
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/provider"
)

// concernsProvider reports whether a fault may have a provider-specific case.
func concernsProvider(faults []fault) bool {
	return len(faults) > 0 && provider.Concerns(faults[0].diagnosis.ID)
}

// explain replaces the ids of faults with those of provider-specific cases, so
// that a fault has the same id everywhere.
func explain(x *examination) {
	t := x.read
	if t == nil {
		t = x.token
	}
	if t == nil || t.claims == nil {
		return
	}
	for _, faults := range [][]fault{x.failed, x.unverified} {
		for i := range faults {
			faults[i].diagnosis = explained(t, faults[i].diagnosis)
		}
	}
}

func explained(t *Token, d *diagnosis.Diagnosis) *diagnosis.Diagnosis {
	if !provider.Concerns(d.ID) {
		return d
	}
	id := provider.Explain(provider.Case{
		ID: d.ID, Expected: d.Expected, Got: d.Got,
		Header: t.headerMember,
		Claim: func(name string) any {
			value, _ := parseValue(t.lookup(name))
			return value
		},
	})
	if id == d.ID {
		return d
	}
	return &diagnosis.Diagnosis{ID: id, Expected: d.Expected, Got: d.Got, Err: d.Err}
}

// headerMember returns a member of the header, or nil if it is missing.
func (t *Token) headerMember(name string) any {
	header, _ := parseValue(t.headerJSON)
	members, _ := header.(map[string]any)
	return members[name]
}
