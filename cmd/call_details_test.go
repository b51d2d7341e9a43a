package cmd_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// Arguments in the style of curl and HTTPie work, or the message shows the right command.
func TestHabits(t *testing.T) {
	var method, uri string
	w, requests := apiWorld(t, func(_ http.ResponseWriter, r *http.Request) { method, uri = r.Method, r.RequestURI })
	for args, want := range map[string]string{
		"/api/items":         "GET /api/items",
		"/api/items a=1":     "POST /api/items",
		"/api/items q==1":    "GET /api/items?q=1",
		"/api/items X-A:1":   "GET /api/items",
		"/api/items -d x":    "POST /api/items",
		"items":              "GET /items",
		"get /x":             "GET /x",
		"GET items.json":     "GET /items.json",
		"GET v1.0/items":     "GET /v1.0/items",
		"delete /x/7":        "DELETE /x/7",
		"GET /100%":          "GET /100%25",
		"?q=1":               "GET /?q=1",
		"GET file.tar.gz2/x": "GET /file.tar.gz2/x",
	} {
		if code := w.run(append([]string{"call"}, strings.Fields(args)...)...); code != 0 || method+" "+uri != want {
			t.Errorf("call %s: %d, %s %s\n%s", args, code, method, uri, &w.stderr)
		}
	}
	before := requests.Load()
	for args, hint := range map[string]string{
		"call -X POST /x":                                 "oauthctl call POST",
		"call GET /x -k":                                  "--insecure-skip-tls-verify",
		"call GET /x -L":                                  "follow redirects",
		"call GET /x -u a:b":                              "--no-token",
		"call POST /x -F f=@x":                            "name@FILE",
		"call --json {\"a\":1} POST /x":                   "-d DATA",
		"call --url http://127.0.0.1/x":                   "oauthctl call GET URL",
		"call GET 127.0.0.1:8080/x":                       "http://127.0.0.1:8080/x",
		"call GET api.example.com/x":                      "https://api.example.com/x",
		"call GET localhost:9001/x":                       "http://localhost:9001/x",
		"call GET [::1]:9001/x":                           "http://[::1]:9001/x",
		"call api.example.com/x":                          "https://api.example.com/x",
		"call GET 127.0.example.com/x":                    "https://127.0.example.com/x",
		"call GET 127.3.4.5:8080/x":                       "http://127.3.4.5:8080/x",
		"call GET api.localhost/x":                        "http://api.localhost/x",
		"call":                                            "usage: oauthctl call",
		"call GET /x --jsn":                               "--json",
		"login --scopes a":                                "--scope",
		"get /api/items":                                  "oauthctl call GET",
		"post /api/items a=1":                             "oauthctl call POST",
		"call POST /x --data-raw x":                       "-d DATA",
		"call GET /x Authorization:Bearer":                "--no-token",
		"call POST /x a=1 Content-Type:" + urlEncodedForm: "--form",
		"call POST /x a=1 Content-Type:text/x":            "-d",
		"call GET /x --reconnect":                         "--stream",
		"call /x GET a==1":                                "oauthctl call GET /x a==1",
		"call https://api.example.com/x delete":           "oauthctl call DELETE https://api.example.com/x",
		"call localhost GET":                              "oauthctl call GET localhost",
		"--jsn call GET /x":                               "--json",
		"--unknown call GET /x":                           "oauthctl help flags",
	} {
		if code := w.run(strings.Fields(args)...); code != 2 || !strings.Contains(w.stderr.String(), hint) {
			t.Errorf("%s: %d\n%s", args, code, &w.stderr)
		}
	}
	if requests.Load() != before {
		t.Errorf("%d requests were sent", requests.Load()-before)
	}
}

const urlEncodedForm = "application/x-www-form-urlencoded"

// If a body has no final line break, the error still begins on a new line.
func TestErrorBeginsALine(t *testing.T) {
	w, _ := apiWorld(t, func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(rw, "400 Bad Request")
	})
	w.terminal, w.getenv["NO_COLOR"] = strings.NewReader(""), "1"
	if code := w.run("call", "GET", "/x", "-o", "-"); code != 9 || !strings.HasPrefix(w.stderr.String(), "\noauthctl:") {
		t.Errorf("%d, %q", code, &w.stderr)
	}
}

// Python and Go can parse the forms. Files can be repeated, and can have a type and a name.
func TestForms(t *testing.T) {
	need(t, "python3", missingProgram("python3"))
	const script = `
import sys, email.parser, email.policy
head, body = sys.stdin.buffer.read().split(b"\n\n", 1)
m = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(b"Content-Type: " + head + b"\r\n\r\n" + body)
for p in m.iter_parts():
    d = p["Content-Disposition"].params
    print(d["name"], d.get("filename"), p.get_content_type() if p["Content-Type"] else None, p.get_payload(decode=True).decode())
`
	var parsed, kind, body string
	w, _ := apiWorld(t, func(_ http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		kind, body = r.Header.Get("Content-Type"), string(data)
		if r.ContentLength != int64(len(data)) {
			t.Errorf("length %d of %d", r.ContentLength, len(data))
		}
		c := exec.Command("python3", "-c", script)
		c.Stdin = strings.NewReader(kind + "\n\n" + body)
		out, err := c.CombinedOutput()
		if parsed = string(out); err != nil && strings.HasPrefix(kind, "multipart") {
			t.Errorf("%v\n%s", err, out)
		}
	})
	dir := t.TempDir()
	one, two, meta := filepath.Join(dir, "one.csv"), filepath.Join(dir, "two"), filepath.Join(dir, "meta.json")
	write(t, one, "1,2", 0o600)
	write(t, two, "second", 0o600)
	write(t, meta, `{"b":1,"a":2}`, 0o600)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"f@" + one, "f@" + two}, "f one.csv text/csv 1,2\nf two application/octet-stream second\n"},
		{[]string{"f@" + one + ";type=text/x-own;filename=named.txt"}, "f named.txt text/x-own 1,2\n"},
		{[]string{"meta:=" + `{"z":1,"y":2}`, "f@" + two}, "meta None application/json {\"z\":1,\"y\":2}\nf two application/octet-stream second\n"},
		{[]string{"meta=@" + meta + ";type=application/json", "f@" + two}, "meta None application/json {\"b\":1,\"a\":2}\nf two application/octet-stream second\n"},
		{[]string{"--multipart", "a=1", "a=2"}, "a None None 1\na None None 2\n"},
	} {
		if code := w.run(append([]string{"call", "POST", "/x"}, tt.args...)...); code != 0 {
			t.Errorf("%q: %d\n%s", tt.args, code, &w.stderr)
			continue
		}
		if diff := cmp.Diff(tt.want, parsed); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.args, diff)
		}
	}
	for _, tt := range []struct{ args, kind, body string }{
		{"--form b=1 a=ü", urlEncodedForm, "b=1&a=%C3%BC"},
		{"note=@" + two + " n:=@" + meta, "application/json", `{"note":"second","n":{"b":1,"a":2}}`},
		{"-d a=1&b=2", urlEncodedForm, "a=1&b=2"},
		{`-d {"a":1}`, "application/json", `{"a":1}`},
		{"-d hello", "text/plain; charset=utf-8", "hello"},
		{"-d @" + one, "text/csv; charset=utf-8", "1,2"},
		{"-d @" + meta, "application/json", `{"b":1,"a":2}`},
	} {
		code := w.run(append([]string{"call", "POST", "/x"}, strings.Fields(tt.args)...)...)
		if code != 0 || kind != tt.kind || body != tt.body {
			t.Errorf("%s: %d, %s %s\n%s", tt.args, code, kind, body, &w.stderr)
		}
	}
}

// Header names are sent as written, default headers can be removed, trailers are shown, and for a response without a
// body the status is shown.
func TestHeaderDetails(t *testing.T) {
	head := make(chan string, 1)
	api := rawServer(t, func(conn *net.TCPConn, r *bufio.Reader) {
		head <- readHead(r)
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 42\r\n\r\n")
	})
	w := &world{t: t, home: t.TempDir(), now: time.Now, getenv: map[string]string{"OAUTHCTL_TOKEN": givenToken, "OAUTHCTL_API": api}}
	if code := w.run("call", "GET", "/x", "SOAPAction:urn:x", "Accept:", "User-Agent:", "X-Empty;", "-i"); code != 0 || !strings.HasSuffix(w.stdout.String(), "hi\nX-Sum: 42\n") {
		t.Errorf("%d, %q\n%s", code, &w.stdout, &w.stderr)
	}
	got := <-head
	for _, has := range []string{"\r\nSOAPAction: urn:x\r\n", "\r\nX-Empty: \r\n"} {
		if !strings.Contains(got, has) {
			t.Errorf("%q lacks %q", got, has)
		}
	}
	for _, lacks := range []string{"Accept:", "User-Agent:"} {
		if strings.Contains(got, lacks) {
			t.Errorf("%q has %q", got, lacks)
		}
	}
	w, _ = apiWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("X-A", "b")
		if r.Method == http.MethodPost {
			rw.WriteHeader(http.StatusNoContent)
		}
	})
	w.terminal, w.getenv["NO_COLOR"] = strings.NewReader(""), "1"
	if w.run("call", "HEAD", "/x"); !strings.Contains(w.stdout.String(), "HTTP/1.1 200 OK\n") || !strings.Contains(w.stdout.String(), "X-A: b\n") {
		t.Errorf("HEAD: %q", &w.stdout)
	}
	if w.run("call", "POST", "/x"); w.stderr.String() != "204 No Content\n" {
		t.Errorf("204: %q %q", &w.stdout, &w.stderr)
	}
}

// A cookie that a redirect sets is sent to its target.
func TestCookieOfARedirect(t *testing.T) {
	w, _ := apiWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/start" {
			http.SetCookie(rw, &http.Cookie{Name: "a", Value: "b", Path: "/"})
			http.Redirect(rw, r, "/end", http.StatusFound)
			return
		}
		fmt.Fprint(rw, r.Header.Get("Cookie"))
	})
	if code := w.run("call", "GET", "/start"); code != 0 || w.stdout.String() != "a=b" {
		t.Errorf("%d %q\n%s", code, &w.stdout, &w.stderr)
	}
}

// An API behind a Unix socket, at a name below localhost, and over plain http if the user allows it.
func TestReachingTheAPI(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs Unix domain sockets")
	}
	dir, err := os.MkdirTemp("", "s") // a short path, as sockets need
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "api.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	echo := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprint(rw, r.Host, " ", r.Header.Get("Authorization") != "")
	})
	server := &http.Server{Handler: echo}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
	tcp := httptest.NewServer(echo)
	t.Cleanup(tcp.Close)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(tcp.URL, "http://"))
	home := t.TempDir()
	for _, tt := range []struct {
		api, args string
		code      int
		stdout    string
		says      string
	}{
		{"http://localhost", "--unix-socket " + socket, 0, "localhost true", ""},
		{"http://localhost", "--unix-socket " + socket + "x", 6, "", "the socket does not exist"},
		{"http://api.localhost:" + port, "", 0, "api.localhost:" + port + " true", ""},
		{"http://api.test:" + port, "", 2, "", "INSECURE_URL"},
	} {
		got, err := runScript(t, home, "oauthctl call GET /x "+tt.args, "OAUTHCTL_TOKEN="+givenToken, "OAUTHCTL_API="+tt.api)
		if err != nil || got.code != tt.code || got.stdout != tt.stdout || !strings.Contains(got.stderr, tt.says) {
			t.Errorf("%+v: %v, %+v", tt, err, got)
		}
	}
	w := &world{t: t, home: home, now: time.Now, getenv: map[string]string{"OAUTHCTL_TOKEN": givenToken, "OAUTHCTL_API": "http://api.test.invalid:1"}}
	if code := w.run("call", "GET", "/x", "--insecure-http"); code != 6 || !strings.Contains(w.stderr.String(), "without encryption") {
		t.Errorf("--insecure-http: %d\n%s", code, &w.stderr)
	}
}

// If the terminal is closed, no temporary file remains.
func TestHangupLeavesNothing(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs SIGHUP")
	}
	started := make(chan struct{})
	api := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprint(rw, "half")
		_ = http.NewResponseController(rw).Flush()
		close(started)
		<-r.Context().Done()
	}))
	defer api.Close()
	home := t.TempDir()
	c := exec.Command("oauthctl", "call", "GET", "/x", "-o", filepath.Join(home, "file"))
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "OAUTHCTL_TOKEN=" + givenToken, "OAUTHCTL_API=" + api.URL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	<-started
	if err := c.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if left, _ := filepath.Glob(filepath.Join(home, ".file*")); len(left) > 0 || c.ProcessState.ExitCode() == 0 {
		t.Errorf("%v, left %v", c.ProcessState, left)
	}
}

// A command that nohup started survives a closed terminal.
func TestHangupIsIgnoredAsAsked(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs SIGHUP")
	}
	started, release := make(chan struct{}), make(chan struct{})
	api := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(rw, "half")
		_ = http.NewResponseController(rw).Flush()
		close(started)
		<-release
		fmt.Fprint(rw, " and half")
	}))
	defer api.Close()
	home := t.TempDir()
	var stdout strings.Builder
	c := exec.Command("/bin/sh", "-c", `trap "" HUP; exec oauthctl call GET /x`)
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "OAUTHCTL_TOKEN=" + givenToken, "OAUTHCTL_API=" + api.URL}
	c.Stdout = &stdout
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	<-started
	err := c.Process.Signal(syscall.SIGHUP)
	close(release)
	if waited := c.Wait(); err != nil || waited != nil || stdout.String() != "half and half" {
		t.Errorf("%v, %v, %q", err, waited, &stdout)
	}
}

// The token in the formats that programs read; git itself reads the format git.
func TestTokenFormats(t *testing.T) {
	w, _ := apiWorld(t, func(http.ResponseWriter, *http.Request) {})
	w.getenv["OAUTHCTL_API"] = "https://git.example.com/api"
	w.getenv["OAUTHCTL_TOKEN"] = "abc.def"
	for _, tt := range []struct{ args, stdin, want string }{
		{"--format env", "", "export OAUTHCTL_TOKEN=abc.def\n"},
		{"--format env --env API_TOKEN", "", "export API_TOKEN=abc.def\n"},
		{"--format fish", "", "set -gx OAUTHCTL_TOKEN 'abc.def'\n"},
		{"--format powershell", "", "$env:OAUTHCTL_TOKEN = 'abc.def'\n"},
		{"--format netrc --username me", "", "machine git.example.com login me password abc.def\n"},
		{"--format git get", "protocol=https\nhost=git.example.com\n\n", "username=oauth2\npassword=abc.def\n"},
		{"--format git store", "protocol=https\n", ""},
		{"--format git erase", "protocol=https\n", ""},
		{"--format docker get", "git.example.com\n", "{\n  \"ServerURL\": \"git.example.com\",\n  \"Username\": \"oauth2\",\n  \"Secret\": \"abc.def\"\n}\n"},
		{"--format docker list", "", "{}\n"},
	} {
		w.stdin = tt.stdin
		if code := w.run(append([]string{"token"}, strings.Fields(tt.args)...)...); code != 0 || w.stdout.String() != tt.want {
			t.Errorf("%s: %d %q\n%s", tt.args, code, &w.stdout, &w.stderr)
		}
	}
	for _, tt := range []struct{ args, stdin string }{
		{"--format git get", "protocol=https\nhost=evil.example\n\n"},
		{"--format git get", "protocol=http\nhost=git.example.com\n\n"},
		{"--format git get", "\n"},
		{"--format docker get", "evil.example"},
		{"--format env --env A=B", ""},
		{"--format nosuch", ""},
		{"get", ""},
		{"--id-token", ""},
	} {
		w.stdin = tt.stdin
		if code := w.run(append([]string{"token"}, strings.Fields(tt.args)...)...); code != 2 || strings.Contains(w.stdout.String(), "abc.def") {
			t.Errorf("%s with %q: %d %q\n%s", tt.args, tt.stdin, code, &w.stdout, &w.stderr)
		}
	}
	need(t, "git", missingProgram("git"))
	got, err := runScript(t, t.TempDir(), `git config --global credential.https://git.example.com.helper '!oauthctl token --format git'
printf 'protocol=https\nhost=git.example.com\n\n' | git credential fill`, "OAUTHCTL_TOKEN=abc.def", "OAUTHCTL_API=https://git.example.com", "GIT_TERMINAL_PROMPT=0")
	if err != nil || got.code != 0 || !strings.Contains(got.stdout, "password=abc.def") {
		t.Errorf("git: %v, %+v", err, got)
	}
}

// The ID token is refreshed with the session. Exec passes the API and the expiry, and none of oauthctl's secrets.
func TestIDTokenAndExec(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	home := t.TempDir()
	if got, err := runProcess(t, home, "login", w.api, "--browser"); err != nil || got.code != 0 {
		t.Fatalf("%v, %+v", err, got)
	}
	access, err := runProcess(t, home, "token")
	if err != nil {
		t.Fatal(err)
	}
	id, err := runProcess(t, home, "token", "--format", "id_token")
	if err != nil || id.code != 0 || id.stdout == access.stdout || strings.Count(id.stdout, ".") != 2 {
		t.Errorf("%v, %+v", err, id)
	}
	if got, err := runProcess(t, home, "token", "--format", "exec-credential", "--id-token", "--jq", ".status.token"); err != nil || got.stdout != id.stdout {
		t.Errorf("%v, %+v", err, got)
	}
	script := `OAUTHCTL_CLIENT_SECRET=canary oauthctl exec --env T --refresh -- sh -c 'echo "$OAUTHCTL_API|$OAUTHCTL_TOKEN_EXPIRES_AT|$OAUTHCTL_TOKEN|$OAUTHCTL_CLIENT_SECRET|${T:+set}"; exit 5'`
	got, err := runScript(t, home, script)
	fields := strings.Split(strings.TrimSpace(got.stdout), "|")
	if err != nil || got.code != 5 || len(fields) != 5 || fields[0] != w.api || fields[2] != "" || fields[3] != "" || fields[4] != "set" {
		t.Fatalf("%v, %+v", err, got)
	}
	if at, err := time.Parse(time.RFC3339, fields[1]); err != nil || time.Until(at) <= 0 {
		t.Errorf("%q, %v", fields[1], err)
	}
	if after, _ := runProcess(t, home, "token"); after.stdout == access.stdout {
		t.Error("--refresh kept the token")
	}
	write(t, filepath.Join(home, "plain"), "text", 0o644)
	for command, code := range map[string]int{"no-such-command": 127, "./no-such-file": 127, filepath.Join(home, "plain"): 126, home: 126} {
		if got, err := runProcess(t, home, "exec", "--", command); err != nil || got.code != code {
			t.Errorf("%s: %v, %+v", command, err, got)
		}
	}
	if got, err := runProcess(t, home, "exec", "--min-ttl", "-1s", "--", "true"); err != nil || got.code != 2 {
		t.Errorf("%v, %+v", err, got)
	}
}
