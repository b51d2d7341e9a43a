package cmd

import (
	"bytes"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/token"
)

// meanings has one line for each registered header and claim: its meaning, and
// who reads it. Sources are RFC 7515, 7519, 7800, 8693, 9068, 9449 and OpenID
// Connect Core.
func meanings() map[string]string {
	return map[string]string{
		"alg":                   "signature algorithm; the API accepts it only if its key has that type",
		"kid":                   "which key of the issuer's key set signed it",
		"typ":                   "kind of token: at+jwt is an access token, dpop+jwt a DPoP proof; in the claims, Keycloak's own kind",
		"cty":                   "what the payload is, if it is not claims",
		"crit":                  "headers that a reader has to understand or else refuse the token",
		"b64":                   "whether the payload is encoded",
		"jku":                   "URL of a key set; never used, since the sender chose it",
		"jwk":                   "a public key; used only for DPoP proofs",
		"x5u":                   "URL of a certificate; never used, since the sender chose it",
		"x5c":                   "certificates of the key",
		"x5t":                   "SHA-1 thumbprint of the key's certificate; names the key if kid is missing",
		"x5t#S256":              "SHA-256 thumbprint of the key's certificate; names the key if kid is missing",
		"enc":                   "how the content is encrypted",
		"zip":                   "how the content was compressed before it was encrypted",
		"iss":                   "issuer: the authorization server; the API compares it with the one it trusts",
		"sub":                   "subject: the user's id at the issuer, or the client's if there is no user",
		"aud":                   "audience: the API that the token is for; every other API refuses it",
		"exp":                   "when it expires, in seconds since 1970",
		"nbf":                   "not valid before this time",
		"iat":                   "when it was issued",
		"jti":                   "id of this token, for lists of revoked tokens and against replay",
		"scope":                 "what the client may do at the API, separated by spaces",
		"scp":                   "as scope, in tokens of Entra ID and Okta",
		"client_id":             "the application that the token was issued to",
		"azp":                   "authorized party: the application that the token was issued to",
		"appid":                 "the application that the token was issued to, in tokens of Entra ID",
		"cnf":                   "confirmation: the token is valid only with this key or certificate (DPoP or mutual TLS)",
		"act":                   "the party that acts for the subject (token exchange)",
		"may_act":               "a party that may act for the subject",
		"nonce":                 "binds an ID token to the login that asked for it; the client compares it",
		"at_hash":               "hash of the access token that came with an ID token",
		"c_hash":                "hash of the authorization code that came with an ID token",
		"auth_time":             "when the user last logged in",
		"acr":                   "how strongly the user was authenticated",
		"amr":                   "the methods that the user was authenticated with, such as pwd or otp",
		"sid":                   "id of the session at the issuer, for logout",
		"events":                "what happened (a security event or a logout)",
		"token_use":             "access or id, in tokens of Amazon Cognito",
		"name":                  "the user's full name",
		"given_name":            "the user's first name",
		"family_name":           "the user's last name",
		"preferred_username":    "the name that the user likes to be called by; it may change and need not be unique",
		"email":                 "the user's e-mail address; it may change",
		"email_verified":        "whether the issuer has checked the address",
		"groups":                "groups of the user",
		"roles":                 "roles of the user or client",
		"entitlements":          "what the user may use",
		"realm_access":          "roles of the whole realm, in tokens of Keycloak",
		"resource_access":       "roles by client, in tokens of Keycloak",
		"permissions":           "permissions at the API, in tokens of Auth0",
		"tid":                   "tenant of Entra ID",
		"oid":                   "id of the user in the tenant of Entra ID",
		"ver":                   "version of the token's format, in tokens of Entra ID and Okta",
		"authorization_details": "what the client may do, in detail (RFC 9396)",
		"_sd":                   "hashes of the claims that an SD-JWT discloses",
		"_sd_alg":               "hash algorithm of an SD-JWT",
		"htm":                   "method of the request that a DPoP proof is for",
		"htu":                   "URL of the request that a DPoP proof is for",
		"ath":                   "hash of the access token that a DPoP proof goes with",
	}
}

// meaningOf returns the meaning of a header or claim by its name.
func meaningOf(name string, known map[string]string) string {
	if text, ok := known[name]; ok {
		return text
	}
	return "defined by the issuer"
}

func (env *Env) printMeanings(r *token.Reading) {
	var rows [][2]string
	seen, known := map[string]bool{}, meanings()
	for _, v := range []jsontext.Value{r.Header, r.Claims} {
		for _, name := range memberNames(v) {
			if !seen[name] {
				seen[name] = true
				rows = append(rows, [2]string{clean(name), meaningOf(name, known)})
			}
		}
	}
	s := env.stdout()
	s.line("")
	s.line("%s", s.name("Meanings"))
	s.table(rows)
}

// memberNames returns the names of a JSON object's members, in their order, each
// once.
func memberNames(v jsontext.Value) []string {
	var names []string
	eachMember(v, func(name string, _ jsontext.Value) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	})
	return names
}

// eachMember calls f for each member of a JSON object, by a tolerant reader.
func eachMember(v jsontext.Value, f func(name string, value jsontext.Value)) {
	d := jsontext.NewDecoder(bytes.NewReader(v), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if first, err := d.ReadToken(); err != nil || first.Kind() != '{' {
		return
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return
		}
		text := name.String()
		value, err := d.ReadValue()
		if err != nil {
			return
		}
		f(text, value.Clone())
	}
}

// lastOfEach returns a JSON object without duplicate names at any depth, in
// UTF-8. Of duplicates the last value is kept.
func lastOfEach(v jsontext.Value) jsontext.Value {
	var read any
	if json.Unmarshal(v, &read, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) != nil {
		return nil
	}
	data, err := json.Marshal(read, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return nil
	}
	return jsontext.Value(strings.ToValidUTF8(string(data), "\uFFFD"))
}
