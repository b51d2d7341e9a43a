package redis_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/revocation"
	"github.com/oauthctl/oauthctl/pkg/revocation/redis"
	"github.com/oauthctl/oauthctl/pkg/token"
)

const (
	issuer   = "https://auth.example.com"
	audience = "https://api.example.com"
)

// server is a real Redis server that the test has started.
type server struct {
	port string
	cmd  *exec.Cmd
}

// startRedis starts redis-server on this port, or on a free one for "", and
// waits until it responds. It stores nothing on disk unless the options say so.
func startRedis(t testing.TB, port string, options ...string) *server {
	t.Helper()
	if port == "" {
		port = freePort(t)
	}
	return startServer(t, port, append([]string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir(), "--daemonize", "no"}, options...)...)
}

// startServer starts redis-server with these arguments and waits until it
// responds.
func startServer(t testing.TB, port string, arguments ...string) *server {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if strings.Contains(os.Getenv("OAUTHCTL_TEST_REQUIRE"), "redis") {
			t.Fatal("redis-server is required and not installed")
		}
		t.Skip("redis-server is not installed (Debian: redis-server)")
	}
	s := &server{port, exec.Command(program, arguments...)}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	for range 500 {
		if s.answers() {
			return s
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("redis-server does not answer")
	return nil
}

func (s *server) answers() bool {
	conn, err := net.Dial("tcp", "127.0.0.1:"+s.port)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	fmt.Fprint(conn, "PING\r\n")
	line, err := bufio.NewReader(conn).ReadString('\n')
	return err == nil && line == "+PONG\r\n"
}

func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

func (s *server) url() string { return "redis://127.0.0.1:" + s.port + "/0" }

func open(t testing.TB, url string, o redis.Options) *redis.Store {
	t.Helper()
	s, err := redis.Open(url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func newKey(t testing.TB) *jwks.PrivateKey {
	t.Helper()
	key, err := jwks.Generate("EdDSA")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func signed(t testing.TB, key *jwks.PrivateKey, change map[string]any) *token.Token {
	t.Helper()
	now := time.Now().Unix()
	claims := map[string]any{"iss": issuer, "aud": audience, "sub": "alice", "sid": "s1", "jti": "1", "iat": now - 10, "exp": now + 300}
	for name, value := range change {
		claims[name] = value
	}
	raw, err := token.Sign(key, "at+jwt", claims)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := token.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func idOf(err error) diagnosis.ID {
	var d *diagnosis.Diagnosis
	if errors.As(err, &d) {
		return d.ID
	}
	return ""
}

// eventually waits until holds returns true, and returns how long it took.
func eventually(t *testing.T, limit time.Duration, holds func() bool) time.Duration {
	t.Helper()
	for start := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if holds() {
			return time.Since(start)
		}
		if time.Since(start) > limit {
			t.Fatalf("not within %s", limit)
		}
	}
}

func TestMain(m *testing.M) {
	// rueidis closes the connections to servers that left a cluster after 5 s.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"))
}

func TestEntries(t *testing.T) {
	s := startRedis(t, "")
	key := newKey(t)
	good := signed(t, key, nil)
	now := time.Now()
	tests := map[string]struct {
		entries []revocation.Entry
		token   *token.Token
		want    bool
	}{
		"nothing revoked":             {nil, good, false},
		"the token":                   {[]revocation.Entry{revocation.OfToken(good)}, good, true},
		"another token":               {[]revocation.Entry{revocation.OfToken(good)}, signed(t, key, map[string]any{"jti": "2"}), false},
		"subject":                     {[]revocation.Entry{revocation.OfSubject(issuer, "alice", now)}, good, true},
		"subject, issued afterwards":  {[]revocation.Entry{revocation.OfSubject(issuer, "alice", now)}, signed(t, key, map[string]any{"iat": now.Unix() + 2}), false},
		"session":                     {[]revocation.Entry{revocation.OfSession(issuer, "s1", now)}, good, true},
		"cut-offs never move back":    {[]revocation.Entry{revocation.OfSubject(issuer, "alice", now), revocation.OfSubject(issuer, "alice", now.Add(-time.Hour))}, good, true},
		"an expired token is no work": {[]revocation.Entry{revocation.OfID(issuer, "1", now.Add(-time.Hour))}, good, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := redis.Options{Prefix: name + ":"}
			writer, reader := open(t, s.url(), o), open(t, s.url(), o)
			for _, e := range tt.entries {
				if err := writer.Revoke(t.Context(), e); err != nil {
					t.Fatal(err)
				}
			}
			for who, store := range map[string]*redis.Store{"the same instance": writer, "another": reader} {
				if got, err := store.Revoked(t.Context(), tt.token); err != nil || got != tt.want {
					t.Errorf("%s: Revoked = %v, %v, want %v", who, got, err, tt.want)
				}
			}
		})
	}
}

// Entries are removed from Redis when the token has expired.
func TestEntriesExpire(t *testing.T) {
	s := startRedis(t, "")
	store := open(t, s.url(), redis.Options{MaxAge: time.Millisecond})
	tok := signed(t, newKey(t), map[string]any{"exp": time.Now().Unix() + 2})
	if err := store.Revoke(t.Context(), revocation.OfToken(tok)); err != nil {
		t.Fatal(err)
	}
	if got, err := store.Revoked(t.Context(), tok); err != nil || !got {
		t.Fatalf("before: %v, %v", got, err)
	}
	eventually(t, 10*time.Second, func() bool {
		got, err := store.Revoked(t.Context(), tok)
		return err == nil && !got
	})
}

// instance is one instance of an API, over HTTP.
func instance(t *testing.T, key *jwks.PrivateKey, store *redis.Store) func(raw string) int {
	t.Helper()
	v, err := token.NewVerifier(issuer, []string{audience}, jwks.NewSet(key.Public()), token.Options{})
	if err != nil {
		t.Fatal(err)
	}
	api := httptest.NewServer(bearer.Require(v, bearer.Revocation(store))(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	t.Cleanup(api.Close)
	return func(raw string) int {
		req, err := http.NewRequestWithContext(t.Context(), "GET", api.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+raw)
		res, err := api.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode == 503 && res.Header.Get("Retry-After") == "" {
			t.Error("a 503 without Retry-After")
		}
		return res.StatusCode
	}
}

// Two instances of an API: if one revokes a token, the other refuses it within
// MaxAge. If Redis is killed, both answer 503; when it is back, both respond
// within a second.
func TestTwoInstances(t *testing.T) {
	s := startRedis(t, "")
	key := newKey(t)
	const bound = 200 * time.Millisecond
	first, second := open(t, s.url(), redis.Options{MaxAge: bound}), open(t, s.url(), redis.Options{MaxAge: bound})
	one, two := instance(t, key, first), instance(t, key, second)
	openByName := instance(t, key, open(t, s.url(), redis.Options{MaxAge: bound, InsecureAllowWhenAway: true}))
	tok, other := signed(t, key, nil), signed(t, key, map[string]any{"jti": "2", "sub": "bob", "sid": "s2"})
	raw := tok.Raw().Reveal()
	if a, b := one(raw), two(raw); a != 200 || b != 200 {
		t.Fatalf("positive control: %d, %d", a, b)
	}

	if err := first.Revoke(t.Context(), revocation.OfToken(tok)); err != nil {
		t.Fatal(err)
	}
	revokedAt := time.Now()
	if status := one(raw); status != 401 {
		t.Errorf("the instance that revokes: %d", status)
	}
	took := eventually(t, 5*time.Second, func() bool { return two(raw) == 401 })
	t.Logf("the other instance refused after %s; the bound is %s", took, bound)
	if time.Sleep(time.Until(revokedAt.Add(bound))); two(raw) != 401 {
		t.Error("accepted after the bound")
	}
	if status := two(other.Raw().Reveal()); status != 200 {
		t.Errorf("another token: %d", status)
	}

	s.kill()
	eventually(t, 5*time.Second, func() bool { return two(other.Raw().Reveal()) == 503 })
	if status := one(other.Raw().Reveal()); status != 503 {
		t.Errorf("Redis away: %d, want 503", status)
	}
	if status := openByName(other.Raw().Reveal()); status != 200 {
		t.Errorf("Redis away, open by name: %d", status)
	}
	if err := first.Revoke(t.Context(), revocation.OfToken(other)); idOf(err) != diagnosis.RevocationUnknown {
		t.Errorf("Revoke while Redis is away: %v", err)
	}

	startRedis(t, s.port)
	back := time.Now()
	eventually(t, 5*time.Second, func() bool { return one(other.Raw().Reveal()) == 200 && two(other.Raw().Reveal()) == 200 })
	t.Logf("served again %s after Redis answered", time.Since(back))
}

// A caller that gives up is not an error of Redis, so other callers are not
// affected.
func TestCallerGivesUp(t *testing.T) {
	s := startRedis(t, "")
	store := open(t, s.url(), redis.Options{})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	tok := signed(t, newKey(t), nil)
	if _, err := store.Revoked(gone, tok); idOf(err) != diagnosis.RevocationUnknown {
		t.Errorf("who gave up: %v", err)
	}
	if got, err := store.Revoked(t.Context(), tok); err != nil || got {
		t.Errorf("the next: %v, %v", got, err)
	}
}

// A proof is accepted once, by any instance.
func TestUse(t *testing.T) {
	s := startRedis(t, "")
	stores := []*redis.Store{open(t, s.url(), redis.Options{}), open(t, s.url(), redis.Options{})}
	var fresh atomic.Int64
	var group sync.WaitGroup
	for i := range 100 {
		group.Go(func() {
			ok, err := stores[i%2].Use(context.Background(), "proof", time.Now().Add(time.Minute))
			if err != nil {
				t.Error(err)
			}
			if ok {
				fresh.Add(1)
			}
		})
	}
	group.Wait()
	if fresh.Load() != 1 {
		t.Errorf("one proof was fresh %d times", fresh.Load())
	}
	if ok, err := stores[0].Use(t.Context(), "other", time.Now().Add(time.Minute)); err != nil || !ok {
		t.Errorf("another proof: %v, %v", ok, err)
	}
	s.kill()
	if ok, err := stores[0].Use(t.Context(), "third", time.Now().Add(time.Minute)); err == nil || ok {
		t.Errorf("Redis away: %v, %v", ok, err)
	}
}

func TestOpenHidesThePassword(t *testing.T) {
	for _, wrong := range []string{"", "http://u:canary@x", "redis://u:canary@x/notanumber", "redis://u:canary@%zz"} {
		if s, err := redis.Open(wrong, redis.Options{}); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("Open(%q) = %v, %v", wrong, s, err)
		}
	}
	store := open(t, "redis://u:canary@127.0.0.1:1/0", redis.Options{})
	if _, err := store.Revoked(t.Context(), signed(t, newKey(t), nil)); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("error: %v", err)
	}
}
