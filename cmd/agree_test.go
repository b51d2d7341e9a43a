package cmd

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/guard"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/policy/policyfile"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// agreement sends one request to everything that decides about requests.
type agreement struct {
	policyFile string
	policy     *policy.Policy
	keys       guard.KeySet
	keysFlag   string // what --jwks says, "" if the policy names the keys
}

// outcome is a status with the diagnosis id, as in the response of an API.
type outcome struct {
	status int
	id     diagnosis.ID
}

func (a *agreement) guard(t *testing.T, method, path, raw string) outcome {
	t.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	defer upstream.Close()
	u, err := url.Parse(upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	h, err := guard.New(guard.Config{Upstream: u, Policy: a.policy, KeysOf: func(policy.Trust) (guard.KeySet, error) { return a.keys, nil }})
	if err != nil {
		t.Fatal(err)
	}
	return ask(t, h, method, path, raw)
}

func (a *agreement) middleware(t *testing.T, method, path, raw string) outcome {
	t.Helper()
	v, err := a.policy.VerifierOf(func(policy.Trust) (token.KeySet, error) { return a.keys, nil }, token.Options{})
	if err != nil {
		t.Fatal(err)
	}
	done := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	got := ask(t, bearer.Require(v, bearer.Policy(a.policy))(done), method, path, raw)
	d := bearer.Decide(v, request(method, path, raw), bearer.Policy(a.policy))
	decided := outcome{http.StatusOK, ""}
	if d.Diagnosis != nil {
		decided = outcome{d.Problem.Status, d.Diagnosis.ID}
	}
	if decided != got {
		t.Errorf("Decide says %v, Require %v", decided, got)
	}
	return got
}

func request(method, path, raw string) *http.Request {
	r := httptest.NewRequest(method, path, nil)
	if raw != "" {
		r.Header.Set("Authorization", "Bearer "+raw)
	}
	return r
}

func ask(t *testing.T, h http.Handler, method, path, raw string) outcome {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request(method, path, raw))
	var body struct {
		ID diagnosis.ID `json:"id"`
	}
	if w.Code != http.StatusOK {
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatalf("%d %s: %v", w.Code, w.Body, err)
		}
	}
	return outcome{w.Code, body.ID}
}

// check runs the check command and turns its exit code into the HTTP status that the middleware would return.
func (a *agreement) check(t *testing.T, method, path, raw string) outcome {
	t.Helper()
	args := []string{"check", raw, "--policy", a.policyFile, "--operation", method + " " + path, "--json"}
	if a.keysFlag != "" {
		args = append(args, "--jwks", a.keysFlag)
	}
	code, stdout, stderr := runOffline(t, "", args...)
	var shown struct {
		Error struct {
			ID diagnosis.ID `json:"id"`
		} `json:"error"`
	}
	if err := json.Unmarshal([]byte(stdout), &shown); err != nil {
		t.Fatalf("%v in %s%s", err, stdout, stderr)
	}
	statuses := map[int]int{0: 200, 2: 400, 3: 401, 4: 403, 6: 503}
	return outcome{statuses[code], shown.Error.ID}
}

// agreementTokens returns the tokens of the table. Each is valid except for the given change.
func agreementTokens(t *testing.T, key, stranger *jwks.PrivateKey) map[string]string {
	t.Helper()
	now := time.Now().Unix()
	sign := func(key *jwks.PrivateKey, typ string, change map[string]any) string {
		claims := map[string]any{"iss": "https://as.example", "aud": "https://api.example", "sub": "alice", "client_id": "app", "scope": "read", "tenant": "acme", "iat": now, "exp": now + 600}
		for name, value := range change {
			claims[name] = value
			if value == nil {
				delete(claims, name)
			}
		}
		raw, err := token.Sign(key, typ, claims)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	type change = map[string]any
	return map[string]string{
		"good":             sign(key, "at+jwt", nil),
		"admin":            sign(key, "JWT", change{"scope": "read admin write"}),
		"no scope":         sign(key, "at+jwt", change{"scope": nil}),
		"scope elsewhere":  sign(key, "at+jwt", change{"scope": nil, "permissions": []string{"read", "write"}}),
		"scope in a form":  sign(key, "at+jwt", change{"scope": "read,write"}),
		"another tenant":   sign(key, "at+jwt", change{"tenant": "evil"}),
		"expired":          sign(key, "at+jwt", change{"exp": now - 10}),
		"not yet":          sign(key, "at+jwt", change{"nbf": now + 3600}),
		"another audience": sign(key, "at+jwt", change{"aud": "https://other.example"}),
		"a slash more":     sign(key, "at+jwt", change{"aud": "https://api.example/"}),
		"no audience":      sign(key, "at+jwt", change{"aud": nil}),
		"another issuer":   sign(key, "at+jwt", change{"iss": "https://evil.example"}),
		"a second issuer":  sign(key, "at+jwt", change{"iss": "https://other.example", "aud": "other"}),
		"its audience":     sign(key, "at+jwt", change{"aud": "other"}),
		"a third issuer":   sign(key, "at+jwt", change{"iss": "https://third.example", "aud": nil}),
		"no issuer":        sign(key, "at+jwt", change{"iss": nil}),
		"a thumbprint":     signHeader(t, key, map[string]any{"alg": "ES256", "x5t": "gone"}),
		"another key":      sign(stranger, "at+jwt", nil),
		"bound to a key":   sign(key, "at+jwt", change{"cnf": map[string]string{"jkt": "x"}}),
		"bound to a cert":  sign(key, "at+jwt", change{"cnf": map[string]string{"x5t#S256": "x"}}),
		"an ID token":      sign(key, "JWT", change{"at_hash": "x"}),
		"a logout token":   sign(key, "logout+jwt", nil),
		"opaque":           "ory_at_abc.def",
		"malformed":        "eyJhbGciOiJFUzI1NiJ9.e30",
	}
}

// signHeader returns a token that is good but for its header.
func signHeader(t *testing.T, key *jwks.PrivateKey, header map[string]any) string {
	t.Helper()
	now := time.Now().Unix()
	raw, err := token.SignWithHeader(key, header, map[string]any{
		"iss": "https://as.example", "aud": "https://api.example", "sub": "alice", "client_id": "app", "scope": "read", "iat": now, "exp": now + 600,
	})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

const agreementPolicy = `issuer: https://as.example
audience: https://api.example
routes:
  "GET /items":    {scopes: [read]}
  "POST /items":   {any_scopes: [write, admin]}
  "GET /t/{id}":   {claims: {tenant: acme}}
  "GET /healthz":  {public: true}
`

// writeKeySet writes the public key set of key to a file in dir.
func writeKeySet(t *testing.T, dir string, key *jwks.PrivateKey) (set *jwks.Set, file string) {
	t.Helper()
	set, file = jwks.NewSet(key.Public()), filepath.Join(dir, "keys.json")
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, string(text))
	return set, file
}

// check --policy, guard, the middleware and the Go API have the same result and id for each request.
func TestCheckAndGuardAgree(t *testing.T) {
	key, stranger := generate(t), generate(t)
	dir := t.TempDir()
	set, keysFile := writeKeySet(t, dir, key)
	a := newAgreement(t, dir, "policy.yaml", agreementPolicy, set, keysFile)
	requests, statuses := 0, map[int]int{}
	for name, raw := range agreementTokens(t, key, stranger) {
		for _, operation := range []string{"GET /items", "POST /items", "GET /t/7", "GET /healthz", "PUT /items", "GET /a//b", "GET /t/%2e%2e", "GET /items?x=1"} {
			method, path, _ := strings.Cut(operation, " ")
			want := a.middleware(t, method, path, raw)
			if got := a.guard(t, method, path, raw); got != want {
				t.Errorf("%s, %s: guard says %v, the middleware %v", name, operation, got, want)
			}
			if got := a.check(t, method, path, raw); got != want {
				t.Errorf("%s, %s: check says %v, the middleware %v", name, operation, got, want)
			}
			requests++
			statuses[want.status]++
		}
	}
	if requests < 60 || statuses[200] < 15 || statuses[400] < 10 || statuses[401] < 30 || statuses[403] < 10 {
		t.Errorf("%d requests: %v", requests, statuses)
	}
	t.Logf("%d requests: %v", requests, statuses)
}

const severalIssuersPolicy = `issuers:
  - issuer: https://as.example
    jwks: KEYS
    audience: https://api.example
  - issuer: https://other.example
    jwks: KEYS
    audience: [https://api.example, other]
  - issuer: https://third.example
    jwks: KEYS
    audience: none
scope_claims: [permissions]
routes:
  "GET /items":    {scopes: [read], claims: {client_id: app}}
  "GET /healthz":  {public: true}
`

// The same, without keys, without an audience, and with several issuers.
func TestCheckAndGuardAgreeOnOtherPolicies(t *testing.T) {
	key, stranger := generate(t), generate(t)
	dir := t.TempDir()
	set, keysFile := writeKeySet(t, dir, key)
	noAudience := strings.ReplaceAll(strings.Replace(agreementPolicy, "audience: https://api.example", "audience: none", 1), "{scopes: [read]}", "{scopes: [read], claims: {client_id: app}}")
	noAudience = strings.NewReplacer("[write, admin]}", "[write, admin], claims: {client_id: app}}", "{tenant: acme}", "{tenant: acme, client_id: app}").Replace(noAudience)
	away := "http://127.0.0.1:1/keys"
	for name, a := range map[string]*agreement{
		"no audience": newAgreement(t, dir, "none.yaml", noAudience, set, keysFile),
		"keys away":   newAgreement(t, dir, "away.yaml", agreementPolicy, jwks.NewRemote(away, jwks.RemoteOptions{}), away),
		"several":     newAgreement(t, dir, "several.yaml", strings.ReplaceAll(severalIssuersPolicy, "KEYS", keysFile), set, ""),
	} {
		statuses := map[int]int{}
		for of, raw := range agreementTokens(t, key, stranger) {
			for _, path := range []string{"/items", "/healthz", "/unlisted", "/a//b"} {
				want := a.middleware(t, "GET", path, raw)
				if got := a.guard(t, "GET", path, raw); got != want {
					t.Errorf("%s, %s, %s: guard says %v, the middleware %v", name, of, path, got, want)
				}
				if got := a.check(t, "GET", path, raw); got != want {
					t.Errorf("%s, %s, %s: check says %v, the middleware %v", name, of, path, got, want)
				}
				statuses[want.status]++
			}
		}
		if name == "keys away" && statuses[503] < 10 || name != "keys away" && statuses[200] < 20 || name == "several" && statuses[401] < 20 {
			t.Errorf("%s: %v", name, statuses)
		}
		t.Logf("%s: %v", name, statuses)
	}
}

// For several operations, the most severe result is reported, and a public route needs no token.
func TestCheckSeveralOperations(t *testing.T) {
	key := generate(t)
	dir := t.TempDir()
	text, err := json.Marshal(jwks.NewSet(key.Public()))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "keys.json"), string(text))
	write(t, filepath.Join(dir, "policy.yaml"), agreementPolicy)
	good := agreementTokens(t, key, key)["good"]
	for name, tt := range map[string]struct {
		code int
		args []string
	}{
		"the first is denied":  {4, []string{good, "--operation", "PUT /items", "--operation", "GET /items"}},
		"the second is denied": {4, []string{good, "--operation", "GET /items", "--operation", "POST /items"}},
		"both are allowed":     {0, []string{good, "--operation", "GET /items", "--operation", "GET /t/1"}},
		"ambiguous and denied": {4, []string{good, "--operation", "GET /a//b", "--operation", "PUT /items"}},
		"public, no token":     {0, []string{"--operation", "GET /healthz"}},
		"public and not":       {5, []string{"--operation", "GET /healthz", "--operation", "GET /items"}},
		"with an audience":     {2, []string{good, "--operation", "GET /items", "--audience", "x"}},
		"with a scope claim":   {2, []string{good, "--operation", "GET /items", "--scope-claim", "x"}},
		"no operation":         {2, []string{good}},
	} {
		args := append([]string{"check", "--policy", filepath.Join(dir, "policy.yaml"), "--jwks", filepath.Join(dir, "keys.json")}, tt.args...)
		if code, stdout, stderr := runOffline(t, "", args...); code != tt.code {
			t.Errorf("%s: exit %d, want %d\n%s%s", name, code, tt.code, stdout, stderr)
		}
	}
}

func newAgreement(t *testing.T, dir, name, text string, keys guard.KeySet, keysFlag string) *agreement {
	t.Helper()
	p, err := policyfile.Load([]byte(text), name)
	if err != nil {
		t.Fatal(err)
	}
	a := &agreement{filepath.Join(dir, name), p, keys, keysFlag}
	write(t, a.policyFile, text)
	return a
}

func generate(t *testing.T) *jwks.PrivateKey {
	t.Helper()
	key, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// No flag gives one key set to several issuers: one of them could sign for
// another. Guard refuses the same.
func TestOneKeySetForSeveralIssuers(t *testing.T) {
	dir := t.TempDir()
	key := generate(t)
	_, keysFile := writeKeySet(t, dir, key)
	one, several, secret := filepath.Join(dir, "one.yaml"), filepath.Join(dir, "several.yaml"), filepath.Join(dir, "secret")
	write(t, one, agreementPolicy)
	write(t, several, strings.ReplaceAll(severalIssuersPolicy, "KEYS", keysFile))
	write(t, secret, strings.Repeat("s", 32))
	raw := agreementTokens(t, key, key)["good"]
	for flag, file := range map[string]string{"--jwks": keysFile, "--key": keysFile, "--secret-file": secret} {
		code, _, stderr := runOffline(t, "", "check", raw, "--policy", several, "--operation", "GET /items", flag, file)
		if code != 2 || !strings.Contains(stderr, flag+" cannot be combined with a policy of several issuers") {
			t.Errorf("%s: exit %d %s", flag, code, stderr)
		}
		want := 0
		if flag == "--secret-file" {
			want = 3 // the token has a public key's signature
		}
		if code, _, stderr := runOffline(t, "", "check", raw, "--policy", one, "--operation", "GET /items", flag, file); code != want {
			t.Errorf("one issuer, %s: exit %d, want %d %s", flag, code, want, stderr)
		}
	}
	code, _, stderr := runOffline(t, "", "guard", "--upstream", "http://127.0.0.1:1", "--policy", several, "--jwks", keysFile)
	if code != 2 || !strings.Contains(stderr, "several issuers") {
		t.Errorf("guard: exit %d %s", code, stderr)
	}
}
