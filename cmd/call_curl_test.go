package cmd_test

import (
	"bytes"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type arrived struct {
	Method, URI, Token, ContentType, Header, Accept, Body string
	Length                                                int64
}

// The printed curl command sends the same request as call, and no process has the token in its arguments.
func TestCurlSendsTheSame(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs a POSIX shell")
	}
	need(t, "curl", missingProgram("curl"))
	came := make(chan arrived, 4)
	api := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		kind := r.Header.Get("Content-Type")
		if _, boundary, found := strings.Cut(kind, "boundary="); found {
			// Each side chooses its own boundary, and has its own order of the fields of a part.
			kind = "multipart"
			body = bytes.ReplaceAll(body, []byte(boundary), []byte("B"))
			r.ContentLength = 0
		}
		if r.URL.Path == "/start" {
			http.Redirect(rw, r, "/items", http.StatusFound)
			return
		}
		came <- arrived{r.Method, r.RequestURI, r.Header.Get("Authorization"), kind, strings.Join(r.Header.Values("X-A"), "|"), r.Header.Get("Accept"), string(body), r.ContentLength}
	}))
	defer api.Close()
	home := t.TempDir()
	file := filepath.Join(home, "a file.json")
	write(t, file, `{"b":1,"a":[2]}`+"\n", 0o600)
	binary := filepath.Join(home, "binary")
	write(t, binary, "\x00\xff\r\n'", 0o600)
	nasty := `'; echo "$HOME" \ $(id) ` + "`id`" + ` @x {a,b} [1-3] ü`
	for _, args := range [][]string{
		{"GET", "/items?a=b&c[]=d"},
		{"HEAD", "/items"},
		{"/items"},
		{"/items", "a=b"},
		{"GET", "/items", "q==" + nasty},
		{"GET", "/items", "b==1", "a==2", "b==3"},
		{"GET", "/search?q=Zürich am See"},
		{"GET", "/100%/x?y=%zz&z=50%"},
		{"GET", "/a%2Fb/'x'/%F0%9F%98%80"},
		{"GET", "//a//b"},
		{"GET", "/q?"},
		{"GET", ""},
		{"GET", "?a=1"},
		{"POST", "/items", "z=1", "a=" + nasty},
		{"POST", "/items", "z:=9007199254740993", `o:={"b":1, "a":2}`, "l[]=1", "l[]:=2.0"},
		{"POST", "/items", "x[y][z]=1", "x[a]=2"},
		{"POST", "/items", `text=\@alice`, "content=@" + file},
		{"POST", "/items", "data:=@" + file},
		{"PUT", "/items", "-d", "@" + file},
		{"PUT", "/items", "-d", "@" + binary},
		{"PUT", "/items", "-d", "@"},
		{"POST", "/items", "-d", "a=1&b=2"},
		{"POST", "/items", "-d", `{"a":"` + nasty + `"}`},
		{"POST", "/items", "-d", "plain text\r\nwith lines\n"},
		{"POST", "/items", "-d", ""},
		{"POST", "/items", "-d", "x y", "Content-Type:text/x-own"},
		{"POST", "/items", "-d", "x y", "Content-Type:"},
		{"POST", "/items", "--form", "b=1 2", "a=ü&=", "a=again"},
		{"POST", "/items", "--form", "-d", "a=1&b=2"},
		{"POST", "/items", "--multipart", "a=1", "b=" + nasty},
		{"GET", "/items", "X-A:" + nasty[:20], "X-A:two"},
		{"GET", "/items", "X-A;"},
		{"GET", "/items", "-H", "X-A: three", "-H", "X-A;"},
		{"GET", "/items", "Accept:"},
		{"GET", "/items", "Accept:text/csv"},
		{"PURGE", "/items"},
		{"GET", "/items", "-d", "x"},
		{"DELETE", "/items/1"},
		{"GET", "/start"},
		{"OPTIONS", "/items", "X-A:1"},
	} {
		if strings.Join(args, " ") == "PUT /items -d @" {
			continue // a file without a name is refused
		}
		w := &world{t: t, home: home, now: time.Now, getenv: map[string]string{"OAUTHCTL_TOKEN": givenToken, "OAUTHCTL_API": api.URL}}
		if code := w.run(append([]string{"call"}, args...)...); code != 0 {
			t.Errorf("%q: %d\n%s", args, code, &w.stderr)
			continue
		}
		want := <-came
		if code := w.run(append([]string{"call", "--curl"}, args...)...); code != 0 {
			t.Errorf("%q --curl: %d\n%s", args, code, &w.stderr)
			continue
		}
		command := w.stdout.String()
		if strings.Contains(command, givenToken) {
			t.Errorf("%q: the token is in the command: %s", args, command)
		}
		script := filepath.Join(home, "script")
		write(t, script, command, 0o600)
		got, err := runScript(t, home, "set -e; curl() { command curl --silent --show-error \"$@\"; }; . "+script, "OAUTHCTL_TOKEN="+givenToken)
		if err != nil || got.code != 0 {
			t.Errorf("%q: %v, %+v\n%s", args, err, got, command)
			continue
		}
		if diff := cmp.Diff(want, <-came); diff != "" {
			t.Errorf("%q\n%s(-call +curl):\n%s", args, command, diff)
		}
	}
}

// Options that curl has are written, and others are listed.
func TestCurlHasTheFlags(t *testing.T) {
	home := t.TempDir()
	w := &world{t: t, home: home, now: time.Now, getenv: map[string]string{"OAUTHCTL_TOKEN": givenToken, "OAUTHCTL_API": "https://api.example.com"}}
	der, private := selfSigned(t)
	certificate, key := filepath.Join(home, "cert.pem"), filepath.Join(home, "key.pem")
	write(t, certificate, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), 0o600)
	write(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})), 0o600)
	for _, tt := range []struct{ args, has, says string }{
		{"--client-cert " + certificate + " --client-key " + key, "--cert " + certificate + " --key " + key, ""},
		{"--ca-cert " + certificate, "--cacert " + certificate, "system's certificates"},
		{"--insecure-skip-tls-verify", "--insecure", ""},
		{"--timeout 7s", "--speed-time 7", ""},
		{"--retry 3", "--retry 3", ""},
		{"-o f", "--output f", ""},
		{"-o f -C", "--continue-at -", ""},
		{"-i", "--include", ""},
		{"--unix-socket /run/x.sock", "--unix-socket /run/x.sock", ""},
		{"", "--location", ""},
		{"--paginate", "", "next page"},
		{"-p staging", "token --format header -p staging", ""},
	} {
		code := w.run(append(strings.Fields("call GET /x --curl"), strings.Fields(tt.args)...)...)
		if code != 0 || !strings.Contains(w.stdout.String(), tt.has) || !strings.Contains(w.stderr.String(), tt.says) {
			t.Errorf("%s: %d\n%s%s", tt.args, code, &w.stdout, &w.stderr)
		}
	}
	if code := w.run("profile", "set", "ca_cert="+certificate, "api=https://api.example.com"); code != 0 {
		t.Fatal(&w.stderr)
	}
	if code := w.run("call", "GET", "/x", "--curl"); code != 0 || !strings.Contains(w.stdout.String(), "--cacert "+certificate) {
		t.Errorf("from the profile: %d\n%s%s", code, &w.stdout, &w.stderr)
	}
	binary := filepath.Join(home, "binary")
	write(t, binary, "\x00", 0o600)
	if code := w.run("call", "POST", "/x", "--curl", "a=1", "f@"+binary, "j:=1"); code != 0 || !strings.Contains(w.stdout.String(), "-F") {
		t.Errorf("a form: %d\n%s%s", code, &w.stdout, &w.stderr)
	}
}
