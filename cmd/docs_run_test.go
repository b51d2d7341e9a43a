package cmd_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// A documented command: what is typed, what the page shows of the answer, and where it stands.
type documented struct {
	command string
	shown   []string
	line    int
	session bool // shown as a session, with its output
}

// readCommands reads the commands of a page: in ```console blocks the lines behind "$ ", continued behind "> ", with
// the output that follows; in ```sh blocks every line.
func readCommands(text string) []documented {
	var all []documented
	block := ""
	for i, line := range strings.Split(text, "\n") {
		if kind, ok := strings.CutPrefix(strings.TrimSpace(line), "```"); ok {
			if block == "" {
				block = kind
			} else {
				block = ""
			}
			continue
		}
		last := len(all) - 1
		switch {
		case block == "sh" && strings.TrimSpace(line) != "" && !strings.HasPrefix(strings.TrimSpace(line), "#"):
			all = append(all, documented{command: strings.TrimSpace(line), line: i + 1})
		case block != "console":
		case strings.HasPrefix(line, "$ "):
			all = append(all, documented{command: line[2:], line: i + 1, session: true})
		case strings.HasPrefix(line, "> ") && last >= 0:
			all[last].command += "\n" + line[2:]
		case strings.TrimSpace(line) != "" && last >= 0:
			all[last].shown = append(all[last].shown, line)
		}
	}
	return all
}

// elsewhere tells why a command is not for this test; empty for the others.
func elsewhere(command string) string {
	if strings.HasPrefix(command, "oauthctl dev --") && strings.HasSuffix(command, "&") || strings.HasPrefix(command, "oauthctl dev --fault list") || strings.HasPrefix(command, "oauthctl dev --mint") {
		return ""
	}
	for prefix, why := range map[string]string{
		"go ":                       "builds or tests the project",
		"GUARD_COST=":               "measures",
		"cd ":                       "belongs to one that does",
		"oauthctl dev":              "the server that the test runs already",
		"oauthctl demo":             "has a test of its own",
		"oauthctl login --provider": "has a test of its own",
		"curl -L":                   "downloads",
		"sudo ":                     "installs",
		"brew ":                     "installs",
		"scoop ":                    "installs",
		"apt":                       "installs",
		"/usr/bin/time":             "measures",
	} {
		if strings.HasPrefix(command, prefix) {
			return why
		}
	}
	return ""
}

// moreThanGo returns the programs that a command runs and that may be missing where Go, git and a shell are installed.
// The list is complete as long as the tests pass with a PATH that holds only those, which .ci/run tries.
func moreThanGo(command string) []string {
	var programs []string
	for _, m := range regexp.MustCompile(`(?:^|[|;&('"\n])\s*(curl|cut|jq|node|openssl|python3|sha256sum|tail)\s`).FindAllStringSubmatch(command, -1) {
		programs = append(programs, m[1])
	}
	return programs
}

func TestMoreThanGo(t *testing.T) {
	for command, want := range map[string][]string{
		"oauthctl call GET /api/items --curl":                          nil,
		"oauthctl decode --jq '.a | map(.b)'":                          nil,
		"oauthctl token --format curl | curl -s -K - http://x":         {"curl"},
		`oauthctl exec -- sh -c 'curl -s http://x' | jq .`:             {"curl", "jq"},
		"python3 -m http.server 8000 &":                                {"python3"},
		"cat >a <<'END'\ncurl is a word\nEND":                          {"curl"}, // too much is harmless
		"openssl rand 32 >k; (node x.js) && echo curl,jq are no tools": {"openssl", "node"},
	} {
		if got := moreThanGo(command); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}
}

// Every command of the pages does what the page says: it runs, in the order of the page, in an empty home, beside a
// development server, and shows what is shown; … stands for anything. A command may fail only where the page shows that
// it does.
func TestDocumentedCommands(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the pages are written for a POSIX shell")
	}
	pages := []string{"../README.md"}
	for _, pattern := range []string{"../docs/*.md", "../docs/ci/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	ran := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		var commands []documented
		for _, c := range readCommands(string(text)) {
			if elsewhere(c.command) == "" {
				commands = append(commands, c)
			}
		}
		if len(commands) == 0 {
			continue
		}
		ran += len(commands)
		t.Run(strings.TrimPrefix(page, "../"), func(t *testing.T) {
			t.Parallel()
			for _, c := range commands {
				for _, program := range moreThanGo(c.command) {
					need(t, program, missingProgram(program))
				}
			}
			runPage(t, commands)
		})
	}
	if ran < 40 {
		t.Errorf("%d commands: the test reads the wrong pages", ran)
	}
}

func runPage(t *testing.T, commands []documented) {
	home := t.TempDir()
	w := newWorld(t, devserver.Config{State: filepath.Join(home, "dev.json")})
	ports := map[string]string{}
	for name, address := range map[string]string{"9000": w.issuer, "9001": w.api} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		ports[name] = u.Port()
	}
	for _, name := range []string{"8000", "8080", "9100", "9101"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, ports[name], _ = net.SplitHostPort(l.Addr().String())
		l.Close()
	}
	port := regexp.MustCompile(`\b(9000|9001|8000|8080|9100|9101)\b`)
	here := func(text string) string {
		return port.ReplaceAllStringFunc(text, func(name string) string { return ports[name] })
	}
	// The chunks of the script; the next one is given to the shell once what a chunk starts in the background listens.
	chunks := []string{"trap 'kill $(jobs -p) 2>/dev/null' EXIT\n"}
	for i, c := range commands {
		command := here(c.command)
		if c.session && strings.HasPrefix(command, "oauthctl login") && !strings.Contains(command, "--") {
			command += " --browser" // there is no terminal here
		} else if strings.HasPrefix(command, "oauthctl login") && !strings.Contains(command, "--device") && !strings.Contains(command, "--grant-type") {
			command += " --browser"
		}
		chunks[len(chunks)-1] += fmt.Sprintf("echo '@@begin %d'\n%s\necho \"@@end $?\"\n", i, command)
		if strings.HasSuffix(command, "&") {
			chunks = append(chunks, "")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "/bin/sh")
	shell.Dir = home
	shell.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_CONFIG_HOME=" + filepath.Join(home, "config"), "XDG_STATE_HOME=" + filepath.Join(home, "state"),
		"PYTHONDONTWRITEBYTECODE=1",
	}
	script, err := shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	shell.Stdout, shell.Stderr = &output, &output
	shell.WaitDelay = time.Second
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	free := []string{ports["8000"], ports["8080"], ports["9100"]}
	for i, chunk := range chunks {
		if i > 0 {
			waitForListener(ctx, &free)
		}
		if _, err := io.WriteString(script, chunk); err != nil {
			break // the shell has ended; what it printed says why
		}
	}
	script.Close()
	_ = shell.Wait()
	for i, c := range commands {
		_, rest, ok := strings.Cut(output.String(), fmt.Sprintf("@@begin %d\n", i))
		got, end, ended := strings.Cut(rest, "@@end ")
		if !ok || !ended {
			t.Errorf("line %d: %s\nwas not run to its end:\n%s", c.line, c.command, &output)
			return
		}
		fails := strings.Contains(strings.Join(c.shown, "\n"), "oauthctl: ") || strings.Contains(strings.Join(c.shown, "\n"), "✗")
		if succeeded := strings.HasPrefix(end, "0\n"); succeeded == (fails && c.session) {
			t.Errorf("line %d: %s\nsucceeded is %v:\n%s", c.line, c.command, succeeded, got)
		}
		wantShown(t, c, here, got)
	}
}

// waitForListener waits until one more of the free ports is listened on, or ctx ends, and takes it from the list.
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

// wantShown holds what a page shows against what came, line by line, but for what is different each time.
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

// What the pages show of pipelines cannot run here, but every command in them parses: its verb and flags are there.
func TestDocumentedPipelines(t *testing.T) {
	pages, err := filepath.Glob("../docs/ci/*.md")
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile(`oauthctl ([a-z]+)((?: [^\s|>'"]+)*)`)
	blocks := regexp.MustCompile("(?s)```(?:yaml|groovy)\n(.*?)```")
	seen := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range blocks.FindAllStringSubmatch(string(text), -1) {
			for _, m := range command.FindAllStringSubmatch(block[1], -1) {
				seen++
				got, err := runProcess(t, t.TempDir(), append(append([]string{m[1]}, strings.Fields(m[2])...), "--help")...)
				if err != nil || got.code != 0 || !strings.Contains(got.stdout, "oauthctl "+m[1]) {
					t.Errorf("%s: %s: %v, %+v", page, m[0], err, got)
				}
			}
		}
	}
	if seen < 7 {
		t.Errorf("%d commands: the test reads the wrong blocks", seen)
	}
}

// The page names every fault, and no other.
func TestFaultsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/dev-server.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	_, faults, _ := strings.Cut(string(text), "| fault |")
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (.*) \\| (?:`([A-Z_]+)`)?.*\\|$").FindAllStringSubmatch(faults, -1) {
		rows = append(rows, fmt.Sprint(m[1:]))
	}
	var want []string
	for _, f := range devserver.Faults() {
		want = append(want, fmt.Sprint([]string{f.Name, f.Effect, string(f.Diagnosis)}))
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
