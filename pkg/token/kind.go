package token

import (
	"fmt"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// Kind is the purpose of a token.
type Kind int

// Kinds of JWTs.
const (
	KindUnknown       Kind = iota // typ is absent, JWT or JOSE, and the claims do not show the kind
	KindAccessToken               // RFC 9068
	KindIDToken                   // OpenID Connect Core, section 2
	KindRefreshToken              // Keycloak issues these as JWT
	KindLogoutToken               // OpenID Connect Back-Channel Logout, section 2.4
	KindDPoPProof                 // RFC 9449, section 4.2
	KindStatusList                // Token Status List
	KindSecurityEvent             // RFC 8417
	KindOther                     // the issuer's own typ, which may be an access token
	KindForeign                   // a typ that is registered for something other than access tokens
)

// String returns a description of the kind.
func (k Kind) String() string {
	return [...]string{
		"JWT", "access token", "ID token", "refresh token", "logout token", "DPoP proof", "token status list", "security event token",
		"JWT of another kind", "JWT that is not an access token",
	}[k]
}

func (k Kind) withArticle() string {
	if name := k.String(); strings.ContainsRune("aI", rune(name[0])) {
		return "an " + name
	} else {
		return "a " + name
	}
}

// acceptable lists the kinds that a caller can accept as access tokens, see
// [Options.Accept].
var acceptable = map[string]Kind{"id_token": KindIDToken, "logout_token": KindLogoutToken, "security_event": KindSecurityEvent}

// ParseKind parses a kind that can be accepted: id_token, logout_token or
// security_event.
func ParseKind(name string) (Kind, error) {
	if k, ok := acceptable[name]; ok {
		return k, nil
	}
	return KindUnknown, fmt.Errorf("expected id_token, logout_token or security_event, got %s", diagnosis.Quote(name))
}

// kindOfType maps a typ header (RFC 8725, section 3.11) to a kind. Types are
// case-insensitive, with or without the prefix application/ (RFC 7515, section
// 4.1.9). A type with a parameter, white space or a suffix such as +jwt is a
// registered one; unless its name is that of an access token, it is for another
// purpose.
func kindOfType(typ string) Kind {
	name := normalType(typ)
	switch name {
	case "", "jwt", "jose":
		return KindUnknown
	case "at+jwt":
		return KindAccessToken
	case "logout+jwt":
		return KindLogoutToken
	case "dpop+jwt":
		return KindDPoPProof
	case "statuslist+jwt":
		return KindStatusList
	case "secevent+jwt":
		return KindSecurityEvent
	}
	switch {
	case !isPlainType(name):
		return KindForeign
	case strings.HasSuffix(name, "-at+jwt"), strings.HasSuffix(name, "+at+jwt"):
		return KindAccessToken
	case strings.Contains(name, "+"):
		return KindForeign
	}
	return KindOther
}

// isPlainType reports whether a type is one name without a slash, a parameter or
// white space (RFC 6838, section 4.2).
func isPlainType(name string) bool {
	return !strings.ContainsFunc(name, func(c rune) bool {
		return !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.ContainsRune("!#$&-^_.+", c))
	})
}

func normalType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}

// Kind returns the purpose of the token, according to its typ or otherwise its
// claims.
func (t *Token) Kind() Kind {
	if t.header.kind != KindUnknown && t.header.kind != KindOther {
		return t.header.kind
	}
	if k, _ := t.kindOfClaims(); k != KindUnknown {
		return k
	}
	return t.header.kind
}

// kindOfClaims returns the kind that the claims show (RFC 8725, section 3.12),
// and the claim that shows it. A nonce alone is not sufficient: access tokens
// of older Keycloak versions have one too, with a scope and "typ":"Bearer".
func (t *Token) kindOfClaims() (kind Kind, evidence string) {
	var nonce, access bool
	for i := range t.claims {
		m := &t.claims[i]
		switch m.name {
		case "events":
			kind, evidence = KindSecurityEvent, m.name
			if strings.Contains(m.value, "backchannel-logout") {
				kind = KindLogoutToken
			}
			return kind, evidence
		case "at_hash", "c_hash":
			kind, evidence = KindIDToken, m.name
		// Cognito and Ory Hydra, Keycloak, Simple JWT.
		case "token_use", "typ", "token_type":
			switch use := useOf(m.value); use {
			case KindUnknown:
			case KindAccessToken:
				access = true
			default:
				kind, evidence = use, m.name
			}
		case "nonce":
			nonce = true
		case "scope", "scp":
			access = true
		}
	}
	switch {
	case kind != KindUnknown:
		return kind, evidence
	case access:
		return KindAccessToken, "scope"
	case nonce:
		return KindIDToken, "nonce"
	}
	return KindUnknown, ""
}

// useOf maps the value of a claim to a kind, with the names of OAuth's token types
// (RFC 6749, section 7.1; RFC 8693, section 3) and of providers.
func useOf(text string) Kind {
	use, _ := unquote(text)
	use = strings.TrimPrefix(use, "urn:ietf:params:oauth:token-type:")
	is := func(name string) bool { return strings.EqualFold(use, name) }
	switch {
	case is("bearer"), is("dpop"), is("access"), is("access_token"):
		return KindAccessToken
	case is("id"), is("id_token"):
		return KindIDToken
	case is("refresh"), is("refresh_token"), is("offline"):
		return KindRefreshToken
	case is("logout"), is("logout_token"):
		return KindLogoutToken
	}
	return KindUnknown
}
