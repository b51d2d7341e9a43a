package devserver_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/devserver"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// Each provider's tokens have its form, and this server's API accepts them.
func TestProviders(t *testing.T) {
	for _, test := range []struct {
		name    string
		typ     string
		present map[string]any
		absent  []string
		status  int
		id      string
	}{
		{"auth0", "JWT", map[string]any{"azp": "oauthctl-dev", "scope": "openid offline_access items:read items:write"}, []string{"client_id"}, 200, ""},
		{"okta", "", map[string]any{"cid": "oauthctl-dev", "scp": []any{"openid", "offline_access", "items:read", "items:write"}, "ver": 1.0}, []string{"client_id", "scope"}, 200, ""},
		{"entra", "JWT", map[string]any{"azp": "oauthctl-dev", "scp": "openid offline_access items:read items:write", "ver": "2.0"}, []string{"client_id", "scope", "jti"}, 200, ""},
		{"keycloak", "JWT", map[string]any{"azp": "oauthctl-dev", "aud": "account", "typ": "Bearer"}, []string{"client_id"}, 401, "AUD"},
		{"cognito", "", map[string]any{"client_id": "oauthctl-dev", "token_use": "access", "username": "alice"}, []string{"aud"}, 401, "AUD"},
		{"google", "", nil, nil, 401, "OPAQUE"},
		{"github", "", nil, nil, 401, "OPAQUE"},
		{"gitlab", "", nil, nil, 401, "OPAQUE"},
	} {
		d := newDesk(t, devserver.Config{Provider: test.name})
		got := d.token(codeRequest(d.login(parameters()).Get("code")))
		if res := d.call("GET", "/api/items", got.AccessToken, ""); res.StatusCode != test.status || !strings.Contains(res.text, test.id) {
			t.Errorf("%s: the API answers %d %s", test.name, res.StatusCode, res.text)
		}
		if info := d.request(http.MethodGet, d.issuer+"/userinfo", "", "Authorization", "Bearer "+got.AccessToken); info.StatusCode != http.StatusOK {
			t.Errorf("%s: userinfo answers %d", test.name, info.StatusCode)
		}
		var told struct {
			Active bool `json:"active"`
		}
		decodeInto(t, d.post(d.issuer+"/introspect", url.Values{"client_id": {"oauthctl-dev"}, "token": {got.AccessToken}}).text, &told)
		if !told.Active {
			t.Errorf("%s: introspection does not know the token", test.name)
		}
		if isJWT := strings.Count(got.RefreshToken, ".") == 2; isJWT != (test.name == "keycloak") {
			t.Errorf("%s: refresh token %q", test.name, got.RefreshToken)
		}
		if renewed := d.token(refreshRequest(got.RefreshToken)); renewed.AccessToken == "" {
			t.Errorf("%s: %+v", test.name, renewed)
		}
		if test.present == nil {
			continue
		}
		decoded, err := token.Decode(got.AccessToken)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if decoded.Type() != test.typ {
			t.Errorf("%s: typ %q", test.name, decoded.Type())
		}
		claims := decoded.Claims()
		for name, want := range test.present {
			if diff := cmp.Diff(want, claims[name]); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", test.name, name, diff)
			}
		}
		for _, name := range test.absent {
			if claims[name] != nil {
				t.Errorf("%s has %s", test.name, name)
			}
		}
	}
	if len(devserver.Providers()) != 8 {
		t.Errorf("%v: the test knows eight", devserver.Providers())
	}
	if _, err := devserver.New(devserver.Config{Issuer: "http://127.0.0.1:1", API: "http://127.0.0.1:2", Provider: "octa"}); err == nil || !strings.Contains(err.Error(), `did you mean "okta"`) {
		t.Errorf("%v", err)
	}
}
