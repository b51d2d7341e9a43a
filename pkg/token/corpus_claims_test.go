package token_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/subtle"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

func (f *forge) signature() {
	f.begin("signature", "signatures that are of another text, or written in another way")
	claims := claimsText(keycloak)
	head := part(usualHeader)
	signed := head + "." + part(claims)
	encode := base64.RawURLEncoding.EncodeToString
	bad := func(name string, signature []byte) {
		f.add(name, "main.json", signed+"."+encode(signature), diagnosis.SignatureInvalid)
	}
	key := f.keys["ec"].(*ecdsa.PrivateKey)
	h := hashOf("ES256").New()
	h.Write([]byte(signed))
	r, s := f.ecdsa(key, hashOf("ES256"), h.Sum(nil))
	n := key.Curve.Params().N
	pair := func(r, s *big.Int, size int) []byte {
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}
	zero, top := new(big.Int), new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))
	f.add("positive control", "main.json", signed+"."+encode(pair(r, s, 32)), "")
	f.add("s of the upper half", "main.json", signed+"."+encode(pair(r, new(big.Int).Sub(n, s), 32)), "")
	bad("r and s are zero", pair(zero, zero, 32))
	bad("r is zero", pair(zero, s, 32))
	bad("s is zero", pair(r, zero, 32))
	bad("r is the order", pair(n, s, 32))
	bad("s is the order", pair(r, n, 32))
	bad("r and s are the order", pair(n, n, 32))
	bad("r and s are all ones", pair(top, top, 32))
	bad("r and s are one", pair(big.NewInt(1), big.NewInt(1), 32))
	bad("s and r", pair(s, r, 32))
	bad("33 bytes each", pair(r, s, 33))
	bad("48 bytes each", pair(r, s, 48))
	bad("cut by a byte", pair(r, s, 32)[:63])
	bad("a byte too many", append(pair(r, s, 32), 0))
	bad("twice", slices.Repeat(pair(r, s, 32), 2))
	bad("empty", nil)
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil {
		f.t.Fatal(err)
	}
	bad("DER", der)
	other := f.es256(claimsText(keycloak, `sub="mallory"`))
	f.add("the payload of another token", "main.json", head+"."+strings.Split(other, ".")[1]+"."+encode(pair(r, s, 32)), diagnosis.SignatureInvalid)
	f.add("the header of another token", "main.json", part(`{"alg":"ES256","kid":"ec-1","typ":"JWT"}`)+"."+part(claims)+"."+encode(pair(r, s, 32)), diagnosis.SignatureInvalid)
	f.add("another key of the same curve", "main.json", f.jwt("ES256", "ec-forger", usualHeader, claims), diagnosis.SignatureInvalid)
	f.add("expired as well", "main.json", f.jwt("ES256", "ec-forger", usualHeader, claimsText(keycloak, "exp=1000")), diagnosis.SignatureInvalid)
	f.add("for another issuer and audience as well", "main.json", f.jwt("ES256", "ec-forger", usualHeader, claimsText(keycloak, `iss="x"`, `aud="x"`)), diagnosis.SignatureInvalid)
	f.add("a payload that is no JSON as well", "main.json", f.jwt("ES256", "ec-forger", usualHeader, "text"), diagnosis.SignatureInvalid)
	f.rsaSignatures(claims)
	f.edSignatures(claims)
}

func (f *forge) rsaSignatures(claims string) {
	encode := base64.RawURLEncoding.EncodeToString
	key := f.keys["rsa"].(*rsa.PrivateKey)
	for _, alg := range []string{"PS256", "PS384", "PS512"} {
		signed := part(`{"alg":"`+alg+`","kid":"rsa-1"}`) + "." + part(claims)
		hash := hashOf(alg)
		h := hash.New()
		h.Write([]byte(signed))
		sum := h.Sum(nil)
		f.add(alg+" without salt", "main.json", signed+"."+encode(saltless(key, hash, sum)), diagnosis.SignatureInvalid)
		f.add(alg+" with a salt of 20 bytes", "main.json", signed+"."+encode(f.pss(key, hash, sum, 20)), diagnosis.SignatureInvalid)
		f.add(alg+" with the longest salt", "main.json", signed+"."+encode(f.pss(key, hash, sum, 256-2-hash.Size())), diagnosis.SignatureInvalid)
		f.add(alg+" with the right salt", "main.json", signed+"."+encode(f.pss(key, hash, sum, hash.Size())), "")
	}
	signed := part(`{"alg":"RS256","kid":"rsa-1"}`) + "." + part(claims)
	signature := f.sign("RS256", "rsa", signed)
	bad := func(name string, signature []byte) {
		f.add(name, "main.json", signed+"."+encode(signature), diagnosis.SignatureInvalid)
	}
	f.add("RS256", "main.json", signed+"."+encode(signature), "")
	bad("RS256 with SHA-512", f.sign("RS512", "rsa", signed))
	bad("RS256 as PSS", f.sign("PS256", "rsa", signed))
	bad("RS256 cut by a byte", signature[:255])
	bad("RS256 with a zero before", append([]byte{0}, signature...))
	bad("RS256 plus the modulus", new(big.Int).Add(new(big.Int).SetBytes(signature), key.N).Bytes())
	bad("RS256 of zero", make([]byte, 256))
	bad("RS256 of one", append(make([]byte, 255), 1))
	bad("RS256 of the modulus", key.N.Bytes())
	f.add("PS256 as PKCS #1", "main.json", f.jwt("RS256", "rsa", `{"alg":"PS256","kid":"rsa-1"}`, claims), diagnosis.SignatureInvalid)
}

// saltless signs with RSASSA-PSS without a salt (RFC 8017, section 9.1.1),
// which crypto/rsa does not offer.
func saltless(key *rsa.PrivateKey, hash crypto.Hash, sum []byte) []byte {
	h := hash.New()
	h.Write(append(make([]byte, 8), sum...))
	seed := h.Sum(nil)
	masked := make([]byte, key.Size()-len(seed)-1)
	masked[len(masked)-1] = 1
	for i := 0; i*hash.Size() < len(masked); i++ {
		h.Reset()
		h.Write(append(slices.Clone(seed), 0, 0, 0, byte(i)))
		block := masked[i*hash.Size():]
		subtle.XORBytes(block, block, h.Sum(nil))
	}
	masked[0] &= 0x7f
	encoded := new(big.Int).SetBytes(append(append(masked, seed...), 0xbc))
	return encoded.Exp(encoded, key.D, key.N).FillBytes(make([]byte, key.Size()))
}

func (f *forge) edSignatures(claims string) {
	signed := part(`{"alg":"EdDSA","kid":"ed-1"}`) + "." + part(claims)
	signature := f.sign("EdDSA", "ed", signed)
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	s := slices.Clone(signature[32:])
	slices.Reverse(s)
	s = new(big.Int).Add(new(big.Int).SetBytes(s), order).FillBytes(make([]byte, 32))
	slices.Reverse(s)
	for name, changed := range map[string][]byte{
		"EdDSA with s beyond the order": append(slices.Clone(signature[:32]), s...), "EdDSA cut by a byte": signature[:63], "EdDSA of zero": make([]byte, 64), "EdDSA of another text": f.sign("EdDSA", "ed", "x"),
	} {
		f.add(name, "main.json", signed+"."+base64.RawURLEncoding.EncodeToString(changed), diagnosis.SignatureInvalid)
	}
}

func (f *forge) payload() {
	f.begin("payload", "payloads that are no claims set, or that two readers read differently; all signed")
	bad := func(name, payload string, id diagnosis.ID) { f.add(name, "main.json", f.es256(payload), id) }
	good := claimsText(keycloak)
	nested := func(open, shut string, n int) string {
		return claimsText(keycloak, "x="+strings.Repeat(open, n)+"1"+strings.Repeat(shut, n))
	}
	bad("positive control", good, "")
	bad("white space around", "\r\n\t "+good+" \n", "")
	bad("31 levels", nested("[", "]", 30), "")
	bad("31 levels of objects", nested(`{"a":`, "}", 30), "")
	bad("text of brackets", claimsText(keycloak, `x="`+strings.Repeat("[{", 40)+`"`), "")
	bad("escapes", claimsText(keycloak, `n\u0061me="\u0041lice \ud83d\ude00 \"quoted\" \\ \/"`), "")
	bad("numbers beyond float64 in a claim that is not requested", claimsText(keycloak, "balance=1e400", "id=123456789012345678901234567890"), "")
	for name, payload := range map[string]string{
		"33 levels": nested("[", "]", 32), "33 levels of objects": nested(`{"a":`, "}", 32), "40 levels mixed": nested(`[{"a":`, "}]", 20), "10,000 levels": nested("[", "]", 10000),
		"BOM": "\ufeff" + good, "trailing object": good + "{}", "trailing letter": good + "x", "trailing NUL": good + "\x00", "trailing comma": good + ",", "two lines of JSON": good + "\n" + good,
		"invalid UTF-8": claimsText(keycloak, "name=\"Zo\xeb\""), "overlong UTF-8": claimsText(keycloak, "name=\"\xc0\xaf\""), "a lone surrogate": claimsText(keycloak, `name="\ud800"`), "a lone surrogate in a name": claimsText(keycloak, `x={"\udfff":1}`),
		"a raw line break in a string": claimsText(keycloak, "name=\"a\nb\""), "an unknown escape": claimsText(keycloak, `name="\x41"`), "a list": "[" + good + "]", "a string": `"claims"`, "a number": "1", "null": "null", "true": "true", "nothing": "", "white space": " ",
		"text": "Example of Ed25519 signing", "cut off": good[:len(good)-1], "a comma too many": good[:len(good)-1] + ",}", "a comment": good[:len(good)-1] + "/**/}", "NaN": claimsText(keycloak, "exp=NaN"), "Infinity": claimsText(keycloak, "exp=Infinity"),
		"a number with a zero before": claimsText(keycloak, "exp=01795522200"), "a number with a plus": claimsText(keycloak, "exp=+1795522200"), "a hexadecimal number": claimsText(keycloak, "exp=0x6b05c1d8"), "UTF-16": "{\x00}\x00", "CBOR": "\xa1\x01\x63web",
	} {
		bad(name, payload, diagnosis.PayloadInvalid)
	}
	for name, members := range map[string]string{
		"sub twice": `"sub":"admin"`, "sub twice by an escape": `"s\u0075b":"admin"`, "exp twice": `"exp":1795999999`, "aud twice": `"aud":"https://api.example.com"`, "iss twice the same": `"iss":"` + realm + `"`,
		"scope twice": `"scope":"admin"`, "a name twice inside": `"x":{"roles":[],"roles":["admin"]}`, "a name twice deep inside": `"x":[{"a":[{"b":1,"b":2}]}]`, "the empty name twice": `"":1,"":2`, "a private name twice": `"tenant":"a","tenant":"b"`,
	} {
		bad(name, good[:len(good)-1]+","+members+"}", diagnosis.DuplicateMember)
	}
	for _, name := range []string{"ISS", "Iss", "Exp", "EXP", "Aud", "Sub", "NBF", "Iat", "Scope", "SCP", "Client_ID", "CNF", "Nonce"} {
		bad(name+" beside the real name", good[:len(good)-1]+`,"`+name+`":"x"}`, diagnosis.MemberCase)
	}
	for _, name := range []string{"iss", "exp", "aud", "sub"} {
		bad(strings.ToUpper(name)+" instead of "+name, strings.Replace(good, `"`+name+`"`, `"`+strings.ToUpper(name)+`"`, 1), diagnosis.MemberCase)
	}
	bad("names of other claims in any case", claimsText(keycloak, "Name=1", "NAME=2", "name=3"), "")
}

func (f *forge) times() {
	f.begin("times", "exp, nbf and iat; it is 1795521600")
	at := now.Unix()
	times := func(name, change string, id diagnosis.ID, o ...corpusOptions) {
		f.add(name, "main.json", f.es256(claimsText(keycloak, change)), id, o...)
	}
	for value, id := range map[string]diagnosis.ID{
		"": diagnosis.ExpMissing, "null": diagnosis.TimeInvalid, "0": diagnosis.TimeInvalid, "-0": diagnosis.TimeInvalid, "-1": diagnosis.TimeInvalid, "-1795522200": diagnosis.TimeInvalid, `"1795522200"`: diagnosis.TimeInvalid, `"soon"`: diagnosis.TimeInvalid, `""`: diagnosis.TimeInvalid,
		"true": diagnosis.TimeInvalid, "[1795522200]": diagnosis.TimeInvalid, "{}": diagnosis.TimeInvalid, "1e400": diagnosis.TimeInvalid, "-1e400": diagnosis.TimeInvalid, "1e300": diagnosis.TimeInvalid, "99999999999999999999": diagnosis.TimeInvalid,
		"1795522200000": diagnosis.TimeInMS, "1795522200000.5": diagnosis.TimeInMS, "1795522200000000": diagnosis.TimeInvalid, "253402300799": "", "1000": diagnosis.Expired, "1e-5": diagnosis.Expired, "1.5": diagnosis.Expired,
		"1795522200.75": "", "1.7955222e9": "", "1795522200.0": "", "1795522200e0": "", "9999999999": "",
	} {
		times("exp "+map[bool]string{true: "missing", false: value}[value == ""], "exp="+value, id)
	}
	for _, tt := range []struct {
		claim   string
		seconds int64
		leeway  int
		id      diagnosis.ID
	}{
		{"exp", 1, 0, ""},
		{"exp", 0, 0, diagnosis.Expired},
		{"exp", -1, 0, diagnosis.Expired},
		{"exp", -86400, 0, diagnosis.Expired},
		{"exp", -29, 30, ""},
		{"exp", -30, 30, diagnosis.Expired},
		{"nbf", -1, 0, ""},
		{"nbf", 0, 0, ""},
		{"nbf", 60, 0, ""},
		{"nbf", 61, 0, diagnosis.ClockSkew},
		{"nbf", 300, 0, diagnosis.ClockSkew},
		{"nbf", 301, 0, diagnosis.NotYetValid},
		{"nbf", 100, 120, ""},
		{"nbf", 11, 10, diagnosis.ClockSkew},
		{"iat", 0, 0, ""},
		{"iat", 60, 0, ""},
		{"iat", 61, 0, diagnosis.ClockSkew},
		{"iat", 300, 0, diagnosis.ClockSkew},
		{"iat", 301, 0, diagnosis.IatInFuture},
		{"iat", 100, 120, ""},
		{"iat", 121, 120, diagnosis.ClockSkew},
	} {
		name := fmt.Sprintf("%s %+d s", tt.claim, tt.seconds)
		if tt.leeway > 0 {
			name += fmt.Sprintf(", leeway %d s", tt.leeway)
		}
		times(name, fmt.Sprintf("%s=%d", tt.claim, at+tt.seconds), tt.id, corpusOptions{LeewaySeconds: tt.leeway})
	}
	times("exp half a second ahead", fmt.Sprintf("exp=%d.5", at), "")
	for _, name := range []string{"nbf", "iat"} {
		for _, value := range []string{"null", "0", "-1", `"1795521600"`, "false", "[]", "1e400"} {
			times(name+" "+value, name+"="+value, diagnosis.TimeInvalid)
		}
		times(name+" in milliseconds", name+"=1795521540000", diagnosis.TimeInMS)
		times(name+" missing", name+"=", "")
	}
}

// parties makes tokens with other issuers, audiences and clients.
func (f *forge) parties() {
	f.begin("parties", "issuer, audience, client and the claims that are required")
	claim := func(change string, id diagnosis.ID, o ...corpusOptions) {
		name := change
		if strings.HasSuffix(change, "=") {
			name += "missing"
		}
		if len(o) > 0 {
			name += fmt.Sprintf(" %+v", o[0])
		}
		f.add(name, "main.json", f.es256(claimsText(keycloak, change)), id, o...)
	}
	for value, id := range map[string]diagnosis.ID{
		`"` + realm + `"`: "", `"https:\/\/auth.example.com\u002frealms\/acme"`: "", "": diagnosis.IssMissing, `"` + realm + `/"`: diagnosis.IssSlash,
		`"http://auth.example.com/realms/acme"`: diagnosis.IssHost, `"http://localhost:8080/realms/acme"`: diagnosis.IssHost, `"https://auth.example.com:8443/realms/acme"`: diagnosis.IssHost, `"https://auth.forger.example/realms/acme"`: diagnosis.IssHost,
		`"https://auth.example.com/realms/other"`: diagnosis.IssMismatch, `"https://auth.example.com/realms/Acme"`: diagnosis.IssMismatch, `"https://auth.example.com/realms/acme.forger.example"`: diagnosis.IssMismatch, `"https://auth.example.com"`: diagnosis.IssMismatch,
		`"https://forger.example"`: diagnosis.IssMismatch, `" ` + realm + `"`: diagnosis.IssMismatch, `"` + realm + ` "`: diagnosis.IssMismatch, `"` + realm + `\u0000"`: diagnosis.IssMismatch, `"` + realm + `?x"`: diagnosis.IssMismatch, `""`: diagnosis.IssMismatch,
		"null": diagnosis.ClaimInvalid, "1": diagnosis.ClaimInvalid, `["` + realm + `"]`: diagnosis.ClaimInvalid, "{}": diagnosis.ClaimInvalid, "true": diagnosis.ClaimInvalid,
	} {
		claim("iss="+value, id)
	}
	for value, id := range map[string]diagnosis.ID{
		`"https://api.example.com"`: "", `["x","https://api.example.com"]`: "", `["https:\/\/api.example.com"]`: "", "": diagnosis.KCAudAccount,
		`"https://other.example.com"`: diagnosis.AudMismatch, `["a","b"]`: diagnosis.AudMismatch, "[]": diagnosis.KCAudAccount, `""`: diagnosis.AudMismatch, `"https://api.example.com/"`: diagnosis.AudSlash, `"https://API.example.com"`: diagnosis.AudMismatch,
		`"https://api.example.com.forger.example"`: diagnosis.AudMismatch, `"https://api.example.co"`: diagnosis.AudMismatch, `"https://api.example.com https://other.example.com"`: diagnosis.AudMismatch, `"*"`: diagnosis.AudMismatch,
		"1": diagnosis.AudInvalid, "null": diagnosis.AudInvalid, `{"https://api.example.com":true}`: diagnosis.AudInvalid, `["https://api.example.com",1]`: diagnosis.AudInvalid, `["https://api.example.com",null]`: diagnosis.AudInvalid, `[["https://api.example.com"]]`: diagnosis.AudInvalid, "true": diagnosis.AudInvalid,
	} {
		claim("aud="+value, id)
	}
	elsewhere := corpusOptions{Issuer: "https://auth.example.com"}
	for _, aud := range []string{"aud=", "aud=[]"} {
		f.add(aud+" elsewhere", "main.json", f.es256(claimsText(keycloak, aud, `iss="https://auth.example.com"`)), diagnosis.AudMissing, elsewhere)
	}
	two := corpusOptions{Audience: []string{"https://new.example.com", audience}}
	claim(`aud="https://new.example.com"`, "", two)
	claim(`aud="https://old.example.com"`, diagnosis.AudMismatch, two)
	skip := corpusOptions{SkipAudience: true, ClientIDs: []string{"web"}}
	claim("aud=", "", skip)
	claim(`client_id="other"`, diagnosis.ClaimInvalid, skip)
	claim(`client_id=1`, "", skip)
	only := corpusOptions{ClientIDs: []string{"cli", "web"}}
	claim("client_id=", "", only)
	claim(`azp="other"`, "", only)
	claim(`client_id="forger"`, diagnosis.ClaimInvalid, only)
	required := corpusOptions{Require: []string{"realm_access.roles", "sid"}}
	claim(`sid="1"`, "", required)
	claim("sid=", diagnosis.ClaimMissing, required)
	claim("realm_access={}", diagnosis.ClaimMissing, required)
	for _, name := range []string{"sub", "client_id", "jti", "iat"} {
		claim(name+"=", map[bool]diagnosis.ID{true: diagnosis.ClaimMissing, false: diagnosis.ClaimMissing}[true], corpusOptions{RFC9068: true})
	}
	claim(`jti="1"`, "", corpusOptions{RFC9068: true})
}

// kinds makes JWTs of other kinds, signed with the same key.
func (f *forge) kinds() {
	f.begin("kinds", "typ and what it says of the kind of token")
	typ := func(typ string, id diagnosis.ID, o ...corpusOptions) {
		name := "typ " + typ
		if len(o) > 0 {
			name += fmt.Sprintf(" %v %v", o[0].Types, o[0].RFC9068)
		}
		f.add(name, "main.json", f.jwt("ES256", "ec", `{"alg":"ES256","kid":"ec-1","typ":"`+typ+`"}`, claimsText(keycloak)), id, o...)
	}
	for _, good := range []string{"JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "", "vnd.acme.session", "JOSE", "jose", "application/jwt", "application/okta-internal-at+jwt", "acme+at+jwt"} {
		typ(good, "")
	}
	for _, other := range []string{
		"vnd.acme.session+jwt", "acme-invite+jwt", "eat+jwt", "at+jwt; charset=utf-8", " at+jwt", "logout+jwt; charset=utf-8", "\\tlogout+jwt", "application/application/logout+jwt", "application/application/at+jwt",
		"JWT ", "text/jwt", "token-introspection+jwt", "oauth-authz-req+jwt", "kb+jwt", "dc+sd-jwt", "entity-statement+jwt", "vc+ld+json",
		"dpop+jwt", "DPoP+JWT", "application/dpop+jwt", "Application/DPOP+JWT", "logout+jwt", "application/logout+jwt", "statuslist+jwt", "application/statuslist+jwt", "secevent+jwt", "application/secevent+jwt",
	} {
		typ(other, diagnosis.TypRefused)
	}
	exact := corpusOptions{Types: []string{"at+jwt"}}
	typ("application/at+jwt", "", exact)
	typ("JWT", diagnosis.TypRefused, exact)
	typ("at+jwt2", diagnosis.TypRefused, exact)
	typ("dpop+jwt", "", corpusOptions{Types: []string{"dpop+jwt"}})
	typ("at+jwt", "", corpusOptions{RFC9068: true})
	typ("JWT", diagnosis.TypRefused, corpusOptions{RFC9068: true})
	typ("", diagnosis.TypRefused, corpusOptions{RFC9068: true})
	f.add("no typ", "main.json", f.jwt("ES256", "ec", `{"alg":"ES256","kid":"ec-1"}`, claimsText(keycloak)), "")
	f.add("no typ, exact", "main.json", f.jwt("ES256", "ec", `{"alg":"ES256","kid":"ec-1"}`, claimsText(keycloak)), diagnosis.TypRefused, exact)
	f.add("ID token of another client", "main.json", f.jwt("ES256", "ec", `{"alg":"ES256","kid":"ec-1","typ":"JWT"}`, claimsText(keycloak, `aud="web"`, `nonce="n-0S6_WzA2Mj"`, `at_hash="77QmUPtjPfzWtF2AnpK9RQ"`, "scope=")), diagnosis.IDTokenAsAccess)
	f.add("ID token of Cognito", "main.json", f.jwt("ES256", "ec", `{"alg":"ES256","kid":"ec-1"}`, claimsText(keycloak, `aud="57cbishk"`, `token_use="id"`)), diagnosis.IDTokenAsAccess)
	f.add("a security event without typ", "main.json", f.jwt("ES256", "ec", `{"alg":"ES256","kid":"ec-1"}`, claimsText(keycloak, "exp=", `events={"https://schemas.openid.net/secevent/caep/event-type/session-revoked":{}}`)), diagnosis.TypRefused)
	for name, change := range map[string]string{"token_use": `token_use="id"`, "c_hash": `c_hash="x"`, "at_hash": `at_hash="x"`, "typ ID": `typ="ID"`} {
		f.add("ID token for this audience, "+name, "main.json", f.jwt("ES256", "ec", `{"alg":"ES256","kid":"ec-1","typ":"JWT"}`, claimsText(keycloak, change)), diagnosis.IDTokenAsAccess)
	}
	f.add("ID token for this audience, nonce", "main.json", f.jwt("ES256", "ec", `{"alg":"ES256","kid":"ec-1"}`, claimsText(keycloak, `nonce="n"`, "scope=", "typ=")), diagnosis.IDTokenAsAccess)
	uses := map[string]diagnosis.ID{"Refresh": diagnosis.RefreshTokenAsAccess, "Offline": diagnosis.RefreshTokenAsAccess, "Logout": diagnosis.TypRefused}
	for _, use := range []string{"Refresh", "Offline", "Logout"} {
		f.add("Keycloak's "+use, "main.json", f.jwt("ES256", "ec", `{"alg":"ES256","kid":"ec-1","typ":"JWT"}`, claimsText(keycloak, `typ="`+use+`"`)), uses[use])
	}
	f.add("a logout token without typ", "main.json", f.jwt("ES256", "ec", `{"alg":"ES256","kid":"ec-1"}`, claimsText(keycloak, `events={"http://schemas.openid.net/event/backchannel-logout":{}}`)), diagnosis.TypRefused)
	for name, changes := range map[string][]string{
		"nonce and a scope": {`nonce="n"`, "typ="}, "nonce and typ Bearer": {`nonce="n"`, `typ="Bearer"`, "scope="}, "typ Bearer": {`typ="Bearer"`},
		"typ DPoP": {`typ="DPoP"`}, "token_use access": {`token_use="access"`, "scope="},
	} {
		f.add("access token with "+name, "main.json", f.jwt("ES256", "ec", `{"alg":"ES256","kid":"ec-1"}`, claimsText(keycloak, changes...)), "")
	}
}
