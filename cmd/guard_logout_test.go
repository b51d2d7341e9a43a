package cmd_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// One guard receives the logout token of an issuer, and every guard refuses the session's tokens.
func TestGuardBackChannelLogout(t *testing.T) {
	port, _ := startRedis(t, "")
	store := "redis://127.0.0.1:" + port + "/0"
	key, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := json.Marshal(jwks.NewSet(key.Public()))
	if err != nil {
		t.Fatal(err)
	}
	keyFile := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(keyFile, keys, 0o600); err != nil {
		t.Fatal(err)
	}
	const issuer = "https://login.example"
	sign := func(typ string, claims map[string]any) string {
		t.Helper()
		now := time.Now().Unix()
		all := map[string]any{"iss": issuer, "iat": now, "exp": now + 120, "jti": typ, "sub": "alice", "sid": "s1"}
		for name, value := range claims {
			all[name] = value
		}
		raw, err := token.Sign(key, typ, all)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer upstream.Close()
	file := policyFile(t, issuer, "https://api.example", "  \"GET /a\": {}\n")
	args := []string{"--upstream", upstream.URL, "--policy", file, "--jwks", keyFile, "--revocations", store}
	one := startGuard(t, t.TempDir(), append(args, "--backchannel-logout", "/_logout", "--backchannel-client-id", "mobile", "--backchannel-client-id", "web")...)
	two := startGuard(t, t.TempDir(), args...)
	session, other := sign("at+jwt", map[string]any{"aud": "https://api.example"}), sign("at+jwt", map[string]any{"aud": "https://api.example", "sid": "s2", "jti": "2"})
	both := func(raw string, want int) func() bool {
		return func() bool {
			a, _ := one.ask("/a", raw)
			b, _ := two.ask("/a", raw)
			return a == want && b == want
		}
	}
	eventually(t, 10*time.Second, "the guards accept the token", both(session, 200))
	logout := sign("logout+jwt", map[string]any{"aud": "web", "events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}})
	for address, want := range map[string]int{one.address: 200, two.address: 401} {
		res, err := http.PostForm(address+"/_logout", url.Values{"logout_token": {logout}})
		if err != nil {
			t.Fatal(err)
		}
		if res.Body.Close(); res.StatusCode != want {
			t.Errorf("a logout token at %s: %d, want %d", address, res.StatusCode, want)
		}
	}
	eventually(t, 2*time.Second, "both refuse the session", both(session, 401))
	if !both(other, 200)() {
		t.Error("another session is refused too")
	}
}
