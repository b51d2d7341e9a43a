package policy

import (
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// foundScope names the claim in which a scope was found unless it is the usual
// one.
func foundScope(t *token.Token, scope string, claims []string) string {
	if claim := t.ScopeClaim(scope, claims...); claim != "scope" {
		return scope + ", in " + claim
	}
	return scope
}

// otherForm finds a scope that the token has in a form that does not count:
// separated by commas, or with a prefix such as SCOPE_ or a resource server's
// identifier. It returns the form and its claim, "" if there is none.
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

// nearName returns a claim of the token that was perhaps meant by name, "" if
// there is none or more than one.
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
