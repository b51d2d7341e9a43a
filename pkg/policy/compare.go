package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Change is one difference between two policies.
type Change struct {
	Route  string // the pattern; "" for what concerns all routes
	Text   string // what changed, in words
	Widens bool   // accepts requests that were refused before
}

// String returns the change in one line.
func (c Change) String() string {
	if c.Route == "" {
		return c.Text
	}
	return fmt.Sprintf("%q %s", c.Route, c.Text)
}

// Compare returns what changed from one policy to another, first what accepts
// more than before. Routes are compared by their patterns.
func Compare(before, after *Policy) []Change {
	changes := compareHeads(before, after)
	old := map[string]*route{}
	for _, r := range before.routes {
		old[r.text] = r
	}
	for _, r := range after.routes {
		was, ok := old[r.text]
		delete(old, r.text)
		if !ok {
			changes = append(changes, Change{r.text, "is new and needs " + r.need.words(), true})
			continue
		}
		changes = append(changes, compareRoutes(was, r)...)
	}
	for _, r := range before.routes {
		if old[r.text] != nil {
			changes = append(changes, Change{r.text, "is gone", false})
		}
	}
	slices.SortStableFunc(changes, func(a, b Change) int {
		switch {
		case a.Widens == b.Widens:
			return 0
		case a.Widens:
			return -1
		}
		return 1
	})
	return changes
}

func compareHeads(before, after *Policy) []Change {
	var changes []Change
	if before.Issuer != after.Issuer {
		changes = append(changes, Change{"", fmt.Sprintf("issuer is %s, was %s", after.Issuer, before.Issuer), true})
	}
	if before.RFC9068 != after.RFC9068 {
		text := "rfc9068 is gone"
		if after.RFC9068 {
			text = "rfc9068 is new"
		}
		changes = append(changes, Change{"", text, before.RFC9068})
	}
	for _, set := range []struct {
		name     string
		old, new []string
		empty    bool // an empty list accepts all
	}{
		{"audience", before.Audience, after.Audience, true},
		{"algorithms", before.Algorithms, after.Algorithms, true},
		{"scope_claims", before.ScopeClaims, after.ScopeClaims, false},
		{"types", before.Types, after.Types, true},
	} {
		added, removed := without(set.new, set.old), without(set.old, set.new)
		switch {
		case len(set.new) == 0 && len(set.old) > 0:
			changes = append(changes, Change{"", set.name + " is gone, was " + strings.Join(set.old, ", "), set.empty})
		case len(set.old) == 0 && len(set.new) > 0:
			changes = append(changes, Change{"", set.name + " is new: " + strings.Join(set.new, ", "), !set.empty})
		default:
			if len(added) > 0 {
				changes = append(changes, Change{"", set.name + " also has " + strings.Join(added, ", "), true})
			}
			if len(removed) > 0 {
				changes = append(changes, Change{"", set.name + " no longer has " + strings.Join(removed, ", "), false})
			}
		}
	}
	return changes
}

func compareRoutes(was, is *route) []Change {
	var changes []Change
	if is.encodedSlash != was.encodedSlash {
		text := "accepts encoded slashes"
		if was.encodedSlash {
			text = "accepts no encoded slashes any more"
		}
		changes = append(changes, Change{is.text, text, is.encodedSlash})
	}
	before, now := was.need.words(), is.need.words()
	switch {
	case before == now:
	case is.need.Public:
		changes = append(changes, Change{is.text, "is public, needed " + before, true})
	case was.need.Public:
		changes = append(changes, Change{is.text, "needs " + now + ", was public", false})
	default:
		changes = append(changes, Change{is.text, "needs " + now + ", needed " + before, !is.need.covers(was.need)})
	}
	return changes
}

// words describes a requirement.
func (r Requirement) words() string {
	if r.Public {
		return "no token"
	}
	var all []string
	if len(r.Scopes) > 0 {
		all = append(all, "scopes "+strings.Join(r.Scopes, " "))
	}
	if len(r.AnyScopes) > 0 {
		all = append(all, "any scope of "+strings.Join(r.AnyScopes, " "))
	}
	for _, rule := range r.Claims {
		all = append(all, "claim "+rule.String())
	}
	for _, need := range r.Details {
		all = append(all, "authorization_details "+need.String())
	}
	if len(r.ACR) > 0 {
		all = append(all, "acr "+strings.Join(r.ACR, " or "))
	}
	if r.MaxAge > 0 {
		all = append(all, "a login at most "+r.MaxAge.String()+" ago")
	}
	switch {
	case r.Optional:
		return "no token, or a valid one"
	case len(all) == 0:
		return "any token"
	}
	return strings.Join(all, ", ")
}

func without(list, gone []string) []string {
	var left []string
	for _, text := range list {
		if !slices.Contains(gone, text) {
			left = append(left, text)
		}
	}
	return left
}
