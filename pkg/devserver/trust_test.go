package devserver_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/devserver"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

const (
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	grantJWT      = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	kindJWT       = "urn:ietf:params:oauth:token-type:jwt"
	kindID        = "urn:ietf:params:oauth:token-type:id_token"
	kindIDJAG     = "urn:ietf:params:oauth:token-type:id-jag"
	ciIssuer      = "https://ci.example"
)

// Tokens of a trusted issuer are accepted as subject tokens and as assertions, once each and only as they should be.
func TestTrust(t *testing.T) {
	key, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	thief, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	keySet := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.MarshalWrite(w, map[string]any{"keys": []*jwks.Key{key.Public()}})
	}))
	t.Cleanup(keySet.Close)
	for _, trusted := range []devserver.TrustedIssuer{{Issuer: ciIssuer, JWKSURI: keySet.URL}, {Issuer: ciIssuer, Keys: jwks.NewSet(key.Public())}} {
		d := newDesk(t, devserver.Config{Trust: []devserver.TrustedIssuer{trusted}})
		n := 0
		job := func(signer *jwks.PrivateKey, pairs ...any) string {
			t.Helper()
			n++
			claims := map[string]any{"iss": ciIssuer, "sub": "repo:x", "aud": d.issuer, "jti": time.Now().String(), "exp": d.now().Add(time.Minute).Unix()}
			for i := 0; i < len(pairs); i += 2 {
				if claims[pairs[i].(string)] = pairs[i+1]; pairs[i+1] == nil {
					delete(claims, pairs[i].(string))
				}
			}
			raw, err := token.Sign(signer, "JWT", claims)
			if err != nil {
				t.Fatal(err)
			}
			return raw
		}
		grants := map[string]func(raw string) tokens{
			"exchange": func(raw string) tokens {
				return d.token(url.Values{"grant_type": {grantExchange}, "client_id": {"oauthctl-dev"}, "subject_token": {raw}, "subject_token_type": {kindJWT}, "scope": {"items:write"}})
			},
			"assertion": func(raw string) tokens {
				return d.token(url.Values{"grant_type": {grantJWT}, "client_id": {"service"}, "client_secret": {"secret"}, "assertion": {raw}, "scope": {"items:write"}})
			},
		}
		for name, get := range grants {
			good := job(key)
			got := get(good)
			if claims := claimsOf(t, got.AccessToken); claims["sub"] != "repo:x" || claims["scope"] != "items:write" || claims["aud"] != d.api {
				t.Errorf("%s: %v", name, claims)
			}
			for what, raw := range map[string]string{
				"used before": good, "another key": job(thief), "another audience": job(key, "aud", "https://other.example"), "expired": job(key, "exp", d.now().Add(-time.Hour).Unix()),
				"no jti": job(key, "jti", nil), "no exp": job(key, "exp", nil), "no sub": job(key, "sub", nil), "not trusted": job(key, "iss", "https://other.example"),
				"not a JWT": "x",
			} {
				want := "invalid_grant"
				if name == "assertion" && what == "not trusted" {
					want = "unauthorized_client"
				}
				if got := get(raw); got.Error != want {
					t.Errorf("%s, %s: %+v", name, what, got)
				}
			}
		}
	}
}

// A pipeline can be tested: the server signs tokens like the CI systems, and
// accepts them.
func TestCITokens(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	var github struct {
		Value string `json:"value"`
	}
	decodeInto(t, d.request("GET", d.issuer+"/ci/github/token?audience="+url.QueryEscape(d.issuer)+"&ref=refs/tags/v1", "", "Authorization", "Bearer x").text, &github)
	claims := claimsOf(t, github.Value)
	if claims["iss"] != d.issuer+"/ci/github" || claims["ref"] != "refs/tags/v1" || claims["sub"] != "repo:example/project:ref:refs/heads/main" {
		t.Errorf("%v", claims)
	}
	gitlab := d.get(d.issuer + "/ci/gitlab/token").text
	for _, raw := range []string{github.Value, gitlab} {
		got := d.token(url.Values{"grant_type": {grantExchange}, "client_id": {"oauthctl-dev"}, "subject_token": {raw}, "subject_token_type": {kindID}, "scope": {"items:read"}})
		if res := d.call("GET", "/api/items", got.AccessToken, ""); res.StatusCode != http.StatusOK {
			t.Errorf("%+v: the API answers %d", got, res.StatusCode)
		}
	}
	wrong := d.get(d.issuer + "/ci/gitlab/token?audience=https%3A%2F%2Fother.example").text
	if got := d.token(url.Values{"grant_type": {grantExchange}, "client_id": {"oauthctl-dev"}, "subject_token": {wrong}, "subject_token_type": {kindJWT}}); got.Error != "invalid_grant" {
		t.Errorf("for another server: %+v", got)
	}
	if got := d.request("GET", d.issuer+"/ci/github/token", "", "Origin", "https://evil.example"); got.StatusCode != http.StatusForbidden {
		t.Errorf("a web page gets one: %d", got.StatusCode)
	}
	if got := d.get(d.issuer + "/ci/jenkins/token"); got.StatusCode != http.StatusNotFound {
		t.Errorf("an unknown system: %d", got.StatusCode)
	}
	var metadata map[string]any
	if decodeInto(t, d.get(d.issuer+"/ci/github/.well-known/openid-configuration").text, &metadata); metadata["jwks_uri"] != d.issuer+"/ci/github/jwks" {
		t.Errorf("%v", metadata)
	}
	if got := d.get(d.issuer + "/ci/github/jwks"); got.StatusCode != http.StatusOK {
		t.Errorf("keys: %d", got.StatusCode)
	}
}

// Both legs of an identity assertion (ID-JAG): from the ID token of a login, at the server of another application.
func TestIDJAG(t *testing.T) {
	idp := newDesk(t, devserver.Config{})
	set, err := jwks.Parse([]byte(idp.get(idp.issuer + "/jwks").text))
	if err != nil {
		t.Fatal(err)
	}
	app := newDesk(t, devserver.Config{
		Resources: []string{orders}, Scopes: []string{"orders:read", "orders:write"},
		Trust: []devserver.TrustedIssuer{{Issuer: idp.issuer, Keys: set}},
	})
	login := idp.token(codeRequest(idp.login(parameters("scope", "openid")).Get("code")))
	first := func(change ...string) tokens {
		return idp.token(changed(url.Values{
			"grant_type": {grantExchange}, "client_id": {"oauthctl-dev"}, "requested_token_type": {kindIDJAG}, "audience": {app.issuer}, "resource": {orders},
			"scope": {"orders:read"}, "subject_token": {login.IDToken}, "subject_token_type": {kindID},
		}, change...))
	}
	second := func(raw, client string, change ...string) tokens {
		return app.token(changed(url.Values{"grant_type": {grantJWT}, "client_id": {client}, "assertion": {raw}}, change...))
	}
	jag := first()
	claims := claimsOf(t, jag.AccessToken)
	delete(claims, "jti")
	delete(claims, "iat")
	delete(claims, "exp")
	delete(claims, "auth_time")
	want := map[string]any{"iss": idp.issuer, "sub": "alice", "aud": app.issuer, "client_id": "oauthctl-dev", "resource": orders, "scope": "orders:read", "email": "alice@example.com"}
	if diff := cmp.Diff(want, claims); diff != "" || jag.TokenType != "N_A" {
		t.Errorf("token_type %s (-want +got):\n%s", jag.TokenType, diff)
	}
	got := second(jag.AccessToken, "oauthctl-dev")
	if claims := claimsOf(t, got.AccessToken); claims["aud"] != orders || claims["scope"] != "orders:read" || claims["sub"] != "alice" || claims["iss"] != app.issuer {
		t.Errorf("%v", claims)
	}
	if got := second(jag.AccessToken, "oauthctl-dev"); got.Error != "invalid_grant" {
		t.Errorf("used before: %+v", got)
	}
	if got := second(first().AccessToken, "service", "client_secret", "secret"); got.Error != "invalid_grant" {
		t.Errorf("by another client: %+v", got)
	}
	if got := second(first().AccessToken, "oauthctl-dev", "scope", "orders:write"); got.Error != "invalid_scope" {
		t.Errorf("for more: %+v", got)
	}
	if got := second(first("audience", "https://other.example").AccessToken, "oauthctl-dev"); got.Error != "invalid_grant" {
		t.Errorf("for another server: %+v", got)
	}
	if got := second(login.IDToken, "oauthctl-dev"); got.Error == "" {
		t.Errorf("an ID token in its place: %+v", got)
	}
	if got := first("audience", ""); got.Error != "invalid_request" {
		t.Errorf("without an audience: %+v", got)
	}
	if got := first("subject_token", login.AccessToken); got.Error != "invalid_grant" {
		t.Errorf("an access token as the ID token: %+v", got)
	}
	// One server can have both roles.
	own := first("audience", idp.issuer, "resource", idp.api, "scope", "items:read")
	if got := idp.token(url.Values{"grant_type": {grantJWT}, "client_id": {"oauthctl-dev"}, "assertion": {own.AccessToken}}); got.AccessToken == "" {
		t.Errorf("%+v", got)
	}
}

// RSA keys have 2048 bits, and each algorithm its name.
func TestRSAKeys(t *testing.T) {
	for _, alg := range []string{"RS256", "RS512", "PS256"} {
		d := newDesk(t, devserver.Config{Algorithm: alg, Faults: []string{"rotate"}})
		d.token(codeRequest(d.login(parameters()).Get("code")))
		var set struct {
			Keys []struct {
				Kty string `json:"kty"`
				Alg string `json:"alg"`
				N   string `json:"n"`
			} `json:"keys"`
		}
		decodeInto(t, d.get(d.issuer+"/jwks").text, &set)
		if len(set.Keys) != 2 {
			t.Fatalf("%d keys", len(set.Keys))
		}
		for _, k := range set.Keys {
			if k.Kty != "RSA" || k.Alg != alg || len(k.N) != 342 { // base64url of 256 bytes
				t.Errorf("%s: %s %s, n of %d characters", alg, k.Kty, k.Alg, len(k.N))
			}
		}
	}
}
