package bearer_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/policy/policyfile"
	"github.com/oauthctl/oauthctl/pkg/token"
)

const (
	issuer   = "https://auth.example.com"
	audience = "https://api.example.com"
	metadata = "https://api.example.com/.well-known/oauth-protected-resource"
	// canary is in claims that no answer may show.
	canary = "canary-3f9a"
)

type fixture struct {
	key      *jwks.PrivateKey
	verifier *token.Verifier
}

func newFixture(t testing.TB, alg string) *fixture {
	t.Helper()
	key, err := jwks.Generate(alg)
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{key, newVerifier(t, jwks.NewSet(key.Public()))}
}

func newVerifier(t testing.TB, keys token.KeySet) *token.Verifier {
	t.Helper()
	v, err := token.NewVerifier(issuer, []string{audience}, keys, token.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (f *fixture) token(t testing.TB, change map[string]any) string {
	t.Helper()
	now := time.Now().Unix()
	claims := map[string]any{"iss": issuer, "aud": audience, "sub": "alice-" + canary, "jti": "1", "iat": now, "exp": now + 300, "scope": "items:read"}
	for name, value := range change {
		claims[name] = value
	}
	raw, err := token.Sign(f.key, "at+jwt", claims)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// revoked answers that every token is revoked, or with its error.
type revoked struct{ err error }

func (r revoked) Revoked(context.Context, *token.Token) (bool, error) { return r.err == nil, r.err }

// away is a key set whose server cannot be reached.
type away struct{}

func (away) Keys(context.Context, jwks.Query) (jwks.Candidates, error) {
	return jwks.Candidates{}, &diagnosis.Diagnosis{ID: diagnosis.KeysUnavailable}
}

func (away) Generation() uint64 { return 0 }

func (away) Former(string) *jwks.Key { return nil }

// told records what the hook and the log received.
type told struct {
	diagnosis *diagnosis.Diagnosis
	token     bool // whether there was a good one
	log       strings.Builder
}

func (o *told) options() []bearer.Option {
	return []bearer.Option{
		bearer.OnRefusal(func(r *http.Request, d *diagnosis.Diagnosis) {
			o.diagnosis = d
			_, o.token = bearer.FromContext(r.Context())
		}),
		bearer.Logger(slog.New(slog.NewTextHandler(&o.log, nil))),
	}
}

// items is the handler behind the middleware: it answers 200 with the subject.
func items(w http.ResponseWriter, r *http.Request) {
	if t, ok := bearer.FromContext(r.Context()); ok {
		_, _ = w.Write([]byte(t.Subject()))
	}
}

func loadPolicy(t testing.TB, text string) *policy.Policy {
	t.Helper()
	p, err := policyfile.Load([]byte(text), "policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPolicy(t *testing.T) {
	f := newFixture(t, "ES256")
	p := loadPolicy(t, "issuer: "+issuer+"\naudience: "+audience+`
routes:
  "GET /api/items": {scopes: [items:read]}
  "POST /api/items": {any_scopes: [items:write, items:admin]}
  "DELETE /api/users/{id}": {claims: {tenant: acme}}
  "GET /healthz": {public: true}
`)
	h := bearer.Require(f.verifier, bearer.Policy(p))(http.HandlerFunc(items))
	good := "Bearer " + f.token(t, nil)
	tests := map[string]struct {
		method, path, authorization string
		status                      int
		challenge                   string
		id                          diagnosis.ID
	}{
		"listed":                    {"GET", "/api/items", good, 200, "", ""},
		"public":                    {"GET", "/healthz", "", 200, "", ""},
		"public with a wrong token": {"GET", "/healthz", "Bearer x", 200, "", ""},
		"no token":                  {"GET", "/api/items", "", 401, `Bearer realm="api", scope="items:read"`, diagnosis.CredentialsMissing},
		"unlisted without a token":  {"GET", "/admin", "", 401, `Bearer realm="api"`, diagnosis.CredentialsMissing},
		"unlisted":                  {"GET", "/admin", good, 403, "", diagnosis.OperationUnlisted},
		"another method":            {"PUT", "/api/items", good, 403, "", diagnosis.OperationUnlisted},
		"the first scope that does": {"POST", "/api/items", good, 403, `scope="items:write"`, diagnosis.ScopeMissing},
		"a claim":                   {"DELETE", "/api/users/1", good, 403, "", diagnosis.ClaimMismatch},
		"a claim that is there":     {"DELETE", "/api/users/1", "Bearer " + f.token(t, map[string]any{"tenant": "acme"}), 200, "", ""},
		"dot segments":              {"GET", "/healthz/../admin", good, 400, "PATH_AMBIGUOUS", diagnosis.PathAmbiguous},
		"encoded slash":             {"GET", "/api%2fitems", good, 400, "PATH_AMBIGUOUS", diagnosis.PathAmbiguous},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, tt.path, nil)
			if tt.authorization != "" {
				r.Header.Set("Authorization", tt.authorization)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			challenge := w.Header().Get("WWW-Authenticate")
			if w.Code != tt.status || !strings.Contains(challenge, tt.challenge) || !strings.Contains(w.Body.String(), string(tt.id)) {
				t.Errorf("%d %q %s, want %d %q", w.Code, challenge, w.Body, tt.status, tt.challenge)
			}
			if tt.status == 403 && tt.challenge == "" && challenge != "" {
				t.Errorf("more scopes would not help, yet there is the challenge %q", challenge)
			}
		})
	}
}

func TestRequireScope(t *testing.T) {
	f := newFixture(t, "ES256")
	inner := bearer.RequireScope("items:write")(http.HandlerFunc(items))
	tests := map[string]struct {
		handler   http.Handler
		scope     string
		status    int
		challenge string
	}{
		"there":     {bearer.Require(f.verifier, bearer.Realm("x"))(inner), "items:read items:write", 200, ""},
		"missing":   {bearer.Require(f.verifier, bearer.Realm("x"))(inner), "items:read", 403, `Bearer realm="x", error="insufficient_scope", error_description="SCOPE_MISSING: the token lacks a scope that the operation needs", scope="items:write"`},
		"unguarded": {inner, "items:write", 500, ""},
	}
	for name, tt := range tests {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+f.token(t, map[string]any{"scope": tt.scope}))
		w := httptest.NewRecorder()
		tt.handler.ServeHTTP(w, r)
		if got := w.Header().Get("WWW-Authenticate"); w.Code != tt.status || got != tt.challenge {
			t.Errorf("%s: %d %q, want %d %q", name, w.Code, got, tt.status, tt.challenge)
		}
	}
}

// Each handler gets its own copy of the claims, even if another handler has
// changed its copy.
func TestClaimsAreImmutable(t *testing.T) {
	f := newFixture(t, "ES256")
	h := bearer.Require(f.verifier)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tok, _ := bearer.FromContext(r.Context())
		tok.Claims()["sub"] = "evil"
		tok.Scopes()[0] = "evil"
		tok.ClaimsJSON()[2] = 'X'
		groups, _ := tok.Claim("groups")
		groups.([]any)[0] = "evil"
		again, _ := tok.Claim("groups")
		if tok.Subject() != "alice-"+canary || !tok.HasScope("items:read") || again.([]any)[0] != "a" {
			t.Errorf("claims were changed: %s", tok.ClaimsJSON())
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+f.token(t, map[string]any{"groups": []string{"a"}}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusNoContent {
		t.Errorf("status %d", w.Code)
	}
}

func TestOptionsPanicWithoutWhatTheyNeed(t *testing.T) {
	f := newFixture(t, "ES256")
	for name, misuse := range map[string]func(){
		"verifier":   func() { bearer.Require(nil) },
		"revocation": func() { bearer.Revocation(nil) },
		"policy":     func() { bearer.Policy(nil) },
		"dpop":       func() { bearer.DPoP(nil, audience) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			misuse()
		}()
	}
	if bearer.Require(f.verifier, bearer.Revocation(revoked{errors.New("x")})) == nil {
		t.Error("positive control failed")
	}
}
