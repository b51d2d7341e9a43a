package guard_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/guard"
	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/revocation"
	"github.com/oauthctl/oauthctl/pkg/token"
)

func logoutForm(raw string) string { return url.Values{"logout_token": {raw}}.Encode() }

// logoutToken returns the token that the issuer sends when a session ends.
func (f *fixture) logoutToken(change map[string]any) string {
	f.t.Helper()
	now := time.Now().Unix()
	claims := map[string]any{"iss": issuer, "aud": "web", "iat": now, "exp": now + 120, "jti": "l1", "sub": "alice", "sid": "s1", "events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}}
	for name, value := range change {
		claims[name] = value
	}
	raw, err := token.Sign(f.key, "logout+jwt", claims)
	if err != nil {
		f.t.Fatal(err)
	}
	return raw
}

// After a logout at the issuer, the guard refuses the session's tokens. Other
// tokens revoke nothing, and no other path accepts a logout token.
func TestBackChannelLogout(t *testing.T) {
	f := newFixture(t, echo, func(c *guard.Config) {
		store := revocation.NewMemory(revocation.MemoryOptions{})
		c.Revocation, c.Logout = store, &guard.Logout{Path: "/_logout", ClientIDs: []string{"web"}, Store: store}
		c.Policy = load(t, routes+"  \"POST /other\": {public: true}\n")
	})
	session := "Authorization: Bearer " + f.token(map[string]any{"sid": "s1"})
	other := "Authorization: Bearer " + f.token(map[string]any{"sid": "s2", "jti": "2"})
	status := func(field string) int { res, _ := f.send("GET /api/items", field); return res.StatusCode }
	post := func(path, raw string) int {
		t.Helper()
		res, err := http.Post(f.url+path, "application/x-www-form-urlencoded", strings.NewReader(logoutForm(raw)))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	if a, b := status(session), status(other); a != 200 || b != 200 {
		t.Fatalf("positive control: %d, %d", a, b)
	}
	for name, tt := range map[string]struct {
		path, raw string
		status    int
	}{
		"another client":   {"/_logout", f.logoutToken(map[string]any{"aud": "mobile"}), 400},
		"an access token":  {"/_logout", f.token(map[string]any{"sid": "s1", "aud": "web"}), 400},
		"another path":     {"/other", f.logoutToken(nil), 200},
		"a path below":     {"/_logout/", f.logoutToken(nil), 401},
		"another spelling": {"/%5Flogout", f.logoutToken(nil), 401},
	} {
		if got := post(tt.path, tt.raw); got != tt.status || status(session) != 200 {
			t.Errorf("%s: %d, want %d; the session: %d", name, got, tt.status, status(session))
		}
	}
	if got := post("/_logout", f.logoutToken(nil)); got != 200 {
		t.Fatalf("logout: %d", got)
	}
	if a, b := status(session), status(other); a != 401 || b != 200 {
		t.Errorf("after the logout: the session %d, another %d", a, b)
	}
	log := f.log.String()
	if !strings.Contains(log, "decision=logout") || !strings.Contains(log, "id=AUD_MISMATCH") || strings.Contains(log, f.logoutToken(nil)[:40]) {
		t.Errorf("log:\n%s", log)
	}
	// The receiver of a logout token is not a resource.
	if res, _ := f.send("GET /_logout", session); res.StatusCode != 405 {
		t.Errorf("GET: %d", res.StatusCode)
	}
}

// A logout token is verified with the keys of its issuer, of several issuers.
// Behind a gateway, it is sent to the guard itself.
func TestBackChannelLogoutOfSeveralIssuers(t *testing.T) {
	f := newFixture(t, echo, nil)
	g := newFixture(t, echo, nil)
	store := revocation.NewMemory(revocation.MemoryOptions{})
	h, err := guard.New(guard.Config{
		Policy: load(t, "issuers:\n- {issuer: "+issuer+", audience: "+audience+"}\n- {issuer: https://second.example, audience: "+audience+"}\nroutes:\n  \"GET /a\": {}\n"),
		KeysOf: func(one policy.Trust) (guard.KeySet, error) {
			if one.Issuer == issuer {
				return f.keys(), nil
			}
			return g.keys(), nil
		},
		Revocation: store, Logout: &guard.Logout{Path: "/logout", ClientIDs: []string{"web"}, Store: store}, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		raw    string
		status int
	}{
		"the first's":                    {f.logoutToken(nil), 200},
		"the second's":                   {g.logoutToken(map[string]any{"iss": "https://second.example"}), 200},
		"the second's key for the first": {g.logoutToken(nil), 400},
		"a third's":                      {g.logoutToken(map[string]any{"iss": "https://third.example"}), 400},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "/logout", strings.NewReader(logoutForm(tt.raw)))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		h.ForwardAuth(guard.Nginx).ServeHTTP(w, r)
		if w.Code != tt.status {
			t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, tt.status)
		}
	}
}
