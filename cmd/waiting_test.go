package cmd

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// A noticeboard is a terminal that notifies a test of its output.
type noticeboard struct {
	mu      sync.Mutex
	written bytes.Buffer
	notice  chan struct{} // closed at the first write
	once    sync.Once
}

func (n *noticeboard) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	defer n.once.Do(func() { close(n.notice) })
	return n.written.Write(p)
}

func (n *noticeboard) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.written.String()
}

// On a terminal, the user sees which server a command waits for. In a script and with --quiet, there is no message. The
// server responds only after the message was printed.
func TestWaitingIsShown(t *testing.T) {
	screen := &noticeboard{notice: make(chan struct{})}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		select {
		case <-screen.notice:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(rw, "done")
	}))
	defer server.Close()
	for name, tt := range map[string]struct {
		terminal, quiet bool
		announces       bool
	}{
		"terminal":        {true, false, true},
		"quiet":           {true, true, false},
		"not a terminal":  {false, false, false},
		"neither of both": {false, true, false},
	} {
		env := &Env{Stderr: screen, Getenv: func(string) string { return "" }, Now: time.Now, IsTerminal: func(any) bool { return tt.terminal }}
		env.global.quiet, env.global.noColor = tt.quiet, true
		transport := env.announcing(http.DefaultTransport)
		if _, ok := transport.(*announcingTransport); ok != tt.announces {
			t.Errorf("%s: announces is %v", name, ok)
		}
	}
	env := &Env{Stderr: screen, Getenv: func(string) string { return "" }, Now: time.Now, IsTerminal: func(any) bool { return true }}
	env.global.noColor = true
	res, err := (&http.Client{Transport: env.announcing(http.DefaultTransport)}).Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if got, want := screen.String(), "waiting for "+strings.TrimPrefix(server.URL, "http://")+" ...\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
