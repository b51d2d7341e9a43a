package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/token"
)

// Change is one difference between two policies.
type Change struct {
	Route  string // the pattern; "" for a change that affects all routes
	Text   string // a description of the change
	Widens bool   // requests are accepted that were refused before
}

// String returns the change in one line.
func (c Change) String() string {
	if c.Route == "" {
		return c.Text
	}
	return fmt.Sprintf("%q %s", c.Route, c.Text)
}

// Compare returns the differences between two policies. Changes that accept more
// requests than before come first. Routes with the same pattern are compared with
// each other.
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
			changes = append(changes, withRoute(before, after, r))
			continue
		}
		changes = append(changes, compareRoutes(was, r)...)
		changes = append(changes, decidedNow(after, was, r)...)
	}
	for _, r := range before.routes {
		if old[r.text] != nil {
			changes = append(changes, withoutRoute(before, after, r))
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
	changes := compareIssuers(before, after)
	if before.RFC9068 != after.RFC9068 {
		text := "rfc9068 is gone"
		if after.RFC9068 {
			text = "rfc9068 is new"
		}
		changes = append(changes, Change{"", text, before.RFC9068})
	}
	changes = append(changes, compareLists("scope_claims", before.ScopeClaims, after.ScopeClaims, false)...)
	return append(changes, compareLists("types", before.Types, after.Types, true)...)
}

// compareIssuers compares the settings of each issuer. If both policies have one
// issuer, these two are compared, even if their names differ.
func compareIssuers(before, after *Policy) []Change {
	if len(before.Trusted) == 1 && len(after.Trusted) == 1 {
		return compareTrust("", before.Trusted[0], after.Trusted[0])
	}
	var changes []Change
	for _, is := range after.Trusted {
		if i := slices.IndexFunc(before.Trusted, is.sameIssuer); i >= 0 {
			changes = append(changes, compareTrust("issuer "+is.Issuer+": ", before.Trusted[i], is)...)
		} else {
			changes = append(changes, Change{"", "issuer " + is.Issuer + " is new", true})
		}
	}
	for _, was := range before.Trusted {
		if !slices.ContainsFunc(after.Trusted, was.sameIssuer) {
			changes = append(changes, Change{"", "issuer " + was.Issuer + " is gone", false})
		}
	}
	return changes
}

func (t Trust) sameIssuer(other Trust) bool { return t.Issuer == other.Issuer }

// compareTrust compares two policies' settings of one issuer. The text of each
// change begins with name.
func compareTrust(name string, was, is Trust) []Change {
	var changes []Change
	if was.Issuer != is.Issuer {
		changes = append(changes, Change{"", fmt.Sprintf("%sissuer is %s, was %s", name, is.Issuer, was.Issuer), true})
	}
	if was.JWKS != is.JWKS {
		const inMetadata = "the one in the metadata"
		changes = append(changes, Change{"", fmt.Sprintf("%sjwks is %s, was %s", name, cmp.Or(is.JWKS, inMetadata), cmp.Or(was.JWKS, inMetadata)), true})
	}
	changes = append(changes, compareLists(name+"audience", was.Audience, is.Audience, true)...)
	changes = append(changes, compareLists(name+"algorithms", was.Algorithms, is.Algorithms, true)...)
	return append(changes, compareLists(name+"accept", kindNames(was.Accept), kindNames(is.Accept), false)...)
}

func kindNames(kinds []token.Kind) []string {
	names := make([]string, len(kinds))
	for i, kind := range kinds {
		names[i] = kind.String()
	}
	return names
}

// compareLists compares two lists of accepted values. With acceptsAll, an empty
// list accepts every value.
func compareLists(name string, was, is []string, acceptsAll bool) []Change {
	switch {
	case len(is) == 0 && len(was) > 0:
		return []Change{{"", name + " is gone, was " + strings.Join(was, ", "), acceptsAll}}
	case len(was) == 0 && len(is) > 0:
		return []Change{{"", name + " is new: " + strings.Join(is, ", "), !acceptsAll}}
	}
	var changes []Change
	if added := without(is, was); len(added) > 0 {
		changes = append(changes, Change{"", name + " also has " + strings.Join(added, ", "), true})
	}
	if removed := without(was, is); len(removed) > 0 {
		changes = append(changes, Change{"", name + " no longer has " + strings.Join(removed, ", "), false})
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
