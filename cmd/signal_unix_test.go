//go:build unix

package cmd_test

import (
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
