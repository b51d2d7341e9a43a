package oauthtest

import "github.com/oauthctl/oauthctl/pkg/forge"

// Case is a fault of an access token, a row of [forge.Cases]. [Good] and the
// two after it have to be accepted.
type Case string

// The cases. The comment completes "an access token …".
const (
	Good                 Case = "good"                     // that is valid
	AudienceArray        Case = "audience-array"           // whose aud is a list with the right audience in it
	ScopeAsArray         Case = "scope-as-array"           // whose scope is a list
	MalformedText        Case = "malformed-text"           // that is not a JWT
	MalformedBase64      Case = "malformed-base64"         // whose signature is not base64url
	MalformedJSON        Case = "malformed-json"           // whose header is not JSON
	Oversized            Case = "oversized"                // of 16 KiB signed with another key
	BadSignature         Case = "bad-signature"            // with one changed bit in the signature
	StrippedSignature    Case = "stripped-signature"       // without its signature
	ForeignKey           Case = "foreign-key"              // signed with another key under the real kid
	UnknownKID           Case = "unknown-kid"              // signed with a key that is not published
	JWKHeader            Case = "jwk-header"               // signed with a key that its own header contains
	JKUHeader            Case = "jku-header"               // signed with a key at a URL that its own header gives
	X5CHeader            Case = "x5c-header"               // signed with a key whose certificate its own header contains
	KIDPath              Case = "kid-path"                 // whose kid is the path of an empty file, signed with an empty secret
	KIDSQL               Case = "kid-sql"                  // whose kid is SQL that selects the secret
	AlgNone              Case = "alg-none"                 // that is not signed (alg none)
	AlgNoneCase          Case = "alg-none-case"            // that is not signed (alg nOnE)
	AlgConfusion         Case = "alg-confusion"            // signed with HS256 and the public key as the secret
	AlgConfusionTrimmed  Case = "alg-confusion-trimmed"    // signed with HS256 and the public key (PEM without its last line end) as the secret
	AlgConfusionDER      Case = "alg-confusion-der"        // signed with HS256 and the public key (DER) as the secret
	AlgConfusionJWK      Case = "alg-confusion-jwk"        // signed with HS256 and the public key (JWK) as the secret
	WrongIssuer          Case = "wrong-issuer"             // of another issuer
	IssuerSuffix         Case = "issuer-suffix"            // whose issuer only begins with the right one
	SiblingIssuer        Case = "sibling-issuer"           // of another tenant of the same issuer
	NoIssuer             Case = "no-issuer"                // without an issuer
	IssuerSlash          Case = "issuer-slash"             // whose issuer has one slash more or less at the end
	WrongAudience        Case = "wrong-audience"           // for another API
	AudienceSuffix       Case = "audience-suffix"          // whose audience only begins with the right one
	AudienceInside       Case = "audience-inside"          // whose audience only contains the right one
	NoAudience           Case = "no-audience"              // without an audience
	Expired              Case = "expired"                  // that expired two hours ago
	Expired30m           Case = "expired-30m"              // that expired 30 minutes ago
	Expired6m            Case = "expired-6m"               // that expired 6 minutes ago
	NoExpiry             Case = "no-expiry"                // that never expires
	NotYetValid          Case = "not-yet-valid"            // that becomes valid in two hours
	ExpiryAsText         Case = "expiry-as-text"           // whose exp is a string, two hours ago
	IDTokenAsAccessToken Case = "id-token-as-access-token" // that is an ID token
	IDTokenWithScope     Case = "id-token-with-scope"      // that is an ID token with scopes
	Crit                 Case = "crit"                     // with a critical extension that is not known
	BoundToken           Case = "bound-token"              // that is bound to a key, without a proof of that key
	MemberCase           Case = "member-case"              // with its scopes in SCOPE
	DuplicateMember      Case = "duplicate-member"         // with two audiences in two members aud
	MissingScope         Case = "missing-scope"            // without the scopes of the operation
	ScopeOther           Case = "scope-other"              // with all scopes of the API but those of the operation
	ScopeNear            Case = "scope-near"               // with scopes whose names only resemble those of the operation
	ScopeElsewhere       Case = "scope-elsewhere"          // with its scopes in permissions and roles only
	ClockSkew            Case = "clock-skew"               // issued by a clock that is two minutes fast
	OpaqueToken          Case = "opaque-token"             // that is a random string, not a JWT
)

// Cases returns every case, in the order of the documentation.
func Cases() []Case {
	var all []Case
	for _, c := range forge.Cases() {
		all = append(all, Case(c.Name))
	}
	return all
}

// Accepted reports whether an API has to accept a token of this case, if the
// token has the required scopes.
func (c Case) Accepted() bool {
	row, ok := forge.Lookup(string(c))
	return ok && row.Diagnosis == ""
}
