//go:build unix

package cmd_test

import (
	"bufio"
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// A command that is ended by a signal prints one error, and the process has the exit code that the error shows.
func TestSignalIsReportedOnce(t *testing.T) {
	const signed = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4IiwiaXNzIjoiaHR0cDovL2EifQ.AAAA"
	for _, tt := range []struct {
		args    string
		signal  os.Signal
		code    int
		message string
	}{
		{"verify " + signed + " --jwks", os.Interrupt, 130, "interrupted"},
		{"verify " + signed + " --jwks", syscall.SIGTERM, 143, "terminated"},
		{"call --no-token", os.Interrupt, 130, "interrupted"},
		{"call --no-token", syscall.SIGTERM, 143, "terminated"},
	} {
		t.Run(tt.args+" "+tt.message, func(t *testing.T) {
			started := make(chan struct{})
			silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				close(started)
				<-r.Context().Done()
			}))
			defer silent.Close()
			var stdout, stderr bytes.Buffer
			c := exec.CommandContext(t.Context(), "oauthctl", append(strings.Fields(tt.args), silent.URL+"/keys", "--json")...)
			c.Env, c.Stdout, c.Stderr, c.WaitDelay = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, &stdout, &stderr, 5*time.Second
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			<-started
			if err := c.Process.Signal(tt.signal); err != nil {
				t.Fatal(err)
			}
			_ = c.Wait()
			var shown struct {
				Error struct {
					Message  string `json:"message"`
					ExitCode int    `json:"exit_code"`
				} `json:"error"`
			}
			err := json.Unmarshal(append(stdout.Bytes(), stderr.Bytes()...), &shown)
			if code := c.ProcessState.ExitCode(); err != nil || code != tt.code || shown.Error.ExitCode != tt.code || shown.Error.Message != tt.message {
				t.Errorf("%v, exit code %d\n%s%s", err, code, &stdout, &stderr)
			}
		})
	}
}

// A command that exec runs receives the signals that are sent to the process, and its exit code is returned.
func TestExecPassesSignals(t *testing.T) {
	for name, signal := range map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP} {
		t.Run(name, func(t *testing.T) {
			c := exec.CommandContext(t.Context(), "oauthctl", "exec", "--", "sh", "-c", "trap 'exit 9' "+name+"; echo ready; while :; do sleep 0.1; done")
			c.Env, c.WaitDelay = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "OAUTHCTL_TOKEN=" + givenToken, "OAUTHCTL_API=http://127.0.0.1:1"}, 5*time.Second
			stdout, err := c.StdoutPipe()
			if err == nil {
				err = c.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(stdout).ReadString('\n')
			if err == nil {
				err = c.Process.Signal(signal)
			}
			_ = c.Wait()
			if code := c.ProcessState.ExitCode(); err != nil || line != "ready\n" || code != 9 {
				t.Errorf("%v, %q, exit code %d", err, line, code)
			}
		})
	}
}
