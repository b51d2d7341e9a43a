package devserver_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/devserver"
	"github.com/oauthctl/oauthctl/pkg/token"
)

const (
	orders  = "https://orders.example/api"
	billing = "urn:example:billing"
)

func ownAPIs() devserver.Config {
	return devserver.Config{
		Resources: []string{orders, billing}, Scopes: []string{"orders:read", "orders:write"},
		Clients: []devserver.Client{{ID: "batch", Secret: "s3cret"}},
	}
}

// claimsOf decodes a token that the server signed.
func claimsOf(t *testing.T, raw string) map[string]any {
	t.Helper()
	decoded, err := token.Decode(raw)
	if err != nil {
		t.Fatalf("%v: %q", err, raw)
	}
	return decoded.Claims()
}

// Each grant issues tokens for the configured APIs, by resource or audience, and for no other.
func TestOwnResources(t *testing.T) {
	d := newDesk(t, ownAPIs())
	grants := map[string]func(wanted url.Values) tokens{
		"code": func(wanted url.Values) tokens {
			p := parameters("scope", wanted.Get("scope"))
			for _, name := range []string{"resource", "audience"} {
				p[name] = wanted[name]
			}
			got := d.login(p)
			if got.Get("error") != "" {
				return tokens{Error: got.Get("error"), Description: got.Get("error_description")}
			}
			return d.token(codeRequest(got.Get("code")))
		},
		"client credentials": func(wanted url.Values) tokens {
			form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"batch"}, "client_secret": {"s3cret"}}
			for name, values := range wanted {
				form[name] = values
			}
			return d.token(form)
		},
		"exchange": func(wanted url.Values) tokens {
			subject := d.token(codeRequest(d.login(parameters("scope", "orders:read orders:write items:read")).Get("code")))
			form := url.Values{
				"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "client_id": {"oauthctl-dev"},
				"subject_token": {subject.AccessToken}, "subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
			}
			for name, values := range wanted {
				form[name] = values
			}
			return d.token(form)
		},
	}
	for name, get := range grants {
		for _, test := range []struct {
			wanted url.Values
			aud    any
			scope  string
			err    string
		}{
			{url.Values{"scope": {"orders:read"}, "resource": {billing}}, billing, "orders:read", ""},
			{url.Values{"scope": {"orders:read"}, "audience": {billing}}, billing, "orders:read", ""},
			{url.Values{"scope": {"orders:write"}, "resource": {orders}, "audience": {billing}}, []any{orders, billing}, "orders:write", ""},
			{url.Values{"scope": {"items:read"}, "resource": {d.api}}, d.api, "items:read", ""},
			{url.Values{"scope": {"orders:read"}}, orders, "orders:read", ""},
			{url.Values{"scope": {"orders:read"}, "resource": {"https://other.example"}}, nil, "", "invalid_target"},
			{url.Values{"scope": {"orders:read"}, "audience": {"https://other.example"}}, nil, "", "invalid_target"},
			{url.Values{"scope": {"orders:delete"}}, nil, "", "invalid_scope"},
		} {
			got := get(test.wanted)
			if test.err != "" {
				if got.Error != test.err {
					t.Errorf("%s %v: %q, want %s", name, test.wanted, got.Error, test.err)
				}
				continue
			}
			if got.Error != "" {
				t.Errorf("%s %v: %s %s", name, test.wanted, got.Error, got.Description)
				continue
			}
			claims := claimsOf(t, got.AccessToken)
			if diff := cmp.Diff(test.aud, claims["aud"]); diff != "" || claims["scope"] != test.scope {
				t.Errorf("%s %v: scope %v, aud (-want +got):\n%s", name, test.wanted, claims["scope"], diff)
			}
		}
	}
	var metadata struct {
		Scopes    []string `json:"scopes_supported"`
		Resources []string `json:"protected_resources"`
	}
	decodeInto(t, d.get(d.issuer+"/.well-known/openid-configuration").text, &metadata)
	if !slices.Contains(metadata.Scopes, "orders:read") || !slices.Contains(metadata.Resources, orders) || !slices.Contains(metadata.Resources, d.api) {
		t.Errorf("metadata: %+v", metadata)
	}
}

// A refresh keeps the API of its login, whichever parameter selects it.
func TestOwnResourcesRefresh(t *testing.T) {
	d := newDesk(t, ownAPIs())
	p := parameters("scope", "offline_access orders:read")
	p["resource"] = []string{orders, billing}
	login := d.token(codeRequest(d.login(p).Get("code")))
	narrower := d.token(refreshRequest(login.RefreshToken, "audience", billing))
	if claims := claimsOf(t, narrower.AccessToken); claims["aud"] != billing {
		t.Errorf("aud %v", claims["aud"])
	}
	if got := d.token(refreshRequest(narrower.RefreshToken, "audience", d.api)); got.Error != "invalid_target" {
		t.Errorf("an API that was not granted: %+v", got)
	}
}

// Without a scope or a resource, the first configured ones are granted.
func TestOwnDefaults(t *testing.T) {
	d := newDesk(t, ownAPIs())
	got := d.token(codeRequest(d.login(parameters("scope", "")).Get("code")))
	if claims := claimsOf(t, got.AccessToken); claims["aud"] != orders || claims["scope"] != "orders:read" {
		t.Errorf("%v", claims)
	}
	minted, err := d.server.Mint("good")
	if err != nil {
		t.Fatal(err)
	}
	if claims := claimsOf(t, minted); claims["aud"] != orders || claims["scope"] != "orders:read orders:write" {
		t.Errorf("%v", claims)
	}
}

// Claims of a user and a client are in the access token, the ID token and userinfo, as far as the scopes allow.
func TestClaims(t *testing.T) {
	d := newDesk(t, devserver.Config{
		Users: []devserver.User{{Name: "alice", FullName: "Alice A.", Email: "a@corp.example", Claims: map[string]any{"roles": []any{"admin"}, "tenant": "acme"}}},
		Clients: []devserver.Client{
			{ID: "oauthctl-dev", Claims: map[string]any{"tenant": "of the client", "tier": "gold"}},
			{ID: "batch", Secret: "s3cret", Claims: map[string]any{"roles": []any{"robot"}}},
		},
	})
	got := d.token(codeRequest(d.login(parameters("scope", "openid profile items:read")).Get("code")))
	access, id := claimsOf(t, got.AccessToken), claimsOf(t, got.IDToken)
	for name, claims := range map[string]map[string]any{"access": access, "id": id} {
		want := map[string]any{"roles": []any{"admin"}, "tenant": "acme", "tier": "gold"}
		for claim, value := range want {
			if diff := cmp.Diff(value, claims[claim]); diff != "" {
				t.Errorf("%s token, %s (-want +got):\n%s", name, claim, diff)
			}
		}
	}
	if id["name"] != "Alice A." || id["preferred_username"] != "alice" || id["email"] != nil {
		t.Errorf("the scope profile gives %v", id)
	}
	if access["name"] != nil || access["email"] != nil {
		t.Errorf("the access token holds personal data that no one asked for: %v", access)
	}
	var userinfo map[string]any
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.issuer+"/userinfo", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+got.AccessToken)
	decodeInto(t, d.do(req).text, &userinfo)
	if userinfo["tenant"] != "acme" || userinfo["sub"] != "alice" || userinfo["name"] != "Alice A." {
		t.Errorf("userinfo %v", userinfo)
	}
	own := d.token(url.Values{"grant_type": {"client_credentials"}, "client_id": {"batch"}, "client_secret": {"s3cret"}, "scope": {"items:read"}})
	if diff := cmp.Diff([]any{"robot"}, claimsOf(t, own.AccessToken)["roles"]); diff != "" {
		t.Errorf("a client's own token:\n%s", diff)
	}
}

func TestMintToken(t *testing.T) {
	d := newDesk(t, devserver.Config{Users: []devserver.User{{Name: "carol", Claims: map[string]any{"tenant": "acme", "roles": "x"}}}})
	raw, err := d.server.MintToken(devserver.Token{
		Subject: "carol", ClientID: "spa", Audience: []string{orders}, Scope: []string{"orders:read"}, Claims: map[string]any{"roles": "admin"}, TTL: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	claims := claimsOf(t, raw)
	life, _ := claims["exp"].(float64)
	issued, _ := claims["iat"].(float64)
	if claims["sub"] != "carol" || claims["client_id"] != "spa" || claims["aud"] != orders || claims["scope"] != "orders:read" || claims["roles"] != "admin" || claims["tenant"] != "acme" || life-issued != 60 {
		t.Errorf("%v", claims)
	}
	for name, bad := range map[string]devserver.Token{"case": {Case: "expird"}, "claim": {Claims: map[string]any{"exp": 1}}} {
		if _, err := d.server.MintToken(bad); err == nil || name == "case" && !strings.Contains(err.Error(), `"expired"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The same with a request, for tests in other languages.
	got := d.post(d.issuer+"/_control/token", url.Values{"sub": {"carol"}, "aud": {orders, billing}, "scope": {"a b"}, "claims": {`{"n":1}`}, "ttl": {"10s"}})
	var answer tokens
	decodeInto(t, got.text, &answer)
	claims = claimsOf(t, answer.AccessToken)
	if diff := cmp.Diff([]any{orders, billing}, claims["aud"]); diff != "" || claims["scope"] != "a b" || claims["n"] != 1.0 {
		t.Errorf("%v\n%s", claims, diff)
	}
	for _, bad := range []url.Values{{"claims": {"x"}}, {"ttl": {"-1s"}}, {"case": {"nope"}}} {
		if got := d.post(d.issuer+"/_control/token", bad); got.StatusCode != http.StatusBadRequest {
			t.Errorf("%v: %d", bad, got.StatusCode)
		}
	}
}

func TestLifetimes(t *testing.T) {
	d := newDesk(t, devserver.Config{
		AccessTokenTTL: 7 * time.Second, IDTokenTTL: 11 * time.Second, RefreshTokenTTL: time.Minute,
		RefreshTokens: devserver.RefreshAlways, RefreshReuseGrace: 5 * time.Second,
	})
	got := d.token(codeRequest(d.login(parameters("scope", "openid items:read")).Get("code")))
	for raw, want := range map[string]float64{got.AccessToken: 7, got.IDToken: 11} {
		claims := claimsOf(t, raw)
		if life := claims["exp"].(float64) - claims["iat"].(float64); life != want {
			t.Errorf("a life of %v, want %v", life, want)
		}
	}
	if got.RefreshToken == "" {
		t.Fatal("no refresh token without offline_access")
	}
	next := d.token(refreshRequest(got.RefreshToken))
	if again := d.token(refreshRequest(got.RefreshToken)); again.AccessToken == "" {
		t.Errorf("a second use within the grace: %+v", again)
	}
	d.offset.Store(int64(6 * time.Second))
	if late := d.token(refreshRequest(got.RefreshToken)); late.Error != "invalid_grant" {
		t.Errorf("a second use after the grace: %+v", late)
	}
	if late := d.token(refreshRequest(next.RefreshToken)); late.Error != "invalid_grant" {
		t.Errorf("its family after that: %+v", late)
	}
	fresh := d.token(codeRequest(d.login(parameters("scope", "openid")).Get("code")))
	answer := d.post(d.issuer+"/_control/clock", url.Values{"advance": {"61s"}})
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", answer.StatusCode, answer.text)
	}
	if late := d.token(refreshRequest(fresh.RefreshToken)); late.Error != "invalid_grant" || !strings.Contains(late.Description, "expired") {
		t.Errorf("after the clock moved: %+v", late)
	}
	if got := d.call("GET", "/api/items", fresh.AccessToken, ""); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("the API's clock did not move: %d", got.StatusCode)
	}
	never := newDesk(t, devserver.Config{RefreshTokens: devserver.RefreshNever})
	if got := never.token(codeRequest(never.login(parameters()).Get("code"))); got.RefreshToken != "" || got.AccessToken == "" {
		t.Errorf("never: %+v", got)
	}
}

// An issuer can have any URL that clients can reach: another host, a path, a slash at the end.
func TestIssuerElsewhere(t *testing.T) {
	for _, issuer := range []string{"https://auth.test", "http://auth.test:9000", "https://auth.test/", "https://auth.test/realms/dev", "https://auth.test/tenant/v2.0/"} {
		s, err := devserver.New(devserver.Config{Issuer: issuer, API: "https://api.test", AutoApprove: true})
		if err != nil {
			t.Fatalf("%s: %v", issuer, err)
		}
		u, err := url.Parse(strings.TrimSuffix(issuer, "/"))
		if err != nil {
			t.Fatal(err)
		}
		get := func(path string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			s.AuthorizationServer().ServeHTTP(w, httptest.NewRequest(http.MethodGet, u.Scheme+"://"+u.Host+path, http.NoBody))
			return w
		}
		for _, place := range []string{u.Path + "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server" + u.Path} {
			var m map[string]any
			w := get(place)
			if w.Code != http.StatusOK {
				t.Errorf("%s: %s answers %d", issuer, place, w.Code)
				continue
			}
			decodeInto(t, w.Body.String(), &m)
			if m["issuer"] != issuer || m["token_endpoint"] != u.String()+"/token" {
				t.Errorf("%s: %v, %v", issuer, m["issuer"], m["token_endpoint"])
			}
		}
		w := get(u.Path + "/authorize?" + parameters().Encode())
		target, err := url.Parse(w.Header().Get("Location"))
		if err != nil || target.Query().Get("iss") != issuer || target.Query().Get("code") == "" {
			t.Errorf("%s: %d to %s", issuer, w.Code, target)
		}
		raw, err := s.Mint("good")
		if err != nil {
			t.Fatal(err)
		}
		if claims := claimsOf(t, raw); claims["iss"] != issuer || claims["aud"] != "https://api.test" {
			t.Errorf("%s: %v", issuer, claims)
		}
		w = httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "https://api.test/api/items", http.NoBody)
		s.API().ServeHTTP(w, r)
		if challenge := w.Header().Get("WWW-Authenticate"); !strings.Contains(challenge, "https://api.test/.well-known/oauth-protected-resource") {
			t.Errorf("%s: challenge %q", issuer, challenge)
		}
		r.Header.Set("Authorization", "Bearer "+raw)
		w = httptest.NewRecorder()
		if s.API().ServeHTTP(w, r); w.Code != http.StatusOK {
			t.Errorf("%s: its own API answers %d %s", issuer, w.Code, w.Body)
		}
	}
}

// With a path, login works too: each form and redirect is below the path.
func TestIssuerWithPathPages(t *testing.T) {
	var s *devserver.Server
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.AuthorizationServer().ServeHTTP(w, r) }))
	t.Cleanup(front.Close)
	var err error
	if s, err = devserver.New(devserver.Config{Issuer: front.URL + "/realms/dev", API: "http://127.0.0.1:1"}); err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, server: s, issuer: front.URL, api: "http://127.0.0.1:1"}
	d.browser = d.newBrowser()
	page := d.get(front.URL + "/realms/dev/authorize?" + parameters().Encode())
	page = d.submit(page, "username", "alice", "password", "password")
	if got := d.redirected(d.submit(page, "decision", "allow")); got.Get("code") == "" || got.Get("iss") != front.URL+"/realms/dev" {
		t.Errorf("%v", got)
	}
	if page := d.get(front.URL + "/"); page.StatusCode != http.StatusOK || !strings.Contains(page.text, "/realms/dev/jwks") {
		t.Errorf("the root: %d %s", page.StatusCode, page.text)
	}
}
