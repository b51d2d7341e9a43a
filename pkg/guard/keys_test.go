package guard_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/guard"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// While the issuer is unreachable, a guard serves public routes, answers 503 to
// other requests, and is not ready. When the issuer is back, everything works.
func TestLazyStart(t *testing.T) {
	var up atomic.Bool
	var f *fixture
	as := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !up.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
		case strings.HasPrefix(r.URL.Path, "/.well-known/"):
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q,"authorization_endpoint":"http://127.0.0.1/a","token_endpoint":"http://127.0.0.1/t","response_types_supported":["code"],"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["ES256"]}`, "http://"+r.Host, "http://"+r.Host+"/jwks")
		default:
			data, _ := f.keys().MarshalJSON()
			w.Header().Set("Content-Type", "application/jwk-set+json")
			_, _ = w.Write(data)
		}
	}))
	defer as.Close()
	keys := token.NewIssuerKeys(as.URL, jwks.RemoteOptions{})
	defer keys.Close()
	f = newFixture(t, echo, func(c *guard.Config) {
		c.Keys, c.Policy = keys, load(t, strings.Replace(routes, issuer, as.URL, 1))
	})
	bearer := "Authorization: Bearer " + f.token(map[string]any{"iss": as.URL})
	ready := func() int {
		w := httptest.NewRecorder()
		f.handler.Admin().ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
		return w.Code
	}
	if res, _ := f.send("GET /healthz"); res.StatusCode != 200 {
		t.Errorf("a public route: %d", res.StatusCode)
	}
	if res, body := f.send("GET /api/items", bearer); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("the issuer is away: %d %s", res.StatusCode, body)
	}
	if ready() != 503 {
		t.Error("ready without keys")
	}
	if s := keys.State(); s.Failures == 0 {
		t.Errorf("state %+v", s)
	}
	up.Store(true)
	eventually(t, "the issuer's keys", func() bool { res, _ := f.send("GET /api/items", bearer); return res.StatusCode == 200 })
	if ready() != 200 {
		t.Error("not ready with keys")
	}
}

// A file of keys is read again on demand; an invalid file changes nothing.
func TestFileKeys(t *testing.T) {
	first, second := newFixture(t, echo, nil), newFixture(t, echo, nil)
	file := filepath.Join(t.TempDir(), "keys.json")
	write := func(f *fixture) {
		t.Helper()
		data, err := f.keys().MarshalJSON()
		if err == nil {
			err = os.WriteFile(file, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write(first)
	keys, err := guard.OpenKeys(file)
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, echo, func(c *guard.Config) { c.Keys, c.Verifier.CacheTokens = keys, 100 })
	status := func(of *fixture) int {
		res, _ := f.send("GET /api/items", "Authorization: Bearer "+of.token(nil))
		return res.StatusCode
	}
	old := "Authorization: Bearer " + first.token(nil)
	if res, _ := f.send("GET /api/items", old); res.StatusCode != 200 || status(second) != 401 {
		t.Fatal("positive control")
	}
	write(second)
	if err := keys.Reload(); err != nil {
		t.Fatal(err)
	}
	if res, _ := f.send("GET /api/items", old); res.StatusCode != 401 || status(second) != 200 {
		t.Error("the new keys do not count, or a remembered token outlives its key")
	}
	for _, wrong := range []string{"", "{}", `{"keys":[]}`, "nonsense"} {
		if err := os.WriteFile(file, []byte(wrong), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := keys.Reload(); err == nil || status(second) != 200 {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

// The keys are those of the first policy. What would need others is refused; the
// error names the issuers, and not where the keys are, which may hold a secret.
func TestPolicyOfOtherKeysIsRefused(t *testing.T) {
	f := newFixture(t, echo, nil)
	text := func(second, jwks string) string {
		return "issuers:\n- {issuer: " + issuer + ", audience: " + audience + "}\n- {issuer: " + second + ", audience: " + audience + ", jwks: " + jwks + "}\nroutes:\n  \"GET /a\": {}\n"
	}
	h, err := guard.New(guard.Config{
		Policy: load(t, text("https://second.example", "https://keys.example/?key=s3cr3t")),
		KeysOf: func(policy.Trust) (guard.KeySet, error) { return f.keys(), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ text, want string }{
		"the same":         {text("https://second.example", "https://keys.example/?key=s3cr3t"), ""},
		"another issuer":   {text("https://third.example", "https://keys.example/?key=s3cr3t"), "https://second.example\" to \"" + issuer + ", https://third.example\""},
		"another key set":  {text("https://second.example", "https://keys.example/?key=s3cr3t-2"), "jwks of the issuer \"https://second.example\" cannot change"},
		"an issuer less":   {"issuer: " + issuer + "\naudience: " + audience + "\nroutes:\n  \"GET /a\": {}\n", "cannot change from"},
		"the same again":   {text("https://second.example", "https://keys.example/?key=s3cr3t"), ""},
		"only a new route": {text("https://second.example", "https://keys.example/?key=s3cr3t") + "  \"GET /b\": {}\n", ""},
	} {
		err := h.SetPolicy(load(t, tt.text))
		if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cr3t")) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}
