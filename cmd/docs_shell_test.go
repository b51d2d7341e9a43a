package cmd_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// A shellRun runs the commands of a page in one shell.
type shellRun struct {
	home   string
	env    []string
	within time.Duration
	here   func(text string) string    // writes addresses as they are here
	typed  func(command string) string // what is typed for a command
	free   []string                    // the ports on which commands that end in & may listen
}

// run passes the commands to a shell. After a command that ends in &, it waits until the command listens.
func (s *shellRun) run(t *testing.T, commands []documented, stdout, stderr io.Writer) {
	t.Helper()
	// Not $(jobs -p), which is empty in some shells.
	chunks := []string{"background=; trap 'kill $background 2>/dev/null' EXIT\n"}
	for i, c := range commands {
		command := s.typed(s.here(c.command))
		isBackground := strings.HasSuffix(command, "&")
		if isBackground {
			command += "\nbackground=\"$background $!\""
		}
		chunks[len(chunks)-1] += fmt.Sprintf("echo '@@begin %d'\n%s\necho \"@@end $?\"\n", i, command)
		if isBackground {
			chunks = append(chunks, "")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), s.within)
	defer cancel()
	shell := exec.CommandContext(ctx, "/bin/sh")
	shell.Dir, shell.Env, shell.Stdout, shell.Stderr = s.home, s.env, stdout, stderr
	script, err := shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	shell.WaitDelay = 15 * time.Second
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	for i, chunk := range chunks {
		if i > 0 {
			waitForListener(ctx, &s.free)
		}
		if _, err := io.WriteString(script, chunk); err != nil {
			break // the shell has ended; what it printed says why
		}
	}
	script.Close()
	if err := shell.Wait(); errors.Is(err, exec.ErrWaitDelay) {
		t.Error("a command in the background does not end")
	}
}

// wantCommands compares the output of the commands, and whether they succeeded, with the page.
func (s *shellRun) wantCommands(t *testing.T, commands []documented, output string) {
	t.Helper()
	printed, block := "", 0 // by the commands of a block so far
	for i, c := range commands {
		_, rest, ok := strings.Cut(output, fmt.Sprintf("@@begin %d\n", i))
		got, end, ended := strings.Cut(rest, "@@end ")
		if !ok || !ended {
			t.Errorf("line %d: %s\nwas not run to its end:\n%s", c.line, c.command, output)
			return
		}
		if c.block != block {
			printed, block = "", c.block
		}
		printed += got
		if succeeded := strings.HasPrefix(end, "0\n"); succeeded == c.fails() {
			t.Errorf("line %d: %s\nsucceeded is %v:\n%s", c.line, c.command, succeeded, got)
		}
		wantShown(t, c, s.here, printed)
	}
}

// waitForListener waits until a process listens on one of the free ports, or ctx ends, and removes the port from the
// list.
func waitForListener(ctx context.Context, free *[]string) {
	for ctx.Err() == nil {
		for i, port := range *free {
			if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
				conn.Close()
				*free = slices.Delete(*free, i, i+1)
				return
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// wantShown compares the output on a page with the real one, line by line, except for text that differs each time.
func wantShown(t *testing.T, c documented, here func(string) string, got string) {
	t.Helper()
	lines := strings.Split(got, "\n")
	for _, shown := range c.shown {
		pattern := regexp.QuoteMeta(plainOutput(here(shown)))
		pattern = strings.ReplaceAll(pattern, "…", ".*")
		want := regexp.MustCompile("^" + pattern + "$")
		found := false
		for _, line := range lines {
			found = found || want.MatchString(plainOutput(line))
		}
		if !found && strings.TrimSpace(shown) != "…" {
			t.Errorf("line %d: %s\ndoes not show %q, but\n%s", c.line, c.command, shown, got)
		}
	}
}

var (
	changing = regexp.MustCompile(`[A-Z2-7]{26}|[A-Za-z0-9_-]{43}|\d{4}-\d\d-\d\dT[\d:]+Z|\b\d+ (s|m|h|ms|µs)\b`)
	homeIn   = regexp.MustCompile(`(~|/\S*)/(\.local/)?state/oauthctl`)
)

func plainOutput(line string) string {
	return strings.TrimRight(homeIn.ReplaceAllString(changing.ReplaceAllString(line, "·"), "HOME"), " ")
}
