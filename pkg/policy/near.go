package policy

import (
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// foundScope returns the scope, with the claim that has it unless that is scope.
func foundScope(t *token.Token, scope string, claims []string) string {
	if claim := t.ScopeClaim(scope, claims...); claim != "scope" {
		return scope + ", in " + claim
	}
	return scope
}

// otherForm looks for a scope that the token has in a form that is not accepted:
// separated by commas, or with a prefix such as SCOPE_ or a resource server's
// identifier. It returns the form and its claim, or "".
func otherForm(t *token.Token, scope string) string {
	for _, claim := range []string{"scope", "scp", "authorities"} {
		value, _ := t.Claim(claim)
		list, isList := value.([]any)
		if !isList {
			list = []any{value}
		}
		for _, element := range list {
			text, _ := element.(string)
			for _, granted := range strings.FieldsFunc(text, func(c rune) bool { return c == ' ' || c == ',' || c == ';' }) {
				if granted == scope && claim != "authorities" || granted == "SCOPE_"+scope || strings.HasSuffix(granted, "/"+scope) {
					if granted == scope {
						granted = text
					}
					return granted + " in " + claim
				}
			}
		}
	}
	return ""
}

// nearName returns the claim of the token whose name is similar to name, or "" if
// none or several are.
func nearName(t *token.Token, name string) string {
	for usual, registered := range map[string]string{
		"issuer": "iss", "subject": "sub", "user": "sub", "audience": "aud", "expires": "exp", "expiry": "exp", "expiration": "exp",
		"issued_at": "iat", "not_before": "nbf", "scopes": "scope", "client": "client_id", "clientid": "client_id",
	} {
		if _, there := t.Claim(registered); there && strings.EqualFold(name, usual) {
			return registered
		}
	}
	near := ""
	for claim := range t.Claims() {
		if len(name) > 3 && diagnosis.Distance(strings.ToLower(claim), strings.ToLower(name)) <= 2 {
			if near != "" {
				return ""
			}
			near = claim
		}
	}
	return near
}
