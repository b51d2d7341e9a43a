package cmd_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
)

const requestToken = "canary-runner-request-token"

// A ciServer is both servers that a CI job needs: the endpoint of the runner that issues identity tokens, as GitHub
// documents it, and an authorization server that trusts them and verifies them with go-jose.
type ciServer struct {
	*httptest.Server
	key    *ecdsa.PrivateKey
	mu     sync.Mutex
	forms  []url.Values // what the token endpoint got
	issued []string     // the identity tokens given
}

func startCI(t *testing.T) *ciServer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := &ciServer{key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"token_endpoint":%q}`, s.URL, s.URL+"/token")
	})
	mux.HandleFunc("GET /run/7/idtoken", s.identity)
	mux.HandleFunc("POST /token", s.token)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// sign creates the job's identity token.
func (s *ciServer) sign(audience string) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: s.key}, nil)
	if err != nil {
		return "", err
	}
	claims := jwt.Claims{
		Issuer: "https://token.actions.example.com", Subject: "repo:octo/hello:ref:refs/heads/main", Audience: jwt.Audience{audience},
		Expiry: jwt.NewNumericDate(time.Now().Add(5 * time.Minute)), ID: rand.Text(),
	}
	raw, err := jwt.Signed(signer).Claims(claims).Serialize()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.issued = append(s.issued, raw)
	return raw, err
}

// identity handles ACTIONS_ID_TOKEN_REQUEST_URL.
func (s *ciServer) identity(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Header.Get("Authorization") != "Bearer "+requestToken:
		http.Error(w, "who asks?", http.StatusUnauthorized)
		return
	case r.URL.Query().Get("api-version") != "2.0":
		http.Error(w, "the address lost its query", http.StatusBadRequest)
		return
	}
	raw, err := s.sign(r.URL.Query().Get("audience"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	fmt.Fprintf(w, `{"count":%d,"value":%q}`, len(raw), raw)
}

// token accepts an identity token that was issued for this server, in any of the three parameters that can have one.
func (s *ciServer) token(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = r.ParseForm()
	s.mu.Lock()
	s.forms = append(s.forms, r.PostForm)
	s.mu.Unlock()
	for _, name := range []string{"subject_token", "assertion", "client_assertion"} {
		if raw := r.PostForm.Get(name); raw != "" && s.accepts(raw) {
			_, _ = io.WriteString(w, `{"access_token":"canary%exchanged","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"bearer","expires_in":300,"scope":"deploy"}`)
			return
		}
	}
	w.WriteHeader(http.StatusBadRequest)
	fmt.Fprint(w, `{"error":"invalid_grant","error_description":"no identity token made out to this server"}`)
}

func (s *ciServer) accepts(raw string) bool {
	parsed, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.ES256})
	var claims jwt.Claims
	return err == nil && parsed.Claims(s.key.Public(), &claims) == nil && claims.Validate(jwt.Expected{AnyAudience: jwt.Audience{s.URL}, Time: time.Now()}) == nil
}

// job returns a CI job that uses the server.
func (s *ciServer) job(t *testing.T, env map[string]string) *world {
	t.Helper()
	w := &world{t: t, issuer: s.URL, home: t.TempDir(), now: time.Now, getenv: map[string]string{"OAUTHCTL_ISSUER": s.URL}}
	for name, value := range env {
		w.getenv[name] = value
	}
	return w
}

func (s *ciServer) onGitHub() map[string]string {
	return map[string]string{
		"CI": "true", "GITHUB_ACTIONS": "true",
		"ACTIONS_ID_TOKEN_REQUEST_URL": s.URL + "/run/7/idtoken?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": requestToken,
	}
}

// A job's identity token is requested for the server and sent only there. Only the exchanged token is on stdout, and
// the log masks it.
func TestExchangeOfCIIdentity(t *testing.T) {
	const (
		jwtType  = "urn:ietf:params:oauth:token-type:jwt"
		exchange = "urn:ietf:params:oauth:grant-type:token-exchange"
		bearer   = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	)
	for _, tt := range []struct {
		name string
		args []string
		want url.Values // without the token
	}{
		{"exchange", []string{"--subject-token", "ci:github", "--scope", "deploy", "--audience", "x"}, url.Values{
			"grant_type": {exchange}, "subject_token_type": {jwtType}, "scope": {"deploy"}, "audience": {"x"},
		}},
		{"a type by its last word", []string{"--subject-token", "ci:github", "--subject-token-type", "id_token"}, url.Values{
			"grant_type": {exchange}, "subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"},
		}},
		{"assertion", []string{"--grant-type", "jwt-bearer", "--assertion", "ci:gitlab:MY_ID_TOKEN", "--resource", "https://api.example.com"}, url.Values{
			"grant_type": {bearer}, "resource": {"https://api.example.com"},
		}},
		{"the client's assertion", []string{"--client-id", "deployer", "--client-assertion", "ci:github", "--subject-token", "@subject", "--actor-token", "-"}, url.Values{
			"grant_type": {exchange}, "client_id": {"deployer"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			"subject_token": {"user-token"}, "subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
			"actor_token": {"from stdin"}, "actor_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ci := startCI(t)
			w := ci.job(t, ci.onGitHub())
			w.stdin = "from stdin\n"
			var err error
			if w.getenv["MY_ID_TOKEN"], err = ci.sign(ci.URL); err != nil {
				t.Fatal(err)
			}
			subject := filepath.Join(w.home, "subject")
			if err := os.WriteFile(subject, []byte("user-token\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			for i := range tt.args {
				tt.args[i] = strings.ReplaceAll(tt.args[i], "@subject", "@"+subject)
			}
			if code := w.run(append([]string{"exchange", "-v"}, tt.args...)...); code != 0 {
				t.Fatalf("exit code %d\n%s", code, &w.stderr)
			}
			if got := w.stdout.String(); got != "canary%exchanged\n" {
				t.Errorf("stdout %q", got)
			}
			if !strings.Contains(w.stderr.String(), "\n::add-mask::canary%25exchanged\n") {
				t.Errorf("the log is not told to hide the token:\n%s", &w.stderr)
			}
			for _, secret := range append(ci.issued, requestToken, "user-token", "from stdin") {
				if strings.Contains(w.stderr.String(), secret) {
					t.Errorf("stderr holds %.20q…", secret)
				}
			}
			got := ci.forms[len(ci.forms)-1]
			for name, values := range got {
				if ci.accepts(values[0]) {
					delete(got, name)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("form (-want +got):\n%s", diff)
			}
		})
	}
}

// Variables alone configure a client whose assertion is the job's identity token.
func TestClientAssertionFromCI(t *testing.T) {
	ci := startCI(t)
	w := ci.job(t, ci.onGitHub())
	w.getenv["OAUTHCTL_CLIENT_ID"], w.getenv["OAUTHCTL_CLIENT_ASSERTION"] = "deployer", "ci:github"
	if code := w.run("token"); code != 0 || w.stdout.String() != "canary%exchanged\n" {
		t.Fatalf("exit code %d, stdout %q\n%s", code, &w.stdout, &w.stderr)
	}
	if got, want := w.stderr.String(), "::add-mask::canary%25exchanged\n"; got != want {
		t.Errorf("stderr %q, want %q", got, want)
	}
	w.getenv["GITHUB_ACTIONS"] = ""
	if code := w.run("token", "--refresh"); code != 0 || w.stderr.Len() > 0 {
		t.Errorf("outside GitHub: exit code %d, stderr %q", code, &w.stderr)
	}
	if got := ci.forms[1].Get("grant_type"); got != "client_credentials" || len(ci.issued) != 2 {
		t.Errorf("grant type %q, %d identity tokens", got, len(ci.issued))
	}
}

// A job's identity token starts a session, by the grant and by variables alone. A call needs no other command.
func TestSessionOfCIIdentity(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string // of a login, nil for none
		env  map[string]string
		want string // the parameter with the identity token
	}{
		"exchange":               {[]string{"--grant-type", "token-exchange", "--subject-token", "ci:github"}, nil, "subject_token"},
		"assertion":              {[]string{"--grant-type", "jwt-bearer", "--assertion", "ci:github"}, nil, "assertion"},
		"exchange, by variables": {nil, map[string]string{"OAUTHCTL_GRANT_TYPE": "token-exchange", "OAUTHCTL_SUBJECT_TOKEN": "ci:github"}, "subject_token"},
		"assertion by variables": {nil, map[string]string{"OAUTHCTL_GRANT_TYPE": "jwt-bearer", "OAUTHCTL_ASSERTION": "ci:github"}, "assertion"},
	} {
		t.Run(name, func(t *testing.T) {
			ci := startCI(t)
			env := ci.onGitHub()
			maps.Copy(env, tt.env)
			w := ci.job(t, env)
			if tt.args != nil {
				if code := w.run(append([]string{"login", ci.URL}, tt.args...)...); code != 0 || !strings.Contains(w.stderr.String(), "refreshed automatically") {
					t.Fatalf("exit code %d\n%s", code, &w.stderr)
				}
			}
			for _, command := range [][]string{{"token"}, {"token", "--refresh"}} {
				if code := w.run(command...); code != 0 || w.stdout.String() != "canary%exchanged\n" {
					t.Fatalf("%v: exit code %d, stdout %q\n%s", command, code, &w.stdout, &w.stderr)
				}
			}
			if code := w.run("status"); code != 0 || !strings.Contains(w.stdout.String(), "refreshed automatically") {
				t.Errorf("status: exit code %d\n%s%s", code, &w.stdout, &w.stderr)
			}
			if len(ci.issued) != 2 || ci.forms[1].Get(tt.want) != ci.issued[1] {
				t.Errorf("%d identity tokens, %d requests", len(ci.issued), len(ci.forms))
			}
		})
	}
}

// If a setting for a login with a token of another server is missing, the message says which, and nothing is sent.
func TestSessionOfCIIdentityRefuses(t *testing.T) {
	ci := startCI(t)
	for _, tt := range []struct {
		args []string
		env  map[string]string
		says string
	}{
		{[]string{"login", ci.URL, "--grant-type", "token-exchange"}, nil, "OAUTHCTL_SUBJECT_TOKEN"},
		{[]string{"login", ci.URL, "--grant-type", "token-exchange", "--subject-token", "eyJ.x.y"}, nil, "--subject-token: expected ci:github"},
		{[]string{"login", ci.URL, "--grant-type", "jwt-bearer", "--subject-token", "ci:github"}, nil, "--subject-token: only with --grant-type token-exchange"},
		{[]string{"login", ci.URL, "--subject-token-type", "jwt"}, nil, "--subject-token-type: only with"},
		{[]string{"token"}, map[string]string{"OAUTHCTL_GRANT_TYPE": "token-exchange"}, "OAUTHCTL_SUBJECT_TOKEN"},
		{[]string{"token"}, map[string]string{"OAUTHCTL_GRANT_TYPE": "jwt-bearer"}, "OAUTHCTL_ASSERTION"},
	} {
		w := ci.job(t, tt.env)
		if w.getenv == nil {
			w.getenv = map[string]string{}
		}
		if code := w.run(tt.args...); code != 2 || !strings.Contains(w.stderr.String(), tt.says) {
			t.Errorf("%v: exit code %d, want %q\n%s", tt.args, code, tt.says, &w.stderr)
		}
	}
	if len(ci.forms) > 0 {
		t.Errorf("%d requests were sent", len(ci.forms))
	}
}

func TestExchangeRefuses(t *testing.T) {
	ci := startCI(t)
	for _, tt := range []struct {
		name string
		args []string
		env  map[string]string
		code int
		says []string
	}{
		{"outside GitHub", []string{"--subject-token", "ci:github"}, nil, 2, []string{"ACTIONS_ID_TOKEN_REQUEST_URL", "hint: in the workflow: permissions: {id-token: write"}},
		{"GitLab without the variable", []string{"--subject-token", "ci:gitlab:ID"}, nil, 2, []string{"the variable ID", "id_tokens: {ID: {aud: http://127.0.0.1"}},
		{"another system", []string{"--subject-token", "ci:jenkins"}, nil, 2, []string{`expected ci:github or ci:gitlab:NAME, got "ci:jenkins"`}},
		{"the runner says no", []string{"--subject-token", "ci:github"}, map[string]string{"ACTIONS_ID_TOKEN_REQUEST_TOKEN": "canary-wrong"}, 2, []string{"REQUEST_REFUSED", "status 401"}},
		{"the runner is away", []string{"--subject-token", "ci:github"}, map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": "http://127.0.0.1:1/x"}, 6, []string{"UNREACHABLE"}},
		{"another audience", []string{"--subject-token", "ci:github:https://other.example.com"}, map[string]string{}, 5, []string{"GRANT_INVALID", "no identity token made out to this server"}},
		{"two from standard input", []string{"--subject-token", "-", "--actor-token", "-"}, nil, 2, []string{"only one argument or flag may be -"}},
		{"no assertion", []string{"--grant-type", "jwt-bearer"}, nil, 2, []string{"--assertion @FILE"}},
		{"an assertion to exchange", []string{"--assertion", "x"}, nil, 2, []string{"--subject-token TOKEN"}},
		{"another grant", []string{"--grant-type", "password"}, nil, 2, []string{`got "password"`}},
		{"nobody logged in", nil, nil, 2, []string{"LOGIN_REQUIRED", "OAUTHCTL_CLIENT_ID is not set or empty"}},
		{"no server", []string{"--subject-token", "x"}, map[string]string{"OAUTHCTL_ISSUER": ""}, 2, []string{"SERVER_UNKNOWN", "no authorization server is configured"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := map[string]string{}
			if tt.env != nil {
				env = ci.onGitHub()
			}
			for name, value := range tt.env {
				env[name] = value
			}
			w := ci.job(t, env)
			w.stdin = "x"
			if code := w.run(append([]string{"exchange"}, tt.args...)...); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			for _, words := range tt.says {
				if !strings.Contains(w.stderr.String(), words) {
					t.Errorf("stderr lacks %q:\n%s", words, &w.stderr)
				}
			}
			if w.stdout.Len() > 0 || strings.Contains(w.stderr.String(), "canary") {
				t.Errorf("stdout %q, stderr %q", &w.stdout, &w.stderr)
			}
		})
	}
}

// A server without metadata is configured by its endpoint. A grant that is sufficient without a client needs none.
func TestExchangeWithoutMetadata(t *testing.T) {
	ci := startCI(t)
	w := ci.job(t, map[string]string{"OAUTHCTL_ISSUER": "", "OAUTHCTL_TOKEN_ENDPOINT": ci.URL + "/token"})
	var err error
	if w.getenv["JOB"], err = ci.sign(ci.URL); err != nil {
		t.Fatal(err)
	}
	if code := w.run("exchange", "--subject-token", "ci:gitlab:JOB", "--json"); code != 0 {
		t.Fatalf("exit code %d\n%s", code, &w.stderr)
	}
	var got map[string]string
	if err := json.Unmarshal(w.stdout.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "expires_at")
	want := map[string]string{
		"access_token": "canary%exchanged", "token_type": "Bearer", "scope": "deploy",
		"issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("--json (-want +got):\n%s", diff)
	}
}
