package cmd_test

import (
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/devserver"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// callWorld is a user who is logged in at an API that accepts the development server's tokens, with a clock that can
// jump.
func callWorld(t *testing.T, api func(w http.ResponseWriter, r *http.Request, jump func(time.Duration))) (w *world, requests *atomic.Int64) {
	t.Helper()
	var ahead, served atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	w = newWorld(t, devserver.Config{Now: now})
	w.now = now
	keys := jwks.NewRemote(w.issuer+"/jwks", jwks.RemoteOptions{Now: now})
	verifier, err := token.NewVerifier(w.issuer, []string{w.api}, keys, token.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		served.Add(1)
		if _, err := verifier.Verify(r.Context(), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")); err != nil {
			rw.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		api(rw, r, func(d time.Duration) { ahead.Add(int64(d)) })
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { keys.Close() })
	for _, args := range [][]string{{"login", w.api, "--browser"}, {"profile", "set", "api=" + server.URL}} {
		if code := w.run(args...); code != 0 {
			t.Fatalf("%v: %d\n%s", args, code, &w.stderr)
		}
	}
	return w, &served
}

// 3,000 pages, during which the token expires twenty times, are one list, and no request is sent twice.
func TestCallPaginate(t *testing.T) {
	const pages = 3000
	w, requests := callWorld(t, func(rw http.ResponseWriter, r *http.Request, jump func(time.Duration)) {
		var n int
		fmt.Sscan(r.URL.Query().Get("page"), &n)
		jump(2 * time.Second)
		if n < pages-1 {
			rw.Header().Set("Link", fmt.Sprintf(`</items?page=%d>; rel="next"`, n+1))
		}
		rw.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(rw, `[{"id":%d},{"id":%d}]`, 2*n, 2*n+1)
	})
	before := w.codesSent.Load()
	if code := w.run("call", "GET", "/items", "--paginate"); code != 0 || w.stderr.Len() > 0 {
		t.Fatalf("call: %d\n%s", code, &w.stderr)
	}
	var list []struct {
		ID int `json:"id"`
	}
	if err := json.Unmarshal(w.stdout.Bytes(), &list); err != nil || len(list) != 2*pages || list[2*pages-1].ID != 2*pages-1 {
		t.Errorf("%v, %d items", err, len(list))
	}
	if renewals := w.codesSent.Load() - before; requests.Load() != pages || renewals < 20 || renewals > 30 {
		t.Errorf("%d requests, %d renewals", requests.Load(), renewals)
	}
	if code := w.run("call", "GET", "/items?page=2995", "--paginate", "--jq", "length"); code != 0 || w.stdout.String() != "10\n" {
		t.Errorf("--jq over the whole: %d %q", code, &w.stdout)
	}
}

func TestCallPaginateEnds(t *testing.T) {
	w, _ := callWorld(t, func(rw http.ResponseWriter, r *http.Request, _ func(time.Duration)) {
		rw.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/empty":
			fmt.Fprint(rw, "[]")
		case "/objects":
			if r.URL.RawQuery == "" {
				rw.Header().Set("Link", `<?2>; rel=next`)
			}
			fmt.Fprint(rw, `{"q":"`+r.URL.RawQuery+`"}`)
		case "/away":
			rw.Header().Set("Link", `<https://evil.example/>; rel=next`)
			fmt.Fprint(rw, "[1]")
		case "/fails":
			if r.URL.RawQuery == "" {
				rw.Header().Set("Link", `<?2>; rel=next`)
				fmt.Fprint(rw, "[1]")
				return
			}
			rw.WriteHeader(http.StatusBadGateway)
			fmt.Fprint(rw, `{"title":"bad"}`)
		}
	})
	for _, tt := range []struct {
		args   string
		code   int
		stdout string
		stderr string
	}{
		{"/empty", 0, "[]\n", ""},
		{"/empty --jq length", 0, "0\n", ""},
		{"/objects", 0, "{\"q\":\"\"}\n{\"q\":\"2\"}\n", ""},
		{"/objects --jq .[1].q", 0, "2\n", ""},
		{"/away", 2, "[\n  1", "ORIGIN"},
		{"/fails", 9, "[\n  1", `{"title":"bad"}`},
	} {
		code := w.run(append([]string{"call", "GET", "--paginate"}, strings.Fields(tt.args)...)...)
		if code != tt.code || w.stdout.String() != tt.stdout || !strings.Contains(w.stderr.String(), tt.stderr) {
			t.Errorf("%s: %d %q\n%s", tt.args, code, &w.stdout, &w.stderr)
		}
	}
}

// A stream of two hours continues after the token has expired, and each event is printed when it arrives.
func TestCallStream(t *testing.T) {
	w, requests := callWorld(t, func(rw http.ResponseWriter, r *http.Request, jump func(time.Duration)) {
		if r.URL.Path == "/lines" {
			rw.Header().Set("Content-Type", "application/x-ndjson")
			fmt.Fprint(rw, "{\"n\":1}\n{\"n\":2}\n")
			return
		}
		rw.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(rw, ": hello\r\n\r\nevent: tick\r\ndata: {\"n\":0}\r\n\r\ndata:plain\ndata: lines\n\n")
		for n := 1; n <= 120; n++ {
			jump(time.Minute)
			fmt.Fprintf(rw, "id: %d\ndata: {\"n\":%d}\n\n", n, n)
			_ = http.NewResponseController(rw).Flush()
		}
		fmt.Fprint(rw, "data: never finished")
	})
	if code := w.run("call", "GET", "/events", "--stream"); code != 0 || w.stderr.Len() > 0 || requests.Load() != 1 {
		t.Fatalf("call: %d, %d requests\n%s", code, requests.Load(), &w.stderr)
	}
	lines := strings.Split(strings.TrimSuffix(w.stdout.String(), "\n"), "\n")
	if len(lines) != 123 || lines[0] != `{"n":0}` || lines[1] != "plain" || lines[122] != `{"n":120}` {
		t.Errorf("%d lines: %q", len(lines), lines)
	}
	if code := w.run("call", "GET", "/lines", "--stream", "--jq", ".n"); code != 0 || w.stdout.String() != "1\n2\n" {
		t.Errorf("lines: %d %q\n%s", code, &w.stdout, &w.stderr)
	}
}

// The output on a terminal and on a pipe.
func TestCallAnswers(t *testing.T) {
	const latin = "caf\xe9 \x80 5"
	w, _ := callWorld(t, func(rw http.ResponseWriter, r *http.Request, _ func(time.Duration)) {
		h := rw.Header()
		switch r.URL.Path {
		case "/json":
			h.Set("Content-Type", "application/json")
			fmt.Fprint(rw, `{"b":1,"a":["x",true,null]}`)
		case "/gzip":
			h.Set("Content-Type", "application/json")
			h.Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(rw)
			fmt.Fprint(z, `{"b":1}`)
			z.Close()
		case "/latin":
			h.Set("Content-Type", "text/plain; charset=ISO-8859-1")
			fmt.Fprint(rw, latin)
		case "/utf16":
			h.Set("Content-Type", "text/plain; charset=utf-16")
			fmt.Fprint(rw, "\xff\xfeh\x00i\x00")
		case "/binary":
			h.Set("Content-Type", "image/png")
			fmt.Fprint(rw, "\x89PNG\r\n\x1a\n\x00\x00")
		case "/escapes":
			h.Set("Content-Type", "text/plain")
			fmt.Fprint(rw, "a\x1b[2Jb\n")
		case "/error":
			rw.WriteHeader(http.StatusTeapot)
			fmt.Fprint(rw, "no coffee")
		}
	})
	w.getenv["NO_COLOR"] = "1"
	file := filepath.Join(w.home, "saved")
	for _, tt := range []struct {
		terminal bool
		args     string
		code     int
		stdout   string
		stderr   string
	}{
		{false, "/json", 0, `{"b":1,"a":["x",true,null]}`, ""},
		{true, "/json", 0, "{\n  \"b\": 1,\n  \"a\": [\n    \"x\",\n    true,\n    null\n  ]\n}\n", ""},
		{false, "/gzip", 0, `{"b":1}`, ""},
		{false, "/latin", 0, latin, ""},
		{true, "/latin", 0, "café € 5\n", ""},
		{true, "/utf16", 0, "hi\n", ""},
		{false, "/binary", 0, "\x89PNG\r\n\x1a\n\x00\x00", ""},
		{true, "/binary", 0, "", "--output FILE"},
		{true, "/binary -o -", 0, "\x89PNG\r\n\x1a\n\x00\x00", ""},
		{true, "/escapes", 0, "a\\x1b[2Jb\n", ""},
		{false, "/escapes", 0, "a\x1b[2Jb\n", ""},
		{false, "/error", 9, "no coffee", "API_ERROR"},
		{false, "/error -o " + file, 9, "no coffee", "API_ERROR"},
		{false, "/binary -o " + file, 0, "", "10 bytes written to"},
		{false, "/json -o " + filepath.Join(w.home, "no", "such", "folder"), 2, "", "--output:"},
		{false, "/json --time", 0, `{"b":1,"a":["x",true,null]}`, ", total "},
		{false, "/json --json --jq .status", 0, "200\n", ""},
	} {
		w.terminal = nil
		if tt.terminal {
			w.terminal = strings.NewReader("")
		}
		code := w.run(append([]string{"call", "GET"}, strings.Fields(tt.args)...)...)
		if code != tt.code || w.stdout.String() != tt.stdout || !strings.Contains(w.stderr.String(), tt.stderr) {
			t.Errorf("%+v: %d %q\n%s", tt, code, &w.stdout, &w.stderr)
		}
	}
	saved, err := os.ReadFile(file)
	if left, _ := filepath.Glob(filepath.Join(w.home, ".saved*")); err != nil || len(saved) != 10 || len(left) > 0 {
		t.Errorf("%v, %q, left behind %v", err, saved, left)
	}
	w.getenv["NO_COLOR"] = ""
	w.terminal = strings.NewReader("")
	w.run("call", "GET", "/json")
	if got := w.stdout.String(); !strings.Contains(got, "\x1b[36m\"b\"\x1b[0m") || !strings.Contains(got, "\x1b[32m\"x\"\x1b[0m") || !strings.Contains(got, "\x1b[33mtrue\x1b[0m") {
		t.Errorf("colours: %q", got)
	}
}

// If a download fails, the existing file does not change.
func TestCallKeepsTheOldFile(t *testing.T) {
	w, _ := callWorld(t, func(rw http.ResponseWriter, r *http.Request, _ func(time.Duration)) {
		rw.Header().Set("Content-Length", "1000")
		fmt.Fprint(rw, "half")
		_ = http.NewResponseController(rw).Flush()
		panic(http.ErrAbortHandler)
	})
	file := filepath.Join(w.home, "saved")
	if err := os.WriteFile(file, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := w.run("call", "GET", "/x", "-o", file); code == 0 {
		t.Error("half an answer is no answer")
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != "before" {
		t.Errorf("%v, %q", err, got)
	}
	if left, _ := filepath.Glob(filepath.Join(w.home, ".saved*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// --dry-run shows the request, needs no token, and sends nothing.
func TestCallDryRun(t *testing.T) {
	w, requests := callWorld(t, func(http.ResponseWriter, *http.Request, func(time.Duration)) {})
	before := w.codesSent.Load()
	if code := w.run("call", "POST", "/items", "id:=3", "X-Trace:1", "q==a b", "--dry-run"); code != 0 {
		t.Fatalf("call: %d\n%s", code, &w.stderr)
	}
	_, got, _ := strings.Cut(w.stdout.String(), "/items")
	const want = "?q=a+b\nAuthorization: [redacted]\nAccept: application/json, */*;q=0.5\nContent-Type: application/json\nX-Trace: 1\n\n{\n  \"id\": 3\n}\n"
	if diff := cmp.Diff(want, got); diff != "" || requests.Load() != 0 || w.codesSent.Load() != before {
		t.Errorf("%d requests (-want +got):\n%s", requests.Load(), diff)
	}
}

// After a 401, the token is refreshed and the request sent again, once, and without a message if that succeeds.
func TestCallRenewsOnce(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	for _, args := range [][]string{{"login", w.api, "--browser"}, {"revoke"}} {
		if code := w.run(args...); code != 0 {
			t.Fatalf("%v: %d\n%s", args, code, &w.stderr)
		}
	}
	if code := w.run("call", "GET", "/api/items"); code != 0 || w.stderr.Len() > 0 {
		t.Errorf("a revoked token: %d\n%s", code, &w.stderr)
	}
	var requests atomic.Int64
	never := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		rw.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		rw.WriteHeader(http.StatusUnauthorized)
	}))
	defer never.Close()
	if code := w.run("call", "GET", never.URL+"/x", "--allow-origin", never.URL); code != 3 || requests.Load() != 2 {
		t.Errorf("an API that never agrees: %d, %d requests\n%s", code, requests.Load(), &w.stderr)
	}
	requests.Store(0)
	w.stdin = "body"
	if code := w.run("call", "POST", never.URL+"/x", "--allow-origin", never.URL, "-d", "-"); code != 3 || requests.Load() != 2 {
		t.Errorf("a body from a pipe: %d, %d requests\n%s", code, requests.Load(), &w.stderr)
	}
}

// For invalid input the exit code is 2, nothing is sent, and the message shows the wrong argument.
func TestCallBadInput(t *testing.T) {
	w, requests := callWorld(t, func(http.ResponseWriter, *http.Request, func(time.Duration)) {})
	for _, tt := range []struct {
		args []string
		says string
	}{
		{[]string{"POST", "/x", "novalue"}, `"novalue"`},
		{[]string{"POST", "/x", "a:=[1"}, `a:=[1`},
		{[]string{"GET", "/x", "X-Evil:a\r\nb"}, "X-Evil"},
		{[]string{"GET", "/../admin"}, "/../admin"},
		{[]string{"GET", "/%2e%2e/admin"}, "segment"},
		{[]string{"GET", "/x", "-H", "nocolon"}, `"nocolon"`},
		{[]string{"GET", "/x", "Authorization:Basic eA=="}, "--no-token"},
		{[]string{"GET", "https://evil.example/x"}, "ORIGIN"},
		{[]string{"POST", "/x", "a=1", "-d", "x"}, "--data"},
		{[]string{"POST", "/x", "f@/no/such/file"}, "/no/such/file"},
		{[]string{"POST", "/x", "-d", "@/no/such/file"}, "/no/such/file"},
		{[]string{"GET", "/x", "--retry", "-1"}, "--retry"},
		{[]string{"POST", "/x", "--paginate"}, "--paginate"},
		{[]string{"GET", "/x", "--stream", "-o", "f"}, "--stream"},
		{[]string{"G T", "/x"}, `G T`},
	} {
		if code := w.run(append([]string{"call"}, tt.args...)...); code != 2 || !strings.Contains(w.stderr.String(), tt.says) || w.stdout.Len() > 0 {
			t.Errorf("%q: %d\n%s", tt.args, code, &w.stderr)
		}
	}
	if requests.Load() != 0 {
		t.Errorf("%d requests were sent", requests.Load())
	}
	if code := w.run("call", "GET", "/x"); code != 0 || requests.Load() != 1 {
		t.Errorf("the good one: %d\n%s", code, &w.stderr)
	}
}

// Under cron there is no terminal, and standard input is closed or /dev/null.
func TestCallUnderCron(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	home := t.TempDir()
	if got, err := runProcess(t, home, "login", w.api, "--browser"); err != nil || got.code != 0 {
		t.Fatalf("%v, %+v", err, got)
	}
	for _, redirect := range []string{"</dev/null", "<&-", "<&- 2>&-"} {
		c := exec.CommandContext(t.Context(), "/bin/sh", "-c", "exec oauthctl call GET /api/items "+redirect)
		c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_CONFIG_HOME=" + filepath.Join(home, "config"), "XDG_STATE_HOME=" + filepath.Join(home, "state")}
		if out, err := c.Output(); err != nil || !strings.Contains(string(out), "Widget") {
			t.Errorf("%s: %v, %q", redirect, err, out)
		}
	}
}
