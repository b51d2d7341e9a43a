package cmd_test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A newcomer with an empty home directory copies the commands of the first pages to a terminal, line by line: from the
// clone of the repository to a login, a verified token and an authenticated call. The clone is of this checkout, the
// development server uses free ports, and the browser is a script; everything else is as for a user.
func TestNewcomer(t *testing.T) {
	need(t, "git", missingProgram("git"))
	if out, err := exec.Command("git", "rev-parse", "--verify", "HEAD").CombinedOutput(); err != nil {
		need(t, "git", "this is no checkout: "+strings.TrimSpace(string(out)))
	}
	for _, page := range newcomersPages() {
		t.Run(strings.TrimPrefix(page, "../"), func(t *testing.T) {
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			var commands []documented
			for _, c := range readCommands(string(text)) {
				if !strings.HasPrefix(c.command, "go test") { // which would run this test again
					commands = append(commands, c)
				}
			}
			needPrograms(t, commands)
			home := t.TempDir()
			ports := freePorts(t, "9000", "9001")
			s := shellRun{
				home: home, env: newcomersEnvironment(t, home), within: 5 * time.Minute, here: replacingPorts(ports), free: []string{ports["9001"]},
				typed: func(command string) string {
					if command == "oauthctl dev" { // runs in a terminal of its own
						command += " --listen 127.0.0.1:" + ports["9000"] + " --api-listen 127.0.0.1:" + ports["9001"] + " &"
					}
					return command
				},
			}
			output := onTerminal(t, func(terminal io.Writer) { s.run(t, commands, terminal, terminal) })
			s.wantCommands(t, commands, output)
			// The control: the commands of the page led to a login and an authenticated call.
			for _, shown := range []string{"\nLogged in as alice\n", "Widget"} {
				if !strings.Contains(output, shown) {
					t.Errorf("%q is not shown:\n%s", shown, output)
				}
			}
		})
	}
}

// onTerminal runs f with a terminal that is as wide as the longest message of the pages, and returns the output.
func onTerminal(t *testing.T, f func(terminal io.Writer)) string {
	t.Helper()
	user, program := openTerminal(t)
	if err := unix.IoctlSetWinsize(int(program.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 132}); err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(&output, user) // ends with EIO when no process has the terminal open
	}()
	f(program)
	program.Close()
	<-read
	return strings.ReplaceAll(output.String(), "\r\n", "\n")
}

// newcomersEnvironment returns the environment of a user who has Go, git and a browser, and has not installed oauthctl.
// It reuses the caches of Go.
func newcomersEnvironment(t *testing.T, home string) []string {
	t.Helper()
	browser, err := exec.LookPath("xdg-open")
	if err != nil {
		t.Fatal(err)
	}
	programs := t.TempDir()
	if err := os.Symlink(browser, filepath.Join(programs, "xdg-open")); err != nil {
		t.Fatal(err)
	}
	path := []string{programs}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if _, err := os.Stat(filepath.Join(dir, "oauthctl")); err != nil {
			path = append(path, dir)
		}
	}
	caches, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	cache := strings.Fields(string(caches))
	checkout, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	return []string{
		"PATH=" + strings.Join(path, string(os.PathListSeparator)), "HOME=" + home, "TERM=xterm-256color", "NO_COLOR=1", "DISPLAY=:0", "LANG=C.UTF-8",
		"GOCACHE=" + cache[0], "GOMODCACHE=" + cache[1], "GOPROXY=off", "GOTOOLCHAIN=local", "GOFLAGS=-trimpath",
		"GIT_CONFIG_COUNT=2", "GIT_CONFIG_KEY_0=url." + checkout + ".insteadOf", "GIT_CONFIG_VALUE_0=https://github.com/oauthctl/oauthctl",
		"GIT_CONFIG_KEY_1=safe.directory", "GIT_CONFIG_VALUE_1=*",
	}
}
