package audit

import (
	"net/http"
	"slices"
	"sync"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/forge"
)

// Group is a column of the matrix.
type Group string

// The groups, in the order of the matrix.
const (
	GroupRight  Group = "right"
	GroupNone   Group = "none"
	GroupForm   Group = "form"
	GroupKey    Group = "key"
	GroupAlg    Group = "alg"
	GroupIssuer Group = "iss"
	GroupAud    Group = "aud"
	GroupTime   Group = "time"
	GroupType   Group = "type"
	GroupScope  Group = "scope"
	GroupRoute  Group = "route"
	GroupState  Group = "state"
	GroupPublic Group = "public"
)

// Need is a requirement of a case beyond the API itself.
type Need int

// The needs. Each includes the ones before it.
const (
	NeedToken  Need = iota // any valid token
	NeedKey                // the issuer's private key
	NeedIssuer             // control over the issuer
)

// Class is the meaning of a finding.
type Class string

// The classes.
const (
	Hole  Class = "hole"   // the API accepts a request that it must refuse
	Deny  Class = "deny"   // the API refuses a request that it must accept
	Reply Class = "answer" // the API refuses a request with the wrong response
)

// Case is a row of the matrix: one request that differs from a valid one in one
// way, and the expected response.
type Case struct {
	Name  string
	Group Group
	// Headline describes a finding, for example "a token without an audience is
	// accepted".
	Headline string
	// Change describes the difference from a valid request, for example "a
	// valid token without an audience".
	Change string
	// Accept is set for a request that the API must accept.
	Accept bool
	// Warn means that a failure is only a warning.
	Warn  bool
	Needs Need
	// ID is the diagnosis that should refuse the request or, for a case that
	// must be accepted, the diagnosis of its refusal.
	ID diagnosis.ID
	// Clause is the rule, for instance "RFC 9068, section 4".
	Clause string
	Fix    string
	// NeedsScopes means that the operation must require a scope.
	NeedsScopes bool
	// Token is the token to send, a case of [forge.Cases]; "" sends none.
	Token string

	allow []int // statuses that refuse, beyond 401, 403 and 404
}

// Class returns the meaning of a failure of the case.
func (c *Case) Class() Class {
	if c.Accept {
		return Deny
	}
	return Hole
}

// Expected describes the expected response.
func (c *Case) Expected() string {
	switch {
	case c.Accept:
		return "accepted"
	case c.Group == GroupForm:
		return "400 or 401"
	case c.Name == "two-tokens":
		return "400 or 401"
	case c.Name == "member-case":
		return "401 or 403"
	case c.Group == GroupScope:
		return "403"
	case c.Group == GroupRoute:
		return "as without a token"
	}
	return "401"
}

// Cases returns the matrix in the order in which it is documented.
func Cases() []Case { return slices.Clone(matrix()) }

// Quick returns the names of the cases that find most faults with few requests.
func Quick() []string {
	return []string{"good", "no-token", "bad-signature", "alg-none", "wrong-issuer", "no-audience", "expired", "missing-scope"}
}

func caseNamed(name string) *Case {
	cases := matrix()
	i := slices.IndexFunc(cases, func(c Case) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &cases[i]
}

const (
	fixKey    = "verify the signature with a key of the issuer's key set; ignore jwk, jku, x5c and x5u in the header, and never use kid as a path or in a query"
	fixAlg    = "allow a fixed list of asymmetric algorithms, such as RS256 and ES256"
	fixIssuer = "compare iss with the issuer, character for character"
	fixAud    = "make the verifier require the API's own identifier in aud, as a whole string"
	fixTime   = "require exp as a number, and check exp and nbf with at most a minute of leeway"
	fixType   = "require typ at+jwt, or refuse tokens with the claims of an ID token"
	fixScope  = "compare each scope of the operation, whole and case-sensitive, with the elements of scope"
	fixForm   = "catch the errors of the token library and answer 401"
	fixRoute  = "check the token after the router has chosen the operation"
	fixNone   = "put the operation behind the check of the token"
)

// matrix returns the cases. The ids and texts of tokens are those of package forge.
// The matrix is created on first use, because most programs do not need it.
var matrix = sync.OnceValue(func() []Case {
	return []Case{
		accepted("good", "RFC 6750, section 2.1"),
		request(GroupRight, "scheme-lower-case", "the scheme in lower case is refused", "the scheme bearer in lower case", diagnosis.RightTokenRefused, "RFC 9110, section 11.1", "compare the scheme without regard to case").accepting(),
		accepted("audience-array", "RFC 7519, section 4.1.3"),
		accepted("scope-as-array", "RFC 8693, section 4.2").warning(),

		request(GroupNone, "no-token", "a request without a token is accepted", "no Authorization field", diagnosis.NoTokenAccepted, "RFC 6750, section 3.1", fixNone).without(),
		request(GroupNone, "in-query", "a token in the query is accepted", "the token as ?access_token= and not in a field", diagnosis.TokenInQuery, "RFC 9700, section 4.3.2; RFC 6750, section 2.3", "read the token from the Authorization field only").warning().needing(NeedKey).allowing(http.StatusBadRequest),
		request(GroupNone, "other-scheme", "a token under another scheme is accepted", "a valid token after the scheme Token", diagnosis.SchemeIgnored, "RFC 6750, section 2.1", "accept the scheme Bearer only").warning().allowing(http.StatusBadRequest),
		request(GroupNone, "no-scheme", "a token without a scheme is accepted", "a valid token in the Authorization field, without a scheme", diagnosis.SchemeIgnored, "RFC 6750, section 2.1", "accept the scheme Bearer only").warning().allowing(http.StatusBadRequest),
		request(GroupNone, "two-tokens", "a request with two Authorization fields is accepted", "two Authorization fields", diagnosis.CredentialsInvalid, "RFC 6750, sections 2 and 3.1", "refuse a request with more than one Authorization field").warning().allowing(http.StatusBadRequest),

		refused(GroupForm, "malformed-text", "RFC 6750, section 3.1", fixForm).allowing(http.StatusBadRequest),
		refused(GroupForm, "malformed-base64", "RFC 6750, section 3.1", fixForm).allowing(http.StatusBadRequest),
		refused(GroupForm, "malformed-json", "RFC 6750, section 3.1", fixForm).allowing(http.StatusBadRequest),
		refused(GroupForm, "oversized", "RFC 6750, section 3.1", fixForm).allowing(http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusRequestHeaderFieldsTooLarge),

		refused(GroupKey, "bad-signature", "RFC 8725, section 3.2", fixKey),
		refused(GroupKey, "stripped-signature", "RFC 8725, section 3.2", fixKey).allowing(http.StatusBadRequest),
		refused(GroupKey, "foreign-key", "RFC 8725, section 3.2", fixKey),
		refused(GroupKey, "unknown-kid", "RFC 8725, section 3.10", fixKey),
		refused(GroupKey, "jwk-header", "RFC 8725, section 3.10; RFC 7515, section 4.1.3", fixKey),
		refused(GroupKey, "jku-header", "RFC 8725, section 3.10; RFC 7515, section 4.1.2", fixKey),
		refused(GroupKey, "x5c-header", "RFC 8725, section 3.10; RFC 7515, section 4.1.6", fixKey),
		refused(GroupKey, "kid-path", "RFC 8725, section 3.10", fixKey),
		refused(GroupKey, "kid-sql", "RFC 8725, section 3.10", fixKey),

		refused(GroupAlg, "alg-none", "RFC 8725, section 3.1", fixAlg),
		refused(GroupAlg, "alg-none-case", "RFC 8725, section 3.1", fixAlg),
		refused(GroupAlg, "alg-confusion", "RFC 8725, section 2.1", fixAlg),
		refused(GroupAlg, "alg-confusion-trimmed", "RFC 8725, section 2.1", fixAlg),
		refused(GroupAlg, "alg-confusion-der", "RFC 8725, section 2.1", fixAlg),
		refused(GroupAlg, "alg-confusion-jwk", "RFC 8725, section 2.1", fixAlg),

		refused(GroupIssuer, "wrong-issuer", "RFC 9068, section 4; RFC 8725, section 3.8", fixIssuer),
		refused(GroupIssuer, "issuer-suffix", "RFC 9068, section 4; RFC 8725, section 3.8", fixIssuer),
		refused(GroupIssuer, "sibling-issuer", "RFC 9068, section 4; RFC 8725, section 3.8", fixIssuer),
		refused(GroupIssuer, "no-issuer", "RFC 9068, section 4", "require iss, and compare it with the issuer"),
		refused(GroupIssuer, "issuer-slash", "RFC 9068, section 4", fixIssuer).warning(),

		refused(GroupAud, "wrong-audience", "RFC 7519, section 4.1.3", fixAud),
		refused(GroupAud, "audience-suffix", "RFC 7519, section 4.1.3", fixAud),
		refused(GroupAud, "audience-inside", "RFC 7519, section 4.1.3", fixAud),
		refused(GroupAud, "no-audience", "RFC 9068, section 4", fixAud),

		refused(GroupTime, "expired", "RFC 7519, section 4.1.4", fixTime),
		refused(GroupTime, "expired-30m", "RFC 7519, section 4.1.4", fixTime),
		// More than the five minutes that some libraries allow by default.
		refused(GroupTime, "expired-6m", "RFC 7519, section 4.1.4", fixTime).warning(),
		refused(GroupTime, "no-expiry", "RFC 9068, section 2.2", "require exp"),
		refused(GroupTime, "not-yet-valid", "RFC 7519, section 4.1.5", fixTime),
		refused(GroupTime, "expiry-as-text", "RFC 7519, sections 2 and 4.1.4", fixTime),

		refused(GroupType, "id-token-as-access-token", "RFC 9068, section 4", fixType),
		refused(GroupType, "id-token-with-scope", "RFC 9068, section 4", fixType),
		refused(GroupType, "crit", "RFC 7515, section 4.1.11", "refuse a token whose crit lists an extension that the API does not know"),
		refused(GroupType, "bound-token", "RFC 9449, section 7.2; RFC 8705, section 3", "refuse a token with cnf unless the proof of its key is checked").warning(),
		refused(GroupType, "member-case", "RFC 7519, section 4", "read the names of claims case-sensitively"),
		refused(GroupType, "duplicate-member", "RFC 7519, section 4", "refuse a token with duplicate names"),

		refused(GroupScope, "missing-scope", "RFC 6750, section 3.1; RFC 6749, section 3.3", fixScope),
		refused(GroupScope, "scope-other", "RFC 6750, section 3.1; RFC 6749, section 3.3", fixScope),
		refused(GroupScope, "scope-near", "RFC 6750, section 3.1; RFC 6749, section 3.3", fixScope),
		refused(GroupScope, "scope-elsewhere", "RFC 9068, section 2.2.3", "read scopes from the claim scope only").warning(),

		route("head", "HEAD is answered without a token", "HEAD, without a token", "RFC 9110, section 9.3.2"),
		route("method-override", "X-HTTP-Method-Override avoids the check of the token", "X-HTTP-Method-Override: OPTIONS, without a token", "RFC 9110, section 9.3.2"),
		route("path-slash", "a slash at the end of the path avoids the check of the token", "a slash at the end of the path, without a token", "RFC 3986, section 6.2.2"),
		route("path-case", "the path in upper case avoids the check of the token", "the path in upper case, without a token", "RFC 3986, section 6.2.2"),
		route("path-encoded", "a percent-encoded letter in the path avoids the check of the token", "a percent-encoded letter in the path, without a token", "RFC 3986, section 6.2.2"),
		route("path-double-slash", "a doubled slash in the path avoids the check of the token", "a doubled slash in the path, without a token", "RFC 3986, section 6.2.2"),

		request(GroupState, "revoked", "a revoked token is accepted", "a token that was revoked at the issuer", diagnosis.Revoked, "RFC 7009, section 2", "ask the issuer (introspection) or a list of revoked tokens").needing(NeedIssuer),
		request(GroupState, "keys-unavailable", "a valid token is refused while the key set is unavailable", "a valid token while the key set returns 503", diagnosis.KeysUnavailable, "OpenID Connect Core, section 10.1.1", "use the cached keys while the key set is unavailable").needing(NeedIssuer).accepting(),
		request(GroupState, "rotated-in", "a token signed with a new key is refused", "a token signed with a new key of the key set", diagnosis.KeyNewRefused, "OpenID Connect Core, section 10.1.1", "fetch the key set again for an unknown kid").needing(NeedIssuer).accepting(),
		request(GroupState, "rotated-out", "a token signed with a removed key is accepted", "a token signed with a key that was removed from the key set", diagnosis.KeyOldAccepted, "RFC 8725, section 3.10", "replace the cached keys as a whole when the key set is fetched, at least every few minutes").needing(NeedIssuer),

		request(GroupPublic, "public-without-token", "a public operation refuses a request without a token", "no Authorization field", diagnosis.PublicRefused, "the document", "allow requests without a token, or change the document").without().accepting(),
	}
})

// request returns a case with a valid token, whose request differs in another way.
func request(group Group, name, headline, change string, id diagnosis.ID, clause, fix string) Case {
	return Case{Name: name, Group: group, Headline: headline, Change: change, ID: id, Clause: clause, Fix: fix, Token: "good"}
}

// refused returns a case whose token must be refused.
func refused(group Group, name, clause, fix string) Case {
	c, ok := forge.Lookup(name)
	if !ok {
		panic("audit: no token " + name)
	}
	row := request(group, name, "a token "+c.Phrase+" is accepted", "a token "+c.Phrase, c.Diagnosis, clause, fix)
	row.Token, row.NeedsScopes = name, c.NeedsScopes
	if c.NeedsKey {
		row.Needs = NeedKey
	}
	return row
}

// accepted returns a case whose token must be accepted.
func accepted(name, clause string) Case {
	c := refused(GroupRight, name, clause, "accept the token").accepting()
	c.Headline, c.ID = c.Change+" is refused", diagnosis.RightTokenRefused
	if name == "good" {
		c.Needs = NeedToken
	}
	return c
}

func route(name, headline, change, clause string) Case {
	return request(GroupRoute, name, headline, change, diagnosis.RouteOpen, clause, fixRoute).without()
}

func (c Case) warning() Case               { c.Warn = true; return c }
func (c Case) accepting() Case             { c.Accept = true; return c }
func (c Case) without() Case               { c.Token = ""; return c }
func (c Case) needing(n Need) Case         { c.Needs = n; return c }
func (c Case) allowing(status ...int) Case { c.allow = status; return c }
