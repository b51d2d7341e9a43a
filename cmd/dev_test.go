package cmd_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/devserver"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// runDevUntil runs `oauthctl dev` until its output matches the pattern, and returns the output. If the command ends
// first, its exit code is returned.
func runDevUntil(t *testing.T, pattern string, flags ...string) (printed string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, "oauthctl", append([]string{"dev"}, flags...)...)
	home := t.TempDir()
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home}
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	stderr, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(pattern)
	buffer := make([]byte, 4096)
	for !want.MatchString(printed) {
		n, err := stderr.Read(buffer)
		printed += string(buffer[:n])
		if err != nil {
			break
		}
	}
	cancel()
	_ = c.Wait()
	return printed, c.ProcessState.ExitCode()
}

// The issuer has the host that the user gave. If that means all addresses, the issuer has an address that a client can
// reach.
func TestDevAddresses(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("interrupts a process")
	}
	for _, test := range []struct {
		listen, want string
		warned       bool
	}{
		{"127.0.0.1:0", `http://127\.0\.0\.1:\d+$`, false},
		{"localhost:0", `http://localhost:\d+$`, false},
		{"0.0.0.0:0", `http://127\.0\.0\.1:\d+$`, true},
		{":0", `http://127\.0\.0\.1:\d+$`, true},
	} {
		printed, _ := runDevUntil(t, "(?s)Ctrl-C.*"+map[bool]string{true: "set --issuer", false: ""}[test.warned], "--listen", test.listen, "--api-listen", "127.0.0.1:0", "--insecure-listen")
		if !regexp.MustCompile(`(?m)^authorization server `+test.want).MatchString(printed) || strings.Contains(printed, "[::]") || strings.Contains(printed, "set --issuer") != test.warned {
			t.Errorf("%s:\n%s", test.listen, printed)
		}
	}
	printed, _ := runDevUntil(t, "Ctrl-C", "--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0", "--issuer", "https://auth.test/realms/dev", "--api-url", "https://api.test", "--resource", "https://shop.test")
	for _, want := range []string{"authorization server https://auth.test/realms/dev\n", "https://api.test\n", "oauthctl login https://shop.test\n", "console              http://127.0.0.1:"} {
		if !strings.Contains(printed, want) {
			t.Errorf("%q is missing:\n%s", want, printed)
		}
	}
}

// There is a warning that a seed is public, and a stronger one if other machines can reach the server.
func TestDevSeedWarning(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("interrupts a process")
	}
	free := []string{"--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0"}
	printed, _ := runDevUntil(t, "no real API", append(free, "--seed", "7")...)
	if !strings.Contains(printed, "everyone who knows the number can sign tokens") {
		t.Error(printed)
	}
	printed, _ = runDevUntil(t, "passwords are public\n", append(free, "--seed", "7", "--insecure-listen")...)
	if !strings.Contains(printed, "--seed with --insecure-listen: other machines can reach this server") {
		t.Error(printed)
	}
	printed, _ = runDevUntil(t, "Ctrl-C", free...)
	if strings.Contains(printed, "warning") {
		t.Error(printed)
	}
}

// Invalid arguments are refused before anything listens, with a hint.
func TestDevRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	w := newWorld(t, devserver.Config{})
	for _, test := range []struct {
		flags []string
		says  []string
	}{
		{[]string{"--listen", taken.Addr().String()}, []string{"is in use", "another oauthctl dev", "--api-listen 127.0.0.1:0"}},
		{[]string{"--fault", "expird"}, []string{`did you mean "expired"`, "--fault list"}},
		{[]string{"--fault", "token-slow=x"}, []string{"DURATION"}},
		{[]string{"--listen", "0.0.0.0:0"}, []string{"--insecure-listen"}},
		{[]string{"--client", "web,http://app.local/cb"}, []string{"--any-redirect-uri"}},
		{[]string{"--client", "web,javascript:alert(1)"}, []string{"redirect URI"}},
		{[]string{"--issuer", "auth.test"}, []string{"the issuer"}},
		{[]string{"--api-url", "https://api.test/v1"}, []string{"without a path"}},
		{[]string{"--pkce", "off"}, []string{"required or optional"}},
		{[]string{"--refresh-tokens", "sometimes"}, []string{"offline_access, always or never"}},
		{[]string{"--refresh-token-format", "xml"}, []string{"opaque or jwt"}},
		{[]string{"--auto-approve=mallory"}, []string{`"mallory"`}},
		{[]string{"--access-token-ttl", "-1s"}, []string{"lifetime"}},
		{[]string{"--user-claim", "mallory:a=b"}, []string{"--user mallory"}},
		{[]string{"--user-claim", "alice"}, []string{"NAME:KEY=VALUE"}},
		{[]string{"--user-claim", "alice:iss=x"}, []string{"iss"}},
		{[]string{"--client-claim", "web:a=b"}, []string{"--client web"}},
		{[]string{"--user", "@" + write("users.yaml", "- nam: alice\n")}, []string{"users.yaml", "nam"}},
		{[]string{"--client", "@" + write("clients.json", `{"id":`)}, []string{"clients.json"}},
		{[]string{"--trust", "https://ci.example"}, []string{"ISSUER=KEYS"}},
		{[]string{"--trust", "https://ci.example=" + write("keys", "x")}, []string{"neither a key set nor a public key"}},
		{[]string{"--tls-cert", "x.pem"}, []string{"--tls-key"}},
	} {
		flags := slices.Clone(test.flags)
		for _, name := range []string{"--listen", "--api-listen"} {
			if !slices.Contains(flags, name) {
				flags = append(flags, name, "127.0.0.1:0")
			}
		}
		if code := w.run(append([]string{"dev"}, flags...)...); code != 2 {
			t.Errorf("%v: exit %d: %s", test.flags, code, &w.stderr)
		}
		for _, want := range test.says {
			if !strings.Contains(w.stderr.String(), want) {
				t.Errorf("%v does not say %q: %s", test.flags, want, &w.stderr)
			}
		}
		if strings.Contains(w.stderr.String(), "devserver:") {
			t.Errorf("%v: the name of a package: %s", test.flags, &w.stderr)
		}
	}
}

// claimsIn decodes a token that a development server signed.
func claimsIn(t *testing.T, raw string) map[string]any {
	t.Helper()
	decoded, err := token.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	return decoded.Claims()
}

// Users and clients come from flags and files, and their claims reach the tokens.
func TestDevPeople(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("interrupts a process")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"users.yaml":   "- name: carol\n  email: c@corp.example\n  claims: {roles: [admin, ops], n: 3}\n",
		"clients.json": `[{"id":"batch","secret":"s3cret","claims":{"tier":"gold"}}]`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := startDevProcess(t, "--user", "@"+filepath.Join(dir, "users.yaml"), "--client", "@"+filepath.Join(dir, "clients.json"), "--user", "dave:pw",
		"--user-claim", "carol:tenant=acme", "--user-claim", `alice:groups:=["a","b"]`, "--client-claim", "batch:region=eu")
	mint := func(user, client string) map[string]any {
		t.Helper()
		res, err := http.PostForm(d.issuer+"/_control/token", map[string][]string{"sub": {user}, "client_id": {client}})
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var answer struct {
			Token string `json:"access_token"`
		}
		if err := json.UnmarshalRead(res.Body, &answer); err != nil {
			t.Fatal(err)
		}
		return claimsIn(t, answer.Token)
	}
	carol := mint("carol", "batch")
	for claim, want := range map[string]string{"roles": `["admin","ops"]`, "n": `3`, "tenant": `"acme"`, "tier": `"gold"`, "region": `"eu"`} {
		if got, err := json.Marshal(carol[claim]); err != nil || string(got) != want {
			t.Errorf("%s is %s, want %s", claim, got, want)
		}
	}
	if got, err := json.Marshal(mint("alice", "x")["groups"]); err != nil || string(got) != `["a","b"]` {
		t.Errorf("groups: %s", got)
	}
}

// The server with the same seed accepts a token that was printed before, and its API refuses an invalid one.
func TestDevMint(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	address := freeAddress(t)
	flags := []string{"--seed", "7", "--listen", address, "--api-url", "http://127.0.0.1:1"}
	mint := func(name string) string {
		t.Helper()
		if code := w.run(append([]string{"dev", "--mint", name}, flags...)...); code != 0 {
			t.Fatalf("%d %s", code, &w.stderr)
		}
		return strings.TrimSpace(w.stdout.String())
	}
	good, expired := mint("good"), mint("expired")
	server, err := devserver.New(devserver.Config{Issuer: "http://" + address, API: "http://127.0.0.1:1", Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	for raw, want := range map[string]int{good: http.StatusOK, expired: http.StatusUnauthorized} {
		r := httptest.NewRequest(http.MethodGet, "/api/items", http.NoBody)
		r.Header.Set("Authorization", "Bearer "+raw)
		answer := httptest.NewRecorder()
		if server.API().ServeHTTP(answer, r); answer.Code != want {
			t.Errorf("%d %s, want %d", answer.Code, answer.Body, want)
		}
	}
	for listen, want := range map[string]string{
		"127.0.0.1:9000": "http://127.0.0.1:9000", "localhost:9000": "http://localhost:9000", "[::1]:9000": "http://[::1]:9000",
		"0.0.0.0:9000": "http://127.0.0.1:9000", ":9000": "http://127.0.0.1:9000", "[::]:9000": "http://127.0.0.1:9000",
	} {
		if code := w.run("dev", "--mint", "good", "--seed", "7", "--listen", listen, "--insecure-listen"); code != 0 {
			t.Fatalf("%d %s", code, &w.stderr)
		}
		if iss := claimsIn(t, strings.TrimSpace(w.stdout.String()))["iss"]; iss != want {
			t.Errorf("a token of the server at %s is from %s, want %s", listen, iss, want)
		}
	}
	for name, args := range map[string][]string{"no key": {"dev", "--mint", "good"}, "no case": {"dev", "--mint", "expird", "--seed", "7"}} {
		if code := w.run(args...); code != 2 {
			t.Errorf("%s: %d %s", name, code, &w.stderr)
		}
	}
}

// --provider serves what the provider has, and also the console.
func TestDevProvider(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("interrupts a process")
	}
	plain, github := startDevProcess(t), startDevProcess(t, "--provider", "github")
	status := func(address string) (int, string) {
		t.Helper()
		res, err := http.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		first := make([]byte, 64<<10)
		n, err := res.Body.Read(first)
		if n == 0 && err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		return res.StatusCode, string(first[:n])
	}
	for path, want := range map[string][2]int{
		"/.well-known/openid-configuration": {200, 404}, "/login/oauth/authorize": {404, 400}, "/_console/events": {200, 200}, "/": {200, 200},
	} {
		for i, d := range []devProcess{plain, github} {
			got, text := status(d.issuer + path)
			if got != want[i] {
				t.Errorf("%s at %d: %d, want %d", path, i, got, want[i])
			}
			if path == "/" && !strings.Contains(text, "Development authorization server") || path == "/_console/events" && !strings.Contains(text, "events") {
				t.Errorf("%s at %d: %s", path, i, text)
			}
		}
	}
	w := newWorld(t, devserver.Config{})
	if code := w.run("dev", "--provider", "octa"); code != 2 || !strings.Contains(w.stderr.String(), `did you mean "okta"`) {
		t.Errorf("exit %d: %s", code, &w.stderr)
	}
}

// --tls serves https with a certificate of the CA in the file, for the loopback names and the name in --issuer.
func TestDevTLS(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("interrupts a process")
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	d := startDevProcess(t, "--tls", "--tls-ca-file", file)
	pem, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) || !strings.HasPrefix(d.issuer, "https://") {
		t.Fatalf("%s, %s", d.issuer, pem)
	}
	if strings.Contains(string(pem), "PRIVATE") {
		t.Error("the file has a private key")
	}
	host := strings.TrimPrefix(d.issuer, "https://")
	for _, name := range []string{"127.0.0.1", "localhost", "::1"} {
		conn, err := tls.Dial("tcp", host, &tls.Config{RootCAs: roots, ServerName: name})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		conn.Close()
	}
	if conn, err := tls.Dial("tcp", host, &tls.Config{RootCAs: roots, ServerName: "evil.example"}); err == nil {
		conn.Close()
		t.Error("the certificate is for any host")
	}
	for _, test := range []struct {
		flags []string
		works bool
	}{{[]string{"--ca-cert", file}, true}, {nil, false}} {
		got, err := runProcess(t, t.TempDir(), append([]string{"discover", d.api}, test.flags...)...)
		if err == nil && (got.code == 0) != test.works {
			t.Errorf("discover %v: %d %s", test.flags, got.code, got.stderr)
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// The server responds within 50 ms of the start of its process. CI machines are slower, so the limit here only finds
// clear faults.
func TestDevIsReadySoon(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("interrupts a process")
	}
	best := time.Hour
	for range 5 {
		began := time.Now()
		d := startDevProcess(t)
		res, err := http.Get(d.issuer + "/.well-known/openid-configuration")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		best = min(best, time.Since(began))
	}
	t.Logf("ready after %v", best)
	if best > 500*time.Millisecond {
		t.Errorf("ready only after %v", best)
	}
}
