// Package token parses, verifies and signs JSON Web Tokens (RFC 7515, RFC 7519)
// as access tokens (RFC 9068) and ID tokens, following RFC 8725.
//
// Start with [NewIssuerVerifier] in an API, [NewVerifier] with your own keys,
// [NewInspector] to report on tokens, or [Decode] to parse a token without
// verifying it. A verifier is strict: it refuses a token that parsers could
// interpret differently. Keys come from the given [KeySet] or from the metadata
// of the configured issuer; no key or URL in a token is ever used. Encryption
// (JWE) is not supported.
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

// Token is a parsed token. [Verifier.Verify] returns a verified one, [Decode]
// one that is not verified. It is immutable and safe for concurrent use.
type Token struct {
	headerJSON string
	claimsJSON string
	header     header
	claims     []member
	raw        secret.String
}

// Raw returns the token as it was sent, for callers that send it to a server.
func (t *Token) Raw() secret.String { return t.raw }

// HeaderJSON returns the JSON of the header.
func (t *Token) HeaderJSON() []byte { return []byte(t.headerJSON) }

// ClaimsJSON returns the JSON of the claims.
func (t *Token) ClaimsJSON() []byte { return []byte(t.claimsJSON) }

// Algorithm returns the alg of the header (RFC 7515, section 4.1.1).
func (t *Token) Algorithm() string { return t.header.query.Algorithm }

// KeyID returns the kid of the header, or "" if it is missing.
func (t *Token) KeyID() string { return t.header.query.KeyID }

// Type returns the unchanged typ of the header, or "" if it is missing.
func (t *Token) Type() string { return t.header.typ }

// Issuer returns iss (RFC 7519, section 4.1.1), or "" if it is missing.
func (t *Token) Issuer() string { return t.text("iss") }

// Subject returns sub (RFC 7519, section 4.1.2), or "" if it is missing.
func (t *Token) Subject() string { return t.text("sub") }

// ID returns jti (RFC 7519, section 4.1.7), or "" if it is missing.
func (t *Token) ID() string { return t.text("jti") }

// ClientID returns client_id (RFC 9068, section 2.2), azp if that is missing,
// or "" if both are.
func (t *Token) ClientID() string {
	if id := t.text("client_id"); id != "" {
		return id
	}
	return t.text("azp")
}

// Audience returns aud (RFC 7519, section 4.1.3) as a list, or nil if it is
// missing or neither a string nor a list of strings.
func (t *Token) Audience() []string {
	list, _ := stringOrList(t.lookup("aud"))
	return list
}

// Expiry returns exp (RFC 7519, section 4.1.4), or zero if it is missing or not
// valid.
func (t *Token) Expiry() time.Time { return t.time("exp") }

// NotBefore returns nbf (RFC 7519, section 4.1.5), or zero if it is missing or
// not valid.
func (t *Token) NotBefore() time.Time { return t.time("nbf") }

// IssuedAt returns iat (RFC 7519, section 4.1.6), or zero if it is missing or
// not valid.
func (t *Token) IssuedAt() time.Time { return t.time("iat") }

// Scopes returns the granted scopes: those in scope and scp, each a string
// separated by spaces or a list (RFC 8693, section 4.2). Other claims are used
// only if they are given as arguments, because permissions or roles may contain
// more than was granted to this client.
func (t *Token) Scopes(claims ...string) []string {
	scopes := append(t.claimScopes("scope"), t.claimScopes("scp")...)
	for _, name := range claims {
		scopes = append(scopes, t.claimScopes(name)...)
	}
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

// Claim returns the value of a claim (string, float64, bool, nil, []any,
// map[string]any) and whether it exists. The path consists of names joined by
// dots. Because a name may contain dots itself, every split of the path is tried
// at each level, the longest name first.
func (t *Token) Claim(path string) (any, bool) {
	text, ok := t.ClaimJSON(path)
	if !ok {
		return nil, false
	}
	return parseValue(text)
}

// ClaimJSON is like [Token.Claim], but returns the JSON text of the claim, with
// every digit of a number.
func (t *Token) ClaimJSON(path string) (string, bool) { return resolve(path, t.lookup) }

// resolve finds the value of a path: it looks for the longest name of the path
// at this level, and for the rest of the path within its value. Member returns
// the JSON text of a member, or "" if it is missing.
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

// UnmarshalClaims decodes the claims into the struct or map that v points to,
// like encoding/json, except that names are case-sensitive.
func (t *Token) UnmarshalClaims(v any) error {
	if err := json.Unmarshal([]byte(t.claimsJSON), v); err != nil {
		return fmt.Errorf("token: the claims: %w", err)
	}
	return nil
}

// Claims returns a copy of all claims.
func (t *Token) Claims() map[string]any {
	claims := make(map[string]any, len(t.claims))
	for _, m := range t.claims {
		claims[m.name], _ = parseValue(m.value)
	}
	return claims
}

// lookup returns the JSON text of a claim, or "" if it is missing.
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
