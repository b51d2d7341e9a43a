package guard_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/guard"
)

// seen is a request as an API in some language has read it.
type seen struct {
	Method string            `json:"method"`
	Target string            `json:"target"`
	Vars   map[string]string `json:"vars"` // header fields as CGI variables
}

// need skips a test if a program is missing, unless it is required.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if slices.Contains(strings.Split(os.Getenv("OAUTHCTL_TEST_REQUIRE"), ","), program) {
		t.Fatalf("%s is required and not installed", program)
	}
	t.Skipf("%s is not installed", program)
}

// inGo starts the API in the process of the test.
func inGo(t *testing.T) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := seen{r.Method, r.RequestURI, map[string]string{}}
		for name, values := range r.Header {
			variable := "HTTP_" + strings.ToUpper(strings.Map(func(c rune) rune {
				if '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' {
					return c
				}
				return '_'
			}, name))
			s.Vars[variable] = values[len(values)-1]
		}
		_ = json.NewEncoder(w).Encode(s)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// program starts an API whose first line of output is its port.
func program(name string, args ...string) func(*testing.T) string {
	return func(t *testing.T) string {
		need(t, name)
		cmd := exec.Command(name, args...)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return "http://127.0.0.1:" + strings.TrimSpace(line)
	}
}

// inPHP starts the server of PHP, which does not print its port.
func inPHP(t *testing.T) string {
	need(t, "php")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	cmd := exec.Command("php", "-S", address, filepath.Join("testdata", "echo.php"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	eventually(t, "PHP", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return "http://" + address
}

// trick is a request that could be read in another way.
type trick struct {
	line   string
	fields []string
}

// headerTricks returns all headers for an identity, a method or a path, in all
// spellings that RFC 9110 allows.
func headerTricks() []trick {
	var all []trick
	names := []string{
		"X-Auth-Subject", "X-Auth-Scope", "X-Auth-Issuer", "X-Auth-Client-Id", "X-Auth-Email", "X-Forwarded-User", "Remote-User", "X-HTTP-Method-Override",
		"X-Original-URL", "X-Rewrite-Url", "X-Forwarded-For", "X-Real-IP", "X-Webauth-User", "X-Amzn-Oidc-Identity", "X-Goog-Authenticated-User-Email", "X-MS-Client-Principal-Name",
		"X-Envoy-Original-Path", "X-Original-Method", "X-HTTP-Path-Override", "Client-Cert", "X-Custom-Tenant",
	}
	for _, name := range names {
		for _, c := range "-_.~!#$%&'*+^|`" {
			spelled := strings.ReplaceAll(name, "-", string(c))
			all = append(all,
				trick{"GET /private/a", []string{spelled + ": forged"}},
				trick{"GET /public/a", []string{strings.Replace(name, "-", string(c), 1) + ": forged"}},
				trick{"OPTIONS /private/a", []string{strings.ToUpper(spelled) + ": forged", "Origin: https://x.example", "Access-Control-Request-Method: GET"}},
			)
		}
	}
	return append(all,
		trick{"GET /private/a", []string{"Proxy: forged"}},
		trick{"GET /private/a", []string{"X-Auth-Subject: forged", "X-Auth-Subject: forged"}},
		trick{"GET /private/a", []string{"Connection: X-Auth-Subject, X-Auth-Scope"}},
		trick{"GET /private/a", []string{"Connection: close, x-auth-subject", "X-Auth-Subject: forged"}},
		trick{"GET /private/a", []string{"X-Auth-Subject : forged"}},
		trick{"GET /private/a", []string{"X-Auth-Subject:forged", "x_auth.scope:forged"}},
		trick{"GET /private/a", []string{"X-Auth-\r\n Subject: forged"}},
	)
}

func pathTricks() []trick {
	var all []trick
	for _, target := range []string{
		"/public/../private/a", "/public/%2e%2e/private/a", "/public/%2E%2E/private/a", "/public/.%2e/private/a", "/public/..;/private/a", "/public/..;x=1/private/a",
		"/public/..%2fprivate/a", "/public/..%5cprivate/a", `/public/..\private/a`, "/public//private/a", "//private/a", "/./private/a", "/public/./../private/a",
		"/public/%252e%252e/private/a", "/public/..%20/private/a", "/public/.../private/a", "/public/..%00/private/a", "/public/..%c0%af/private/a", "/public/%ef%bc%8e%ef%bc%8e/private/a",
		"/public/a/../../private/a", "/PRIVATE/a", "/Private/a", "/private/A", "/private/a/", "/private/a;x", "/private;x/a", "/private/a%20", "/private/a.", "/%70rivate/a", "/privat%65/a",
		"/private/a?x=1;y=2", "/private/a?q=50%+off&dry=1", "/private/a?", "/private/a?&&", "/private/a?a=1&a=2&b", "/private/a?x=%zz", "/private/a?x=a+b%20c", "/private/a?z=1&a=2",
		"/private/a?x=/../y", "/private/a?%61ccess=1", "/private/a?x=#frag", "/private/a#frag", "/private/a?" + strings.Repeat("a=1&", 12_000), "/public/a?dry_run=1;trace=2", "/public/a?%",
		"http://api.example.com/private/a", "http://evil.example/public/a", "http://api.example.com", "*", "/private/\u00e4", "/private/%C3%A4", "/public/a|b", "/public/a^b", "/public/{x}", "/public/a\"b",
		"/public/<a>", "/public/a%7Cb", "/public/a%2Bb+c", "/public/%41", "/public/a:b@c", "/public/a'b(c)!*", "/public/%e4", "/public/a%0ab", "/public/a%09b", "/public/\x01",
	} {
		all = append(all, trick{line: "GET " + target}, trick{line: "DELETE " + target})
	}
	return all
}

const trickRoutes = "issuer: " + issuer + "\naudience: " + audience + `
routes:
  "GET,DELETE /public/{rest...}": {public: true}
  "GET,DELETE /private/{rest...}": {}
`

// APIs in four languages read the same identity, path and query that was
// checked.
func TestTricks(t *testing.T) {
	tricks := append(headerTricks(), pathTricks()...)
	t.Logf("%d tricks", len(tricks))
	for name, start := range map[string]func(*testing.T) string{
		"go": inGo, "python": program("python3", filepath.Join("testdata", "echo.py")), "node": program("node", filepath.Join("testdata", "echo.js")), "php": inPHP,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, err := url.Parse(start(t))
			if err != nil {
				t.Fatal(err)
			}
			f := newFixture(t, echo, func(c *guard.Config) {
				c.Upstream, c.Policy, c.RemoveHeaders, c.Log = u, load(t, trickRoutes), []string{"X-Custom-Tenant"}, nil
			})
			raw := f.token(nil)
			reached := 0
			for _, tr := range tricks {
				for _, token := range []string{"", raw} {
					if f.try(tr, token) {
						reached++
					}
				}
			}
			t.Logf("%d requests reached the API", reached)
			if reached < 100 {
				t.Errorf("positive control: only %d requests reached the API", reached)
			}
		})
	}
}

// try sends a trick and compares the request that reached the API with the one
// that was sent.
func (f *fixture) try(tr trick, token string) (reached bool) {
	f.t.Helper()
	fields := slices.Clone(tr.fields)
	if token != "" {
		fields = append(fields, "Authorization: Bearer "+token)
	}
	status, body, ok := f.exchange(tr.line, fields)
	if !ok || status != http.StatusOK {
		if status >= 500 {
			f.t.Errorf("%.80s %q: %d %s", tr.line, tr.fields, status, body)
		}
		return false
	}
	var s seen
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		f.t.Errorf("%.80s: %v: %.100s", tr.line, err, body)
		return true
	}
	method, target, _ := strings.Cut(tr.line, " ")
	target = strings.TrimPrefix(strings.TrimPrefix(target, "http://api.example.com"), "http://evil.example")
	if s.Method != method || s.Target != target {
		f.t.Errorf("%.80s: the API read %s %.80s", tr.line, s.Method, s.Target)
	}
	private := isPrivate(s.Target)
	for variable, value := range s.Vars {
		if strings.Contains(value, "forged") {
			f.t.Errorf("%s %q: the API read %s=%s", tr.line, tr.fields, variable, value)
		}
	}
	want := ""
	if private && token != "" && method != "OPTIONS" {
		want = "alice"
	}
	if got := s.Vars["HTTP_X_AUTH_SUBJECT"]; got != want {
		f.t.Errorf("%.80s %q: the API read the subject %q, want %q", tr.line, tr.fields, got, want)
	}
	if private && token == "" && method != "OPTIONS" {
		f.t.Errorf("%.80s: reached the API without a token", tr.line)
	}
	return true
}

// isPrivate resolves a target with all the leniency that servers have.
func isPrivate(target string) bool {
	target, _, _ = strings.Cut(target, "?")
	target, _, _ = strings.Cut(target, "#")
	for range 2 {
		if plain, err := url.PathUnescape(target); err == nil {
			target = plain
		}
	}
	target = strings.ReplaceAll(target, `\`, "/")
	parts := strings.Split(target, "/")
	for i, part := range parts {
		part, _, _ = strings.Cut(part, ";")
		parts[i] = strings.TrimRight(part, " ")
	}
	return strings.HasPrefix(strings.ToLower(path.Clean("/"+strings.Join(parts, "/"))), "/private")
}

// exchange sends lines unchanged, and returns the response if there is one.
func (f *fixture) exchange(line string, fields []string) (status int, body string, ok bool) {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.host)
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	lines := append([]string{line + " HTTP/1.1", "Host: api.example.com", "Connection: close"}, fields...)
	fmt.Fprint(conn, strings.Join(lines, "\r\n")+"\r\n\r\n")
	reader := bufio.NewReader(conn)
	res, err := http.ReadResponse(reader, nil)
	if err != nil {
		return 0, "", false
	}
	defer res.Body.Close()
	var text strings.Builder
	if _, err := bufio.NewReader(res.Body).WriteTo(&text); err != nil {
		return res.StatusCode, strconv.Quote(err.Error()), false
	}
	return res.StatusCode, text.String(), true
}
