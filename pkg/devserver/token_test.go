package devserver_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/devserver"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// Each row makes one parameter of a valid request wrong. The valid request is
// then accepted.
func TestCodeRefused(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	for _, test := range []struct {
		name, want string
		spoil      []string
	}{
		{"wrong verifier", "invalid_grant", []string{"code_verifier", strings.Repeat("a", 43)}},
		{"no verifier", "invalid_grant", []string{"code_verifier", ""}},
		{"the challenge for a verifier", "invalid_grant", []string{"code_verifier", challengeOf(verifier)}},
		{"short verifier", "invalid_grant", []string{"code_verifier", verifier[:42]}},
		{"wrong redirect URI", "invalid_grant", []string{"redirect_uri", "http://127.0.0.1:4712/callback"}},
		{"no redirect URI", "invalid_grant", []string{"redirect_uri", ""}},
		{"another client", "invalid_grant", []string{"client_id", d.register("http://127.0.0.1/callback")}},
		{"unknown client", "invalid_client", []string{"client_id", "nobody"}},
		{"a secret where there is none", "invalid_client", []string{"client_secret", "secret"}},
		{"unknown code", "invalid_grant", []string{"code", "guess"}},
		{"no code", "invalid_request", []string{"code", ""}},
		{"unknown resource", "invalid_target", []string{"resource", "https://api.example"}},
		{"unknown grant", "unsupported_grant_type", []string{"grant_type", "password"}},
		{"no grant", "invalid_request", []string{"grant_type", ""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			code := d.login(parameters()).Get("code")
			if got := d.token(codeRequest(code, test.spoil...)); got.Error != test.want || got.AccessToken != "" {
				t.Errorf("got %+v, want %s", got, test.want)
			}
			if got := d.token(codeRequest(code)); got.AccessToken == "" {
				t.Errorf("the good request: %+v", got)
			}
		})
	}
}

func TestParameterTwice(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	code := d.login(parameters()).Get("code")
	form := codeRequest(code)
	form.Add("code_verifier", verifier)
	if got := d.token(form); got.Error != "invalid_request" {
		t.Errorf("got %+v", got)
	}
	if got := d.token(codeRequest(code)); got.AccessToken == "" {
		t.Errorf("the good request: %+v", got)
	}
}

func TestCodeUsedTwice(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	code := d.login(parameters()).Get("code")
	first := d.token(codeRequest(code))
	if got := d.call("GET", "/api/items", first.AccessToken, ""); got.StatusCode != http.StatusOK {
		t.Fatalf("the first use: %d %s", got.StatusCode, got.text)
	}
	if got := d.token(codeRequest(code)); got.Error != "invalid_grant" {
		t.Errorf("the second use: %+v", got)
	}
	// The tokens of the first use are revoked, because one of the two clients
	// may be a thief.
	if got := d.call("GET", "/api/items", first.AccessToken, ""); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("the access token: %d", got.StatusCode)
	}
	if got := d.token(refreshRequest(first.RefreshToken)); got.Error != "invalid_grant" {
		t.Errorf("the refresh token: %+v", got)
	}
}

func TestCodeExpires(t *testing.T) {
	for _, test := range []struct {
		after time.Duration
		want  string
	}{{59 * time.Second, ""}, {61 * time.Second, "invalid_grant"}} {
		d := newDesk(t, devserver.Config{})
		code := d.login(parameters()).Get("code")
		d.offset.Store(int64(test.after))
		if got := d.token(codeRequest(code)); got.Error != test.want {
			t.Errorf("after %s: %+v, want %q", test.after, got, test.want)
		}
	}
}

// A clock that is set back does not make a used code or refresh token valid
// again.
func TestOnceOnlyWhenClockGoesBack(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	code := codeRequest(d.login(parameters()).Get("code"))
	first := d.token(code)
	refresh := refreshRequest(first.RefreshToken)
	if got := d.token(refresh); got.Error != "" {
		t.Fatalf("the first refresh: %+v", got)
	}
	d.offset.Store(int64(-time.Second))
	for _, form := range []url.Values{refresh, code} {
		if got := d.token(form); got.Error != "invalid_grant" {
			t.Errorf("%s, used before and now again: %+v", form.Get("grant_type"), got)
		}
	}
}

// One of a hundred concurrent requests succeeds.
func TestOnceOnly(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	for _, request := range []func() url.Values{
		func() url.Values { return codeRequest(d.login(parameters()).Get("code")) },
		func() url.Values {
			return refreshRequest(d.token(codeRequest(d.login(parameters()).Get("code"))).RefreshToken)
		},
	} {
		form := request()
		var (
			all      sync.WaitGroup
			mu       sync.Mutex
			outcomes = map[string]int{}
			won      tokens
			start    = make(chan struct{})
		)
		for range 100 {
			all.Go(func() {
				<-start
				got := d.token(form)
				mu.Lock()
				defer mu.Unlock()
				outcomes[got.Error]++
				if got.Error == "" {
					won = got
				}
			})
		}
		close(start)
		all.Wait()
		if diff := cmp.Diff(map[string]int{"": 1, "invalid_grant": 99}, outcomes); diff != "" {
			t.Errorf("%s (-want +got):\n%s", form.Get("grant_type"), diff)
		}
		// The other requests, or the one that succeeded, may be from a thief,
		// so all tokens of the login are revoked.
		if got := d.token(refreshRequest(won.RefreshToken)); got.Error != "invalid_grant" {
			t.Errorf("%s: the refresh token that was won lives: %+v", form.Get("grant_type"), got)
		}
		if got := d.call("GET", "/api/items", won.AccessToken, ""); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: the access token that was won lives: %d", form.Get("grant_type"), got.StatusCode)
		}
	}
}

func TestRefresh(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	first := d.token(codeRequest(d.login(parameters()).Get("code")))
	for _, test := range []struct {
		name, want string
		spoil      []string
	}{
		{"another client", "invalid_grant", []string{"client_id", d.register("http://127.0.0.1/callback")}},
		{"more scope", "invalid_scope", []string{"scope", "items:read users:delete"}},
		{"another resource", "invalid_target", []string{"resource", "https://api.example"}},
		{"made up", "invalid_grant", []string{"refresh_token", "guess"}},
		{"none", "invalid_request", []string{"refresh_token", ""}},
	} {
		if got := d.token(refreshRequest(first.RefreshToken, test.spoil...)); got.Error != test.want {
			t.Errorf("%s: %+v, want %s", test.name, got, test.want)
		}
	}
	second := d.token(refreshRequest(first.RefreshToken, "scope", "items:read", "resource", d.api))
	if second.Scope != "items:read" || second.RefreshToken == "" || second.RefreshToken == first.RefreshToken {
		t.Fatalf("narrowed and rotated: %+v", second)
	}
	third := d.token(refreshRequest(second.RefreshToken))
	if third.Scope != first.Scope {
		t.Errorf("a narrowed request narrowed the grant: %q", third.Scope)
	}
	if got := d.token(refreshRequest(first.RefreshToken)); got.Error != "invalid_grant" {
		t.Errorf("reuse: %+v", got)
	}
	if got := d.token(refreshRequest(third.RefreshToken)); got.Error != "invalid_grant" {
		t.Errorf("the newest token after a reuse: %+v", got)
	}
	// Other logins are not affected.
	if got := d.token(codeRequest(d.login(parameters()).Get("code"))); d.token(refreshRequest(got.RefreshToken)).Error != "" {
		t.Errorf("another login: %+v", got)
	}
}

func TestRefreshTokenNeedsOfflineAccess(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	got := d.token(codeRequest(d.login(parameters("scope", "items:read")).Get("code")))
	if got.RefreshToken != "" || got.IDToken != "" || got.AccessToken == "" {
		t.Errorf("without openid and offline_access: %+v", got)
	}
	got = d.token(codeRequest(d.login(parameters("scope", "openid offline_access items:read")).Get("code")))
	if got.RefreshToken == "" || got.IDToken == "" {
		t.Errorf("with both: %+v", got)
	}
}

func TestAccessTokenClaims(t *testing.T) {
	d := newDesk(t, devserver.Config{AccessTokenTTL: time.Minute})
	got := d.token(codeRequest(d.login(parameters("scope", "items:read items:write")).Get("code")))
	if got.TokenType != "Bearer" || got.ExpiresIn != 60 {
		t.Errorf("%+v", got)
	}
	decoded, err := token.Decode(got.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	if typ := decoded.Type(); typ != "at+jwt" {
		t.Errorf("typ %q", typ)
	}
	claims := decoded.Claims()
	for _, name := range []string{"iat", "exp", "auth_time", "jti"} {
		if claims[name] == nil {
			t.Errorf("%s is missing", name)
		}
		delete(claims, name)
	}
	want := map[string]any{"iss": d.issuer, "sub": "alice", "aud": d.api, "client_id": "oauthctl-dev", "scope": "items:read items:write"}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if life := decoded.Expiry().Sub(decoded.IssuedAt()); life != time.Minute {
		t.Errorf("lives %s", life)
	}
}

func TestClientCredentials(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	good := func(pairs ...string) url.Values {
		return changed(url.Values{"grant_type": {"client_credentials"}, "client_id": {"service"}, "client_secret": {"secret"}, "scope": {"items:read"}}, pairs...)
	}
	for _, test := range []struct {
		name, want string
		form       url.Values
	}{
		{"good", "", good()},
		{"wrong secret", "invalid_client", good("client_secret", "guess")},
		{"no secret", "invalid_client", good("client_secret", "")},
		{"public client", "unauthorized_client", good("client_id", "oauthctl-dev", "client_secret", "")},
		{"a user's scope", "invalid_scope", good("scope", "openid items:read")},
		{"unknown scope", "invalid_scope", good("scope", "items:eat")},
		{"unknown resource", "invalid_target", good("resource", d.api+"/")},
	} {
		if got := d.token(test.form); got.Error != test.want {
			t.Errorf("%s: %+v, want %q", test.name, got, test.want)
		}
	}
	got := d.token(good())
	if res := d.call("GET", "/api/items", got.AccessToken, ""); res.StatusCode != http.StatusOK || got.RefreshToken != "" {
		t.Errorf("%d %s", res.StatusCode, res.text)
	}
}

func TestClientInTheHeader(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	for _, test := range []struct {
		secret string
		want   int
	}{{"secret", http.StatusOK}, {"guess", http.StatusUnauthorized}} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.issuer+"/token", strings.NewReader("grant_type=client_credentials"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth("service", test.secret)
		got := d.do(req)
		if got.StatusCode != test.want || (got.Header.Get("WWW-Authenticate") == "") != (test.want == http.StatusOK) {
			t.Errorf("%s: %d %v", test.secret, got.StatusCode, got.Header)
		}
	}
}

func TestRevokeAndIntrospect(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	got := d.token(codeRequest(d.login(parameters()).Get("code")))
	active := func(value string, client ...string) bool {
		t.Helper()
		res := d.post(d.issuer+"/introspect", changed(url.Values{"token": {value}}, client...))
		var told struct {
			Active bool `json:"active"`
		}
		decodeInto(t, res.text, &told)
		return told.Active
	}
	service := []string{"client_id", "service", "client_secret", "secret"}
	own := []string{"client_id", "oauthctl-dev"}
	other := []string{"client_id", d.register("http://127.0.0.1/callback")}
	if !active(got.AccessToken, service...) || !active(got.AccessToken, own...) || active(got.AccessToken, other...) {
		t.Error("the token is told of to the wrong clients")
	}
	if active(got.AccessToken+"x", service...) || !active(got.RefreshToken, own...) {
		t.Error("a changed token is active, or the refresh token is not")
	}
	revoke := func(value string, client ...string) {
		t.Helper()
		if res := d.post(d.issuer+"/revoke", changed(url.Values{"token": {value}}, client...)); res.StatusCode != http.StatusOK {
			t.Errorf("revoke: %d %s", res.StatusCode, res.text)
		}
	}
	revoke(got.RefreshToken, other...)
	if !active(got.RefreshToken, own...) {
		t.Error("another client revoked the token")
	}
	revoke(got.RefreshToken, own...)
	if active(got.RefreshToken, own...) || active(got.AccessToken, own...) {
		t.Error("a revoked login has good tokens")
	}
	if res := d.call("GET", "/api/items", got.AccessToken, ""); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("the API takes a revoked token: %d", res.StatusCode)
	}
}

// register registers a public client and returns its id.
func (d *desk) register(redirectURIs ...string) string {
	d.t.Helper()
	var told struct {
		ClientID string `json:"client_id"`
	}
	res := d.postJSON("/register", `{"redirect_uris":["`+strings.Join(redirectURIs, `","`)+`"],"grant_types":["authorization_code","refresh_token"],"token_endpoint_auth_method":"none","client_name":"Test <b>app</b>"}`)
	decodeInto(d.t, res.text, &told)
	if res.StatusCode != http.StatusCreated || told.ClientID == "" {
		d.t.Fatalf("register: %d %s", res.StatusCode, res.text)
	}
	return told.ClientID
}

func (d *desk) postJSON(path, body string) answer {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodPost, d.issuer+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	return d.do(req)
}
