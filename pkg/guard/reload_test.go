package guard_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/guard"
	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// eventually waits until holds returns true.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 2000 {
		if holds() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("%s did not come", what)
}

// A changed policy file is used. An invalid one is refused with its line and
// column, and the old policy stays in use. No request is lost.
func TestWatch(t *testing.T) {
	f := newFixture(t, echo, nil)
	file := filepath.Join(t.TempDir(), "policy.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(routes)
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	group.Go(func() { f.handler.Watch(ctx, file, 5*time.Millisecond) })

	raw := f.token(nil)
	var served, lost atomic.Int64
	for range 4 {
		group.Go(func() {
			for ctx.Err() == nil {
				req := httptest.NewRequest("GET", "/api/items", nil)
				req.Header.Set("Authorization", "Bearer "+raw)
				w := httptest.NewRecorder()
				f.handler.ServeHTTP(w, req)
				if w.Code != 200 {
					lost.Add(1)
				}
				served.Add(1)
			}
		})
	}
	status := func(path string) int {
		res, _ := f.send("GET "+path, "Authorization: Bearer "+raw)
		return res.StatusCode
	}
	eventually(t, "the first policy", func() bool { return status("/api/items") == 200 && status("/new") == 403 })
	write(routes + "  \"GET /new\": {}\n")
	eventually(t, "the new route", func() bool { return status("/new") == 200 })

	for text, reason := range map[string]string{
		routes + "  \"GET /newer\": {scope: [a]}\n":                              file + ":10:18: unknown key",
		strings.Replace(routes, issuer, "https://other.example", 1):              "issuer cannot change",
		strings.Replace(routes, "audience:", "jwks: other.json\naudience:", 1):   "cannot change without a restart",
		strings.Replace(routes, "audience:", "algorithms: [none]\naudience:", 1): "none",
	} {
		write(text)
		eventually(t, reason, func() bool { return strings.Contains(f.log.String(), reason) })
		if got := status("/new"); got != 200 {
			t.Errorf("%s: the old policy does not stay: %d", reason, got)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the missing file", func() bool { return strings.Contains(f.log.String(), "no such file") })
	write(routes)
	eventually(t, "the policy of before", func() bool { return status("/new") == 403 })
	eventually(t, "some load", func() bool { return served.Load() > 100 })
	cancel()
	group.Wait()
	if lost.Load() > 0 {
		t.Errorf("%d of %d requests were lost", lost.Load(), served.Load())
	}
}

// A guard whose issuer is unreachable is not ready, even if its keys are
// wrapped in a set that counts, waits or combines.
func TestReadyOfWrappedKeys(t *testing.T) {
	up := newFixture(t, echo, nil)
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	for name, keys := range map[string]guard.KeySet{
		"remote":  jwks.NewRemote(away.URL, jwks.RemoteOptions{}),
		"wrapped": struct{ *jwks.Remote }{jwks.NewRemote(away.URL, jwks.RemoteOptions{})},
	} {
		f := newFixture(t, echo, func(c *guard.Config) { c.Keys = keys })
		for handler, want := range map[*guard.Handler]int{f.handler: 503, up.handler: 200} {
			w := httptest.NewRecorder()
			handler.Admin().ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
			if w.Code != want {
				t.Errorf("%s: %d, want %d: %s", name, w.Code, want, w.Body)
			}
		}
	}
}

func TestAdmin(t *testing.T) {
	f := newFixture(t, echo, nil)
	f.send("GET /api/items", "Authorization: Bearer "+f.token(nil))
	f.send("GET /api/items")
	f.send("GET /healthz")
	admin := httptest.NewServer(f.handler.Admin())
	defer admin.Close()
	get := func(path string) string {
		res, err := http.Get(admin.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("%s: %d %v", path, res.StatusCode, err)
		}
		return string(body)
	}
	if got := get("/healthz") + get("/readyz"); got != "ok\nready\n" {
		t.Errorf("health %q", got)
	}
	var text string
	eventually(t, "three requests", func() bool {
		text = get("/metrics")
		return strings.Contains(text, "request_duration_seconds_count 3\n")
	})
	for _, want := range []string{
		`oauthctl_guard_requests_total{code="200",decision="allowed"} 1`,
		`oauthctl_guard_requests_total{code="200",decision="public"} 1`,
		`oauthctl_guard_requests_total{code="401",decision="refused"} 1`,
		`oauthctl_guard_refusals_total{id="CREDENTIALS_MISSING"} 1`,
		`oauthctl_guard_requests_underway 0`,
		`oauthctl_guard_request_duration_seconds_bucket{le="+Inf"} 3`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("metrics lack %s:\n%s", want, text)
		}
	}
	line := regexp.MustCompile(`^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.e+-]+)$`)
	for l := range strings.Lines(text) {
		if !line.MatchString(strings.TrimSuffix(l, "\n")) {
			t.Errorf("not in the text format: %q", l)
		}
	}
}

// Under load, while the policy changes five times, no request is lost.
func TestLoad(t *testing.T) {
	connections, lasting := 50, 2*time.Second
	if os.Getenv("OAUTHCTL_TEST_LONG") != "" {
		connections, lasting = 200, 20*time.Second
	}
	f := newFixture(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }, func(c *guard.Config) { c.Log, c.Verifier.CacheTokens = nil, 1000 })
	ctx, cancel := context.WithTimeout(t.Context(), lasting)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	defer client.CloseIdleConnections()
	bearer := "Bearer " + f.token(nil)
	var served, lost atomic.Int64
	var group sync.WaitGroup
	for range connections {
		group.Go(func() {
			for ctx.Err() == nil {
				req, _ := http.NewRequest("GET", f.url+"/api/items", http.NoBody)
				req.Header.Set("Authorization", bearer)
				res, err := client.Do(req)
				if err != nil {
					lost.Add(1)
					t.Log(err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if served.Add(1); res.StatusCode != http.StatusOK {
					lost.Add(1)
				}
			}
		})
	}
	file := filepath.Join(t.TempDir(), "policy.yaml")
	for i := range 5 {
		select {
		case <-ctx.Done():
		case <-time.After(lasting / 6):
		}
		if err := os.WriteFile(file, []byte(routes+"  \"GET /more"+string(rune('a'+i))+"\": {public: true}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := f.handler.Reload(file); err != nil {
			t.Fatal(err)
		}
	}
	group.Wait()
	t.Logf("%d connections: %d requests, %d lost", connections, served.Load(), lost.Load())
	if lost.Load() > 0 || served.Load() < 100 {
		t.Errorf("%d of %d requests were lost", lost.Load(), served.Load())
	}
}
