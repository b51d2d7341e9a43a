// Package policy says what an operation needs of a token, and decides whether a
// token has it: scopes and claims, named one by one or by route in a file.
//
// Start with a [Requirement] and its Decide, or with [Load] for a file. The
// token was verified before; a policy never looks at a signature. What a policy
// does not list is denied.
package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

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
	// Public needs no token at all.
	Public bool
}

// ClaimRule asks one claim for a value or a pattern.
type ClaimRule struct {
	name    string
	value   string
	pattern *regexp.Regexp
}

// ParseClaimRule reads NAME=VALUE, or NAME~REGEX (RE2, unanchored), by whichever
// of the two signs comes first.
func ParseClaimRule(text string) (ClaimRule, error) {
	i := strings.IndexAny(text, "=~")
	if i < 1 {
		return ClaimRule{}, fmt.Errorf("policy: expected NAME=VALUE or NAME~REGEX, got %q", text)
	}
	r := ClaimRule{name: text[:i], value: text[i+1:]}
	if text[i] == '~' {
		var err error
		if r.pattern, err = regexp.Compile(r.value); err != nil {
			return ClaimRule{}, fmt.Errorf("policy: the pattern for %s: %w", r.name, err)
		}
	}
	return r, nil
}

// String returns the rule as [ParseClaimRule] reads it.
func (r ClaimRule) String() string {
	if r.pattern != nil {
		return r.name + "~" + r.value
	}
	return r.name + "=" + r.value
}

// matches reports whether a value, or for a list one of its elements, has what
// the rule asks for. Numbers and booleans compare as JSON writes them.
func (r ClaimRule) matches(value any) bool {
	if list, ok := value.([]any); ok {
		return slices.ContainsFunc(list, r.matchesOne)
	}
	return r.matchesOne(value)
}

func (r ClaimRule) matchesOne(value any) bool {
	text, ok := textOf(value)
	switch {
	case !ok:
		return false
	case r.pattern != nil:
		return r.pattern.MatchString(text)
	}
	return text == r.value
}

func textOf(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case bool:
		return fmt.Sprint(v), true
	case float64:
		return strings.TrimSuffix(fmt.Sprintf("%f", v), ".000000"), true
	}
	return "", false
}

// Decision is what came of asking a token for a requirement.
type Decision struct {
	Allowed bool
	Checks  []token.Check
	// Diagnosis is the first check that failed, of kind Denied; nil if allowed.
	Diagnosis *diagnosis.Diagnosis
}

// Decide asks a verified token for what the requirement needs.
func (r Requirement) Decide(t *token.Token) Decision {
	d := Decision{Allowed: true}
	granted := t.Scopes(r.ScopeClaims...)
	for _, scope := range r.Scopes {
		if slices.Contains(granted, scope) {
			d.pass("scope", scope)
		} else {
			d.deny("scope", r.missing(t, []string{scope}, granted))
		}
	}
	if len(r.AnyScopes) > 0 {
		i := slices.IndexFunc(r.AnyScopes, func(s string) bool { return slices.Contains(granted, s) })
		if i >= 0 {
			d.pass("scope", r.AnyScopes[i])
		} else {
			d.deny("scope", r.missing(t, r.AnyScopes, granted))
		}
	}
	for _, rule := range r.Claims {
		value, there := t.Claim(rule.name)
		switch {
		case there && rule.matches(value):
			d.pass("claim", rule.String())
		case there:
			d.deny("claim", &diagnosis.Diagnosis{ID: diagnosis.ClaimMismatch, Expected: rule.String(), Got: cut(fmt.Sprint(value))})
		default:
			d.deny("claim", &diagnosis.Diagnosis{ID: diagnosis.ClaimMismatch, Expected: rule.String(), Got: "no such claim"})
		}
	}
	return d
}

func (d *Decision) pass(check, got string) {
	d.Checks = append(d.Checks, token.Check{Check: check, Status: token.Passed, Got: got})
}

func (d *Decision) deny(check string, why *diagnosis.Diagnosis) {
	d.Checks = append(d.Checks, token.Check{
		Check: check, Status: token.Failed, Expected: why.Expected, Got: why.Got, ID: why.ID, Message: why.Summary(),
	})
	if d.Allowed {
		d.Allowed, d.Diagnosis = false, why
	}
}

// scopeClaims are claims in which authorization servers put what looks like
// scopes.
var scopeClaims = []string{"permissions", "roles", "cognito:groups", "groups", "realm_access.roles"}

// missing says that no wanted scope was granted, and where one stands instead.
func (r Requirement) missing(t *token.Token, wanted, granted []string) *diagnosis.Diagnosis {
	want := strings.Join(wanted, " or ")
	for _, claim := range scopeClaims {
		if slices.Contains(r.ScopeClaims, claim) {
			continue
		}
		for _, found := range t.Scopes(claim) {
			if slices.Contains(wanted, found) {
				return &diagnosis.Diagnosis{
					ID: diagnosis.ScopeClaimName, Expected: found + " in scope or scp", Got: "it in " + claim,
					Hint: "if that claim is meant: --scope-claim " + claim + ", or scope_claims: [" + claim + "] in the policy",
				}
			}
		}
	}
	got := strings.Join(granted, " ")
	if got == "" {
		got = "no scope"
	}
	return &diagnosis.Diagnosis{ID: diagnosis.ScopeMissing, Expected: want, Got: cut(got), Hint: "oauthctl login --add-scope " + wanted[0]}
}

func cut(text string) string {
	if len(text) > 200 {
		return strings.ToValidUTF8(text[:200], "") + "…"
	}
	return text
}
