package token_test

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

const (
	realm       = "https://auth.example.com/realms/acme"
	usualHeader = `{"alg":"ES256","kid":"ec-1","typ":"at+jwt"}`
	// corpusSecret is 64 bytes, enough for each HS algorithm.
	corpusSecret = "corpus-secret-of-64-bytes-for-HS256-HS384-HS512-never-use-it-ok!"
)

// keycloak has the claims that most cases start from.
var keycloak = []string{
	`iss="` + realm + `"`, `aud=["https://api.example.com","account"]`, `sub="6f0d8f6c-2d2e-4d0a-9a0e-0d9c3f2b7a11"`,
	`exp=1795522200`, `iat=1795521540`, `auth_time=1795521000`, `jti="onrtac:7d3f3a52-3f0e-4b5e-8d0a-f1c5d4a7e2b9"`, `typ="Bearer"`,
	`azp="web"`, `client_id="web"`, `sid="0c9a2f6e"`, `acr="1"`, `allowed-origins=["https://app.example.com"]`,
	`realm_access={"roles":["offline_access","uma_authorization"]}`, `resource_access={"account":{"roles":["view-profile"]}}`,
	`scope="openid profile items:read"`, `email_verified=true`, `preferred_username="alice"`,
}

// allGroups makes all cases of the corpus.
func (f *forge) allGroups() {
	f.keySets()
	f.vendors()
	f.structure()
	f.encoding()
	f.limits()
	f.header()
	f.trust()
	f.algorithm()
	f.keyRules()
	f.keyChoice()
	f.signature()
	f.payload()
	f.times()
	f.parties()
	f.kinds()
}

func (f *forge) keySets() {
	main := []any{f.jwk("rsa", nil), f.jwk("ec", nil), f.jwk("ec-384", nil), f.jwk("ec-521", nil), f.jwk("ed", nil)}
	f.set("main.json", main...)
	f.set("ec.json", f.jwk("ec", nil))
	f.set("bare.json", f.jwk("ec", map[string]any{"kid": nil, "use": nil}))
	f.set("empty.json")
	f.files["hs.secret"] = corpusSecret
	f.files["ec.pem"] = f.pem("ec")
}

// vendors makes tokens as well-known servers issue them: the positive controls.
func (f *forge) vendors() {
	f.begin("vendors", "good tokens as well-known servers write them, and in every algorithm")
	good := func(name, typ string, claims []string, o corpusOptions) {
		header := `{"alg":"RS256","kid":"rsa-1","typ":` + typ + `}`
		f.add(name, "main.json", f.jwt("RS256", "rsa", header, claimsText(claims, "exp=1795522200", "iat=1795521540")), "", o)
	}
	good("Keycloak", `"JWT"`, keycloak, corpusOptions{})
	good("Auth0", `"JWT"`, []string{
		`iss="https://acme.eu.auth0.com/"`, `sub="auth0|65f1c0ffee0ddba11"`, `aud=["https://api.example.com","https://acme.eu.auth0.com/userinfo"]`,
		`azp="q8VnLxT4oY"`, `scope="openid email items:read"`, `permissions=["items:read"]`, `gty="password"`, `https://example.com/roles=["admin"]`,
	}, corpusOptions{Issuer: "https://acme.eu.auth0.com/"})
	const entra = "https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0"
	good("Entra ID", `"JWT"`, []string{
		`aud="6e74172b-be56-4843-9ff4-e66a39bb12e3"`, `iss="` + entra + `"`, `nbf=1795521540`, `aio="E2NgYFBbWPqyqk1"`, `azp="de8bc8b5-d9f9-48b1-a8ad-b748da725064"`, `azpacr="1"`,
		`name="Alice Example"`, `oid="690222be-ff1a-4d56-abd1-7e4f7d38e474"`, `rh="0.AAAA"`, `scp="access_as_user"`, `sub="HKZpfaHyWadeOouYlitjrI"`, `tid="72f988bf-86f1-41af-91ab-2d7cd011db47"`, `uti="fqiBqXLPj0eQa82S"`, `ver="2.0"`,
	}, corpusOptions{Issuer: entra, Audience: []string{"6e74172b-be56-4843-9ff4-e66a39bb12e3"}})
	good("Okta", `"JWT"`, []string{
		`ver=1`, `jti="AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE"`, `iss="https://acme.okta.com/oauth2/default"`, `aud="api://default"`, `cid="0oa1"`, `uid="00u1"`, `scp=["openid","items:read"]`, `sub="alice@example.com"`,
	}, corpusOptions{Issuer: "https://acme.okta.com/oauth2/default", Audience: []string{"api://default"}})
	cognito := []string{
		`sub="aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"`, `device_key="us-east-1_d"`, `cognito:groups=["admin"]`, `token_use="access"`, `scope="aws.cognito.signin.user.admin"`, `auth_time=1795521540`,
		`iss="https://cognito-idp.us-east-1.amazonaws.com/us-east-1_example"`, `version=2`, `jti="a1"`, `client_id="57cbishk4j24pabc1234567890"`, `username="alice"`,
	}
	const pool = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_example"
	good("Cognito, which has no aud", `"JWT"`, cognito, corpusOptions{Issuer: pool, SkipAudience: true, ClientIDs: []string{"57cbishk4j24pabc1234567890"}})
	good("RFC 9068", `"at+jwt"`, []string{`iss="` + realm + `"`, `sub="5ba552d67"`, `aud="https://api.example.com"`, `jti="dbe39bf3a3ba4238a513f51d6e1691c4"`, `client_id="s6BhdRkqt3"`, `scope="openid profile reademail"`}, corpusOptions{RFC9068: true})
	good("Zitadel", `"at+jwt"`, []string{`iss="https://acme.zitadel.cloud"`, `sub="170848145649959169"`, `aud=["165467338479501569@web","https://api.example.com"]`, `nbf=1795521540`, `jti="170"`, `urn:zitadel:iam:org:project:roles={"admin":{"1701":"acme.zitadel.cloud"}}`}, corpusOptions{Issuer: "https://acme.zitadel.cloud"})
	good("GitHub Actions", `"JWT"`, []string{
		`jti="example-id"`, `sub="repo:octo-org/octo-repo:environment:prod"`, `aud="https://api.example.com"`, `ref="refs/heads/main"`, `repository="octo-org/octo-repo"`, `run_id="example-run-id"`, `iss="https://token.actions.githubusercontent.com"`, `nbf=1795521540`,
	}, corpusOptions{Issuer: "https://token.actions.githubusercontent.com"})
	f.add("an ID token for this very audience", "main.json", f.jwt("RS256", "rsa", `{"alg":"RS256","kid":"rsa-1","typ":"JWT"}`,
		claimsText(append([]string{`nonce="n-0S6_WzA2Mj"`, `at_hash="77QmUPtjPfzWtF2AnpK9RQ"`}, keycloak...), "exp=1795522200", "iat=1795521540")), diagnosis.IDTokenAsAccess)
	for _, a := range [][2]string{
		{"RS256", "rsa"},
		{"RS384", "rsa"},
		{"RS512", "rsa"},
		{"PS256", "rsa"},
		{"PS384", "rsa"},
		{"PS512", "rsa"},
		{"ES256", "ec"},
		{"ES384", "ec-384"},
		{"ES512", "ec-521"},
		{"EdDSA", "ed"},
		{"Ed25519", "ed"},
	} {
		f.add(a[0], "main.json", f.jwt(a[0], a[1], fmt.Sprintf(`{"alg":%q,"kid":"%s-1"}`, a[0], a[1]), claimsText(keycloak)), "")
	}
	for _, alg := range []string{"HS256", "HS384", "HS512"} {
		f.add(alg, "hs.secret", f.jwt(alg, corpusSecret, `{"alg":"`+alg+`","typ":"JWT"}`, claimsText(keycloak)), "")
	}
	f.add("a key as PEM", "ec.pem", f.es256(claimsText(keycloak)), "")
}

func (f *forge) structure() {
	f.begin("structure", "strings that are no JWT in compact form")
	good := f.es256(claimsText(keycloak))
	p := strings.Split(good, ".")
	bad := func(name, raw string, id diagnosis.ID) { f.add(name, "main.json", raw, id) }
	bad("positive control", good, "")
	bad("nothing", "", diagnosis.TokenMissing)
	bad("one word", "2YotnFZFEjr1zCsicMWpAA", diagnosis.OpaqueToken)
	bad("a UUID", "7d3f3a52-3f0e-4b5e-8d0a-f1c5d4a7e2b9", diagnosis.OpaqueToken)
	bad("Google", "ya29.a0AfH6SMBx2J7Zq", diagnosis.OpaqueGoogle)
	bad("GitHub, OAuth app", "gho_16C7e42F292c6912E7710c838347Ae178B4a", diagnosis.OpaqueGitHub)
	bad("GitHub, app on behalf of a user", "ghu_16C7e42F292c6912E7710c838347Ae178B4a", diagnosis.OpaqueGitHub)
	bad("GitHub, app with dots", "ghs_16C7e42F.292c6912.E7710c83", diagnosis.OpaqueGitHub)
	bad("GitHub, personal", "github_pat_11AAAAAAA0_abc", diagnosis.OpaqueGitHub)
	bad("one part", p[0], diagnosis.OpaqueToken)
	bad("two parts", p[0]+"."+p[1], diagnosis.Malformed)
	bad("four parts", good+"."+p[2], diagnosis.Malformed)
	bad("six parts", good+".a.b.c", diagnosis.Malformed)
	bad("a dot before", "."+good, diagnosis.Malformed)
	bad("a dot after", good+".", diagnosis.Malformed)
	bad("dots only", "..", diagnosis.HeaderInvalid)
	bad("JWE", part(`{"alg":"RSA-OAEP","enc":"A256GCM"}`)+".OKOawDo13gRp2ojaHV7LFpZcgV7T6DVZKTyKOMTYUmKoTCVJRgckCL9kiMT03JGe.48V1_ALb6US04U3b.5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX_EFShS8iB7j6ji.XFBoMYUZodetZdvTiFvSkQ", diagnosis.TokenEncrypted)
	bad("JWE, compressed, with PBES2", part(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","zip":"DEF","p2c":2147483647,"p2s":"AAAA"}`)+".AAAA.AAAA.AAAA.AAAA", diagnosis.TokenEncrypted)
	bad("Auth0 for its own userinfo", part(`{"alg":"dir","enc":"A256GCM","iss":"https://acme.eu.auth0.com/"}`)+"..48V1_ALb6US04U3b.5eym8TW_c8SuK0lt.XFBoMYUZodetZdvT", diagnosis.OpaqueAuth0)
	bad("JSON serialization", `{"payload":"`+p[1]+`","protected":"`+p[0]+`","signature":"`+p[2]+`"}`, diagnosis.FormatUnsupported)
	bad("JSON serialization, general", `{"payload":"`+p[1]+`","signatures":[{"protected":"`+p[0]+`","signature":"`+p[2]+`"}]}`, diagnosis.FormatUnsupported)
	bad("JWE in JSON form", `{"protected":"x","ciphertext":"y"}`, diagnosis.FormatUnsupported)
	bad("SD-JWT", good+"~WyJhIiwiYiIsImMiXQ~", diagnosis.FormatUnsupported)
	bad("SD-JWT with key binding", good+"~WyJhIiwiYiIsImMiXQ~"+good, diagnosis.FormatUnsupported)
	bad("PASETO", "v4.public.eyJkYXRhIjoidGhpcyJ9MTIz", diagnosis.FormatUnsupported)
	bad("PASETO with a footer", "v2.local.AAAA.BBBB", diagnosis.FormatUnsupported)
	bad("AWS load balancer", base64.URLEncoding.EncodeToString([]byte(`{"alg":"ES256","signer":"arn:aws:elasticloadbalancing:eu-west-1:1:xy"}`))+"."+p[1]+"."+p[2], diagnosis.FormatUnsupported)
	bad("Hydra", "ory_at_3Xa9.kZ1", diagnosis.OpaqueToken)
	bad("GitLab, routable", "glpat-bWFk.01.120abc", diagnosis.OpaqueToken)
	bad("SendGrid", "SG.abc.def", diagnosis.OpaqueToken)
	bad("a token response as a form", "access_token="+good+"&id_token="+good, diagnosis.Malformed)
	bad("a token response", `{"access_token":"`+good+`","token_type":"Bearer"}`, diagnosis.Malformed)
	bad("a cookie", "session="+good, diagnosis.Malformed)
	bad("twice", good+good, diagnosis.Malformed)
	bad("two lines", good+"\n"+good, diagnosis.Malformed)
	bad("no signature", p[0]+"."+p[1]+".", diagnosis.SignatureInvalid)
	bad("no payload", p[0]+".."+f.seal("ES256", "ec", p[0]+"."), diagnosis.PayloadInvalid)
	bad("no header", "."+p[1]+"."+p[2], diagnosis.HeaderInvalid)
	bad("with its scheme", "Bearer "+good, diagnosis.Malformed)
	bad("in quotes", `"`+good+`"`, diagnosis.Malformed)
	bad("in angle brackets", "<"+good+">", diagnosis.Malformed)
	bad("with a comma", good+",", diagnosis.Malformed)
	bad("percent-encoded dots", strings.ReplaceAll(good, ".", "%2E"), diagnosis.OpaqueToken)
	bad("a NUL after", good+"\x00", diagnosis.Malformed)
	bad("full-width dots", strings.ReplaceAll(good, ".", "．"), diagnosis.OpaqueToken)
}

// encoding makes tokens with one error in the encoding each, all correctly
// signed, so that the error is the only reason to refuse them.
func (f *forge) encoding() {
	f.begin("encoding", "base64url that another reader would repair; header and payload are signed as they stand")
	head, body := part(usualHeader), part(claimsText(keycloak))
	signed := func(name, head, body string) {
		f.add(name, "main.json", head+"."+body+"."+f.seal("ES256", "ec", head+"."+body), diagnosis.Malformed)
	}
	good := head + "." + body + "." + f.seal("ES256", "ec", head+"."+body)
	f.add("positive control", "main.json", good, "")
	padded := func(text string) string { return base64.URLEncoding.EncodeToString([]byte(text)) }
	unpadded := usualHeader + strings.Repeat(" ", (3-len(usualHeader)%3)%3+1)
	signed("padding in the header", padded(unpadded), body)
	claims := claimsText(keycloak)
	claims += strings.Repeat(" ", (3-len(claims)%3)%3+1)
	signed("padding in the payload", head, padded(claims))
	f.add("padding in the signature", "main.json", good+"==", diagnosis.Malformed)
	signed("white space in the header", head[:8]+" "+head[8:], body)
	signed("white space in the payload", head, body[:8]+"\t"+body[8:])
	f.add("white space in the signature", "main.json", good[:len(good)-8]+" "+good[len(good)-8:], diagnosis.Malformed)
	signed("line break in the header", head[:8]+"\n"+head[8:], body)
	signed("line break in the payload", head, body[:64]+"\r\n"+body[64:])
	f.add("line break in the signature", "main.json", good[:len(good)-8]+"\n"+good[len(good)-8:], diagnosis.Malformed)
	f.add("space before", "main.json", " "+good, diagnosis.Malformed)
	f.add("space after", "main.json", good+" ", diagnosis.Malformed)
	f.add("line break after", "main.json", good+"\n", diagnosis.Malformed)
	f.add("carriage return and line break after", "main.json", good+"\r\n", diagnosis.Malformed)
	foreign := strings.NewReplacer("-", "+", "_", "/")
	odd := part(`{"alg":"ES256","kid":"ec-1","x":"~~~???"}`)
	f.add("the URL alphabet is the right one", "main.json", odd+"."+body+"."+f.seal("ES256", "ec", odd+"."+body), "")
	signed("another alphabet in the header", foreign.Replace(odd), body)
	oddBody := part(claimsText(keycloak, `name="~~~???>>>ü"`))
	signed("another alphabet in the payload", head, foreign.Replace(oddBody))
	for i := range 100 {
		// A signature that contains letters in which the alphabets differ.
		raw := f.es256(claimsText(keycloak, fmt.Sprintf(`jti="%d"`, i)))
		at := strings.LastIndexByte(raw, '.')
		if changed := raw[:at] + foreign.Replace(raw[at:]); changed != raw {
			f.add("another alphabet in the signature", "main.json", changed, diagnosis.Malformed)
			break
		}
	}
	f.add("spare bits in the signature", "main.json", good[:len(good)-1]+string(spare(good[len(good)-1], 4)), diagnosis.Malformed)
	one := part(usualHeader + strings.Repeat(" ", (4-len(usualHeader)%3)%3))
	signed("spare bits in the header", one[:len(one)-1]+string(spare(one[len(one)-1], 4)), body)
	two := part(claims)
	signed("spare bits in the payload", head, two[:len(two)-1]+string(spare(two[len(two)-1], 4)))
	signed("a length that base64 cannot have", head, body[:len(body)-len(body)%4]+"A")
	signed("letters beyond ASCII", head, body+"é")
	signed("a NUL inside", head, body[:8]+"\x00"+body[8:])
}

// spare sets the lowest of the bits that the last letter of base64url leaves
// unused.
func spare(letter byte, _ int) byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[strings.IndexByte(alphabet, letter)|1]
}

func (f *forge) limits() {
	f.begin("limits", "tokens of 64 KiB with headers of 8 KiB, and beyond")
	sized := func(headerBytes, tokenBytes int) string {
		header := `{"alg":"ES256","kid":"ec-1","x":"`
		header += strings.Repeat("h", headerBytes-len(header)-2) + `"}`
		head := part(header)
		if tokenBytes == 0 {
			return f.jwt("ES256", "ec", header, claimsText(keycloak))
		}
		room := (tokenBytes - len(head) - 1 - 1 - 86) * 3 / 4
		base := claimsText(keycloak, `groups="`)
		body := base[:len(base)-1] + strings.Repeat("g", room-len(base)-1) + `"}`
		raw := head + "." + part(body)
		raw += "." + f.seal("ES256", "ec", raw)
		if len(raw) != tokenBytes {
			f.t.Fatalf("a token of %d bytes, want %d", len(raw), tokenBytes)
		}
		return raw
	}
	f.add("a header of 8 KiB", "main.json", sized(8<<10, 0), "")
	f.add("a header of 8 KiB and a byte", "main.json", sized(8<<10+1, 0), diagnosis.TokenTooLarge)
	f.add("a token of 64 KiB", "main.json", sized(60, 64<<10), "")
	f.add("a token of 64 KiB and a byte", "main.json", sized(60, 64<<10)+"A", diagnosis.TokenTooLarge)
	repeated := func(name, text string, times int, id diagnosis.ID) {
		f.add(name, "main.json", text, id)
		g := f.groups[f.group]
		g.Cases[len(g.Cases)-1].Repeat = times
	}
	repeated("64 KiB of dots", ".", 64<<10, diagnosis.Malformed)
	repeated("a megabyte of dots", ".", 1<<20, diagnosis.TokenTooLarge)
	repeated("a megabyte of one word", "A", 1<<20, diagnosis.TokenTooLarge)
	repeated("a megabyte of JWE", "eyJ.", 1<<18, diagnosis.TokenTooLarge)
}

func (f *forge) header() {
	f.begin("header", "headers that demand more than is supported, or that two readers read differently; all signed")
	bad := func(name, header string, id diagnosis.ID) {
		f.add(name, "main.json", f.jwt("ES256", "ec", header, claimsText(keycloak)), id)
	}
	with := func(members string) string { return `{"alg":"ES256","kid":"ec-1",` + members + `}` }
	bad("positive control", usualHeader, "")
	bad("members nobody registered", with(`"x":{"y":[1,2]},"ver":"1"`), "")
	bad("b64 true", with(`"b64":true`), "")
	bad("white space in the JSON", " {\r\n\t\"alg\" : \"ES256\" , \"kid\":\"ec-1\" } ", "")
	bad("escapes in alg", `{"alg":"\u0045S256","kid":"ec\u002d1"}`, "")
	for name, members := range map[string]string{
		"crit unknown": `"crit":["http://example.com/UNDEFINED"],"http://example.com/UNDEFINED":true`, "crit names exp": `"crit":["exp"],"exp":1795522200`,
		"crit names what is missing": `"crit":["x"]`, "crit names alg": `"crit":["alg"]`, "crit empty": `"crit":[]`, "crit null": `"crit":null`,
		"crit a string": `"crit":"exp","exp":1`, "crit an object": `"crit":{}`, "crit twice the same": `"crit":["x","x"],"x":1`, "crit with an empty name": `"crit":[""],"":1`,
		"b64 false with crit": `"b64":false,"crit":["b64"]`, "b64 false alone": `"b64":false`, "b64 true with crit": `"b64":true,"crit":["b64"]`, "b64 null": `"b64":null`, "b64 a string": `"b64":"false"`,
	} {
		bad(name, with(members), diagnosis.CritUnsupported)
	}
	bad("alg twice", `{"alg":"none","alg":"ES256","kid":"ec-1"}`, diagnosis.DuplicateMember)
	bad("alg twice the same", `{"alg":"ES256","alg":"ES256","kid":"ec-1"}`, diagnosis.DuplicateMember)
	bad("kid twice", with(`"kid":"rsa-1"`), diagnosis.DuplicateMember)
	bad("typ twice by an escape", with(`"typ":"at+jwt","t\u0079p":"dpop+jwt"`), diagnosis.DuplicateMember)
	bad("a name twice inside jwk", with(`"jwk":{"kty":"EC","kty":"RSA"}`), diagnosis.DuplicateMember)
	bad("Alg next to alg", with(`"Alg":"none"`), diagnosis.MemberCase)
	bad("ALG instead of alg", `{"ALG":"ES256","kid":"ec-1"}`, diagnosis.MemberCase)
	bad("KID beside kid", with(`"KID":"rsa-1"`), diagnosis.MemberCase)
	bad("Crit", with(`"Crit":["exp"]`), diagnosis.MemberCase)
	bad("B64", with(`"B64":false`), diagnosis.MemberCase)
	for name, header := range map[string]string{
		"BOM": "\ufeff" + usualHeader, "trailing data": usualHeader + "{}", "trailing letter": usualHeader + "x", "a list": "[" + usualHeader + "]", "a string": `"ES256"`, "null": "null", "empty object": "{}",
		"invalid UTF-8": "{\"alg\":\"ES256\",\"kid\":\"ec-1\",\"x\":\"\xff\"}", "a lone surrogate": with(`"x":"\ud800"`), "depth 33": with(`"x":` + strings.Repeat("[", 32) + strings.Repeat("]", 32)), "cut off": usualHeader[:20],
		"a comment": `{/**/"alg":"ES256"}`, "a comma too many": `{"alg":"ES256","kid":"ec-1",}`, "single quotes": `{'alg':'ES256'}`, "alg missing": `{"kid":"ec-1"}`, "alg empty": `{"alg":"","kid":"ec-1"}`,
		"alg null": `{"alg":null,"kid":"ec-1"}`, "alg a number": `{"alg":256,"kid":"ec-1"}`, "alg a list": `{"alg":["ES256"],"kid":"ec-1"}`, "kid a number": `{"alg":"ES256","kid":1}`, "kid null": `{"alg":"ES256","kid":null}`,
		"kid an object": `{"alg":"ES256","kid":{}}`, "typ a number": with(`"typ":1`), "typ a list": with(`"typ":["at+jwt"]`), "a raw control character": with("\"x\":\"\x01\""), "UTF-16": "\xff\xfe{\x00",
	} {
		bad(name, header, diagnosis.HeaderInvalid)
	}
}

// trust makes headers that contain their own key. The refused tokens are signed
// by an attacker; next to each one is a token with the same header that the
// issuer signed.
func (f *forge) trust() {
	f.begin("trust", "headers that name or hold a key: none is followed or believed")
	key := string(f.marshal(f.jwk("ec-forger", map[string]any{"kid": nil})))
	for name, member := range map[string]string{
		"jwk": `"jwk":` + key, "jku": `"jku":"https://forger.example/jwks.json"`, "x5u": `"x5u":"https://forger.example/cert.pem"`,
		"x5c": `"x5c":["MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA"]`, "x5t": `"x5t":"qeR2lcyRHyvBKiq2gGWUFyzfSvQ"`,
	} {
		for kid, id := range map[string]diagnosis.ID{`"kid":"ec-1",`: diagnosis.SignatureInvalid, "": diagnosis.SignatureInvalid, `"kid":"forger-1",`: diagnosis.KidUnknown} {
			header := `{"alg":"ES256",` + kid + member + `}`
			f.add(strings.TrimSpace(name+" of the forger "+strings.Trim(kid, ",")), "main.json", f.jwt("ES256", "ec-forger", header, claimsText(keycloak)), id)
		}
		f.add(name+" ignored in a good token", "main.json", f.jwt("ES256", "ec", `{"alg":"ES256","kid":"ec-1",`+member+`}`, claimsText(keycloak)), "")
	}
	f.add("iss of the forger", "main.json", f.jwt("ES256", "ec-forger", usualHeader, claimsText(keycloak, `iss="https://forger.example"`)), diagnosis.SignatureInvalid)
}

func (f *forge) algorithm() {
	f.begin("algorithm", "algorithms that are none, unknown, confused or not allowed")
	claims := claimsText(keycloak)
	for _, alg := range []string{"none", "None", "NONE", "nOnE"} {
		head := part(`{"alg":"` + alg + `","kid":"ec-1","typ":"JWT"}`)
		f.add(alg, "main.json", head+"."+part(claims)+".", diagnosis.AlgNone)
		f.add(alg+" with a signature", "main.json", head+"."+part(claims)+"."+f.seal("ES256", "ec", head+"."+part(claims)), diagnosis.AlgNone)
	}
	for _, alg := range []string{"none ", "es256", "ES-256", "ES256K", "RS1", "RS255", "dir", "RSA-OAEP", "A256KW", "ML-DSA-44", "Ed448", "HS1", "../ES256"} {
		f.add("unknown "+alg, "main.json", f.jwt("ES256", "ec", `{"alg":"`+alg+`","kid":"ec-1"}`, claims), diagnosis.AlgUnsupported)
	}
	f.add("Keycloak's refresh token", "main.json", f.jwt("HS256", "other", `{"alg":"HS256","kid":"hs-1"}`, claimsText(keycloak, `typ="Refresh"`)), diagnosis.RefreshTokenAsAccess)
	hs := func(name, alg, kid, secret, keys string, id diagnosis.ID) {
		f.add(name, keys, f.jwt(alg, secret, `{"alg":"`+alg+`"`+kid+`}`, claims), id)
	}
	hs("HS256 with the public key's PEM", "HS256", `,"kid":"rsa-1"`, f.pem("rsa"), "main.json", diagnosis.HSTokenNoSecret)
	hs("HS256 with the public key's PEM, no kid", "HS256", "", f.pem("ec"), "main.json", diagnosis.HSTokenNoSecret)
	hs("HS512 with the modulus", "HS512", `,"kid":"rsa-1"`, f.keys["rsa"].Public().(*rsa.PublicKey).N.String(), "main.json", diagnosis.HSTokenNoSecret)
	hs("HS256 with the PEM that is configured", "HS256", "", f.pem("ec"), "ec.pem", diagnosis.HSTokenNoSecret)
	hs("HS256 with an empty secret", "HS256", "", "", "main.json", diagnosis.HSTokenNoSecret)
	hs("HS256 with an empty secret against a secret", "HS256", "", "", "hs.secret", diagnosis.SignatureInvalid)
	hs("HS256 with another secret", "HS256", "", "secret", "hs.secret", diagnosis.SignatureInvalid)
	symmetric := f.set("oct.json", map[string]any{"kty": "oct", "kid": "hs-1", "k": base64.RawURLEncoding.EncodeToString([]byte(corpusSecret))}, f.jwk("ec", nil))
	hs("HS256 with a secret in a key set", "HS256", `,"kid":"hs-1"`, corpusSecret, symmetric, diagnosis.HSTokenNoSecret)
	f.add("the key beside a secret works", symmetric, f.es256(claims), "")
	f.files["hs-40.secret"], f.files["hs-16.secret"] = corpusSecret[:40], corpusSecret[:16]
	hs("a secret long enough for HS256", "HS256", "", corpusSecret[:40], "hs-40.secret", "")
	hs("a secret too short for HS384", "HS384", "", corpusSecret[:40], "hs-40.secret", diagnosis.AlgMismatch)
	hs("a secret too short for HS512", "HS512", "", corpusSecret[:40], "hs-40.secret", diagnosis.AlgMismatch)
	hs("a secret too short for any", "HS256", "", corpusSecret[:16], "hs-16.secret", diagnosis.KeyRefused)
	f.add("RS256 against a secret", "hs.secret", f.jwt("RS256", "rsa", `{"alg":"RS256"}`, claims), diagnosis.AlgMismatch)
	for _, a := range [][3]string{
		{"ES256", "ec", "rsa-1"}, {"RS256", "rsa", "ec-1"}, {"ES384", "ec-384", "ec-1"}, {"ES256", "ec", "ec-384-1"}, {"ES512", "ec-521", "ec-384-1"}, {"EdDSA", "ed", "ec-1"}, {"ES256", "ec", "ed-1"}, {"PS256", "rsa", "ec-1"},
	} {
		f.add(a[0]+" with the kid "+a[2], "main.json", f.jwt(a[0], a[1], `{"alg":"`+a[0]+`","kid":"`+a[2]+`"}`, claims), diagnosis.AlgMismatch)
	}
	named := f.set("rs256.json", f.jwk("rsa", map[string]any{"alg": "RS256"}))
	for alg, id := range map[string]diagnosis.ID{"RS256": "", "RS384": diagnosis.AlgMismatch, "PS256": diagnosis.AlgMismatch} {
		f.add(alg+" with a JWK of RS256", named, f.jwt(alg, "rsa", `{"alg":"`+alg+`","kid":"rsa-1"}`, claims), id)
		f.add(alg+" with a JWK of RS256, no kid", named, f.jwt(alg, "rsa", `{"alg":"`+alg+`"}`, claims), id)
	}
	for _, alg := range []string{"EdDSA", "Ed25519"} {
		keys := f.set("ed-"+strings.ToLower(alg)+".json", f.jwk("ed", map[string]any{"alg": alg}))
		for _, other := range []string{"EdDSA", "Ed25519"} {
			f.add(other+" with a JWK of "+alg, keys, f.jwt(other, "ed", `{"alg":"`+other+`","kid":"ed-1"}`, claims), "")
		}
	}
	for alg, id := range map[string]diagnosis.ID{"ES256": diagnosis.AlgNotAllowed, "RS256": "", "PS256": ""} {
		key := map[bool]string{true: "ec", false: "rsa"}[alg == "ES256"]
		f.add(alg+" where RS256 and PS256 are allowed", "main.json", f.jwt(alg, key, `{"alg":"`+alg+`","kid":"`+key+`-1"}`, claims), id, corpusOptions{Algorithms: []string{"RS256", "PS256"}})
	}
}

func (f *forge) keyRules() {
	f.begin("keys", "keys that are too weak, malformed or not for signatures; the tokens are signed with them")
	claims := claimsText(keycloak)
	es, rs := f.es256(claims), f.jwt("RS256", "rsa", `{"alg":"RS256","kid":"rsa-1"}`, claims)
	point := f.keys["ec"].Public().(*ecdsa.PublicKey)
	raw, err := point.Bytes()
	if err != nil {
		f.t.Fatal(err)
	}
	off := base64.RawURLEncoding.EncodeToString(new(big.Int).Xor(new(big.Int).SetBytes(raw[33:]), big.NewInt(1)).FillBytes(make([]byte, 32)))
	large := base64.RawURLEncoding.EncodeToString(new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 16383), big.NewInt(1)).Bytes())
	for name, k := range map[string]struct {
		key    string
		change map[string]any
		raw    string
		id     diagnosis.ID
	}{
		"good-ec":          {"ec", nil, es, ""},
		"good-rsa":         {"rsa", nil, rs, ""},
		"no-use":           {"ec", map[string]any{"use": nil}, es, ""},
		"key-ops-verify":   {"ec", map[string]any{"use": nil, "key_ops": []string{"verify"}}, es, ""},
		"e-3":              {"rsa", map[string]any{"e": "Aw"}, rs, diagnosis.SignatureInvalid},
		"use-enc":          {"ec", map[string]any{"use": "enc"}, es, diagnosis.KeyRefused},
		"use-unknown":      {"ec", map[string]any{"use": "x"}, es, diagnosis.KeyRefused},
		"key-ops-encrypt":  {"ec", map[string]any{"use": nil, "key_ops": []string{"encrypt", "wrapKey"}}, es, diagnosis.KeyRefused},
		"key-ops-sign":     {"ec", map[string]any{"use": nil, "key_ops": []string{"sign"}}, es, diagnosis.KeyRefused},
		"key-ops-empty":    {"ec", map[string]any{"use": nil, "key_ops": []string{}}, es, diagnosis.KeyRefused},
		"rsa-1024":         {"rsa-1024", nil, f.jwt("RS256", "rsa-1024", `{"alg":"RS256","kid":"rsa-1024-1"}`, claims), diagnosis.KeyRefused},
		"rsa-16384":        {"rsa", map[string]any{"n": large}, rs, diagnosis.KeyRefused},
		"e-1":              {"rsa", map[string]any{"e": "AQ"}, f.unitExponent(claims), diagnosis.KeyRefused},
		"e-even":           {"rsa", map[string]any{"e": "AQAA"}, rs, diagnosis.KeyRefused},
		"e-0":              {"rsa", map[string]any{"e": "AA"}, rs, diagnosis.KeyRefused},
		"e-large":          {"rsa", map[string]any{"e": "AQAAAAAB"}, rs, diagnosis.KeyRefused},
		"n-missing":        {"rsa", map[string]any{"n": nil}, rs, diagnosis.KeyRefused},
		"off-curve":        {"ec", map[string]any{"y": off}, es, diagnosis.KeyRefused},
		"point-zero":       {"ec", map[string]any{"x": strings.Repeat("A", 43), "y": strings.Repeat("A", 43)}, es, diagnosis.KeyRefused},
		"another-curve":    {"ec", map[string]any{"crv": "P-384"}, es, diagnosis.KeyRefused},
		"secp256k1":        {"ec", map[string]any{"crv": "secp256k1"}, es, diagnosis.KeyRefused},
		"x25519":           {"ed", map[string]any{"crv": "X25519"}, f.jwt("EdDSA", "ed", `{"alg":"EdDSA","kid":"ed-1"}`, claims), diagnosis.KeyRefused},
		"ed-31-bytes":      {"ed", map[string]any{"x": strings.Repeat("A", 41) + "A"}, f.jwt("EdDSA", "ed", `{"alg":"EdDSA","kid":"ed-1"}`, claims), diagnosis.KeyRefused},
		"kty-unknown":      {"ec", map[string]any{"kty": "AKP"}, es, diagnosis.KeyRefused},
		"kty-lower-case":   {"ec", map[string]any{"kty": "ec"}, es, diagnosis.KeyRefused},
		"alg-other-curve":  {"ec", map[string]any{"alg": "ES384"}, es, diagnosis.KeyRefused},
		"alg-of-encrypt":   {"rsa", map[string]any{"alg": "RSA-OAEP"}, rs, diagnosis.KeyRefused},
		"alg-hs256":        {"rsa", map[string]any{"alg": "HS256"}, f.jwt("HS256", f.pem("rsa"), `{"alg":"HS256","kid":"rsa-1"}`, claims), diagnosis.HSTokenNoSecret},
		"alg-none":         {"rsa", map[string]any{"alg": "none"}, part(`{"alg":"none","kid":"rsa-1"}`) + "." + part(claims) + ".", diagnosis.AlgNone},
		"coordinate-short": {"ec", map[string]any{"x": base64.RawURLEncoding.EncodeToString(raw[2:33])}, es, diagnosis.KeyRefused},
	} {
		f.add(name, f.set("rule-"+name+".json", f.jwk(k.key, k.change)), k.raw, k.id)
	}
	f.files["rsa-1024.pem"] = f.pem("rsa-1024")
	f.add("RSA 1024 as PEM", "rsa-1024.pem", f.jwt("RS256", "rsa-1024", `{"alg":"RS256"}`, claims), diagnosis.KeyRefused)
	f.files["enc.jwk"] = string(f.marshal(f.jwk("ec", map[string]any{"use": "enc"})))
	f.add("use=enc as one JWK", "enc.jwk", es, diagnosis.KeyRefused)
	f.files["ec.jwk"] = string(f.marshal(f.jwk("ec", nil)))
	f.add("one JWK", "ec.jwk", es, "")
}

// unitExponent makes a token that anyone can sign for a key with exponent 1:
// the padded digest is its own signature.
func (f *forge) unitExponent(claims string) string {
	signed := part(`{"alg":"RS256","kid":"rsa-1"}`) + "." + part(claims)
	h := hashOf("RS256").New()
	h.Write([]byte(signed))
	info := []byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}
	tail := append(info, h.Sum(nil)...)
	padded := append([]byte{0, 1}, strings.Repeat("\xff", 256-3-len(tail))...)
	return signed + "." + base64.RawURLEncoding.EncodeToString(append(append(padded, 0), tail...))
}

// keyChoice makes tokens that differ in which key of a set is tried.
func (f *forge) keyChoice() {
	f.begin("choice", "which keys of a set are tried for a token")
	claims := claimsText(keycloak)
	sign := func(key, header string) string { return f.jwt("ES256", key, header, claims) }
	const noKid = `{"alg":"ES256"}`
	f.add("no kid in the token", "main.json", sign("ec", noKid), "")
	f.add("an empty kid in the token", "main.json", sign("ec", `{"alg":"ES256","kid":""}`), "")
	f.add("no kid in the set", "bare.json", sign("ec", usualHeader), "")
	f.add("no kid anywhere", "bare.json", sign("ec", noKid), "")
	f.add("no kid, signed by a stranger", "main.json", sign("ec-forger", noKid), diagnosis.SignatureInvalid)
	f.add("no kid, and no key fits", "ec.json", f.jwt("EdDSA", "ed", `{"alg":"EdDSA"}`, claims), diagnosis.AlgMismatch)
	for _, kid := range []string{"ec-2", "EC-1", "ec-1 ", "../../../../dev/null", "' OR 1=1 --", "https://forger.example/key", "ec-1\\u0000"} {
		f.add("unknown kid "+kid, "main.json", sign("ec", `{"alg":"ES256","kid":"`+kid+`"}`), diagnosis.KidUnknown)
	}
	f.add("an empty set", "empty.json", sign("ec", usualHeader), diagnosis.KeySetEmpty)
	same := map[string]any{"kid": "ec-1"}
	twin := f.set("duplicate-kid.json", f.jwk("ec-next", same), f.jwk("ec", same))
	f.add("duplicate kid, the first key", twin, sign("ec-next", usualHeader), "")
	f.add("duplicate kid, the second key", twin, sign("ec", usualHeader), "")
	f.add("duplicate kid, neither key", twin, sign("ec-forger", usualHeader), diagnosis.SignatureInvalid)
	mixed := f.set("duplicate-kid-types.json", f.jwk("rsa", same), f.jwk("ec", same))
	f.add("duplicate kid of two types", mixed, sign("ec", usualHeader), "")
	fill := func(n int) []any {
		var keys []any
		for range n {
			keys = append(keys, f.jwk("ec-next", same))
		}
		return append(keys, f.jwk("ec", same))
	}
	f.add("the fourth key is tried", f.set("fourth.json", fill(3)...), sign("ec", usualHeader), "")
	f.add("the fifth key is not tried", f.set("fifth.json", fill(4)...), sign("ec", usualHeader), diagnosis.SignatureInvalid)
	f.add("the fifth key is not tried without a kid", "fifth.json", sign("ec", noKid), diagnosis.SignatureInvalid)
	strange := f.set("strangers.json",
		map[string]any{"kty": "AKP", "kid": "ml-dsa", "alg": "ML-DSA-44", "pub": "AAAA"}, map[string]any{"kty": "OKP", "crv": "X25519", "kid": "x", "x": "AAAA"}, map[string]any{"kty": "EC", "crv": "P-256", "kid": "broken"},
		"no key at all", nil, map[string]any{}, f.jwk("rsa-1024", nil), f.jwk("ec", nil))
	f.add("unknown and malformed keys next to a good one", strange, sign("ec", usualHeader), "")
	f.add("the kid of a skipped key", strange, f.jwt("RS256", "rsa-1024", `{"alg":"RS256","kid":"rsa-1024-1"}`, claims), diagnosis.KeyRefused)
}
