package policy

import "slices"

// covers reports whether every token that meets r also meets other. It returns
// false if it cannot decide.
func (r Requirement) covers(other Requirement) bool {
	switch {
	case other.Public:
		return true
	case r.Public, r.Optional && !other.Optional:
		return false
	}
	return r.coversScopes(other) && r.coversClaims(other) && r.coversDetails(other) && r.coversLogin(other)
}

func (r Requirement) coversScopes(other Requirement) bool {
	for _, scope := range other.Scopes {
		if !slices.Contains(r.Scopes, scope) {
			return false
		}
	}
	if len(other.AnyScopes) == 0 {
		return true
	}
	accepted := func(scope string) bool { return slices.Contains(other.AnyScopes, scope) }
	if slices.ContainsFunc(r.Scopes, accepted) {
		return true
	}
	return len(r.AnyScopes) > 0 && !slices.ContainsFunc(r.AnyScopes, func(scope string) bool { return !accepted(scope) })
}

func (r Requirement) coversClaims(other Requirement) bool {
	for _, rule := range other.Claims {
		if !slices.ContainsFunc(r.Claims, func(mine ClaimRule) bool { return mine.covers(rule) }) {
			return false
		}
	}
	return true
}

func (r Requirement) coversLogin(other Requirement) bool {
	if other.MaxAge > 0 && (r.MaxAge == 0 || r.MaxAge > other.MaxAge) {
		return false
	}
	refused := func(acr string) bool { return !slices.Contains(other.ACR, acr) }
	return other.ACR == nil || r.ACR != nil && !slices.ContainsFunc(r.ACR, refused)
}
