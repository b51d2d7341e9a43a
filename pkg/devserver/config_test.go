package devserver_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/devserver"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// fixed returns a server without a network.
func fixed(t *testing.T, c devserver.Config) *devserver.Server {
	t.Helper()
	c.Issuer, c.API = "http://127.0.0.1:9000", "http://127.0.0.1:9001"
	s, err := devserver.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ask(s *devserver.Server, method, path, body string) string {
	r := httptest.NewRequest(method, "http://127.0.0.1:9000"+path, strings.NewReader(body))
	w := httptest.NewRecorder()
	s.AuthorizationServer().ServeHTTP(w, r)
	return w.Body.String()
}

// The same seed gives the same keys and, in the same order, the same clients.
func TestSeed(t *testing.T) {
	told := func(seed int64, alg string) []string {
		s := fixed(t, devserver.Config{Seed: seed, Algorithm: alg})
		var client struct {
			ID string `json:"client_id"`
		}
		decodeInto(t, ask(s, "POST", "/register", `{"redirect_uris":["http://127.0.0.1/callback"],"token_endpoint_auth_method":"none"}`), &client)
		return []string{ask(s, "GET", "/jwks", ""), client.ID}
	}
	for _, alg := range []string{"ES256", "EdDSA"} {
		if diff := cmp.Diff(told(7, alg), told(7, alg)); diff != "" {
			t.Errorf("%s: the same seed, another server:\n%s", alg, diff)
		}
		a, b, c := told(7, alg), told(8, alg), told(0, alg)
		if a[0] == b[0] || a[1] == b[1] || a[0] == c[0] || a[1] == c[1] {
			t.Errorf("%s: another seed, the same server", alg)
		}
	}
	if _, err := devserver.New(devserver.Config{Issuer: "http://127.0.0.1:1", API: "http://127.0.0.1:2", Seed: 7, Algorithm: "RS256"}); err == nil {
		t.Error("a seed for RSA was taken")
	}
}

func TestUsersAndClients(t *testing.T) {
	d := newDesk(t, devserver.Config{
		Users:   []devserver.User{{Name: "carol", Password: "s3cret"}, {Name: "bob", Password: "other"}},
		Clients: []devserver.Client{{ID: "app", RedirectURIs: []string{redirectURI}}, {ID: "job", Secret: "hush"}},
	})
	for _, test := range []struct {
		name, password string
		good           bool
	}{{"carol", "s3cret", true}, {"carol", "password", false}, {"bob", "password", false}, {"bob", "other", true}, {"alice", "password", true}, {"mallory", "password", false}} {
		d.browser = d.newBrowser()
		page := d.get(d.issuer + "/authorize?" + parameters("client_id", "app").Encode())
		page = d.submit(page, "username", test.name, "password", test.password)
		if (page.StatusCode == http.StatusOK) != test.good {
			t.Errorf("%s with %s: %d", test.name, test.password, page.StatusCode)
		}
	}
	job := d.client("job")
	job.Secret = secret.New("hush")
	_, err := job.Token(t.Context(), oauth.ClientCredentials([]string{"items:read"}, nil, nil))
	wantError(t, "job", err, "")
	job.Secret = secret.New("wrong")
	_, err = job.Token(t.Context(), oauth.ClientCredentials(nil, nil, nil))
	wantError(t, "job with a wrong secret", err, "invalid_client")
	for _, bad := range []devserver.Client{{}, {ID: "x", RedirectURIs: []string{"http://evil.example/"}}} {
		if _, err := devserver.New(devserver.Config{Issuer: d.issuer, API: d.api, Clients: []devserver.Client{bad}}); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

// A restart loses no key, client or session, and a used code or token remains
// used.
func TestState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	start := func() *devserver.Server { return fixed(t, devserver.Config{State: path, AutoApprove: true}) }
	s := start()
	var client struct {
		ID string `json:"client_id"`
	}
	decodeInto(t, ask(s, "POST", "/register", `{"redirect_uris":["`+redirectURI+`"],"token_endpoint_auth_method":"none","grant_types":["authorization_code","refresh_token"]}`), &client)
	post := func(s *devserver.Server, form url.Values) (got struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		Error   string `json:"error"`
	},
	) {
		r := httptest.NewRequest("POST", "http://127.0.0.1:9000/token", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		s.AuthorizationServer().ServeHTTP(w, r)
		decodeInto(t, w.Body.String(), &got)
		return got
	}
	r := httptest.NewRequest("GET", "http://127.0.0.1:9000/authorize?"+parameters("client_id", client.ID).Encode(), http.NoBody)
	w := httptest.NewRecorder()
	s.AuthorizationServer().ServeHTTP(w, r)
	back, err := url.Parse(w.Header().Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	first := post(s, codeRequest(back.Query().Get("code"), "client_id", client.ID))
	keys := ask(s, "GET", "/jwks", "")

	s = start()
	if got := ask(s, "GET", "/jwks", ""); got != keys {
		t.Errorf("other keys after a restart:\n%s\n%s", keys, got)
	}
	second := post(s, refreshRequest(first.Refresh, "client_id", client.ID))
	if second.Access == "" {
		t.Fatalf("the session is gone: %+v", second)
	}
	s = start()
	if got := post(s, refreshRequest(first.Refresh, "client_id", client.ID)); got.Error != "invalid_grant" {
		t.Errorf("a used one after a restart: %+v", got)
	}
	s = start()
	if got := post(s, refreshRequest(second.Refresh, "client_id", client.ID)); got.Error != "invalid_grant" {
		t.Errorf("its family after a restart: %+v", got)
	}
	data, err := os.ReadFile(path)
	info, statErr := os.Stat(path)
	if err != nil || statErr != nil || strings.Contains(string(data), first.Refresh) || runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("%v, %v, mode %v: the file holds a token or is open to others", err, statErr, info.Mode())
	}
	for name, content := range map[string]string{"no JSON": "x", "another version": `{"version":9,"keys":[],"clients":[],"grants":[],"refresh_tokens":[]}`, "unknown member": `{"x":1}`} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := devserver.New(devserver.Config{Issuer: "http://127.0.0.1:1", API: "http://127.0.0.1:2", State: path}); err == nil || !strings.Contains(err.Error(), "remove it to start again") {
			t.Errorf("%s: %v", name, err)
		}
		if got, _ := os.ReadFile(path); string(got) != content {
			t.Errorf("%s: the file was overwritten", name)
		}
	}
}

// If a revocation and a refresh happen at the same time, no token is valid
// after both.
func TestRevokeRacesRefresh(t *testing.T) {
	d := newDesk(t, devserver.Config{AutoApprove: true})
	rounds := 100
	if os.Getenv("OAUTHCTL_TEST_LONG") != "" {
		rounds = 1000
	}
	for round := range rounds {
		login := d.token(codeRequest(d.redirected(d.get(d.issuer + "/authorize?" + parameters().Encode())).Get("code")))
		var both sync.WaitGroup
		var renewed tokens
		both.Go(func() {
			d.post(d.issuer+"/revoke", url.Values{"client_id": {"oauthctl-dev"}, "token": {login.RefreshToken}})
		})
		both.Go(func() { renewed = d.token(refreshRequest(login.RefreshToken)) })
		both.Wait()
		for name, access := range map[string]string{"the old": login.AccessToken, "the new": renewed.AccessToken} {
			if access == "" {
				continue
			}
			if got := d.call("GET", "/api/items", access, ""); got.StatusCode != http.StatusUnauthorized {
				t.Fatalf("round %d: %s access token lives: %d", round, name, got.StatusCode)
			}
		}
		if renewed.RefreshToken != "" {
			if got := d.token(refreshRequest(renewed.RefreshToken)); got.Error != "invalid_grant" {
				t.Fatalf("round %d: the new refresh token lives: %+v", round, got)
			}
		}
	}
}

// Three lines protect an API in a test, with tokens that are valid or wrong by
// name.
func ExampleServer_Mint() {
	server, err := devserver.New(devserver.Config{Issuer: "http://127.0.0.1:9000", API: "http://127.0.0.1:9001"})
	if err != nil {
		panic(err)
	}
	for _, name := range []string{"good", "expired", "missing-scope"} {
		raw, err := server.Mint(name)
		if err != nil {
			panic(err)
		}
		r := httptest.NewRequest(http.MethodGet, "/api/items", http.NoBody)
		r.Header.Set("Authorization", "Bearer "+raw)
		w := httptest.NewRecorder()
		server.API().ServeHTTP(w, r)
		fmt.Println(name, w.Code)
	}
	// Output:
	// good 200
	// expired 401
	// missing-scope 403
}

// A new server and token for each test: `go test -run '^$' -bench Kit
// ./pkg/devserver`.
func BenchmarkKit(b *testing.B) {
	for b.Loop() {
		s, err := devserver.New(devserver.Config{Issuer: "http://127.0.0.1:9000", API: "http://127.0.0.1:9001"})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Mint("expired"); err != nil {
			b.Fatal(err)
		}
	}
}
