package guard_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/guard"
)

// stream is an API that sends an event every few milliseconds, a file that
// never ends, and lines over a WebSocket's connection.
func stream(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/events", "/files/endless":
		if r.URL.Path == "/events" {
			w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		}
		for i := 0; ; i++ {
			fmt.Fprintf(w, "data: %d\n\n", i)
			if http.NewResponseController(w).Flush() != nil {
				return
			}
			select {
			case <-r.Context().Done():
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	case "/socket":
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(conn, buffered)
	}
}

// short returns a token that is valid for one or two seconds.
func (f *fixture) short() string {
	return f.token(map[string]any{"exp": time.Now().Unix() + 2})
}

func (f *fixture) get(path, raw string) *http.Response {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), "GET", f.url+path, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+raw)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// Events are forwarded as they are sent, and the stream ends regularly when the
// token expires.
func TestEvents(t *testing.T) {
	f := newFixture(t, stream, nil)
	res := f.get("/events", f.short())
	lines := bufio.NewScanner(res.Body)
	if !lines.Scan() || lines.Text() != "data: 0" {
		t.Fatalf("first line %q, %v", lines.Text(), lines.Err())
	}
	began := time.Now()
	for lines.Scan() {
		if time.Since(began) > 10*time.Second {
			t.Fatal("the stream outlives its token")
		}
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the end of the stream: %v", err)
	}
}

// A response that is not a stream of events must not look complete when it is
// cut off.
func TestFileIsBrokenOff(t *testing.T) {
	f := newFixture(t, stream, nil)
	n, err := io.Copy(io.Discard, f.get("/files/endless", f.short()).Body)
	if err == nil || n == 0 {
		t.Errorf("%d bytes, then %v", n, err)
	}
}

// A WebSocket is forwarded, and closed when the token expires.
func TestWebSocket(t *testing.T) {
	f := newFixture(t, stream, nil)
	open := func(fields ...string) (*bufio.Reader, net.Conn) {
		conn, err := net.Dial("tcp", f.host)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprintf(conn, "GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n%s\r\n", strings.Join(fields, ""))
		return bufio.NewReader(conn), conn
	}
	r, conn := open("Authorization: Bearer " + f.short() + "\r\n")
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatalf("%+v, %v", res, err)
	}
	fmt.Fprint(conn, "hello\n")
	if line, err := r.ReadString('\n'); err != nil || line != "hello\n" {
		t.Fatalf("echo %q, %v", line, err)
	}
	if _, err := r.ReadString('\n'); !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
		t.Errorf("after the token expired: %v", err)
	}
	if r, _ := open(); r != nil {
		if res, err := http.ReadResponse(r, nil); err != nil || res.StatusCode != 401 {
			t.Errorf("without a token: %+v, %v", res, err)
		}
	}
}

// Serve supports HTTP/1.1 and HTTP/2, and lets open requests finish.
func TestServe(t *testing.T) {
	arrived, release := make(chan struct{}, 1), make(chan struct{})
	f := newFixture(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/files/slow" {
			arrived <- struct{}{}
			<-release
		}
		fmt.Fprint(w, "whole")
	}, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- guard.Serve(ctx, l, f.handler, 20*time.Second) }()
	get := func(path string, http2 bool) (string, error) {
		protocols := new(http.Protocols)
		protocols.SetHTTP1(!http2)
		protocols.SetUnencryptedHTTP2(http2)
		transport := &http.Transport{Protocols: protocols}
		defer transport.CloseIdleConnections()
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+l.Addr().String()+path, nil)
		if err != nil {
			return "", err
		}
		req.Header.Set("Authorization", "Bearer "+f.token(nil))
		res, err := (&http.Client{Transport: transport}).Do(req)
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		return res.Proto + " " + string(body), err
	}
	for http2, want := range map[bool]string{false: "HTTP/1.1 whole", true: "HTTP/2.0 whole"} {
		if got, err := get("/files/a", http2); err != nil || got != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	slow := make(chan string, 1)
	go func() {
		got, err := get("/files/slow", false)
		slow <- fmt.Sprint(got, " ", err)
	}()
	<-arrived
	cancel()
	for l.Addr() != nil {
		if _, err := net.Dial("tcp", l.Addr().String()); err != nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	close(release)
	if got := <-slow; got != "HTTP/1.1 whole <nil>" {
		t.Errorf("the request under way: %s", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
}
