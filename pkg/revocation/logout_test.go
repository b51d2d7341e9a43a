package revocation_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/revocation"
	"github.com/oauthctl/oauthctl/pkg/token"
)

const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// idp is an issuer that signs logout tokens, and their receiver.
type idp struct {
	t     *testing.T
	key   *jwks.PrivateKey
	store *revocation.Memory
	http  http.Handler
}

func newIDP(t *testing.T, store revocation.Revoker) *idp {
	t.Helper()
	key, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	i := &idp{t: t, key: key, store: revocation.NewMemory(revocation.MemoryOptions{})}
	if store == nil {
		store = i.store
	}
	v, err := revocation.LogoutVerifier("https://login.example", []string{"web", "mobile"}, jwks.NewSet(key.Public()), token.Options{})
	if err != nil {
		t.Fatal(err)
	}
	i.http = &revocation.Logout{Verifier: v, Store: store}
	return i
}

// sign signs a token of the issuer; nil in change removes a claim.
func (i *idp) sign(typ string, change map[string]any) string {
	i.t.Helper()
	now := time.Now().Unix()
	claims := map[string]any{"iss": "https://login.example", "aud": "web", "iat": now, "exp": now + 120, "jti": "l1", "sid": "s1", "events": map[string]any{logoutEvent: map[string]any{}}}
	for name, value := range change {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	raw, err := token.Sign(i.key, typ, claims)
	if err != nil {
		i.t.Fatal(err)
	}
	return raw
}

func (i *idp) post(form, contentType string) (int, string) {
	r := httptest.NewRequest(http.MethodPost, "/logout", strings.NewReader(form))
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	i.http.ServeHTTP(w, r)
	if w.Header().Get("Cache-Control") != "no-store" {
		i.t.Errorf("the answer can be cached: %v", w.Header())
	}
	return w.Code, w.Body.String()
}

const formType = "application/x-www-form-urlencoded"

func (i *idp) logout(raw string) (int, string) {
	return i.post(url.Values{"logout_token": {raw}}.Encode(), formType)
}

// access returns an access token of the issuer.
func (i *idp) access(claims map[string]any) *token.Token {
	i.t.Helper()
	claims["iss"], claims["aud"] = "https://login.example", "api"
	raw, err := token.Sign(i.key, "at+jwt", claims)
	if err != nil {
		i.t.Fatal(err)
	}
	t, err := token.Decode(raw)
	if err != nil {
		i.t.Fatal(err)
	}
	return t
}

// A logout revokes exactly the tokens that it is about.
func TestLogout(t *testing.T) {
	now := time.Now().Unix()
	type claims = map[string]any
	for name, tt := range map[string]struct {
		typ               string
		logout            claims
		refused, accepted []claims
	}{
		"a session": {
			"logout+jwt", nil,
			[]claims{{"sub": "alice", "sid": "s1", "iat": now - 5}, {"sub": "alice", "sid": "s1", "iat": now}, {"sid": "s1"}},
			[]claims{{"sub": "alice", "sid": "s2", "iat": now - 5}, {"sub": "alice", "iat": now - 5}, {"sub": "alice", "sid": "s1", "iat": now + 1}},
		},
		"a session of a subject": {
			"JWT",
			claims{"sub": "alice"},
			[]claims{{"sub": "alice", "sid": "s1", "iat": now - 5}, {"sub": "alice", "iat": now - 5}, {"sub": "alice"}},
			[]claims{{"sub": "alice", "sid": "s2", "iat": now - 5}, {"sub": "bob", "iat": now - 5}, {"sub": "alice", "iat": now + 1}},
		},
		"a subject": {
			"",
			claims{"sub": "alice", "sid": nil},
			[]claims{{"sub": "alice", "sid": "s1", "iat": now - 5}, {"sub": "alice", "sid": "s2", "iat": now - 5}, {"sub": "alice", "iat": now}},
			[]claims{{"sub": "bob", "sid": "s1", "iat": now - 5}, {"sub": "alice", "sid": "s1", "iat": now + 1}},
		},
	} {
		i := newIDP(t, nil)
		for round := range 2 { // the second has no effect
			if status, body := i.logout(i.sign(tt.typ, tt.logout)); status != http.StatusOK || body != "" {
				t.Fatalf("%s, %d: %d %s", name, round, status, body)
			}
			for _, c := range tt.refused {
				if revoked, err := i.store.Revoked(t.Context(), i.access(c)); !revoked || err != nil {
					t.Errorf("%s: %v is %v, %v", name, c, revoked, err)
				}
			}
			for _, c := range tt.accepted {
				if revoked, err := i.store.Revoked(t.Context(), i.access(c)); revoked || err != nil {
					t.Errorf("%s: %v is %v, %v", name, c, revoked, err)
				}
			}
		}
	}
}

// A token that is not a logout token of a known issuer revokes nothing.
func TestLogoutRefused(t *testing.T) {
	now := time.Now().Unix()
	i, other := newIDP(t, nil), newIDP(t, nil)
	good := i.sign("logout+jwt", nil)
	event := func(value any) map[string]any { return map[string]any{"events": map[string]any{logoutEvent: value}} }
	for name, raw := range map[string]string{
		"signed by another":     other.sign("logout+jwt", nil),
		"another issuer":        i.sign("logout+jwt", map[string]any{"iss": "https://login.example/"}),
		"another client":        i.sign("logout+jwt", map[string]any{"aud": "api"}),
		"expired":               i.sign("logout+jwt", map[string]any{"exp": now - 600, "iat": now - 700}),
		"no exp":                i.sign("logout+jwt", map[string]any{"exp": nil}),
		"no iat":                i.sign("logout+jwt", map[string]any{"iat": nil}),
		"no jti":                i.sign("logout+jwt", map[string]any{"jti": nil}),
		"neither sub nor sid":   i.sign("logout+jwt", map[string]any{"sid": nil}),
		"an empty sid":          i.sign("logout+jwt", map[string]any{"sid": ""}),
		"a nonce":               i.sign("logout+jwt", map[string]any{"nonce": "n"}),
		"a nonce of null":       i.sign("logout+jwt", map[string]any{"nonce": struct{}{}}),
		"no events":             i.sign("logout+jwt", map[string]any{"events": nil}),
		"another event":         i.sign("logout+jwt", map[string]any{"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout2": map[string]any{}}}),
		"an event of true":      i.sign("logout+jwt", event(true)),
		"an event of null":      i.sign("logout+jwt", event(nil)),
		"events as a list":      i.sign("logout+jwt", map[string]any{"events": []any{logoutEvent}}),
		"an access token":       i.sign("at+jwt", map[string]any{"sub": "alice", "client_id": "web"}),
		"an ID token":           i.sign("JWT", map[string]any{"events": nil, "sub": "alice", "at_hash": "x"}),
		"a security event":      i.sign("secevent+jwt", nil),
		"a proof of possession": i.sign("dpop+jwt", nil),
		"not a token":           "x",
		"without signature":     good[:strings.LastIndexByte(good, '.')+1],
	} {
		if status, body := i.logout(raw); status != http.StatusBadRequest || !strings.Contains(body, `"error":"invalid_request"`) {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	form := url.Values{"logout_token": {good}}.Encode()
	for name, tt := range map[string][2]string{
		"in JSON": {`{"logout_token":"` + good + `"}`, "application/json"}, "twice": {form + "&" + form, formType}, "none": {"", formType}, "too large": {form + "&x=" + strings.Repeat("a", 1<<17), formType},
		"another type": {form, "text/plain"},
	} {
		if status, body := i.post(tt[0], tt[1]); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	// A token in the query is refused, because URLs are logged.
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/logout?"+form, strings.NewReader(""))
	r.Header.Set("Content-Type", formType)
	if i.http.ServeHTTP(w, r); w.Code != http.StatusBadRequest {
		t.Errorf("in the query: %d", w.Code)
	}
	w = httptest.NewRecorder()
	if i.http.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/logout?"+form, http.NoBody)); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST" {
		t.Errorf("GET: %d %v", w.Code, w.Header())
	}
	session := i.access(map[string]any{"sub": "alice", "sid": "s1", "iat": now - 5})
	if revoked, err := i.store.Revoked(t.Context(), session); revoked || err != nil {
		t.Errorf("revoked after all: %v, %v", revoked, err)
	}
	if status, body := i.logout(good); status != http.StatusOK {
		t.Fatalf("positive control: %d %s", status, body)
	}
	if revoked, err := i.store.Revoked(t.Context(), session); !revoked || err != nil {
		t.Errorf("positive control: %v, %v", revoked, err)
	}
}

// Options about access tokens do not refuse a logout token, and do not accept
// one for another client.
func TestLogoutVerifierOptions(t *testing.T) {
	i := newIDP(t, nil)
	o := token.Options{
		InsecureSkipAudience: true, ClientIDs: []string{"app"}, Require: []string{"scope"}, RFC9068: true, Types: []string{"at+jwt"}, CacheTokens: 10,
		Accept: []token.Kind{token.KindIDToken},
	}
	v, err := revocation.LogoutVerifier("https://login.example", []string{"web"}, jwks.NewSet(i.key.Public()), o)
	if err != nil {
		t.Fatal(err)
	}
	i.http = &revocation.Logout{Verifier: v, Store: i.store}
	if status, body := i.logout(i.sign("logout+jwt", map[string]any{"aud": "another"})); status != http.StatusBadRequest || !strings.Contains(body, "AUD_MISMATCH") {
		t.Errorf("for another client: %d %s", status, body)
	}
	if status, body := i.logout(i.sign("logout+jwt", nil)); status != http.StatusOK {
		t.Errorf("for this client: %d %s", status, body)
	}
	if v, err := revocation.LogoutVerifier("https://login.example", nil, jwks.NewSet(i.key.Public()), o); err == nil {
		t.Errorf("without a client: %v", v)
	}
}

// away is a store that never responds.
type away struct{}

func (away) Revoke(context.Context, revocation.Entry) error { return errors.New("connection refused") }

func TestLogoutStoreUnreachable(t *testing.T) {
	i := newIDP(t, away{})
	if status, body := i.logout(i.sign("logout+jwt", nil)); status != http.StatusBadRequest || !strings.Contains(body, "REVOCATION_UNKNOWN") || strings.Contains(body, "connection") {
		t.Errorf("%d %s", status, body)
	}
}
