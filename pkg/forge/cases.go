package forge

import (
	"crypto/rand"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// An issuer, an API and a key set with reserved names (RFC 2606).
const (
	otherIssuer = "https://issuer.example"
	otherAPI    = "https://api.example"
	otherKeySet = "https://issuer.example/jwks"
	otherTenant = "other-tenant"
)

// thumbprint is the SHA-256 thumbprint of a key that does not exist.
const thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"

// table has one row for each case, in the order of the documentation: accepted,
// format, key, algorithm, issuer, audience, time, type, scope, and two that are
// not the issuer's fault.
var table = []Case{
	{"good", "that is valid", "", true, false, func(*Draft) {}},
	{"audience-array", "whose aud is a list with the right audience in it", "", true, false, func(d *Draft) {
		d.Claims["aud"] = []string{otherAPI, d.audience()}
	}},
	{"scope-as-array", "whose scope is a list", "", true, true, func(d *Draft) {
		d.Claims[d.scopeClaim()] = d.scopes()
	}},

	{"malformed-text", "that is not a JWT", diagnosis.OpaqueToken, false, false, func(d *Draft) {
		d.finish = func(*Draft) (string, error) { return "abc", nil }
	}},
	{"malformed-base64", "whose signature is not base64url", diagnosis.Malformed, false, false, func(d *Draft) { d.finish = breakBase64 }},
	{"malformed-json", "whose header is not JSON", diagnosis.HeaderInvalid, false, false, func(d *Draft) { d.finish = breakHeader }},
	{"oversized", "of 16 KiB signed with another key", diagnosis.SignatureInvalid, false, false, func(d *Draft) {
		d.Claims["padding"] = strings.Repeat("x", 12<<10)
		d.finish = signAsAttacker
	}},

	{"bad-signature", "with one changed bit in the signature", diagnosis.SignatureInvalid, false, false, func(d *Draft) { d.finish = spoilSignature }},
	{"stripped-signature", "without its signature", diagnosis.SignatureInvalid, false, false, func(d *Draft) { d.finish = stripSignature }},
	{"foreign-key", "signed with another key under the real kid", diagnosis.SignatureInvalid, false, false, func(d *Draft) { d.finish = signAsAttacker }},
	{"unknown-kid", "signed with a key that is not published", diagnosis.KidUnknown, false, false, func(d *Draft) { d.finish = signUnderOwnKid }},
	{"jwk-header", "signed with a key that its own header contains", diagnosis.KidUnknown, false, false, func(d *Draft) { d.finish = embedKey }},
	{"jku-header", "signed with a key at a URL that its own header gives", diagnosis.KidUnknown, false, false, func(d *Draft) { d.finish = pointToKey }},
	{"x5c-header", "signed with a key whose certificate its own header contains", diagnosis.KidUnknown, false, false, func(d *Draft) { d.finish = embedCertificate }},
	{"kid-path", "whose kid is the path of an empty file, signed with an empty secret", diagnosis.HSTokenNoSecret, false, false, func(d *Draft) {
		d.Header["kid"] = "../../../../../../dev/null"
		d.finish = signWithSecret("HS256", nil)
	}},
	{"kid-sql", "whose kid is SQL that selects the secret", diagnosis.HSTokenNoSecret, false, false, func(d *Draft) {
		d.Header["kid"] = "x' UNION SELECT 'oauthctl' -- "
		d.finish = signWithSecret("HS256", []byte("oauthctl"))
	}},

	{"alg-none", "that is not signed (alg none)", diagnosis.AlgNone, false, false, func(d *Draft) { d.finish = leaveUnsigned("none") }},
	{"alg-none-case", "that is not signed (alg nOnE)", diagnosis.AlgNone, false, false, func(d *Draft) { d.finish = leaveUnsigned("nOnE") }},
	{"alg-confusion", "signed with HS256 and the public key as the secret", diagnosis.HSTokenNoSecret, false, false, func(d *Draft) { d.finish = confuse(publicPEM) }},
	{"alg-confusion-trimmed", "signed with HS256 and the public key (PEM without its last line end) as the secret", diagnosis.HSTokenNoSecret, false, false, func(d *Draft) { d.finish = confuse(publicTrimmed) }},
	{"alg-confusion-der", "signed with HS256 and the public key (DER) as the secret", diagnosis.HSTokenNoSecret, false, false, func(d *Draft) { d.finish = confuse(publicDER) }},
	{"alg-confusion-jwk", "signed with HS256 and the public key (JWK) as the secret", diagnosis.HSTokenNoSecret, false, false, func(d *Draft) { d.finish = confuse(publicJWK) }},

	{"wrong-issuer", "of another issuer", diagnosis.IssMismatch, true, false, func(d *Draft) { d.Claims["iss"] = otherIssuer }},
	{"issuer-suffix", "whose issuer only begins with the right one", diagnosis.IssMismatch, true, false, func(d *Draft) {
		d.Claims["iss"] = strings.TrimSuffix(d.text("iss"), "/") + ".example"
	}},
	{"sibling-issuer", "of another tenant of the same issuer", diagnosis.IssMismatch, true, false, func(d *Draft) {
		d.Claims["iss"] = siblingOf(d.text("iss"))
		d.finish = signAsSibling
	}},
	{"no-issuer", "without an issuer", diagnosis.IssMissing, true, false, func(d *Draft) { delete(d.Claims, "iss") }},
	{"issuer-slash", "whose issuer has one slash more or less at the end", diagnosis.IssSlash, true, false, func(d *Draft) {
		iss := d.text("iss")
		if trimmed, ok := strings.CutSuffix(iss, "/"); ok {
			d.Claims["iss"] = trimmed
			return
		}
		d.Claims["iss"] = iss + "/"
	}},

	{"wrong-audience", "for another API", diagnosis.AudMismatch, true, false, func(d *Draft) { d.Claims["aud"] = otherAPI }},
	{"audience-suffix", "whose audience only begins with the right one", diagnosis.AudMismatch, true, false, func(d *Draft) { d.Claims["aud"] = d.audience() + ".example" }},
	{"audience-inside", "whose audience only contains the right one", diagnosis.AudMismatch, true, false, func(d *Draft) {
		d.Claims["aud"] = otherAPI + "/" + d.audience()
	}},
	{"no-audience", "without an audience", diagnosis.AudMissing, true, false, func(d *Draft) { delete(d.Claims, "aud") }},

	{"expired", "that expired two hours ago", diagnosis.Expired, true, false, func(d *Draft) { d.expire(2 * time.Hour) }},
	{"expired-30m", "that expired 30 minutes ago", diagnosis.Expired, true, false, func(d *Draft) { d.expire(30 * time.Minute) }},
	{"expired-6m", "that expired 6 minutes ago", diagnosis.Expired, true, false, func(d *Draft) { d.expire(6 * time.Minute) }},
	{"no-expiry", "that never expires", diagnosis.ExpMissing, true, false, func(d *Draft) { delete(d.Claims, "exp") }},
	{"not-yet-valid", "that becomes valid in two hours", diagnosis.NotYetValid, true, false, func(d *Draft) {
		d.Claims["nbf"] = d.seconds("iat") + int64((2 * time.Hour).Seconds())
		d.shift(2*time.Hour, "exp")
	}},
	{"expiry-as-text", "whose exp is a string, two hours ago", diagnosis.TimeInvalid, true, false, func(d *Draft) {
		d.expire(2 * time.Hour)
		d.Claims["exp"] = strconv.FormatInt(d.seconds("exp"), 10)
	}},

	{"id-token-as-access-token", "that is an ID token", diagnosis.IDTokenAsAccess, true, false, func(d *Draft) { makeIDToken(d, false) }},
	{"id-token-with-scope", "that is an ID token with scopes", diagnosis.IDTokenAsAccess, true, true, func(d *Draft) { makeIDToken(d, true) }},
	{"crit", "with a critical extension that is not known", diagnosis.CritUnsupported, true, false, func(d *Draft) {
		d.Header["crit"], d.Header["https://issuer.example/extension"] = []string{"https://issuer.example/extension"}, true
	}},
	{"bound-token", "that is bound to a key, without a proof of that key", diagnosis.TokenBound, true, false, func(d *Draft) {
		d.Claims["cnf"] = map[string]any{"jkt": thumbprint}
	}},
	{"member-case", "with its scopes in SCOPE", diagnosis.MemberCase, true, true, func(d *Draft) {
		claim := d.scopeClaim()
		if value, ok := d.Claims[claim]; ok {
			delete(d.Claims, claim)
			d.Claims[strings.ToUpper(claim)] = value
		}
	}},
	{"duplicate-member", "with two audiences in two members aud", diagnosis.DuplicateMember, true, false, func(d *Draft) { d.finish = repeatAudience }},

	{"missing-scope", "without the scopes of the operation", diagnosis.ScopeMissing, true, true, func(d *Draft) { d.SetScopes(nil) }},
	{"scope-other", "with all scopes of the API but those of the operation", diagnosis.ScopeMissing, true, true, func(d *Draft) {
		have := d.scopes()
		d.SetScopes(slices.DeleteFunc(slices.Clone(d.OtherScopes), func(s string) bool { return slices.Contains(have, s) }))
	}},
	{"scope-near", "with scopes whose names only resemble those of the operation", diagnosis.ScopeMissing, true, true, func(d *Draft) {
		d.SetScopes(resembling(d.scopes()))
	}},
	{"scope-elsewhere", "with its scopes in permissions and roles only", diagnosis.ScopeClaimName, true, true, func(d *Draft) {
		have := d.scopes()
		d.SetScopes(nil)
		d.Claims["permissions"], d.Claims["roles"] = have, have
	}},

	{"clock-skew", "issued by a clock that is two minutes fast", diagnosis.ClockSkew, true, false, func(d *Draft) { d.shift(2*time.Minute, "iat", "exp") }},
	{"opaque-token", "that is a random string, not a JWT", diagnosis.OpaqueToken, false, false, func(d *Draft) {
		d.finish = func(*Draft) (string, error) { return randomText(), nil }
	}},
}

// resembling returns other scopes, whose names begin with, end with or contain the
// given ones, or are written in upper case.
func resembling(scopes []string) []string {
	var near []string
	for _, s := range scopes {
		near = append(near, "x-"+s, s+"-x", "x-"+s+"only")
		if upper := strings.ToUpper(s); upper != s {
			near = append(near, upper)
		}
	}
	return near
}

// siblingOf returns another tenant at the same host: another last segment of
// the path, or a path if it is empty.
func siblingOf(issuer string) string {
	trimmed := strings.TrimSuffix(issuer, "/")
	slash := strings.LastIndexByte(trimmed, '/')
	if slash < 0 || strings.HasSuffix(trimmed[:slash+1], "://") {
		return trimmed + "/" + otherTenant
	}
	return trimmed[:slash+1] + otherTenant
}

// makeIDToken changes the draft to the ID token of the same login (OpenID
// Connect Core, section 2).
func makeIDToken(d *Draft, keepScopes bool) {
	d.Header["typ"] = "JWT"
	d.Claims["aud"] = d.Claims["client_id"]
	d.Claims["nonce"], d.Claims["at_hash"] = rand.Text(), rand.Text()[:22]
	delete(d.Claims, "client_id")
	delete(d.Claims, "jti")
	if !keepScopes {
		d.SetScopes(nil)
	}
}
