package guard_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/guard"
	"github.com/oauthctl/oauthctl/pkg/revocation"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// A stream ends when its token is revoked or the policy no longer allows it. It
// continues while this cannot be checked.
func TestStreamsAreCheckedAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		withdraw func(*fixture, *away)
		path     string
		ends     bool
		logged   string
	}{
		"revoked":            {func(_ *fixture, a *away) { a.revoke() }, "/events", true, "no longer allowed: REVOKED"},
		"revoked, download":  {func(_ *fixture, a *away) { a.revoke() }, "/files/endless", true, "no longer allowed: REVOKED"},
		"revoked, WebSocket": {func(_ *fixture, a *away) { a.revoke() }, "/socket", true, "no longer allowed: REVOKED"},
		"route closed":       {func(f *fixture, _ *away) { f.set(strings.ReplaceAll(routes, "/events", "/other")) }, "/events", true, "no longer allowed: OPERATION_UNLISTED"},
		"scope needed": {func(f *fixture, _ *away) {
			f.set(strings.Replace(routes, `"GET /events": {}`, `"GET /events": {scopes: [events]}`, 1))
		}, "/events", true, "no longer allowed: SCOPE_MISSING"},
		"store away": {func(_ *fixture, a *away) { a.gone.Store(true) }, "/events", false, ""},
		"nothing":    {func(*fixture, *away) {}, "/events", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &away{Memory: revocation.NewMemory(revocation.MemoryOptions{})}
			f := newFixture(t, stream, func(c *guard.Config) { c.Revocation, c.Recheck = a, 20*time.Millisecond })
			header := ""
			if tt.path == "/socket" {
				header = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
			}
			conn := dial(t, f.host, "GET "+tt.path+" HTTP/1.1\r\nHost: x\r\n"+header+"Authorization: Bearer "+f.token(nil)+"\r\n\r\n")
			reader := bufio.NewReader(conn)
			res, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			var rest io.Reader = res.Body
			if tt.path == "/socket" {
				rest = reader
			}
			ended := make(chan error, 1)
			go func() { _, err := io.Copy(io.Discard, rest); ended <- err }()
			tt.withdraw(f, a)
			select {
			case err := <-ended:
				if !tt.ends || (err == nil) == (tt.path == "/files/endless") {
					t.Errorf("the stream ended: %v", err)
				}
			case <-time.After(map[bool]time.Duration{true: 10 * time.Second, false: 300 * time.Millisecond}[tt.ends]):
				if tt.ends {
					t.Error("the stream goes on")
				}
			}
			eventually(t, "the log of "+name, func() bool { return strings.Contains(f.log.String(), tt.logged) })
		})
	}
}

func (f *fixture) set(text string) {
	f.t.Helper()
	if err := f.handler.SetPolicy(load(f.t, text)); err != nil {
		f.t.Fatal(err)
	}
}

// away is a revocation store that can be unreachable.
type away struct {
	*revocation.Memory
	gone atomic.Bool
}

func (a *away) revoke() {
	_ = a.Revoke(context.Background(), revocation.OfID(issuer, "1", time.Time{}))
}

func (a *away) Revoked(ctx context.Context, t *token.Token) (bool, error) {
	if a.gone.Load() {
		return false, errors.New("away")
	}
	return a.Memory.Revoked(ctx, t)
}

// The only other protocol that reaches the API is WebSocket, and only after the
// request was checked.
func TestNoTunnel(t *testing.T) {
	var reached atomic.Int64
	f := newFixture(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			reached.Add(1)
		}
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
		_, _ = io.Copy(conn, buffered)
	}, func(c *guard.Config) { c.Policy = load(t, routes+"  \"POST /socket\": {}\n") })
	preflight := []string{"Origin: https://x.example", "Access-Control-Request-Method: GET"}
	upgrade := []string{"Connection: Upgrade", "Upgrade: websocket"}
	bearer := "Authorization: Bearer " + f.token(nil)
	for name, tt := range map[string]struct {
		line   string
		fields []string
		status int
		tunnel bool
	}{
		"preflight":            {"OPTIONS /socket", append(preflight, upgrade...), 401, false},
		"plain preflight":      {"OPTIONS /socket", preflight, 502, false},
		"preflight, chunked":   {"OPTIONS /socket", append(preflight, "Transfer-Encoding: chunked", "", "0\r\n"), 401, false},
		"preflight, both":      {"OPTIONS /socket", append(preflight, "Content-Length: 0", "Transfer-Encoding: chunked", "", "0\r\n"), 401, false},
		"preflight, h2c":       {"OPTIONS /socket", append(preflight, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"), 401, false},
		"another method":       {"POST /socket", append(upgrade, bearer, "Content-Length: 0"), 502, false},
		"no upgrade":           {"GET /socket", []string{bearer}, 502, false},
		"another protocol":     {"GET /socket", []string{bearer, "Connection: Upgrade", "Upgrade: h2c"}, 502, false},
		"no token":             {"GET /socket", upgrade, 401, false},
		"CONNECT":              {"CONNECT api.example.com:443", []string{bearer}, 400, false},
		"a WebSocket, control": {"GET /socket", append(upgrade, bearer), 101, true},
	} {
		before := reached.Load()
		conn := dial(t, f.host, tt.line+" HTTP/1.1\r\nHost: x\r\n"+strings.Join(tt.fields, "\r\n")+"\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || res.StatusCode != tt.status || (reached.Load() > before) != tt.tunnel {
			t.Errorf("%s: %v %v, want %d; the API saw an upgrade: %v", name, res, err, tt.status, reached.Load() > before)
		}
		conn.Close()
	}
}

// The file is compared with the policy in use, so a change before the first
// check is noticed. A file that is being written is not used.
func TestWatchFromTheStart(t *testing.T) {
	f := newFixture(t, echo, nil)
	file := filepath.Join(t.TempDir(), "policy.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	status := func(path string) int { res, _ := f.send("GET " + path); return res.StatusCode }
	write(strings.Replace(routes, "/healthz", "/other", 1)) // while the guard starts
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	group.Go(func() { f.handler.Watch(ctx, file, 50*time.Millisecond) })
	eventually(t, "the policy of the file", func() bool { return status("/other") == 200 && status("/healthz") == 401 })
	eventually(t, "what was widened", func() bool {
		return strings.Contains(f.log.String(), "GET /other") && strings.Contains(f.log.String(), "needs no token")
	})

	// The file is written faster than it is checked; an incomplete file is
	// never used.
	for i := range 20 {
		write(strings.Replace(routes, "/healthz", fmt.Sprintf("/half%d", i), 1))
		time.Sleep(20 * time.Millisecond)
	}
	write(routes)
	eventually(t, "the last content", func() bool { return status("/healthz") == 200 })
	if log := f.log.String(); strings.Count(log, "policy loaded") > 4 {
		t.Errorf("halves were taken over:\n%s", log)
	}
	// A symbolic link is replaced, as Kubernetes does.
	other := filepath.Join(t.TempDir(), "other.yaml")
	if err := os.WriteFile(other, []byte(strings.Replace(routes, "/healthz", "/swapped", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	link := file + ".new"
	if err := os.Symlink(other, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link, file); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the swapped policy", func() bool { return status("/swapped") == 200 })
	// After a signal, the file is read at once.
	write(routes)
	if err := f.handler.Reload(file); err != nil || status("/healthz") != 200 {
		t.Errorf("Reload: %v", err)
	}
}

// A guard that stops reports it first, lets open requests finish, and logs the
// requests that it has to cut off.
func TestStop(t *testing.T) {
	t.Parallel() // most of it is waiting
	released := make(chan struct{})
	entered := make(chan struct{}, 10)
	f := newFixture(t, func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		switch r.URL.Path {
		case "/socket", "/events":
			stream(w, r)
		default:
			select {
			case <-released:
			case <-r.Context().Done():
			}
		}
	}, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.host = l.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	server := guard.Server{Handler: f.handler, Draining: f.handler.Drain, Delay: 2 * time.Second, Grace: 2 * time.Second}
	go func() { stopped <- server.Serve(ctx, l) }()
	bearer := "Authorization: Bearer " + f.token(nil) + "\r\n"
	finishes := dial(t, f.host, "GET /files/finishes HTTP/1.1\r\nHost: x\r\n"+bearer+"\r\n")
	socket := dial(t, f.host, "GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+bearer+"\r\n")
	events := dial(t, f.host, "GET /events HTTP/1.1\r\nHost: x\r\n"+bearer+"\r\n")
	for range 3 {
		<-entered
	}
	ready := func() int {
		w := httptest.NewRecorder()
		f.handler.Admin().ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
		return w.Code
	}
	if ready() != 200 {
		t.Error("positive control: not ready")
	}
	cancel()
	eventually(t, "readyz 503", func() bool { return ready() == 503 })
	if res, _ := f.send("GET /api/items"); res.StatusCode != 401 {
		t.Errorf("a request while the load balancer notices: %d", res.StatusCode)
	}
	close(released)
	if res, err := http.ReadResponse(bufio.NewReader(finishes), nil); err != nil || res.StatusCode != 200 {
		t.Errorf("a request under way: %v %v", res, err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Serve: %v", err)
	}
	for _, conn := range []net.Conn{socket, events} {
		if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Error("a stream outlives the server")
		}
	}
	log := f.log.String()
	if strings.Count(log, `ended="server stopping"`) != 2 || strings.Count(log, `msg="stream opened"`) != 2 {
		t.Errorf("what was cut is not logged:\n%s", log)
	}
}

// The API can be reached over HTTP/2, TLS and a Unix socket.
func TestUpstreams(t *testing.T) {
	proto := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Grpc-Status")
		fmt.Fprint(w, r.Proto, " ", r.Host)
		_ = http.NewResponseController(w).Flush() // so that no length is known
		w.Header().Set("Grpc-Status", "0")
	})
	h2c := httptest.NewUnstartedServer(proto)
	h2c.Config.Protocols = new(http.Protocols)
	h2c.Config.Protocols.SetUnencryptedHTTP2(true)
	h2c.Start()
	defer h2c.Close()
	h2 := httptest.NewUnstartedServer(proto)
	h2.EnableHTTP2 = true
	h2.StartTLS()
	defer h2.Close()
	roots := x509.NewCertPool()
	roots.AddCert(h2.Certificate())
	socket := filepath.Join(t.TempDir(), "api.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	unix := &http.Server{Handler: proto}
	go func() { _ = unix.Serve(l) }()
	defer unix.Close()
	for _, tt := range []struct {
		url  string
		tls  *tls.Config
		want string
	}{
		{strings.Replace(h2c.URL, "http:", "h2c:", 1), nil, "HTTP/2.0 127.0.0.1"},
		{h2.URL, &tls.Config{RootCAs: roots}, "HTTP/2.0 127.0.0.1"},
		{h2.URL, nil, "502"},
		{"unix:" + socket, nil, "HTTP/1.1 localhost"},
		{"unix://" + socket, nil, "HTTP/1.1 localhost"},
	} {
		u, transport, err := guard.ParseUpstream(tt.url, guard.TransportOptions{TLS: tt.tls})
		if err != nil {
			t.Fatal(err)
		}
		f := newFixture(t, echo, func(c *guard.Config) { c.Upstream, c.Transport = u, transport })
		res, body := f.send("GET /healthz")
		if !strings.HasPrefix(body, tt.want) && fmt.Sprint(res.StatusCode) != tt.want {
			t.Errorf("%s: %d %s, want %s", tt.url, res.StatusCode, body, tt.want)
		}
		if res.StatusCode == 200 && res.Trailer.Get("Grpc-Status") != "0" {
			t.Errorf("%s: trailers %v", tt.url, res.Trailer)
		}
	}
	for _, wrong := range []string{"", "127.0.0.1:8000", "ftp://x", "http://", "http://u:canary@x", "https://canary@x", "http://x?a=b", "http://x#f", "unix:relative", "unix://host/path", "http://%zz:canary@x"} {
		if u, _, err := guard.ParseUpstream(wrong, guard.TransportOptions{}); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("ParseUpstream(%q) = %v, %v", wrong, u, err)
		}
	}
}

// Counters are 0 before their first event.
func TestMetricsFromZero(t *testing.T) {
	f := newFixture(t, echo, func(c *guard.Config) {
		c.Values = []guard.Value{{Name: "revocations_failures_total", Help: "h", Counter: true, Get: func() float64 { return 0 }}}
	})
	scrape := func() string {
		w := httptest.NewRecorder()
		f.handler.Admin().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		return w.Body.String()
	}
	first := scrape()
	f.send("GET /api/items")
	_ = f.handler.Reload("/nonexistent")
	eventually(t, "the count", func() bool { return strings.Contains(scrape(), `route_refusals_total{route="GET /api/items"} 1`) })
	second := scrape()
	for _, series := range []string{
		`policy_reloads_total{result="refused"}`, `refusals_total{id="CREDENTIALS_MISSING"}`, `route_refusals_total{route="GET /api/items"}`, `requests_total{code="401",decision="refused"}`,
	} {
		if !strings.Contains(first, "oauthctl_guard_"+series+" 0\n") || !strings.Contains(second, "oauthctl_guard_"+series+" 1\n") {
			t.Errorf("%s does not go from 0 to 1", series)
		}
	}
	for _, series := range []string{`refusals_total{id="KEYS_UNAVAILABLE"} 0`, `refusals_total{id="REVOCATION_UNKNOWN"} 0`, `keys_fetches_total{result="failed"} 0`, `route_requests_total{route="GET /healthz",code="200"} 0`, "revocations_failures_total 0"} {
		if !strings.Contains(first, "oauthctl_guard_"+series+"\n") {
			t.Errorf("no %s", series)
		}
	}
}
