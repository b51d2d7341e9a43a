package bearer_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

const (
	issuer   = "https://auth.example.com"
	audience = "https://api.example.com"
	metadata = "https://api.example.com/.well-known/oauth-protected-resource"
)

type fixture struct {
	key      *jwks.PrivateKey
	verifier *token.Verifier
}

func newFixture(t *testing.T, keys token.KeySet) *fixture {
	t.Helper()
	key, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	if keys == nil {
		keys = jwks.NewSet(key.Public())
	}
	v, err := token.NewVerifier(issuer, []string{audience}, keys, token.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{key, v}
}

func (f *fixture) token(t *testing.T, change map[string]any) string {
	t.Helper()
	now := time.Now().Unix()
	claims := map[string]any{"iss": issuer, "aud": audience, "sub": "alice-canary", "jti": "1", "iat": now, "exp": now + 300, "scope": "items:read"}
	for name, value := range change {
		claims[name] = value
	}
	raw, err := token.Sign(f.key, "at+jwt", claims)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// revoked says that everything is, or that it cannot tell.
type revoked struct{ err error }

func (r revoked) Revoked(context.Context, *token.Token) (bool, error) { return r.err == nil, r.err }

// away is a key set that cannot be had.
type away struct{}

func (away) Keys(context.Context, string, string) ([]*jwks.Key, error) {
	return nil, &diagnosis.Diagnosis{ID: diagnosis.KeysUnavailable}
}

func TestAnswers(t *testing.T) {
	f := newFixture(t, nil)
	good := "Bearer " + f.token(t, nil)
	tests := map[string]struct {
		header    []string
		query     string
		options   []bearer.Option
		keys      token.KeySet
		status    int
		challenge string
		id        diagnosis.ID
	}{
		"good":               {header: []string{good}, status: 200},
		"scheme in any case": {header: []string{"bEARER  " + f.token(t, nil)}, status: 200},
		"other query":        {header: []string{good}, query: "?x=access_token", status: 200},
		"no credentials": {
			status: 401, id: diagnosis.CredentialsMissing,
			challenge: `Bearer realm="items", scope="items:read", resource_metadata="` + metadata + `"`,
		},
		"another scheme": {
			header: []string{"Basic YTpi"}, status: 401, id: diagnosis.CredentialsMissing,
			challenge: `Bearer realm="items", scope="items:read", resource_metadata="` + metadata + `"`,
		},
		"two headers":            {header: []string{good, good}, status: 400, id: diagnosis.CredentialsInvalid, challenge: `error="invalid_request"`},
		"token in query alone":   {query: "?access_token=x", status: 400, id: diagnosis.CredentialsInvalid, challenge: `error="invalid_request"`},
		"token in query as well": {header: []string{good}, query: "?access_token=x", status: 400, id: diagnosis.CredentialsInvalid, challenge: `error="invalid_request"`},
		"no token":               {header: []string{"Bearer"}, status: 400, id: diagnosis.CredentialsInvalid, challenge: `error="invalid_request"`},
		"two tokens":             {header: []string{"Bearer a b"}, status: 400, id: diagnosis.CredentialsInvalid, challenge: `error="invalid_request"`},
		"expired": {
			header: []string{"Bearer " + f.token(t, map[string]any{"exp": 1000})}, status: 401, id: diagnosis.Expired,
			challenge: `error="invalid_token", error_description="EXPIRED: the token has expired"`,
		},
		"opaque":      {header: []string{"Bearer abc"}, status: 401, id: diagnosis.OpaqueToken, challenge: `error="invalid_token"`},
		"bound token": {header: []string{"Bearer " + f.token(t, map[string]any{"cnf": map[string]string{"jkt": "x"}})}, status: 401, id: diagnosis.TokenBound, challenge: `error="invalid_token"`},
		"no scope": {
			header: []string{"Bearer " + f.token(t, map[string]any{"scope": "other-canary"})}, status: 403, id: diagnosis.ScopeMissing,
			challenge: `error="insufficient_scope", error_description="SCOPE_MISSING: the token lacks a scope that the operation needs", scope="items:read"`,
		},
		"scope in permissions":   {header: []string{"Bearer " + f.token(t, map[string]any{"scope": "", "permissions": []string{"items:read"}})}, status: 403, id: diagnosis.ScopeClaimName, challenge: `scope="items:read"`},
		"revoked":                {header: []string{good}, options: []bearer.Option{bearer.Revocation(revoked{})}, status: 401, id: diagnosis.Revoked, challenge: `error="invalid_token"`},
		"revocation unknown":     {header: []string{good}, options: []bearer.Option{bearer.Revocation(revoked{errors.New("away")})}, status: 503, id: diagnosis.RevocationUnknown},
		"keys cannot be had":     {header: []string{good}, keys: away{}, status: 503, id: diagnosis.KeysUnavailable},
		"control for revocation": {header: []string{good}, options: []bearer.Option{bearer.Revocation(nil)}, status: 200},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			verifier := f.verifier
			if tt.keys != nil {
				verifier = newFixture(t, tt.keys).verifier
			}
			var told *diagnosis.Diagnosis
			options := append([]bearer.Option{
				bearer.Scopes("items:read"), bearer.Realm("items"), bearer.ResourceMetadata(metadata),
				bearer.OnRefusal(func(_ *http.Request, d *diagnosis.Diagnosis) { told = d }),
			}, tt.options...)
			served := false
			h := bearer.Require(verifier, options...)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				served = true
				if tok, ok := bearer.FromContext(r.Context()); !ok || tok.Subject() != "alice-canary" {
					t.Errorf("FromContext = %v, %v", tok, ok)
				}
			}))
			req := httptest.NewRequest("GET", "/items"+tt.query, nil)
			req.Header["Authorization"] = tt.header
			w := httptest.NewRecorder()
			h.ServeHTTP(w, req)
			res := w.Result()
			if res.StatusCode != tt.status || served != (tt.status == 200) {
				t.Fatalf("status %d, served %v, want %d", res.StatusCode, served, tt.status)
			}
			if tt.status == 200 {
				return
			}
			checkRefusal(t, res, w.Body.String(), tt.challenge, tt.id, told)
		})
	}
}

func checkRefusal(t *testing.T, res *http.Response, body, wantChallenge string, id diagnosis.ID, told *diagnosis.Diagnosis) {
	t.Helper()
	challenge := res.Header.Get("WWW-Authenticate")
	switch {
	case res.StatusCode == 503:
		if challenge != "" || res.Header.Get("Retry-After") == "" {
			t.Errorf("a 503 carries Retry-After and no challenge: %v", res.Header)
		}
	case !strings.HasPrefix(challenge, "Bearer ") || !strings.Contains(challenge, wantChallenge) || res.Header.Get("Access-Control-Expose-Headers") != "WWW-Authenticate":
		t.Errorf("challenge %q, want %q in it; %v", challenge, wantChallenge, res.Header)
	}
	var p struct {
		ID     diagnosis.ID `json:"id"`
		Status int          `json:"status"`
	}
	if err := json.Unmarshal([]byte(body), &p); err != nil || p.ID != id || p.Status != res.StatusCode {
		t.Errorf("body %s, %v, want id %s", body, err, id)
	}
	if told == nil || told.ID != id {
		t.Errorf("hook was told %v, want %s", told, id)
	}
	if strings.Contains(body+challenge, "canary") {
		t.Errorf("the answer holds a value from the token: %s %s", challenge, body)
	}
}

func TestMetadata(t *testing.T) {
	for resource, want := range map[string][]string{
		"https://api.example.com":        {"/.well-known/oauth-protected-resource"},
		"https://api.example.com/":       {"/.well-known/oauth-protected-resource"},
		"https://api.example.com/tenant": {"/.well-known/oauth-protected-resource/tenant", "/.well-known/oauth-protected-resource"},
	} {
		mux := http.NewServeMux()
		m := bearer.Metadata{Resource: resource, AuthorizationServers: []string{issuer}, ScopesSupported: []string{"items:read"}}
		if err := m.Handle(mux); err != nil {
			t.Fatal(err)
		}
		for _, path := range want {
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
			wantBody := fmt.Sprintf(`{"resource":%q,"authorization_servers":[%q],"scopes_supported":["items:read"],"bearer_methods_supported":["header"]}`, resource, issuer)
			if diff := cmp.Diff(wantBody, w.Body.String()); diff != "" || w.Code != 200 {
				t.Errorf("%s: %d (-want +got):\n%s", path, w.Code, diff)
			}
		}
	}
	if err := (bearer.Metadata{Resource: "api"}).Handle(http.NewServeMux()); err == nil {
		t.Error("a resource that is no URL is accepted")
	}
}

func ExampleRequire() {
	key, _ := jwks.Generate("ES256") // an API has jwks.NewRemote("https://auth.example.com/jwks", …)
	verifier, err := token.NewVerifier("https://auth.example.com", []string{"https://api.example.com"}, jwks.NewSet(key.Public()), token.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	items := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, _ := bearer.FromContext(r.Context())
		fmt.Fprintln(w, "items of", t.Subject())
	})
	mux := http.NewServeMux()
	mux.Handle("GET /api/items", bearer.Require(verifier, bearer.Scopes("items:read"))(items))

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/api/items", nil))
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	// Output: 401 Bearer scope="items:read"
}
