package guard_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/guard"
)

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// dial sends text and returns the connection.
func dial(t *testing.T, host, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprint(conn, text)
	return conn
}

const bodyRoutes = "issuer: " + issuer + "\naudience: " + audience + `
routes:
  "PUT,POST /items/{id}": {}
  "PUT,POST /open": {public: true}
`

func bodies(c *guard.Config) { c.BodyTimeout = 300 * time.Millisecond }

// A refusal is sent at once, even if the body has not arrived, and the
// connection is closed.
func TestRefusedAtOnce(t *testing.T) {
	f := newFixture(t, echo, func(c *guard.Config) { c.Policy = load(t, bodyRoutes) })
	for name, header := range map[string]string{
		"length":   "Content-Length: 5000\r\n\r\n",
		"chunked":  "Transfer-Encoding: chunked\r\n\r\n",
		"a part":   "Content-Length: 5000\r\n\r\nabc",
		"large":    "Content-Length: 5000000\r\n\r\nabc",
		"continue": "Content-Length: 5000\r\nExpect: 100-continue\r\n\r\n",
	} {
		began := time.Now()
		conn := dial(t, f.host, "PUT /items/3 HTTP/1.1\r\nHost: x\r\n"+header)
		reader := bufio.NewReader(conn)
		res, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_, _ = io.Copy(io.Discard, res.Body)
		answered := time.Since(began)
		_, err = reader.ReadByte()
		if res.StatusCode != 401 || !res.Close || answered > 2*time.Second || err == nil || time.Since(began) > 5*time.Second {
			t.Errorf("%s: %d after %s, close %v, connection ended with %v after %s", name, res.StatusCode, answered, res.Close, err, time.Since(began))
		}
	}
	// The connection of a request without a body stays open.
	conn := dial(t, f.host, "PUT /items/3 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\nPUT /items/3 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
	reader := bufio.NewReader(conn)
	for range 2 {
		res, err := http.ReadResponse(reader, nil)
		if err != nil || res.StatusCode != 401 || res.Close {
			t.Fatalf("positive control: %v %v", res, err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
	}
}

// A body that stops or arrives too slowly ends the request. A body that arrives
// steadily does not, even if it takes long.
func TestBodyDeadline(t *testing.T) {
	f := newFixture(t, echo, func(c *guard.Config) { bodies(c); c.Policy = load(t, bodyRoutes) })
	bearer := "Authorization: Bearer " + f.token(nil) + "\r\n"
	for name, tt := range map[string]struct{ target, header string }{
		"guarded":          {"/items/3", "Content-Length: 5000\r\n" + bearer},
		"public":           {"/open", "Content-Length: 5000\r\n"},
		"chunked":          {"/open", "Transfer-Encoding: chunked\r\n"},
		"guarded, chunked": {"/items/3", "Transfer-Encoding: chunked\r\n" + bearer},
	} {
		began := time.Now()
		conn := dial(t, f.host, "PUT "+tt.target+" HTTP/1.1\r\nHost: x\r\n"+tt.header+"\r\n")
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || res.StatusCode != 408 || time.Since(began) > 5*time.Second {
			t.Errorf("%s: %v %v after %s", name, res, err, time.Since(began))
		}
	}
	trickle := dial(t, f.host, "PUT /open HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n")
	ended := make(chan struct{})
	go func() { _, _ = io.Copy(io.Discard, trickle); close(ended) }()
	began := time.Now()
	for i := 0; ; i++ {
		select {
		case <-ended:
			if i < 2 {
				t.Errorf("cut after %d bytes", i)
			}
		case <-time.After(100 * time.Millisecond):
			fmt.Fprint(trickle, "x")
			if time.Since(began) < 10*time.Second {
				continue
			}
			t.Error("a body that trickles holds its connection")
		}
		break
	}
	flowing := dial(t, f.host, "PUT /open HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n")
	for range 20 {
		fmt.Fprint(flowing, strings.Repeat("x", 1000))
		time.Sleep(60 * time.Millisecond)
	}
	if res, err := http.ReadResponse(bufio.NewReader(flowing), nil); err != nil || res.StatusCode != 200 {
		t.Errorf("a body that flows: %v %v", res, err)
	}
}

// A thousand connections that send no body are closed within the deadline.
func TestHeldConnections(t *testing.T) {
	n := 1000
	f := newFixture(t, echo, func(c *guard.Config) { bodies(c); c.Policy = load(t, bodyRoutes) })
	var group sync.WaitGroup
	for i := range n {
		target := []string{"/items/3", "/open"}[i%2]
		conn := dial(t, f.host, "PUT "+target+" HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n")
		group.Go(func() {
			if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
				t.Errorf("%s: still held: %v", target, err)
			}
		})
	}
	began := time.Now()
	group.Wait()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("held for %s", took)
	}
}

// An error in a client's body is reported as the client's fault, in the
// response, the log and the metrics.
func TestBrokenBodies(t *testing.T) {
	for name, tt := range map[string]struct {
		body   string
		half   bool // the client closes the connection
		status int  // of the response, or in the log if the client has gone
	}{
		"cut chunk":      {"Transfer-Encoding: chunked\r\n\r\n5\r\nhel", true, 499},
		"cut length":     {"Content-Length: 50\r\n\r\nhel", true, 499},
		"bad chunk size": {"Transfer-Encoding: chunked\r\n\r\nzz\r\nhel\r\n0\r\n\r\n", false, 400},
		"huge chunk":     {"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nx", false, 400},
		"no line end":    {"Transfer-Encoding: chunked\r\n\r\n3\r\nhelxx0\r\n\r\n", false, 400},
		"too large":      {"Transfer-Encoding: chunked\r\n\r\n400\r\n" + strings.Repeat("x", 1024) + "\r\n0\r\n\r\n", false, 413},
		"announced":      {"Content-Length: 1024\r\n\r\n" + strings.Repeat("x", 1024), false, 413},
		"good":           {"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n0\r\n\r\n", false, 200},
	} {
		f := newFixture(t, echo, func(c *guard.Config) { c.Policy, c.MaxBody = load(t, bodyRoutes), 1000 })
		conn := dial(t, f.host, "PUT /open HTTP/1.1\r\nHost: x\r\n"+tt.body)
		if tt.half {
			_ = conn.(*net.TCPConn).CloseWrite()
		} else if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || res.StatusCode != tt.status {
			t.Errorf("%s: %v %v, want %d", name, res, err, tt.status)
		}
		eventually(t, "the log line of "+name, func() bool { return strings.Contains(f.log.String(), fmt.Sprintf("status=%d", tt.status)) })
		if log := f.log.String(); strings.Contains(log, "WARN") || strings.Contains(log, "status=5") {
			t.Errorf("%s: the API is blamed: %s", name, log)
		}
	}
}

// For any handler, such as a proxy, a client's mistake is answered with its own
// status and not with 502.
func TestServeBlamesTheClient(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			http.Error(w, "the API did not answer", http.StatusBadGateway)
		}
	})
	go func() { stopped <- guard.Serve(ctx, l, handler, time.Second) }()
	for body, want := range map[string]int{
		"Transfer-Encoding: chunked\r\n\r\nzz\r\nhel\r\n0\r\n\r\n": 400,
		"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n0\r\n\r\n":  200,
		"Content-Length: 3\r\n\r\nhel":                             200,
		"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nx": 400,
	} {
		conn := dial(t, l.Addr().String(), "PUT / HTTP/1.1\r\nHost: x\r\n"+body)
		if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || res.StatusCode != want {
			t.Errorf("%q: %v %v, want %d", body, res, err, want)
		}
		conn.Close()
	}
	cancel()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
