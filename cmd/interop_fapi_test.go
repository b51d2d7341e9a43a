package cmd_test

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// The FAPI 2.0 security profile of the certified server, with the commands only: a client that authenticates with a
// key, a pushed request, tokens that are bound to another key; login, call, refresh, second login, logout.
func TestInteropFAPIByCommand(t *testing.T) {
	issuer := startOIDCProvider(t, "--fapi", "--dpop-nonce")
	key, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	private, err := key.MarshalJWK()
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jwks.NewSet(key.Public()))
	if err != nil {
		t.Fatal(err)
	}
	var published map[string]any
	if err := json.Unmarshal(set, &published); err != nil {
		t.Fatal(err)
	}
	clientID, _ := register(t, issuer, map[string]any{
		"application_type": "native", "redirect_uris": []string{"http://127.0.0.1/callback"}, "grant_types": []string{"authorization_code", "refresh_token"},
		"token_endpoint_auth_method": "private_key_jwt", "jwks": published, "dpop_bound_access_tokens": true, "id_token_signed_response_alg": "ES256",
	})
	user := &interopUser{t: t, home: t.TempDir(), person: person{Login: "alice"}}
	signing := user.file("client.jwk", string(private))
	login := []string{"login", issuer, "--api", issuer, "--browser", "--client-id", clientID, "--signing-key", signing, "--prompt", "consent", "--scope", "openid offline_access email"}
	// The control: without a proof the server issues no token, and the hint has the flag.
	if refused := user.want(5, login...); !strings.Contains(refused.stderr, "oauthctl login URL --dpop") {
		t.Errorf("no hint: %s", refused.stderr)
	}
	for range 2 {
		user.want(0, append(login, "--dpop")...)
	}
	if got := user.want(0, "call", "GET", "/me").stdout; !strings.Contains(got, `"alice"`) {
		t.Errorf("call: %s", got)
	}
	first := strings.TrimSpace(user.want(0, "token").stdout)
	if next := strings.TrimSpace(user.want(0, "token", "--refresh").stdout); next == first {
		t.Error("no other token came")
	}
	user.want(0, "logout")
}
