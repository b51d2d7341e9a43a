package token

import (
	"slices"
	"strings"
)

// HasScope reports whether a scope was granted: whether it is in [Token.Scopes] of
// the same claims. It is fast, and does not allocate if the scopes are a string.
func (t *Token) HasScope(scope string, claims ...string) bool {
	if scope == "" {
		return false
	}
	if t.claimHasScope("scope", scope) || t.claimHasScope("scp", scope) {
		return true
	}
	for _, name := range claims {
		if t.claimHasScope(name, scope) {
			return true
		}
	}
	return false
}

// ScopeClaim returns the claim in which a scope was granted, of those that
// [Token.HasScope] reads, or "".
func (t *Token) ScopeClaim(scope string, claims ...string) string {
	for _, name := range append([]string{"scope", "scp"}, claims...) {
		if scope != "" && t.claimHasScope(name, scope) {
			return name
		}
	}
	return ""
}

func (t *Token) claimHasScope(name, scope string) bool {
	text := t.lookup(name)
	if words, ok := unescaped(text); ok {
		for granted := range strings.FieldsSeq(words) {
			if granted == scope {
				return true
			}
		}
		return false
	}
	return (text != "" || strings.IndexByte(name, '.') >= 0) && slices.Contains(t.claimScopes(name), scope)
}

// unescaped returns the value of a JSON string without escapes, and whether the text
// is one.
func unescaped(text string) (string, bool) {
	if text == "" || text[0] != '"' || strings.IndexByte(text, '\\') >= 0 {
		return "", false
	}
	return text[1 : len(text)-1], true
}

// claimScopes returns the scopes in one claim: a string separated by spaces, or a
// list.
func (t *Token) claimScopes(name string) []string {
	if words, ok := unescaped(t.lookup(name)); ok {
		return strings.Fields(words)
	}
	value, _ := t.Claim(name)
	var scopes []string
	switch v := value.(type) {
	case string:
		scopes = strings.Fields(v)
	case []any:
		for _, element := range v {
			if s, ok := element.(string); ok {
				scopes = append(scopes, s)
			}
		}
	}
	return scopes
}
