// Package policy decides whether a verified token has the scopes and claims that
// an operation requires.
//
// Start with a [Requirement] and its Decide, or with [New] for all routes of an API
// and [Policy.Operation] for the requirement of one request. Package policyfile
// reads a policy from YAML. Scopes (RFC 6749, section 3.3) are case-sensitive.
//
// A policy does not check a signature, an issuer or an expiry: verify the token
// first, for example with [Policy.Verifier]. Operations that are not listed are
// denied.
package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// Requirement is what an operation requires. The zero value requires only a valid
// token.
type Requirement struct {
	Scopes    []string // all of these
	AnyScopes []string // one of these
	Claims    []ClaimRule
	// ScopeClaims lists claims that have scopes, in addition to scope and scp.
	ScopeClaims []string
	// Details lists the elements that authorization_details must have (RFC 9396).
	Details []Detail
	// Public requires no token, and ignores a token that is sent. Decide and Allows
	// do not use it.
	Public bool
	// Optional requires no token, but a token that is sent must be valid. Decide and
	// Allows do not use it.
	Optional bool
	// ACR lists the accepted values of the claim acr, which describes how the user
	// logged in, and MaxAge is the maximum age of the login (RFC 9470). Nil and 0
	// accept any login.
	ACR    []string
	MaxAge time.Duration
	// Now returns the time at which MaxAge is checked. If nil, it is time.Now.
	Now func() time.Time
}

// Decision is the result of comparing a token with a requirement.
type Decision struct {
	Allowed bool
	Checks  []token.Check // one for each requirement, called scope, claim, details or login
	// Diagnosis is the first check that failed, of kind Denied: SCOPE_MISSING,
	// SCOPE_CLAIM_NAME, SCOPE_FORM, CLAIM_MISMATCH, DETAILS_MISSING or
	// STEP_UP_REQUIRED; nil if allowed.
	Diagnosis *diagnosis.Diagnosis
}

// Allows reports whether a verified token meets the requirement. It is faster than
// [Requirement.Decide], which also returns the reasons.
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
	return r.ACR == nil && r.MaxAge == 0 || r.stepUp(t) == nil
}

// Decide compares a verified token with the requirement and returns the result of
// each check.
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
		if why := r.stepUp(t); why != nil {
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

// missing returns the diagnosis for missing scopes. If the token has one of them in
// another claim or another form, the diagnosis says so.
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

// claimHolding returns the claim, other than scope and scp, that has a scope, such
// as permissions, roles or realm_access.roles, or "".
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

// notScopes lists claims whose value could be equal to a scope by chance.
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
