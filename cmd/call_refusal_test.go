package cmd_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// The meaning of a 401 depends on whether a token was sent. For a 403, the missing scope or another id is shown.
func TestRefusalsAreExplained(t *testing.T) {
	var status int
	var challenge, problem string
	w, requests := apiWorld(t, func(rw http.ResponseWriter, _ *http.Request) {
		if challenge != "" {
			rw.Header().Set("WWW-Authenticate", challenge)
		}
		if problem != "" {
			rw.Header().Set("Content-Type", "application/problem+json")
		}
		rw.WriteHeader(status)
		fmt.Fprint(rw, problem)
	})
	claims := base64.RawURLEncoding.EncodeToString([]byte(`{"scope":"reports:read"}`))
	w.getenv["OAUTHCTL_TOKEN"] = "eyJhbGciOiJFUzI1NiJ9." + claims + ".AAAA"
	for _, tt := range []struct {
		status             int
		challenge, problem string
		flag               string
		code               int
		has, lacks         string
	}{
		{401, `Bearer`, "", "", 3, "API_UNAUTHORIZED", "no access token"},
		{401, `Bearer realm="x"`, "", "", 3, "API_UNAUTHORIZED", "no access token"},
		{401, "", "", "", 3, "API_UNAUTHORIZED", "no access token"},
		{401, `Basic realm="x"`, "", "", 3, "API_UNAUTHORIZED", "no access token"},
		{401, `Bearer`, "", "--no-token", 3, "CREDENTIALS_MISSING", "does not accept the token"},
		{401, "", "", "--no-token", 3, "leave out --no-token", "does not accept the token"},
		{403, "", "", "--no-token", 4, "API_FORBIDDEN", "with the token"},
		{403, `Bearer error="insufficient_scope", scope="a"`, "", "--no-token", 4, "API_FORBIDDEN", "token lacks"},
		{403, `Bearer realm="r", scope="reports:read reports:write"`, "", "", 4, "oauthctl login --add-scope reports:write", "--add-scope reports:read"},
		{403, `DPoP scope="orders:write"`, "", "", 4, "oauthctl login --add-scope orders:write", "API_FORBIDDEN"},
		{403, `Basic realm="a", Bearer scope="x"`, "", "", 4, "--add-scope x", ""},
		{403, `Bearer realm="r", scope=""`, "", "", 4, "API_FORBIDDEN", "--add-scope"},
		{403, `Bearer resource_metadata="https://x.example/"`, "", "", 4, "API_FORBIDDEN", "--add-scope"},
		{403, `Bearer error="insufficient_scope"`, "", "", 4, "SCOPE_MISSING", "--add-scope"},
		{403, `Bearer error="insufficient_scope"`, `{"id":"OPERATION_UNLISTED"}`, "", 4, "OPERATION_UNLISTED", "--add-scope"},
		{403, `Bearer error="insufficient_scope", error_description="CLAIM_MISMATCH: a claim"`, "", "", 4, "CLAIM_MISMATCH", "--add-scope"},
		{403, "", `{"id":"CLAIM_MISMATCH"}`, "", 4, "CLAIM_MISMATCH", "--add-scope"},
		{403, "", `{"id":"STORE_LOCKED"}`, "", 4, "API_FORBIDDEN", "STORE_LOCKED"},
		{401, `Bearer error="invalid_token"`, `{"id":"KC_AUD_ACCOUNT"}`, "", 3, "KC_AUD_ACCOUNT", ""},
		{401, `Bearer error="invalid_token"`, `{"id":42}`, "", 3, "API_UNAUTHORIZED", ""},
		{400, "", `{"id":"PATH_AMBIGUOUS"}`, "", 2, "PATH_AMBIGUOUS", ""},
		{500, "", `{"id":"EXPIRED"}`, "", 9, "API_ERROR", "EXPIRED"},
	} {
		status, challenge, problem = tt.status, tt.challenge, tt.problem
		requests.Store(0)
		code := w.run(strings.Fields("call GET /x " + tt.flag)...)
		if got := w.stderr.String(); code != tt.code && tt.status != 400 || !strings.Contains(got, tt.has) || tt.lacks != "" && strings.Contains(got, tt.lacks) {
			t.Errorf("%+v: %d\n%s", tt, code, got)
		}
		if w.stdout.String() != tt.problem {
			t.Errorf("%+v: the body is %q", tt, &w.stdout)
		}
	}
}

// For a 401 without a reason, the token that was sent is verified.
func TestUnexplainedRefusal(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	if code := w.run("login", w.api, "--browser"); code != 0 {
		t.Fatalf("login: %d\n%s", code, &w.stderr)
	}
	status := http.StatusUnauthorized
	strict := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(status) }))
	defer strict.Close()
	for _, status = range []int{401, 403} {
		w.run("call", "GET", strict.URL+"/x", "--allow-origin", strict.URL)
		if !strings.Contains(w.stderr.String(), "the token is valid here") {
			t.Errorf("%d, a valid token:\n%s", status, &w.stderr)
		}
	}
	w.run("profile", "set", "audience=https://other.example")
	w.run("call", "GET", strict.URL+"/x", "--allow-origin", strict.URL)
	if !strings.Contains(w.stderr.String(), "not valid here either") || !strings.Contains(w.stderr.String(), "other.example") {
		t.Errorf("another audience:\n%s", &w.stderr)
	}
	w.run("call", "GET", strict.URL+"/x", "--no-token")
	if strings.Contains(w.stderr.String(), "valid here") {
		t.Errorf("--no-token:\n%s", &w.stderr)
	}
}

// A failed connection is described without the package names of Go.
func TestConnectionFailures(t *testing.T) {
	answer := func(text string) string {
		return rawServer(t, func(conn *net.TCPConn, r *bufio.Reader) {
			readHead(r)
			_, _ = io.WriteString(conn, text)
		})
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	onlyTLS13 := httptest.NewUnstartedServer(http.NotFoundHandler())
	onlyTLS13.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	onlyTLS13.StartTLS()
	defer onlyTLS13.Close()
	for name, tt := range map[string]struct{ url, has, hint string }{
		"refused":                   {"http://" + closed.Addr().String(), "UNREACHABLE", "oauthctl dev"},
		"unknown host":              {"https://no-such-host.invalid", "not found", ""},
		"no TLS":                    {"https://" + strings.TrimPrefix(plain.URL, "http://"), "TLS_MISSING", "write http://127.0.0.1"},
		"a certificate of its own":  {secure.URL, "TLS_UNTRUSTED", "--ca-cert"},
		"header without a colon":    {answer("HTTP/1.1 200 OK\r\nnocolon\r\n\r\n"), "RESPONSE_BROKEN", ""},
		"no HTTP":                   {answer("220 ftp.example ready\r\n"), "RESPONSE_BROKEN", ""},
		"nothing":                   {answer(""), "without a response", ""},
		"half a header":             {answer("HTTP/1.1 200 OK\r\nContent-Le"), "RESPONSE_BROKEN", ""},
		"half a body":               {answer("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), "RESPONSE_BROKEN", ""},
		"a broken chunk":            {answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "RESPONSE_BROKEN", ""},
		"no gzip in the body":       {answer("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope"), "RESPONSE_BROKEN", ""},
		"https on the way to plain": {"http://" + strings.TrimPrefix(onlyTLS13.URL, "https://"), "400", ""},
	} {
		w := &world{t: t, home: t.TempDir(), now: time.Now, getenv: map[string]string{"OAUTHCTL_TOKEN": givenToken, "OAUTHCTL_API": tt.url}}
		code := w.run("call", "GET", "/x", "--json")
		if name == "https on the way to plain" {
			continue // a response of the server
		}
		got := w.stderr.String()
		if code != 6 || !strings.Contains(got, tt.has) || !strings.Contains(got, tt.hint) {
			t.Errorf("%s: %d\n%s", name, code, got)
		}
		for _, word := range []string{"net/http", "textproto", "http:", "tls:", "dial tcp", "MIME", "EOF", "safehttp", "apicall"} {
			if message := messageOf(got); strings.Contains(strings.ReplaceAll(message, "http://", ""), word) {
				t.Errorf("%s: %q in %s", name, word, message)
			}
		}
	}
}

// messageOf returns the message of a failure in JSON.
func messageOf(output string) string {
	_, rest, _ := strings.Cut(output, `"message": "`)
	message, _, _ := strings.Cut(rest, "\n")
	return message
}

// If a proxy refuses to connect, the message says so.
func TestProxyRefusesToConnect(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusProxyAuthRequired) }))
	defer proxy.Close()
	got, err := runScript(t, t.TempDir(), "oauthctl call GET https://api.example.com/x --no-token", "HTTPS_PROXY="+proxy.URL)
	if err != nil || got.code != 6 || !strings.Contains(got.stderr, "PROXY_REFUSED") || !strings.Contains(got.stderr, "407") {
		t.Errorf("%v, %+v", err, got)
	}
}
