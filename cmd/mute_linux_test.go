package cmd_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openTerminal returns both ends of a pseudo-terminal.
func openTerminal(t *testing.T) (user, program *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("needs a pseudo-terminal: ", err)
	}
	t.Cleanup(func() { user.Close() })
	if err := unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return user, program
}

// A terminal that never answers a query delays no command by 500 ms.
func TestMuteTerminal(t *testing.T) {
	home := t.TempDir()
	const token = "eyJhbGciOiJFUzI1NiJ9.e30.AAAA"
	lines := map[string]string{
		"login": "login http://127.0.0.1:1", "logout": "logout", "token": "token", "exchange": "exchange --subject-token " + token, "status": "status",
		"profile": "profile list", "userinfo": "userinfo", "introspect": "introspect " + token, "revoke": "revoke " + token, "discover": "discover http://127.0.0.1:1",
		"decode": "decode " + token, "verify": "verify " + token + " --issuer https://x.example --jwks http://127.0.0.1:1/jwks", "check": "check " + token + " --scope x",
		"jwks": "jwks generate --alg ES256", "explain": "explain list", "proxy": "proxy", "exec": "exec -- true", "call": "call GET http://127.0.0.1:1/ --no-token",
		"doctor": "doctor http://127.0.0.1:1", "dev": "dev --fault list", "demo": "demo", "audit": "audit http://127.0.0.1:1 --issuer-listen 127.0.0.1:0 --operation=GET:/x", "guard": "guard --upstream http://127.0.0.1:1 --policy none", "sign": "sign --key none", "completion": "completion bash",
		"version": "version", "help": "help exit-codes",
	}
	verbs, err := runProcess(t, home, "__complete", "")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(verbs.stdout) {
		verb, _, isVerb := strings.Cut(line, "\t")
		if isVerb && lines[verb] == "" {
			t.Errorf("%s is not tested", verb)
		}
	}
	for verb, line := range lines {
		t.Run(verb, func(t *testing.T) {
			args := strings.Fields(line)
			for try := 1; ; try++ {
				plain, err := runProcess(t, home, args...)
				if err != nil {
					t.Fatal(err)
				}
				took := runOnTerminal(t, home, args)
				if took < plain.took+500*time.Millisecond {
					return
				}
				if try == 3 {
					t.Fatalf("%s on a terminal, %s without", took, plain.took)
				}
			}
		})
	}
}

func runOnTerminal(t *testing.T, home string, args []string) time.Duration {
	t.Helper()
	user, program := openTerminal(t)
	go func() { _, _ = io.Copy(io.Discard, user) }() // it reads and never responds
	c := exec.CommandContext(t.Context(), "oauthctl", args...)
	c.Stdin, c.Stdout, c.Stderr = program, program, program
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	c.Env = []string{
		"PATH=" + os.Getenv("PATH"), "TERM=xterm-256color", "HOME=" + home, "XDG_CONFIG_HOME=" + filepath.Join(home, "config"), "XDG_STATE_HOME=" + filepath.Join(home, "state"),
	}
	c.WaitDelay = time.Second
	start := time.Now()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	stop := time.AfterFunc(20*time.Second, func() { _ = c.Process.Kill() })
	defer stop.Stop()
	_ = c.Wait()
	return time.Since(start)
}
