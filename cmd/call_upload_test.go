package cmd_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// rawServer handles each connection with a function.
func rawServer(t *testing.T, serve func(conn *net.TCPConn, r *bufio.Reader)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if tcp, ok := conn.(*net.TCPConn); ok {
					serve(tcp, bufio.NewReader(conn))
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

func readHead(r *bufio.Reader) string {
	var head strings.Builder
	for {
		line, err := r.ReadString('\n')
		head.WriteString(line)
		if err != nil || line == "\r\n" {
			return head.String()
		}
	}
}

// large returns a file of n bytes.
func large(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "large.bin")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	chunk := []byte(strings.Repeat("0123456789abcdef", 4096))
	for written := 0; written < n; written += len(chunk) {
		if _, err := f.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// If the response arrives before the upload ends, it is the result, even if the connection breaks then.
func TestUploadAnsweredEarly(t *testing.T) {
	for _, tt := range []struct {
		status string
		code   int
	}{
		{"401 Unauthorized", 3}, {"403 Forbidden", 4}, {"413 Content Too Large", 9}, {"429 Too Many Requests", 9}, {"302 Found", 9}, {"200 OK", 0},
	} {
		for _, closing := range []bool{true, false} {
			api := rawServer(t, func(conn *net.TCPConn, r *bufio.Reader) {
				readHead(r)
				field := "X-A: b"
				if closing {
					field = "Connection: close"
				}
				fmt.Fprintf(conn, "HTTP/1.1 %s\r\n%s\r\nContent-Length: 5\r\n\r\nquota", tt.status, field)
				_, _ = io.CopyN(io.Discard, r, 64<<10)
				// Closing a connection with unread data resets it.
			})
			w := &world{t: t, home: t.TempDir(), now: time.Now, getenv: map[string]string{"OAUTHCTL_TOKEN": givenToken, "OAUTHCTL_API": api}}
			file := large(t, 12<<20)
			for _, args := range []string{"-d @" + file, "f@" + file, "-d -"} {
				w.stdin = strings.Repeat("x", 12<<20)
				code := w.run(append([]string{"call", "PUT", "/files/a"}, strings.Fields(args)...)...)
				if code != tt.code || !strings.Contains(w.stdout.String(), "quota") {
					t.Errorf("%s, closing %v, %.9s: %d, %q\n%s", tt.status, closing, args, code, w.stdout.String(), &w.stderr)
				}
			}
		}
	}
}

// The time limit applies to the time without data. It does not apply to the whole upload, or to the input of the
// command.
func TestUploadSlowly(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(rw, n)
	}))
	defer api.Close()
	home := t.TempDir()
	environ := []string{"OAUTHCTL_TOKEN=" + givenToken, "OAUTHCTL_API=" + api.URL}
	script := `(head -c 1100000 /dev/zero; for i in 1 2 3 4; do echo $i; sleep 0.3; done) | oauthctl call POST /log -d - --timeout 500ms`
	if got, err := runScript(t, home, script, environ...); err != nil || got.code != 0 || got.stdout != "1100008" {
		t.Errorf("a slow writer: %v, %+v", err, got)
	}
	stuck := rawServer(t, func(_ *net.TCPConn, r *bufio.Reader) {
		readHead(r)
		select {} // reads nothing
	})
	w := &world{t: t, home: home, now: time.Now, getenv: map[string]string{"OAUTHCTL_TOKEN": givenToken, "OAUTHCTL_API": stuck}}
	if code := w.run("call", "PUT", "/x", "-d", "@"+large(t, 12<<20), "--timeout", "300ms"); code != 6 || !strings.Contains(w.stderr.String(), "TIMEOUT") {
		t.Errorf("a server that stops reading: %d\n%s", code, &w.stderr)
	}
}

// Standard input has a length and can be sent again if it is a file, or small enough to be held in memory.
func TestUploadFromStdinTwice(t *testing.T) {
	type arrival struct {
		length int64
		body   string
	}
	var mu sync.Mutex // some clients are other processes
	var came []arrival
	w, _ := apiWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		came = append(came, arrival{r.ContentLength, string(body)})
		if len(came) == 1 {
			rw.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	big := strings.Repeat("x", 3<<20)
	file := filepath.Join(t.TempDir(), "big")
	write(t, file, big, 0o600)
	for _, tt := range []struct {
		stdin  string
		path   string
		times  int
		length int64
	}{
		{stdin: `{"a":1}`, times: 2, length: 7},
		{stdin: "", times: 2, length: 0},
		{stdin: big, times: 1, length: -1},
		{path: file, times: 2, length: int64(len(big))},
	} {
		mu.Lock()
		came = nil
		mu.Unlock()
		var code int
		var stderr string
		want := tt.stdin
		if tt.path != "" {
			got, err := runScript(t, t.TempDir(), "oauthctl call PUT /x -d - --retry 1 <"+tt.path, "OAUTHCTL_TOKEN="+givenToken, "OAUTHCTL_API="+w.api)
			if err != nil {
				t.Fatal(err)
			}
			code, stderr, want = got.code, got.stderr, big
		} else {
			w.stdin = tt.stdin
			code = w.run("call", "PUT", "/x", "-d", "-", "--retry", "1")
			stderr = w.stderr.String()
		}
		mu.Lock()
		came := slices.Clone(came)
		mu.Unlock()
		if len(came) != tt.times || (code == 0) != (tt.times == 2) {
			t.Errorf("%d bytes: %d, %d requests\n%s", len(want), code, len(came), stderr)
			continue
		}
		if tt.times == 1 && !strings.Contains(stderr, "-d @FILE") {
			t.Errorf("why it was not repeated:\n%s", stderr)
		}
		if last := came[len(came)-1]; last.body != want || last.length != tt.length {
			t.Errorf("%d bytes arrived as %d with length %d", len(want), len(last.body), last.length)
		}
	}
}

// If the server requires its DPoP nonce, a body from standard input is sent again.
func TestUploadWithNonce(t *testing.T) {
	w := newWorld(t, devserver.Config{Faults: []string{"dpop-nonce"}})
	if code := w.run("login", w.api, "--browser", "--dpop"); code != 0 {
		t.Fatalf("login: %d\n%s", code, &w.stderr)
	}
	w.stdin = `{"id":7,"name":"Nut"}`
	if code := w.run("call", "POST", "/api/items", "-d", "-"); code != 0 {
		t.Errorf("%d\n%s", code, &w.stderr)
	}
}

// Files and forms are streamed, so the memory does not grow with them.
func TestUploadNeedsLittleMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("peak memory is measured on Linux")
	}
	home := t.TempDir()
	pid := filepath.Join(home, "pid")
	type arrival struct{ length, n, peak int64 }
	came := make(chan arrival, 1)
	api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		came <- arrival{r.ContentLength, n, peakOf(pid)}
	}))
	defer api.Close()
	const size = 200 << 20
	file := large(t, size)
	for _, args := range []string{"-d @" + file, "f@" + file + " note=x"} {
		got, err := runScript(t, home, "echo $$ >"+pid+"; exec oauthctl call POST /x "+args, "OAUTHCTL_TOKEN="+givenToken, "OAUTHCTL_API="+api.URL)
		if err != nil || got.code != 0 {
			t.Fatalf("%v, %+v", err, got)
		}
		if a := <-came; a.length != a.n || a.n < size || a.peak <= 0 || a.peak > 64<<20 {
			t.Errorf("%.2s: %d bytes with length %d, peak memory %d MiB", args, a.n, a.length, a.peak>>20)
		}
	}
}

// peakOf returns the peak memory in bytes of the process whose id is in a file.
func peakOf(pidFile string) int64 {
	id, err := os.ReadFile(pidFile)
	if err != nil {
		return -1
	}
	status, err := os.ReadFile("/proc/" + strings.TrimSpace(string(id)) + "/status")
	if err != nil {
		return -1
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kib int64
	fmt.Sscan(rest, &kib)
	return kib << 10
}

// A named pipe is sent as its data arrives.
func TestUploadFromAPipe(t *testing.T) {
	w, _ := apiWorld(t, func(rw http.ResponseWriter, r *http.Request) { _, _ = io.Copy(rw, r.Body) })
	path := filepath.Join(t.TempDir(), "pipe")
	makePipe(t, path)
	go func() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err == nil {
			_, _ = io.Copy(f, bytes.NewReader([]byte("through the pipe")))
			f.Close()
		}
	}()
	if code := w.run("call", "PUT", "/x", "-d", "@"+path); code != 0 || w.stdout.String() != "through the pipe" {
		t.Errorf("%d, %q\n%s", code, &w.stdout, &w.stderr)
	}
}
