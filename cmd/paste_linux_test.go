package cmd_test

import (
	"bytes"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A terminalLogin is a login at a terminal whose user pastes the address that the browser shows at the end.
type terminalLogin struct {
	command *exec.Cmd
	user    *os.File
	program *os.File

	read   chan struct{} // closed when the screen is complete
	mu     sync.Mutex
	screen bytes.Buffer
}

// text returns the output after the command has ended.
func (l *terminalLogin) text() string {
	l.program.Close()
	<-l.read
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.screen.String()
}

// startTerminalLogin runs a login and types the result of answer for the redirect.
func startTerminalLogin(t *testing.T, s *hostileServer, foreground bool, answer func(redirect string) string) *terminalLogin {
	t.Helper()
	l := &terminalLogin{read: make(chan struct{})}
	l.user, l.program = openTerminal(t)
	home := t.TempDir()
	c := exec.CommandContext(t.Context(), "oauthctl", "login", s.URL, "--client-id", hostileClient, "--scope", "openid", "--no-browser", "--login-timeout", "10s")
	c.Stdin, c.Stdout, c.Stderr = l.program, l.program, l.program
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: foreground}
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "TERM=dumb", "HOME=" + home, "XDG_CONFIG_HOME=" + filepath.Join(home, "config"), "XDG_STATE_HOME=" + filepath.Join(home, "state")}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	l.command = c
	shown := regexp.MustCompile(`(http://\S+/authorize\?\S+)\s[^$]*press Ctrl-C`)
	go func() {
		defer close(l.read)
		typed := false
		buffer := make([]byte, 4096)
		for {
			n, err := l.user.Read(buffer)
			if err != nil {
				return
			}
			l.mu.Lock()
			l.screen.Write(buffer[:n])
			match := shown.FindStringSubmatch(l.screen.String())
			l.mu.Unlock()
			if match == nil || typed {
				continue
			}
			typed = true
			redirect, err := redirectOf(match[1])
			if err != nil {
				t.Error(err)
				return
			}
			go func() { _, _ = io.WriteString(l.user, answer(redirect)) }()
		}
	}()
	return l
}

func (l *terminalLogin) wait(t *testing.T) int {
	t.Helper()
	stop := time.AfterFunc(30*time.Second, func() { _ = l.command.Process.Kill() })
	defer stop.Stop()
	_ = l.command.Wait()
	return l.command.ProcessState.ExitCode()
}

// A pasted address can be longer than a line of a terminal, can have its parameters in any order, and can be edited
// before it is entered. Afterwards, the terminal has its previous settings.
func TestLongPaste(t *testing.T) {
	long := strings.Repeat("c0de", 3000)
	grown := func(redirect, last string) string {
		u, err := url.Parse(redirect)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		value := q.Get(last)
		q.Del(last)
		u.RawQuery = q.Encode() + "&extra=" + long + "&" + url.Values{last: {value}}.Encode()
		return u.String()
	}
	for name, answer := range map[string]func(redirect string) string{
		"the state last":  func(r string) string { return grown(r, "state") + "\n" },
		"the code last":   func(r string) string { return grown(r, "code") + "\n" },
		"short":           func(r string) string { return r + "\n" },
		"with a mistake":  func(r string) string { return "hxx\x7f\x7f" + strings.TrimPrefix(r, "h") + "\n" },
		"after a restart": func(r string) string { return "no, not that\x15" + r + "\n" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := startTerminalLogin(t, startHostileServer(t, nil), true, answer)
			before, err := unix.IoctlGetTermios(int(l.program.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			code := l.wait(t)
			after, err := unix.IoctlGetTermios(int(l.program.Fd()), unix.TCGETS)
			if err != nil || after.Lflag&unix.ICANON == 0 || after.Lflag != before.Lflag|unix.ICANON {
				t.Errorf("the terminal's flags are %#x, %v", after.Lflag, err)
			}
			if code != 0 || !strings.Contains(l.text(), "Logged in as alice") {
				t.Errorf("exit code %d\n%.3000s", code, l.text())
			}
		})
	}
}

// A background process does not change the terminal's settings. There, a long line is cut, and a message says so.
func TestLongPasteIsCut(t *testing.T) {
	l := startTerminalLogin(t, startHostileServer(t, nil), false, func(r string) string {
		address, query, _ := strings.Cut(r, "?")
		return address + "?extra=" + strings.Repeat("x", 5000) + "&" + query + "\n"
	})
	if code := l.wait(t); code == 0 || !strings.Contains(l.text(), "a terminal cuts long lines") {
		t.Errorf("exit code %d\n%.3000s", code, l.text())
	}
}
