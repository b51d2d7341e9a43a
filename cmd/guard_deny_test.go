package cmd_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// startRedis runs a Redis server for the test; for the port "", it is a free one. It is killed at the end, or by kill.
func startRedis(t *testing.T, port string) (usedPort string, kill func()) {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		need(t, "redis", err.Error())
	}
	if port == "" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port = strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
		l.Close()
	}
	server := exec.Command(program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	}
	t.Cleanup(kill)
	eventually(t, 5*time.Second, "redis-server answers", func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			return false
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(time.Second))
		fmt.Fprint(conn, "PING\r\n")
		line, _ := bufio.NewReader(conn).ReadString('\n')
		return line == "+PONG\r\n"
	})
	return port, kill
}

// eventually waits until holds returns true.
func eventually(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > limit {
			t.Fatalf("%s: not within %s", what, limit)
		}
	}
}

// Two guards share a Redis. If an operator denies a token, both refuse it within a second. If Redis is killed, they
// answer 503, unless a flag accepts tokens then. When Redis is back, they respond again within a second.
func TestGuardDeny(t *testing.T) {
	port, kill := startRedis(t, "")
	store := "redis://127.0.0.1:" + port + "/0"
	w := newWorld(t, devserver.Config{})
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer upstream.Close()
	file := filepath.Join(t.TempDir(), "policy.yaml")
	text := fmt.Sprintf("issuer: %s\naudience: %s\nroutes:\n  \"GET /a\": {scopes: [items:read]}\n", w.issuer, w.api)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"--upstream", upstream.URL, "--policy", file, "--revocations", store, "--revocations-exact"}
	one, two := startGuard(t, t.TempDir(), args...), startGuard(t, t.TempDir(), args...)
	openByName := startGuard(t, t.TempDir(), append(args, "--insecure-allow-when-away")...)
	all := []*guard{one, two, openByName}
	login := func(profile string) (raw, jti string) {
		t.Helper()
		if code := w.run("login", w.api, "-p", profile, "--browser", "-q"); code != 0 {
			t.Fatalf("login: %d %s", code, &w.stderr)
		}
		w.run("token", "-p", profile)
		raw = strings.TrimSpace(w.stdout.String())
		w.run("decode", "-p", profile, "--jq", ".claims.jti")
		return raw, strings.TrimSpace(strings.Trim(w.stdout.String(), "\"\n"))
	}
	answers := func(raw string, want int) func() bool {
		return func() bool {
			for _, g := range all {
				if status, _ := g.ask("/a", raw); status != want {
					return false
				}
			}
			return true
		}
	}

	first, jti := login("first")
	second, _ := login("second")
	for _, raw := range []string{first, second} {
		if !answers(raw, 200)() {
			t.Fatal("positive control: a good token is refused")
		}
	}
	if code := w.run("guard", "deny", "--jti", jti, "--policy", file, "--revocations", store); code != 0 || !strings.Contains(w.stderr.String(), "revoked: the token "+jti+" from "+w.issuer) {
		t.Fatalf("deny: %d %s", code, &w.stderr)
	}
	denied := time.Now()
	eventually(t, 5*time.Second, "every guard refuses the token", answers(first, 401))
	t.Logf("refused everywhere %s after it was denied; the bound is 1 s", time.Since(denied))
	if _, body := two.ask("/a", first); !strings.Contains(body, "REVOKED") {
		t.Errorf("the answer to a revoked token: %s", body)
	}
	if !answers(second, 200)() {
		t.Error("another token was refused too")
	}

	if code := w.run("guard", "deny", "--sub", "alice", "--issuer", w.issuer, "--leeway", "0s", "--revocations", store, "--jq", ".sub"); code != 0 || w.stdout.String() != "alice\n" {
		t.Fatalf("deny: %d %s %s", code, &w.stdout, &w.stderr)
	}
	eventually(t, 5*time.Second, "every guard refuses the subject", answers(second, 401))
	// A token that is issued in the second of the cut-off counts as issued before it.
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second)))
	third, _ := login("third")
	if !answers(third, 200)() {
		t.Error("the next login does not work")
	}

	kill()
	eventually(t, 5*time.Second, "503", func() bool { status, _ := one.ask("/a", third); return status == 503 })
	if status, body := one.ask("/a", third); status != 503 || !strings.Contains(body, "REVOCATION_UNKNOWN") {
		t.Errorf("Redis away: %d %s", status, body)
	}
	if status, _ := openByName.ask("/a", third); status != 200 {
		t.Errorf("Redis away, open by name: %d", status)
	}
	if status, _ := openByName.ask("/a", ""); status != 401 {
		t.Errorf("Redis away, open by name, no token: %d", status)
	}
	if code := w.run("guard", "deny", "--sub", "bob", "--issuer", w.issuer, "--revocations", store); code != 6 {
		t.Errorf("deny while Redis is away: %d %s", code, &w.stderr)
	}

	startRedis(t, port)
	back := time.Now()
	eventually(t, 5*time.Second, "served again", answers(third, 200))
	t.Logf("served again %s after Redis answered; the bound is 1 s", time.Since(back))
}
