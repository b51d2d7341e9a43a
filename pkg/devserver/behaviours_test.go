package devserver_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// What a client meets at a provider is refused there and accepted elsewhere.
func TestAs(t *testing.T) {
	ask := func(provider, method, path string, values url.Values) (int, string, string) {
		t.Helper()
		s, err := devserver.New(devserver.Config{
			Issuer: "http://127.0.0.1:1" + devserver.ProviderIssuer(provider), API: "http://127.0.0.1:2", Provider: provider, AutoApprove: true,
			Clients: []devserver.Client{{ID: "c", RedirectURIs: []string{"http://127.0.0.1:8976/callback"}}, {ID: "s", Secret: "a-secret"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		handler, err := s.As(provider)
		if err != nil {
			t.Fatal(err)
		}
		target, body := path+"?"+values.Encode(), io.Reader(http.NoBody)
		if method == http.MethodPost {
			target, body = path, strings.NewReader(values.Encode())
		}
		r := httptest.NewRequest(method, target, body)
		r.Host = "127.0.0.1:1"
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code, w.Header().Get("Content-Type"), w.Body.String() + w.Header().Get("Location")
	}
	authorize := url.Values{
		"response_type": {"code"}, "client_id": {"c"}, "redirect_uri": {"http://127.0.0.1:1234/callback"}, "state": {"a-state-of-some-length"}, "scope": {"openid"},
		"code_challenge": {strings.Repeat("a", 43)}, "code_challenge_method": {"S256"},
	}
	with := func(name, value string) url.Values {
		next := url.Values{}
		for k, v := range authorize {
			next[k] = v
		}
		next.Set(name, value)
		return next
	}
	for _, tt := range []struct {
		name, provider, method, path string
		values                       url.Values
		status                       int
	}{
		{"another port, compared", "auth0", http.MethodGet, "/authorize", authorize, http.StatusBadRequest},
		{"the registered port", "auth0", http.MethodGet, "/authorize", with("redirect_uri", "http://127.0.0.1:8976/callback"), http.StatusSeeOther},
		{"another port, not compared", "keycloak", http.MethodGet, "/realms/dev/authorize", authorize, http.StatusSeeOther},
		{"a resource, refused", "google", http.MethodGet, "/authorize", with("resource", "http://127.0.0.1:2"), http.StatusBadRequest},
		{"a resource, accepted", "keycloak", http.MethodGet, "/realms/dev/authorize", with("resource", "http://127.0.0.1:2"), http.StatusSeeOther},
		{"no metadata", "github", http.MethodGet, "/.well-known/openid-configuration", nil, http.StatusNotFound},
		{"OpenID metadata alone", "google", http.MethodGet, "/.well-known/oauth-authorization-server", nil, http.StatusNotFound},
		{"OpenID metadata", "google", http.MethodGet, "/.well-known/openid-configuration", nil, http.StatusOK},
		{"a path of its own", "github", http.MethodGet, "/login/oauth/authorize", authorize, http.StatusSeeOther},
		{"not that of others", "github", http.MethodGet, "/authorize", authorize, http.StatusNotFound},
		{"no registration", "okta", http.MethodPost, "/oauth2/default/register", nil, http.StatusNotFound},
		{"a code without the secret", "google", http.MethodPost, "/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {"s"}, "code": {"x"}}, http.StatusBadRequest},
	} {
		got, _, text := ask(tt.provider, tt.method, tt.path, tt.values)
		if redirected := got == http.StatusFound || got == http.StatusSeeOther; got != tt.status && !(redirected && tt.status == http.StatusSeeOther) {
			t.Errorf("%s: %d, want %d: %.200s", tt.name, got, tt.status, text)
		}
	}
	credentials := url.Values{"grant_type": {"client_credentials"}, "client_id": {"s"}, "client_secret": {"a-secret"}}
	if status, kind, body := ask("github", http.MethodPost, "/login/oauth/access_token", credentials); status != http.StatusOK || !strings.HasPrefix(kind, "application/x-www-form-urlencoded") || !strings.Contains(body, "access_token=gho_") {
		t.Errorf("form-encoded: %d, %s, %.100s", status, kind, body)
	}
	if status, kind, body := ask("google", http.MethodPost, "/token", credentials); status != http.StatusOK || !strings.HasPrefix(kind, "application/json") || !strings.Contains(body, `"ya29.`) {
		t.Errorf("JSON: %d, %s, %.100s", status, kind, body)
	}
	s, err := devserver.New(devserver.Config{Issuer: "http://127.0.0.1:1", API: "http://127.0.0.1:2"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.As("gogle"); err == nil {
		t.Error("an unknown provider")
	}
}
