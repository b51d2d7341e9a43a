package guard_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/guard"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/policy/policyfile"
	"github.com/oauthctl/oauthctl/pkg/revocation"
	"github.com/oauthctl/oauthctl/pkg/token"
)

const (
	issuer   = "https://auth.example.com"
	audience = "https://api.example.com"
	routes   = "issuer: " + issuer + "\naudience: " + audience + `
routes:
  "GET /api/items": {scopes: [items:read]}
  "POST /api/items": {scopes: [items:write]}
  "GET /files/": {}
  "GET /events": {}
  "GET /socket": {}
  "GET /healthz": {public: true}
`
)

// logged is a log for concurrent writers.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// fixture is a guard over HTTP in front of an API over HTTP.
type fixture struct {
	t       *testing.T
	key     *jwks.PrivateKey
	handler *guard.Handler
	url     string
	host    string
	log     *logged
}

func newFixture(t *testing.T, api http.HandlerFunc, change func(*guard.Config)) *fixture {
	t.Helper()
	key, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	upstream := httptest.NewServer(api)
	t.Cleanup(upstream.Close)
	u, err := url.Parse(upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	log := &logged{}
	c := guard.Config{Upstream: u, Policy: load(t, routes), Keys: jwks.NewSet(key.Public()), Log: slog.New(slog.NewTextHandler(log, nil))}
	if change != nil {
		change(&c)
	}
	h, err := guard.New(c)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(h)
	t.Cleanup(front.Close)
	return &fixture{t, key, h, front.URL, front.Listener.Addr().String(), log}
}

func (f *fixture) keys() *jwks.Set { return jwks.NewSet(f.key.Public()) }

func load(t testing.TB, text string) *policy.Policy {
	t.Helper()
	p, err := policyfile.Load([]byte(text), "policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (f *fixture) token(change map[string]any) string {
	f.t.Helper()
	now := time.Now().Unix()
	claims := map[string]any{"iss": issuer, "aud": audience, "sub": "alice", "client_id": "app", "jti": "1", "iat": now, "exp": now + 300, "scope": "items:read"}
	for name, value := range change {
		claims[name] = value
	}
	raw, err := token.Sign(f.key, "at+jwt", claims)
	if err != nil {
		f.t.Fatal(err)
	}
	return raw
}

// send sends header lines unchanged over a new connection.
func (f *fixture) send(line string, fields ...string) (*http.Response, string) {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.host)
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	lines := append([]string{line + " HTTP/1.1", "Host: api.example.com"}, fields...)
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\nConnection: close\r\n\r\n"); err != nil {
		f.t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		f.t.Fatalf("%s: %v", line, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return res, string(body)
}

// echo is an API that shows the request that it received: the request line, and
// all headers except those that contain addresses of the test.
func echo(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%s %s\n", r.Method, r.RequestURI)
	r.Header.Del("X-Forwarded-For")
	if !strings.HasPrefix(r.Header.Get("X-Request-Id"), "test") {
		r.Header.Del("X-Request-Id")
	}
	r.Header.Del("Accept-Encoding")
	r.Header.Del("User-Agent")
	_ = r.Header.Write(w)
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		fmt.Fprintln(w, err)
	}
	_ = r.Trailer.Write(w)
}

func TestDecisions(t *testing.T) {
	f := newFixture(t, echo, nil)
	bearer := "Authorization: Bearer " + f.token(nil)
	tests := map[string]struct {
		line    string
		fields  []string
		status  int
		decided string // what the log says
	}{
		"allowed":              {"GET /api/items", []string{bearer}, 200, "decision=allowed"},
		"who":                  {"GET /api/items", []string{bearer}, 200, "sub=alice client_id=app"},
		"no token":             {"GET /api/items", nil, 401, "decision=refused"},
		"no token by id":       {"GET /api/items", nil, 401, "id=CREDENTIALS_MISSING"},
		"scope missing":        {"POST /api/items", []string{bearer, "Content-Length: 0"}, 403, "id=SCOPE_MISSING"},
		"who lacks it":         {"POST /api/items", []string{bearer, "Content-Length: 0"}, 403, "sub=alice client_id=app"},
		"unlisted":             {"GET /admin", []string{bearer}, 403, "id=OPERATION_UNLISTED"},
		"public":               {"GET /healthz", nil, 200, "decision=public"},
		"preflight":            {"OPTIONS /api/items", []string{"Origin: https://app.example", "Access-Control-Request-Method: POST"}, 200, "decision=preflight"},
		"preflight, unlisted":  {"OPTIONS /api/items", []string{"Origin: https://app.example", "Access-Control-Request-Method: PUT"}, 401, "decision=refused"},
		"preflight with body":  {"OPTIONS /api/items", []string{"Origin: https://app.example", "Access-Control-Request-Method: POST", "Content-Length: 1", "", "x"}, 401, "decision=refused"},
		"OPTIONS by itself":    {"OPTIONS /api/items", nil, 401, "decision=refused"},
		"subject with a break": {"GET /api/items", []string{"Authorization: Bearer " + f.token(map[string]any{"sub": "alice\r\nX-Auth-Scope: all"})}, 403, "id=CLAIM_INVALID"},
		"subject with a space": {"GET /api/items", []string{"Authorization: Bearer " + f.token(map[string]any{"sub": "alice "})}, 403, "id=CLAIM_INVALID"},
	}
	for name, tt := range tests {
		before := len(f.log.String())
		res, body := f.send(tt.line, tt.fields...)
		log := ""
		for range 500 {
			if log = f.log.String()[before:]; log != "" {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if res.StatusCode != tt.status || !strings.Contains(log, tt.decided) {
			t.Errorf("%s: %d %s\nlog %s\nwant %d %s", name, res.StatusCode, body, log, tt.status, tt.decided)
		}
	}
	if all := f.log.String(); strings.Contains(all, "eyJ") {
		t.Errorf("the log shows a token: %s", all)
	}
}

// The API receives the path that was checked, byte by byte. A path that servers
// read differently is refused.
func TestPaths(t *testing.T) {
	f := newFixture(t, echo, nil)
	bearer := "Authorization: Bearer " + f.token(nil)
	for _, path := range []string{"/files/a", "/files/a%20b", "/files/%C3%A4", "/files/a;x=1", "/files/a+b?c=%2F..&d=//", "/files/~a/%41", "/files/"} {
		if res, body := f.send("GET "+path, bearer); res.StatusCode != 200 || !strings.HasPrefix(body, "GET "+path+"\n") {
			t.Errorf("%s: %d %s", path, res.StatusCode, body)
		}
	}
	for _, path := range []string{
		"/files/../api/items", "/files/%2e%2e/api/items", "/files/%2E./x", "/files//a", "//files/a", "/files/a%2fb", "/files/a%2Fb", `/files/a\b`,
		"/files/a%5Cb", "/files/..;/x", "/files/%252e%252e/x", "/files/a%00", "/files/a%0d%0ab", "/files/..%c0%af", "/./files/a", "/files/.",
	} {
		if res, body := f.send("GET "+path, bearer); res.StatusCode != 400 {
			t.Errorf("%s: %d %s", path, res.StatusCode, body)
		}
	}
}

func TestBelowAPath(t *testing.T) {
	f := newFixture(t, echo, func(c *guard.Config) { c.Upstream.Path = "/base/" })
	if _, body := f.send("GET /files/a%20b?x=1", "Authorization: Bearer "+f.token(nil)); !strings.HasPrefix(body, "GET /base/files/a%20b?x=1\n") {
		t.Errorf("the API saw %s", body)
	}
}

// Headers that imitate another client do not reach the API.
func TestHeaders(t *testing.T) {
	tests := map[string]struct {
		fields []string
		change func(*guard.Config)
		want   string // the headers that differ from those of a plain request
	}{
		"nothing":             {nil, nil, ""},
		"others pass":         {[]string{"X-Request-Id: test-7", "Cookie: a=b", "X-Authority: x"}, nil, "Cookie: a=b\nX-Authority: x\nX-Request-Id: test-7\n"},
		"ours":                {[]string{"X-Auth-Subject: root", "x-auth-scope: all", "X-Auth-Groups: admin", "X-Auth: root"}, nil, ""},
		"ours, underscores":   {[]string{"X_Auth_Subject: root", "X-Auth_Subject: root", "x_auth-scope: all"}, nil, ""},
		"named by Connection": {[]string{"Connection: X-Auth-Subject, X-Auth-Scope, keep-alive"}, nil, ""},
		"another method":      {[]string{"X-HTTP-Method-Override: DELETE", "X_HTTP_Method: DELETE", "X-Method-Override: PUT"}, nil, ""},
		"another path":        {[]string{"X-Original-URL: /admin", "X-Rewrite-URL: /admin", "X-Forwarded-Prefix: /admin"}, nil, ""},
		"another client":      {[]string{"X-Forwarded-For: 1.2.3.4", "Forwarded: for=1.2.3.4", "X-Real-IP: 1.2.3.4", "X-Forwarded-User: root", "Remote-User: root"}, nil, ""},
		"another protocol":    {[]string{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"}, nil, ""},
		"a WebSocket":         {[]string{"Connection: Upgrade", "Upgrade: WebSocket"}, nil, "Connection: Upgrade\nUpgrade: WebSocket\n"},
		"the token by name":   {nil, func(c *guard.Config) { c.ForwardToken = true }, "Authorization: Bearer TOKEN\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, echo, tt.change)
			raw := f.token(nil)
			res, body := f.send("GET /api/items", append(tt.fields, "Authorization: Bearer "+raw)...)
			got := map[string]bool{}
			for line := range strings.Lines(strings.ReplaceAll(strings.ReplaceAll(body, "\r", ""), raw, "TOKEN")) {
				got[line] = true
			}
			want := map[string]bool{}
			for line := range strings.Lines("GET /api/items\nX-Auth-Subject: alice\nX-Auth-Issuer: https://auth.example.com\nX-Auth-Client-Id: app\nX-Auth-Scope: items:read\nX-Forwarded-Host: api.example.com\nX-Forwarded-Proto: http\n" + tt.want) {
				want[line] = true
			}
			if diff := cmp.Diff(want, got); diff != "" || res.StatusCode != 200 {
				t.Errorf("%d; what reached the API (-want +got):\n%s", res.StatusCode, diff)
			}
		})
	}
}

// On a public route and for a preflight request, the API receives no identity.
func TestPublicRequestsHaveNoIdentity(t *testing.T) {
	f := newFixture(t, echo, nil)
	for _, line := range []string{"GET /healthz", "OPTIONS /api/items"} {
		_, body := f.send(line, "X-Auth-Subject: root", "Authorization: Bearer "+f.token(nil), "Origin: https://app.example", "Access-Control-Request-Method: GET")
		if strings.Contains(body, "X-Auth") || strings.Contains(body, "Authorization") || !strings.HasPrefix(body, line) {
			t.Errorf("the API saw %s", body)
		}
	}
}

func TestTrailersDoNotPass(t *testing.T) {
	f := newFixture(t, echo, nil)
	_, body := f.send("GET /api/items", "Authorization: Bearer "+f.token(nil), "Transfer-Encoding: chunked", "Trailer: X-Auth-Subject", "", "1\r\nx\r\n0\r\nX-Auth-Subject: root\r\n")
	if strings.Contains(body, "root") {
		t.Errorf("the API saw %s", body)
	}
}

func TestMetadata(t *testing.T) {
	f := newFixture(t, echo, func(c *guard.Config) { c.Resource = audience + "/v1" })
	res, _ := f.send("GET /api/items")
	if got, want := res.Header.Get("WWW-Authenticate"), `resource_metadata="https://api.example.com/.well-known/oauth-protected-resource/v1"`; !strings.Contains(got, want) {
		t.Errorf("challenge %q, want %q in it", got, want)
	}
	_, body := f.send("GET /.well-known/oauth-protected-resource/v1")
	if want := `{"resource":"https://api.example.com/v1","authorization_servers":["https://auth.example.com"],"scopes_supported":["items:read","items:write"],"bearer_methods_supported":["header"]}`; body != want {
		t.Errorf("metadata %s", body)
	}
}

func TestMetadataOfDetails(t *testing.T) {
	f := newFixture(t, echo, func(c *guard.Config) {
		c.Resource = audience
		c.Policy = load(t, "issuer: "+issuer+"\naudience: "+audience+"\nroutes:\n  \"GET /a\": {authorization_details: [{type: transfer}, {type: account}]}\n  \"GET /b\": {authorization_details: {type: account}}\n")
	})
	if _, body := f.send("GET /.well-known/oauth-protected-resource"); !strings.Contains(body, `"authorization_details_types_supported":["account","transfer"]`) {
		t.Errorf("metadata %s", body)
	}
}

func TestRevocation(t *testing.T) {
	revoked := revocation.NewMemory(revocation.MemoryOptions{})
	f := newFixture(t, echo, func(c *guard.Config) { c.Revocation = revoked })
	bearer := "Authorization: Bearer " + f.token(nil)
	if res, _ := f.send("GET /api/items", bearer); res.StatusCode != 200 {
		t.Fatalf("positive control: %d", res.StatusCode)
	}
	if err := revoked.Revoke(t.Context(), revocation.OfID(issuer, "1", time.Time{})); err != nil {
		t.Fatal(err)
	}
	if res, body := f.send("GET /api/items", bearer); res.StatusCode != 401 || !strings.Contains(body, "REVOKED") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

func TestUnreachable(t *testing.T) {
	f := newFixture(t, echo, func(c *guard.Config) { c.Upstream.Host = "127.0.0.1:1" })
	res, body := f.send("GET /api/items", "Authorization: Bearer "+f.token(nil))
	if res.StatusCode != 502 || res.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(body, "UNREACHABLE") || strings.Contains(body, "127.0.0.1") {
		t.Errorf("%d %v %s", res.StatusCode, res.Header, body)
	}
}

func TestNew(t *testing.T) {
	key, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	good := guard.Config{Upstream: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}, Policy: load(t, routes), Keys: jwks.NewSet(key.Public())}
	if _, err := guard.New(good); err != nil {
		t.Errorf("positive control: %v", err)
	}
	for name, change := range map[string]func(*guard.Config){
		"no host":    func(c *guard.Config) { c.Upstream = &url.URL{Scheme: "http"} },
		"a password": func(c *guard.Config) { c.Upstream.User = url.UserPassword("u", "p") },
		"no scheme":  func(c *guard.Config) { c.Upstream = &url.URL{Host: "x"} },
		"no policy":  func(c *guard.Config) { c.Policy = nil },
		"no keys":    func(c *guard.Config) { c.Keys = nil },
		"no URL":     func(c *guard.Config) { c.Resource = "api" },
	} {
		c := good
		upstream := *good.Upstream
		c.Upstream = &upstream
		change(&c)
		if h, err := guard.New(c); err == nil {
			t.Errorf("%s: New = %v", name, h)
		}
	}
}
