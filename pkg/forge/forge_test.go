package forge_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/forge"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

const (
	issuer = "https://auth.example.com/tenants/a"
	api    = "https://api.example.com"
)

func generate(t testing.TB, alg string) *jwks.PrivateKey {
	t.Helper()
	key, err := jwks.Generate(alg)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// draft is a valid token of one hour for items:read.
func draft(key *jwks.PrivateKey, now time.Time) forge.Draft {
	return forge.Draft{
		Key: key, OtherScopes: []string{"items:read", "items:write", "users:delete"},
		Header: map[string]any{"alg": key.Algorithm(), "kid": key.ID(), "typ": "at+jwt"},
		Claims: map[string]any{
			"iss": issuer, "aud": api, "sub": "alice", "client_id": "app", "jti": "1", "scope": "items:read",
			"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		},
	}
}

// Each token differs from a valid one only as its row says. The parts are read
// with another library than the one that wrote them.
func TestOneChange(t *testing.T) {
	key, now := generate(t, "ES256"), time.Unix(1_800_000_000, 0)
	const hour = 3600
	// The members that differ: "header." or "claims." and the name.
	want := map[string][]string{
		"good":                     nil,
		"audience-array":           {"claims.aud"},
		"scope-as-array":           {"claims.scope"},
		"oversized":                {"claims.padding", "key"},
		"bad-signature":            {"signature"},
		"stripped-signature":       {"signature"},
		"foreign-key":              {"key"},
		"unknown-kid":              {"header.kid", "key"},
		"jwk-header":               {"header.jwk", "header.kid", "key"},
		"jku-header":               {"header.jku", "header.kid", "key"},
		"x5c-header":               {"header.kid", "header.x5c", "key"},
		"kid-path":                 {"header.alg", "header.kid", "key"},
		"kid-sql":                  {"header.alg", "header.kid", "key"},
		"alg-none":                 {"header.alg", "header.kid", "signature"},
		"alg-none-case":            {"header.alg", "header.kid", "signature"},
		"alg-confusion":            {"header.alg", "key"},
		"alg-confusion-trimmed":    {"header.alg", "key"},
		"alg-confusion-der":        {"header.alg", "key"},
		"alg-confusion-jwk":        {"header.alg", "key"},
		"wrong-issuer":             {"claims.iss"},
		"issuer-suffix":            {"claims.iss"},
		"sibling-issuer":           {"claims.iss", "header.kid", "key"},
		"no-issuer":                {"claims.iss"},
		"issuer-slash":             {"claims.iss"},
		"wrong-audience":           {"claims.aud"},
		"audience-suffix":          {"claims.aud"},
		"audience-inside":          {"claims.aud"},
		"no-audience":              {"claims.aud"},
		"expired":                  {"claims.exp", "claims.iat"},
		"expired-30m":              {"claims.exp", "claims.iat"},
		"expired-6m":               {"claims.exp", "claims.iat"},
		"no-expiry":                {"claims.exp"},
		"not-yet-valid":            {"claims.exp", "claims.nbf"},
		"expiry-as-text":           {"claims.exp", "claims.iat"},
		"id-token-as-access-token": {"claims.at_hash", "claims.aud", "claims.client_id", "claims.jti", "claims.nonce", "claims.scope", "header.typ"},
		"id-token-with-scope":      {"claims.at_hash", "claims.aud", "claims.client_id", "claims.jti", "claims.nonce", "header.typ"},
		"crit":                     {"header.crit", "header.https://issuer.example/extension"},
		"bound-token":              {"claims.cnf"},
		"member-case":              {"claims.SCOPE", "claims.scope"},
		"duplicate-member":         {"claims.aud"},
		"missing-scope":            {"claims.scope"},
		"scope-other":              {"claims.scope"},
		"scope-near":               {"claims.scope"},
		"scope-elsewhere":          {"claims.permissions", "claims.roles", "claims.scope"},
		"clock-skew":               {"claims.exp", "claims.iat"},
	}
	values := map[string]any{
		"audience-array/aud": []any{"https://api.example", api}, "scope-as-array/scope": []any{"items:read"},
		"issuer-suffix/iss": issuer + ".example", "sibling-issuer/iss": "https://auth.example.com/tenants/other-tenant",
		"issuer-slash/iss": issuer + "/", "audience-suffix/aud": api + ".example",
		"audience-inside/aud": "https://api.example/" + api,
		"expired/exp":         float64(now.Unix() - 2*hour), "expired-30m/exp": float64(now.Unix() - hour/2), "expired-6m/exp": float64(now.Unix() - hour/10),
		"expiry-as-text/exp": fmt.Sprint(now.Unix() - 2*hour), "not-yet-valid/nbf": float64(now.Unix() + 2*hour),
		"not-yet-valid/exp": float64(now.Unix() + 3*hour), "member-case/SCOPE": "items:read",
		"scope-other/scope": "items:write users:delete", "scope-near/scope": "x-items:read items:read-x x-items:readonly ITEMS:READ",
		"id-token-as-access-token/aud": "app", "id-token-with-scope/scope": "items:read",
		"duplicate-member/aud": "https://api.example", "scope-elsewhere/permissions": []any{"items:read"},
	}
	sibling, attacker := generate(t, "ES256"), &forge.Attacker{}
	for _, c := range forge.Cases() {
		expected, isJWT := want[c.Name]
		d := draft(key, now)
		d.Sibling, d.Attacker = sibling, attacker
		raw, err := forge.Sign(c.Name, d)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		if diff := cmp.Diff(draft(key, now).Claims, d.Claims); diff != "" {
			t.Errorf("%s changed the draft itself:\n%s", c.Name, diff)
		}
		if !isJWT {
			continue // malformed intentionally, see TestMalformed
		}
		changed, claims := differences(t, raw, d)
		if diff := cmp.Diff(expected, changed); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.Name, diff)
		}
		for name, value := range claims {
			if wanted, ok := values[c.Name+"/"+name]; ok && !reflect.DeepEqual(value, wanted) {
				t.Errorf("%s: %s: got %v, want %v", c.Name, name, value, wanted)
			}
		}
	}
}

// differences reads a token with go-jose and compares it with the valid one, member by member.
func differences(t *testing.T, raw string, valid forge.Draft) (changed []string, claims map[string]any) {
	t.Helper()
	parts := strings.Split(raw, ".")
	header, claims := object(t, parts[0]), object(t, parts[1])
	wantHeader, wantClaims := roundTrip(t, valid.Header), roundTrip(t, valid.Claims)
	for prefix, pair := range map[string][2]map[string]any{"header.": {header, wantHeader}, "claims.": {claims, wantClaims}} {
		for _, side := range pair {
			for name := range side {
				if !reflect.DeepEqual(pair[0][name], pair[1][name]) {
					changed = append(changed, prefix+name)
				}
			}
		}
	}
	if parsed, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.ES256, jose.HS256}); err != nil || len(parsed.Signatures[0].Signature) == 0 {
		changed = append(changed, "signature")
	} else if _, err := parsed.Verify(valid.Key.Signer().Public()); err != nil {
		if _, crit := header["crit"]; !crit {
			changed = append(changed, keyOrSignature(parsed, header, valid))
		}
	}
	slices.Sort(changed)
	return slices.Compact(changed), claims
}

// keyOrSignature distinguishes another key from a damaged signature by trying each key that may have
// signed.
func keyOrSignature(parsed *jose.JSONWebSignature, header map[string]any, valid forge.Draft) string {
	if header["alg"] == "ES256" && header["kid"] == valid.Key.ID() && parsed.UnsafePayloadWithoutVerification() != nil {
		key, _ := valid.Attacker.Key("ES256")
		if _, err := parsed.Verify(key.Signer().Public()); err != nil {
			return "signature"
		}
	}
	return "key"
}

func object(t *testing.T, part string) map[string]any {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	return unmarshal(t, text)
}

func unmarshal(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(text, &m, jsontext.AllowDuplicateNames(true)); err != nil {
		t.Fatal(err)
	}
	return m
}

func roundTrip(t *testing.T, m map[string]any) map[string]any {
	t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return unmarshal(t, text)
}

// The middleware refuses each token with the id of its row and accepts the valid ones, for each kind of key.
func TestBearerAnswersWithTheRow(t *testing.T) {
	for _, alg := range []string{"ES256", "RS256", "Ed25519"} {
		key, attacker := generate(t, alg), &forge.Attacker{}
		verifier, err := token.NewVerifier(issuer, []string{api}, jwks.NewSet(key.Public()), token.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var why *diagnosis.Diagnosis
		protected := bearer.Require(verifier, bearer.Scopes("items:read"), bearer.OnRefusal(func(_ *http.Request, d *diagnosis.Diagnosis) { why = d }))(
			http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		for _, c := range forge.Cases() {
			d := draft(key, time.Now())
			d.Attacker = attacker
			raw, err := forge.Sign(c.Name, d)
			if err != nil {
				t.Fatalf("%s: %v", c.Name, err)
			}
			why = nil
			r := httptest.NewRequest(http.MethodGet, "/items", nil)
			r.Header.Set("Authorization", "Bearer "+raw)
			w := httptest.NewRecorder()
			protected.ServeHTTP(w, r)
			var got diagnosis.ID
			if why != nil {
				got = why.ID
			}
			if got != c.Diagnosis || (w.Code == http.StatusOK) != (c.Diagnosis == "") {
				t.Errorf("%s, %s: %d %q, want %q (%v)", alg, c.Name, w.Code, got, c.Diagnosis, why)
			}
		}
	}
}

// A verifier that uses the public key as a secret, in the encoding of the row, accepts the token.
func TestConfusion(t *testing.T) {
	key := generate(t, "RS256")
	pemText, err := key.Public().MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string][]byte{"alg-confusion": pemText, "alg-confusion-trimmed": pemText[:len(pemText)-1], "alg-confusion-jwk": jwk}
	for name, secret := range secrets {
		raw, err := forge.Sign(name, draft(key, time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.HS256})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parsed.Verify(secret); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := parsed.Verify([]byte("another secret, which is as long as needed")); err == nil {
			t.Errorf("%s: any secret verifies it", name)
		}
	}
}

func TestMalformed(t *testing.T) {
	d := draft(generate(t, "ES256"), time.Now())
	sign := func(name string) string {
		raw, err := forge.Sign(name, d)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	if raw := sign("malformed-text"); strings.Contains(raw, ".") {
		t.Errorf("malformed-text: %q", raw)
	}
	parts := strings.Split(sign("malformed-base64"), ".")
	if len(parts) != 3 || len(parts[2])%4 != 1 {
		t.Errorf("malformed-base64: %q", parts)
	}
	parts = strings.Split(sign("malformed-json"), ".")
	if text, err := base64.RawURLEncoding.DecodeString(parts[0]); err != nil || jsontext.Value(text).IsValid() {
		t.Errorf("malformed-json: %s, %v", text, err)
	}
	if raw := sign("oversized"); len(raw) < 16<<10 || len(raw) > 18<<10 {
		t.Errorf("oversized: %d bytes", len(raw))
	}
	if one, another := sign("opaque-token"), sign("opaque-token"); one == another || len(one) < 40 {
		t.Errorf("opaque-token: %q, %q", one, another)
	}
}

// The scopes are in the claim that the API reads.
func TestScopeClaim(t *testing.T) {
	for claim, want := range map[string]any{"scope": "a b", "scp": "a b", "permissions": []string{"a", "b"}} {
		d := forge.Draft{ScopeClaim: claim, Claims: map[string]any{}}
		d.SetScopes([]string{"a", "b"})
		if diff := cmp.Diff(map[string]any{claim: want}, d.Claims); diff != "" {
			t.Errorf("%s (-want +got):\n%s", claim, diff)
		}
		c, _ := forge.Lookup("scope-near")
		c.Spoil(&d)
		c, _ = forge.Lookup("missing-scope")
		c.Spoil(&d)
		if len(d.Claims) != 0 {
			t.Errorf("%s: left %v", claim, d.Claims)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	if _, err := forge.Sign("no-such-case", draft(generate(t, "ES256"), time.Now())); err == nil {
		t.Error("an unknown case is signed")
	}
	if _, err := forge.Sign("good", forge.Draft{}); err == nil {
		t.Error("a draft without a key is signed")
	}
}

func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range forge.Cases() {
		if seen[c.Name] || c.Phrase == "" {
			t.Errorf("%q: listed twice, or without a phrase", c.Name)
		}
		seen[c.Name] = true
		if _, ok := diagnosis.Lookup(c.Diagnosis); !ok && c.Diagnosis != "" {
			t.Errorf("%s: unknown diagnosis %q", c.Name, c.Diagnosis)
		}
	}
}

// The diagnosis for a token without an audience.
func ExampleSign() {
	key, err := jwks.Generate("ES256")
	if err != nil {
		panic(err)
	}
	now := time.Now()
	raw, err := forge.Sign("no-audience", forge.Draft{
		Key:    key,
		Header: map[string]any{"alg": "ES256", "kid": key.ID(), "typ": "at+jwt"},
		Claims: map[string]any{
			"iss": "https://auth.example.com", "aud": "https://api.example.com", "sub": "alice",
			"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
		},
	})
	if err != nil {
		panic(err)
	}
	verifier, err := token.NewVerifier("https://auth.example.com", []string{"https://api.example.com"}, jwks.NewSet(key.Public()), token.Options{})
	if err != nil {
		panic(err)
	}
	_, err = verifier.Verify(context.Background(), raw)
	var why *diagnosis.Diagnosis
	fmt.Println(errors.As(err, &why), why.ID)
	// Output: true AUD_MISSING
}

// Without the issuer's key, tokens that do not need it are created from a valid
// one, with the claims exactly as the issuer wrote them.
func TestFromToken(t *testing.T) {
	key := generate(t, "ES256")
	d := draft(key, time.Now())
	d.Claims["big"] = jsontext.Value("12345678901234567890")
	raw, err := forge.Sign("good", d)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := token.NewVerifier(issuer, []string{api}, jwks.NewSet(key.Public()), token.Options{})
	if err != nil {
		t.Fatal(err)
	}
	read, err := forge.FromToken(raw)
	if err != nil {
		t.Fatal(err)
	}
	read.Public = key.Public()
	for _, c := range forge.Cases() {
		if c.NeedsKey && c.Name != "good" {
			continue
		}
		spoiled, err := forge.Sign(c.Name, read)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		_, err = verifier.Verify(t.Context(), spoiled)
		if err != nil != (c.Diagnosis != "") || err != nil && idOf(err) != c.Diagnosis {
			t.Errorf("%s: %v, want %s", c.Name, err, c.Diagnosis)
		}
	}
	unsigned, err := forge.Sign("alg-none", read)
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := base64.RawURLEncoding.DecodeString(strings.Split(unsigned, ".")[1]); !strings.Contains(string(text), `"big":12345678901234567890`) {
		t.Errorf("the claims were changed: %s", text)
	}
	if _, err := forge.FromToken("gho_opaque"); err == nil {
		t.Error("an opaque token is a draft")
	}
	read.Public = nil
	if _, err := forge.Sign("alg-confusion", read); err == nil {
		t.Error("alg-confusion without the public key")
	}
}

func idOf(err error) diagnosis.ID {
	var d *diagnosis.Diagnosis
	if errors.As(err, &d) {
		return d.ID
	}
	return ""
}
