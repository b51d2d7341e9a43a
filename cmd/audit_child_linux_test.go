package cmd_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hasEnded reports whether a process has ended, even if its parent has not waited for it.
func hasEnded(t *testing.T, pid string) bool {
	t.Helper()
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return true
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(after, "Z")
}

// until waits until is returns true.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not happen", what)
		}
	}
}

// At the end, audit stops everything that -- COMMAND started: the command and its background processes.
func TestAuditStopsItsCommand(t *testing.T) {
	home := t.TempDir()
	issuer, address, upstream := freeAddress(t), freeAddress(t), newAuditedAPI(t)
	upstream.set("open")
	policy := filepath.Join(home, "policy.yaml")
	rules := "issuer: http://" + issuer + "\naudience: http://" + address + "\nroutes:\n  \"GET /items\": {scopes: [items:read]}\n"
	if err := os.WriteFile(policy, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	pidFile := filepath.Join(home, "pid")
	background := "sleep 300 & echo $! >" + pidFile + "; "
	for name, tt := range map[string]struct {
		script string
		signal bool
		code   int
	}{
		"proven":      {background + "exec oauthctl guard --upstream " + upstream.url + " --policy " + policy + " --listen 127.0.0.1:$PORT", false, 0},
		"interrupted": {background + "wait", true, 130},
		"ends itself": {background + "echo no database; exit 3", false, 6},
	} {
		os.Remove(pidFile)
		var stderr bytes.Buffer
		c := exec.CommandContext(t.Context(), "oauthctl", "audit", "http://"+address, "--policy", policy, "--", "/bin/sh", "-c", tt.script)
		c.Env, c.Stdout, c.Stderr, c.WaitDelay = append(os.Environ(), "HOME="+home), &stderr, &stderr, 5*time.Second
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		var pid string
		until(t, "the command", func() bool {
			text, _ := os.ReadFile(pidFile)
			pid = strings.TrimSpace(string(text))
			return strings.HasSuffix(string(text), "\n")
		})
		if tt.signal {
			if err := c.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
		err := c.Wait()
		var failed *exec.ExitError
		if err != nil && !errors.As(err, &failed) || c.ProcessState.ExitCode() != tt.code {
			t.Errorf("%s: %v, want exit code %d\n%s", name, err, tt.code, &stderr)
		}
		if !hasEnded(t, pid) {
			t.Errorf("%s: what the command left in the background still runs", name)
			if number := c.Process.Pid; number > 0 {
				_ = syscall.Kill(-number, syscall.SIGKILL)
			}
		}
		if strings.Contains(stderr.String(), "another server") {
			t.Errorf("%s: no other server is there:\n%s", name, &stderr)
		}
		if name == "ends itself" && !strings.Contains(stderr.String(), "no database") {
			t.Errorf("what the command printed is not shown:\n%s", &stderr)
		}
	}
}

// If another server uses the port of the command, there is a message, so that its responses are not mistaken for the
// command's.
func TestAuditSaysThatThePortIsTaken(t *testing.T) {
	api := newAuditedAPI(t)
	api.set()
	c := exec.CommandContext(t.Context(), "oauthctl", append([]string{"audit"}, api.args("--operation", "GET /items=items:read", "--quick", "--", "sleep", "300")...)...)
	c.Env = append(os.Environ(), "HOME="+t.TempDir())
	output, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(output), api.url+" answers before sleep was started: is another server at that port?") {
		t.Errorf("%v\n%s", err, output)
	}
}
