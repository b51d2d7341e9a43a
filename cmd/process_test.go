package cmd_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io/fs"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// Eight processes that find no token at the same time send one token request.
func TestColdClientCredentials(t *testing.T) {
	var asked atomic.Int64
	server := startHostileServer(t, func(s *hostileServer) {
		s.serve = map[string]http.HandlerFunc{"/token": func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			time.Sleep(300 * time.Millisecond) // a slow server, so that the other processes find the lock taken
			s.serveToken(w, r)
		}}
	})
	home := t.TempDir()
	for _, setting := range []string{"issuer=" + server.URL, "client_id=" + hostileClient, "client_secret=env:PATH", "grant_type=client_credentials"} {
		if got, err := runProcess(t, home, "profile", "set", setting); err != nil || got.code != 0 {
			t.Fatalf("%v, %+v", err, got)
		}
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if got, err := runProcess(t, home, "token"); err != nil || got.code != 0 || strings.TrimSpace(got.stdout) != canary("access") {
				t.Errorf("%v, %+v", err, got)
			}
		})
	}
	all.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("%d token requests", n)
	}
	if got, err := runProcess(t, home, "token", "--refresh"); err != nil || got.code != 0 || asked.Load() != 2 {
		t.Errorf("%v, %+v, %d token requests", err, got, asked.Load())
	}
}

// No command prints a credential, passes one to a program, or writes one outside the store.
func TestCanaries(t *testing.T) {
	server := startHostileServer(t, nil)
	home := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(home, name)
		if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// A browser that records everything about it that other users of the machine can see.
	browser := write("browser", "#!/bin/sh\nprintf '%s\\n' \"$0\" \"$@\" >>"+filepath.Join(home, "argv")+"\ntr '\\0' '\\n' </proc/self/environ >>"+filepath.Join(home, "argv")+"\nexec xdg-open \"$@\"\n")
	t.Setenv("BROWSER", browser) // set by runProcess
	const secret = "canary-client-secret-c4n4ry"
	file := write("secret", secret)
	var printed strings.Builder
	run := func(code int, args ...string) {
		t.Helper()
		got, err := runProcess(t, home, append(args, "-v")...)
		if err != nil || got.code != code {
			t.Errorf("%v: %v, %+v", args, err, got)
		}
		fmt.Fprintf(&printed, "%s\n%s\n", got.stdout, got.stderr)
	}
	run(0, "login", server.URL, "--browser", "--client-id", hostileClient, "--client-secret-file", file, "--auth-method", "client_secret_post", "--api", server.URL, "--scope", "openid")
	run(0, "token", "--refresh", "--format", "json", "--jq", ".token_type")
	run(0, "status", "--json")
	run(9, "call", "GET", "/nothing")
	run(0, "call", "GET", "/nothing", "--curl")
	run(0, "profile", "show", "--explain")
	run(2, "introspect")
	for _, name := range []string{"token-500", "server-error"} {
		server.turn(at("/token", answerText(500, "text/plain", canary("refresh")+secret+name)))
		run(6, "token", "--refresh")
	}
	server.turn(at("/token", answerJSON(400, `{"error":"invalid_grant","error_description":"`+canary("refresh")+` `+secret+`"}`)))
	run(5, "token", "--refresh")
	if strings.Contains(printed.String(), "c4n4ry") {
		t.Errorf("a secret was printed:\n%s", printed.String())
	}
	argv, err := os.ReadFile(filepath.Join(home, "argv"))
	if err != nil || !strings.Contains(string(argv), "/authorize?") || strings.Contains(string(argv), "c4n4ry") {
		t.Errorf("%v, the browser's arguments and environment:\n%s", err, argv)
	}
	wantNoCanary(t, home, file)
}

// wantNoCanary reads every file of a home directory except the store and those listed.
func wantNoCanary(t *testing.T, home string, but ...string) {
	t.Helper()
	err := filepath.WalkDir(home, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || slices.Contains(but, path) || filepath.Dir(path) == filepath.Join(home, "state", "oauthctl") && filepath.Ext(path) == ".json" {
			return err
		}
		data, err := os.ReadFile(path)
		if strings.Contains(string(data), "c4n4ry") {
			t.Errorf("%s holds a secret", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// The certificates of the profile: the additional CA certificate, and the client certificate (RFC 8705).
func TestCertificates(t *testing.T) {
	home := t.TempDir()
	certificate, key := selfSigned(t)
	for name, block := range map[string]*pem.Block{"client.pem": {Type: "CERTIFICATE", Bytes: certificate}, "client.key": {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(filepath.Join(home, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var presented atomic.Int64
	plain := startHostileServer(t, nil)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" && len(r.TLS.PeerCertificates) == 1 && bytes.Equal(r.TLS.PeerCertificates[0].Raw, certificate) {
			presented.Add(1)
		}
		plain.Config.Handler.ServeHTTP(w, r)
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	defer server.Close()
	plain.turn(func(s *hostileServer) {
		s.metadata = func(m map[string]any) {
			for name, value := range m {
				if text, ok := value.(string); ok {
					m[name] = strings.Replace(text, plain.URL, server.URL, 1)
				}
			}
		}
	})
	ca := filepath.Join(home, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	set := func(settings ...string) {
		t.Helper()
		for _, setting := range settings {
			if got, err := runProcess(t, home, "profile", "set", setting); err != nil || got.code != 0 {
				t.Fatalf("%v, %+v", err, got)
			}
		}
	}
	token := func(code int, says string) {
		t.Helper()
		got, err := runProcess(t, home, "token", "--refresh")
		if err != nil || got.code != code || !strings.Contains(got.stderr, says) {
			t.Errorf("%v, %+v, want %d %q", err, got, code, says)
		}
	}
	set("issuer="+server.URL, "client_id="+hostileClient, "grant_type=client_credentials", "auth_method=tls_client_auth")
	token(6, "certificate")
	set("ca_cert=" + ca)
	token(2, "expected client_cert and client_key, got none")
	set("client_cert="+filepath.Join(home, "client.pem"), "client_key="+filepath.Join(home, "client.key"))
	token(0, "")
	if presented.Load() != 1 {
		t.Errorf("the certificate was presented %d times", presented.Load())
	}
}

func selfSigned(t *testing.T) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "app"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	if certificate, err = x509.CreateCertificate(rand.Reader, template, template, private.Public(), private); err != nil {
		t.Fatal(err)
	}
	if key, err = x509.MarshalPKCS8PrivateKey(private); err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

// From the browser's request at the loopback address to the end of the process, including the exchange of the code,
// every check, and the stored session: `go test -run '^$' -bench RedirectToExit -benchtime 40x ./cmd`.
func BenchmarkRedirectToExit(b *testing.B) {
	issuer, api, err := startDevServer(benchCleaner{b}, devserver.Config{AutoApprove: true})
	if err != nil {
		b.Fatal(err)
	}
	home := b.TempDir()
	login := exec.Command("go", "build", "-o", filepath.Join(home, "oauthctl"), "..")
	if out, err := login.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	address := regexp.MustCompile(`^http://\S+/authorize\?\S+`)
	var took []time.Duration
	for b.Loop() {
		c := exec.Command(filepath.Join(home, "oauthctl"), "login", api, "--no-browser", "--client-id", "oauthctl-dev", "--store", "file")
		c.Env = []string{"HOME=" + home}
		stderr, err := c.StderrPipe()
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Start(); err != nil {
			b.Fatal(err)
		}
		lines := bufio.NewScanner(stderr)
		for lines.Scan() && !address.MatchString(lines.Text()) {
			continue
		}
		redirect, err := redirectOf(lines.Text())
		if err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		res, err := http.Get(redirect)
		if err != nil {
			b.Fatal(err)
		}
		res.Body.Close()
		for lines.Scan() {
			continue
		}
		if err := c.Wait(); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	_ = issuer
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-median")
	b.ReportMetric(0, "ns/op")
}

type benchCleaner struct{ *testing.B }

func (c benchCleaner) Defer(f func()) { c.Cleanup(f) }
