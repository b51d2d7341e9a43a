// Package policy says what an operation needs of a token, and decides whether a
// token has it: scopes and claims, named one by one or by route in a file.
//
// Start with a [Requirement] and its Decide, or with [New] for all routes of an API
// and [Policy.Operation] for what one request needs. Package policyfile reads a
// policy from YAML. Scopes are those of RFC 6749,
// section 3.3, compared whole and case-sensitive.
//
// The token was verified before: a policy never looks at a signature, an issuer
// or a time. What a policy does not list is denied.
package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// Requirement is what an operation needs. The zero value needs nothing but a
// good token.
type Requirement struct {
	Scopes    []string // all of these
	AnyScopes []string // one of these
	Claims    []ClaimRule
	// ScopeClaims names claims that hold scopes beside scope and scp.
	ScopeClaims []string
	// Details are elements that authorization_details has to have, all of them (RFC
	// 9396).
	Details []Detail
	// Public needs no token at all. It counts in a [Policy] only.
	Public bool
	// Optional needs no token either, but one that is sent has to be valid and is
	// passed on. It counts in a [Policy] only.
	Optional bool
	// ACR are the authentication contexts of which the login must have had one,
	// and MaxAge how long ago it may have been (RFC 9470); nil and 0 ask for none.
	ACR    []string
	MaxAge time.Duration
}

// Decision is what came of asking a token for a requirement.
type Decision struct {
	Allowed bool
	Checks  []token.Check // one "scope" or "claim" for each thing needed
	// Diagnosis is the first check that failed, of kind Denied: SCOPE_MISSING,
	// SCOPE_CLAIM_NAME, SCOPE_FORM, CLAIM_MISMATCH, DETAILS_MISSING or
	// STEP_UP_REQUIRED; nil if allowed.
	Diagnosis *diagnosis.Diagnosis
}

// Allows reports whether a verified token has what the requirement needs. It is
// [Requirement.Decide] without the telling, for where each request counts.
func (r Requirement) Allows(t *token.Token) bool {
	for _, scope := range r.Scopes {
		if !t.HasScope(scope, r.ScopeClaims...) {
			return false
		}
	}
	has := func(scope string) bool { return t.HasScope(scope, r.ScopeClaims...) }
	if len(r.AnyScopes) > 0 && !slices.ContainsFunc(r.AnyScopes, has) {
		return false
	}
	for i := range r.Claims {
		if value, there := r.Claims[i].in(t); !there || !r.Claims[i].matches(value) {
			return false
		}
	}
	if r.missingDetail(t) != nil {
		return false
	}
	return r.ACR == nil && r.MaxAge == 0 || r.stepUp(t, time.Now()) == nil
}

// Decide asks a verified token for what the requirement needs and tells each
// check.
func (r Requirement) Decide(t *token.Token) Decision {
	d := Decision{Allowed: true}
	var missing []string
	for _, scope := range r.Scopes {
		if !t.HasScope(scope, r.ScopeClaims...) {
			missing = append(missing, scope)
		}
	}
	for _, scope := range r.Scopes {
		if slices.Contains(missing, scope) {
			d.deny("scope", diagnosis.Values{scope}, r.missing(t, missing, diagnosis.Values{strings.Join(missing, " ")}))
		} else {
			d.pass("scope", foundScope(t, scope, r.ScopeClaims))
		}
	}
	if len(r.AnyScopes) > 0 {
		has := func(scope string) bool { return t.HasScope(scope, r.ScopeClaims...) }
		if i := slices.IndexFunc(r.AnyScopes, has); i >= 0 {
			d.pass("scope", foundScope(t, r.AnyScopes[i], r.ScopeClaims))
		} else {
			d.deny("scope", r.AnyScopes, r.missing(t, r.AnyScopes, r.AnyScopes))
		}
	}
	for _, rule := range r.Claims {
		value, there := rule.in(t)
		if there && rule.matches(value) {
			d.pass("claim", rule.String())
			continue
		}
		why := &diagnosis.Diagnosis{ID: diagnosis.ClaimMismatch, Expected: diagnosis.Values{rule.String()}, Got: diagnosis.FromJSON(value)}
		if near := nearName(t, rule.name); !there && near != "" {
			why.Err = fmt.Errorf("the token has the claim %s", near)
		}
		d.deny("claim", why.Expected, why)
	}
	for _, need := range r.Details {
		if (Requirement{Details: []Detail{need}}).missingDetail(t) == nil {
			d.pass("details", need.String())
		} else {
			why := deniedDetail(t, need)
			d.deny("details", why.Expected, why)
		}
	}
	if r.ACR != nil || r.MaxAge > 0 {
		if why := r.stepUp(t, time.Now()); why != nil {
			d.deny("login", why.Expected, why)
		} else {
			d.pass("login", strings.Join(r.ACR, " "))
		}
	}
	return d
}

func (d *Decision) pass(check, got string) {
	d.Checks = append(d.Checks, token.Check{Check: check, Status: token.Passed, Got: diagnosis.Text(got)})
}

func (d *Decision) deny(check string, expected diagnosis.Values, why *diagnosis.Diagnosis) {
	d.Checks = append(d.Checks, token.Check{
		Check: check, Status: token.Failed, Expected: expected, Got: why.Got, ID: why.ID, Message: why.Summary(),
	})
	if d.Allowed {
		d.Allowed, d.Diagnosis = false, why
	}
}

// missing says which scopes were not granted, or in which other claim one is.
func (r Requirement) missing(t *token.Token, wanted []string, expected diagnosis.Values) *diagnosis.Diagnosis {
	for _, scope := range wanted {
		if claim := claimHolding(t, scope); claim != "" {
			return &diagnosis.Diagnosis{ID: diagnosis.ScopeClaimName, Expected: diagnosis.Values{"scope", "scp"}, Got: diagnosis.Values{claim}}
		}
	}
	for _, scope := range wanted {
		if form := otherForm(t, scope); form != "" {
			return &diagnosis.Diagnosis{ID: diagnosis.ScopeForm, Expected: diagnosis.Values{scope}, Got: diagnosis.Values{form}}
		}
	}
	got := diagnosis.None
	if scopes := t.Scopes(r.ScopeClaims...); len(scopes) > 0 {
		got = diagnosis.Values{strings.Join(scopes, " ")}
	}
	return &diagnosis.Diagnosis{ID: diagnosis.ScopeMissing, Expected: expected, Got: got}
}

// claimHolding finds the claim, other than scope and scp, in which a scope
// stands, such as permissions, roles or realm_access.roles; "" if in none.
func claimHolding(t *token.Token, scope string) string {
	var found []string
	var search func(path string, value any, depth int)
	search = func(path string, value any, depth int) {
		if members, ok := value.(map[string]any); ok && depth < 3 {
			for name, member := range members {
				search(path+"."+name, member, depth+1)
			}
		} else if holds(value, scope) && t.HasScope(scope, path) {
			found = append(found, path)
		}
	}
	for name, value := range t.Claims() {
		if !slices.Contains(notScopes, name) {
			search(name, value, 0)
		}
	}
	if len(found) == 0 {
		return ""
	}
	return slices.Min(found)
}

// notScopes are claims in which a scope's name would stand by chance.
var notScopes = []string{"iss", "sub", "aud", "jti", "client_id", "azp", "sid", "nonce", "acr", "amr"}

func holds(value any, scope string) bool {
	switch v := value.(type) {
	case string:
		return slices.Contains(strings.Fields(v), scope)
	case []any:
		return slices.Contains(v, any(scope))
	}
	return false
}
