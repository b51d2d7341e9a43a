// Package token reads, judges and signs JSON Web Tokens (RFC 7515, RFC 7519) as
// access tokens (RFC 9068) and ID tokens, by the rules of RFC 8725.
//
// Start with [NewIssuerVerifier] in an API, or [NewVerifier] with keys of your
// own, [NewInspector] to look at tokens, and [Decode] to read one without
// believing it. A verifier is strict: what two readers could read differently is
// refused. Keys come from the [KeySet] given or from the metadata of the
// configured issuer; nothing that a token says about keys causes a request or
// supplies trust. The package supports no encryption (JWE).
package token

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/secret"
)

// Token is a token that was read; [Verifier.Verify] returns one that is good,
// [Decode] one that may be anything. It is immutable and safe for concurrent
// use.
type Token struct {
	headerJSON string
	claimsJSON string
	header     header
	claims     []member
	raw        secret.String
}

// Raw returns the token as it was sent, for who has to ask a server about it.
func (t *Token) Raw() secret.String { return t.raw }

// HeaderJSON returns the header as it was signed.
func (t *Token) HeaderJSON() []byte { return []byte(t.headerJSON) }

// ClaimsJSON returns the claims as they were signed.
func (t *Token) ClaimsJSON() []byte { return []byte(t.claimsJSON) }

// Algorithm returns the alg of the header (RFC 7515, section 4.1.1).
func (t *Token) Algorithm() string { return t.header.alg }

// KeyID returns the kid of the header, "" if there is none.
func (t *Token) KeyID() string { return t.header.kid }

// Type returns the typ of the header as it was sent, "" if there is none.
func (t *Token) Type() string { return t.header.typ }

// Issuer returns iss (RFC 7519, section 4.1.1), "" if it is missing.
func (t *Token) Issuer() string { return t.text("iss") }

// Subject returns sub (RFC 7519, section 4.1.2), "" if it is missing.
func (t *Token) Subject() string { return t.text("sub") }

// ID returns jti (RFC 7519, section 4.1.7), "" if it is missing.
func (t *Token) ID() string { return t.text("jti") }

// ClientID returns client_id (RFC 9068, section 2.2) or azp where that is
// missing, "" if both are.
func (t *Token) ClientID() string {
	if id := t.text("client_id"); id != "" {
		return id
	}
	return t.text("azp")
}

// Audience returns aud (RFC 7519, section 4.1.3) as a list; nil if it is missing
// or neither a string nor a list of strings.
func (t *Token) Audience() []string {
	list, _ := stringOrList(t.lookup("aud"))
	return list
}

// Expiry returns exp (RFC 7519, section 4.1.4); zero if it is missing or no time.
func (t *Token) Expiry() time.Time { return t.time("exp") }

// NotBefore returns nbf (RFC 7519, section 4.1.5); zero if it is missing or no
// time.
func (t *Token) NotBefore() time.Time { return t.time("nbf") }

// IssuedAt returns iat (RFC 7519, section 4.1.6); zero if it is missing or no
// time.
func (t *Token) IssuedAt() time.Time { return t.time("iat") }

// Scopes returns what was granted: the scopes of scope and scp, each a string
// separated by spaces or a list (RFC 8693, section 4.2). Other claims count only
// when they are named, since permissions or roles may hold more than was
// granted to this client.
func (t *Token) Scopes(claims ...string) []string {
	scopes := append(t.claimScopes("scope"), t.claimScopes("scp")...)
	for _, name := range claims {
		scopes = append(scopes, t.claimScopes(name)...)
	}
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

// Claim returns the value of a claim as JSON has it (string, float64, bool, nil,
// []any, map[string]any) and whether it is there. The path is names joined by
// dots. Since a name may contain dots itself, at each level every split of the
// path is tried, the longest name first.
func (t *Token) Claim(path string) (any, bool) {
	text, ok := t.ClaimJSON(path)
	if !ok {
		return nil, false
	}
	return parseValue(text)
}

// ClaimJSON is [Token.Claim] for the JSON text of the claim, which has every
// digit of a number.
func (t *Token) ClaimJSON(path string) (string, bool) { return resolve(path, t.lookup) }

// resolve is the one way in which a path finds a claim: it looks for the longest
// name of the path at this level, and for the rest of the path within its value.
// Member returns the JSON text of a member, "" if it is missing.
func resolve(path string, member func(name string) string) (string, bool) {
	if text := member(path); text != "" {
		return text, true
	}
	for end := strings.LastIndexByte(path, '.'); end > 0; end = strings.LastIndexByte(path[:end], '.') {
		text := member(path[:end])
		if text == "" || text[0] != '{' {
			continue
		}
		members, _ := splitObject(text, nil)
		inner := func(name string) string { return memberOf(members, name) }
		if text, ok := resolve(path[end+1:], inner); ok {
			return text, true
		}
	}
	return "", false
}

// UnmarshalClaims stores the claims in the struct or map that v points to, as
// encoding/json does, except that names are compared with their letter case.
func (t *Token) UnmarshalClaims(v any) error {
	if err := json.Unmarshal([]byte(t.claimsJSON), v); err != nil {
		return fmt.Errorf("token: the claims: %w", err)
	}
	return nil
}

// Claims returns all claims, a fresh copy at each call.
func (t *Token) Claims() map[string]any {
	claims := make(map[string]any, len(t.claims))
	for _, m := range t.claims {
		claims[m.name], _ = parseValue(m.value)
	}
	return claims
}

// lookup returns the JSON text of a claim, "" if it is missing.
func (t *Token) lookup(name string) string { return memberOf(t.claims, name) }

func memberOf(members []member, name string) string {
	for i := range members {
		if members[i].name == name {
			return members[i].value
		}
	}
	return ""
}

func (t *Token) has(name string) bool { return t.lookup(name) != "" }

func (t *Token) text(name string) string {
	s, _ := unquote(t.lookup(name))
	return s
}

func (t *Token) time(name string) time.Time {
	seconds, ok := numericDate(t.lookup(name))
	if !ok {
		return time.Time{}
	}
	return unixTime(seconds)
}

func unixTime(seconds float64) time.Time {
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9))
}

func parseValue(text string) (any, bool) {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return nil, false
	}
	return v, true
}
