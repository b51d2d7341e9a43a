package cmd_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/url"
	"os"
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

// A documented command: the command, the output on the page, and its line on the page.
type documented struct {
	command string
	shown   []string
	line    int
	block   int // commands of one block to copy share the output that follows it
}

// fails reports whether the page shows that the command fails.
func (d documented) fails() bool {
	shown := strings.Join(d.shown, "\n")
	return strings.Contains(shown, "oauthctl: ") || strings.Contains(shown, "✗")
}

// readCommands reads the commands of a page. A ```sh block has commands to copy; the ```console block after it, if it
// has no prompt, shows their output. A ```console block with prompts is a session: "$ " begins a command, "> "
// continues it, and its output follows.
func readCommands(text string) []documented {
	var all []documented
	kind, blocks, unfinished := "", 0, false
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		if fence, ok := strings.CutPrefix(trimmed, "```"); ok {
			if kind == "" {
				kind = fence
				blocks++
			} else {
				kind = ""
			}
			unfinished = false
			continue
		}
		last := len(all) - 1
		switch {
		case kind == "sh" && unfinished:
			all[last].command += "\n" + line
			unfinished = isUnfinished(all[last].command)
		case kind == "sh" && trimmed != "" && !strings.HasPrefix(trimmed, "#"):
			all = append(all, documented{command: trimmed, line: i + 1, block: blocks})
			unfinished = isUnfinished(trimmed)
		case kind != "console":
		case strings.HasPrefix(line, "$ "):
			blocks++
			all = append(all, documented{command: line[2:], line: i + 1, block: blocks})
		case strings.HasPrefix(line, "> ") && last >= 0:
			all[last].command += "\n" + line[2:]
		case trimmed != "" && last >= 0:
			all[last].shown = append(all[last].shown, line)
		}
	}
	return all
}

// isUnfinished reports whether a command continues in the next line: in a here-document, or after a line that ends in
// the middle of a command.
func isUnfinished(command string) bool {
	if m := regexp.MustCompile(`<<'?(\w+)`).FindStringSubmatch(command); m != nil {
		return !strings.HasSuffix(command, "\n"+m[1])
	}
	return strings.HasSuffix(command, "\\") || strings.HasSuffix(command, "|") || strings.HasSuffix(command, "&&")
}

func TestReadCommands(t *testing.T) {
	page := strings.ReplaceAll(`
'''sh
# a comment
one |
  two

cat >f <<'END'
# in the file
END
three
'''
Text.
'''console
of all three
oauthctl: refused
'''
'''yaml
not: read
'''
'''console
$ four
> more
its output
$ five
'''
`, "'"+"''", "```")
	want := []documented{
		{command: "one |\n  two", line: 4, block: 1},
		{command: "cat >f <<'END'\n# in the file\nEND", line: 7, block: 1},
		{command: "three", line: 10, block: 1, shown: []string{"of all three", "oauthctl: refused"}},
		{command: "four\nmore", shown: []string{"its output"}, line: 21, block: 5},
		{command: "five", line: 24, block: 6},
	}
	got := readCommands(page)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(documented{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(got) == 5 && (got[0].fails() || !got[2].fails() || got[3].fails()) {
		t.Error("the page shows that the third command fails, and no other")
	}
}

// elsewhere returns why this test does not run a command, or "".
func elsewhere(command string) string {
	if strings.HasPrefix(command, "oauthctl dev --") && strings.HasSuffix(command, "&") || strings.HasPrefix(command, "oauthctl dev --fault list") || strings.HasPrefix(command, "oauthctl dev --mint") {
		return ""
	}
	for prefix, why := range map[string]string{
		"go ":                       "builds or tests the project",
		"CGO_ENABLED=0 go install":  "downloads; TestNewcomer installs from a clone",
		"GUARD_COST=":               "measures",
		"START_COST=":               "measures",
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

// moreThanGo returns the programs of a command that may be missing if only Go, git and a shell are installed. The list
// is complete if the tests pass with a PATH that has only those, which .ci/run tries.
func moreThanGo(command string) []string {
	var programs []string
	for _, m := range regexp.MustCompile(`(?:^|[|;&('"\n])\s*(curl|cut|jq|kubectl|node|openssl|python3|rm|sha256sum|tail)\s`).FindAllStringSubmatch(command, -1) {
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

// Every command of the pages does what the page says. The commands run in the order of the page, in an empty home
// directory, next to a development server, and their output is as shown; … in it matches any text. A command may fail only
// if the page shows that it does. The pages for newcomers have their own test, TestNewcomer.
func TestDocumentedCommands(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the pages are written for a POSIX shell")
	}
	var pages []string
	for _, pattern := range []string{"../docs/*.md", "../docs/ci/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	ran := 0
	for _, page := range pages {
		if slices.Contains(newcomersPages(), page) {
			continue
		}
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
			needPrograms(t, commands)
			runPage(t, commands)
		})
	}
	if ran < 40 {
		t.Errorf("%d commands: the test reads the wrong pages", ran)
	}
}

func newcomersPages() []string { return []string{"../README.md", "../docs/getting-started.md"} }

// needPrograms skips the test of commands that run a program that is missing here.
func needPrograms(t *testing.T, commands []documented) {
	t.Helper()
	for _, c := range commands {
		for _, program := range moreThanGo(c.command) {
			need(t, program, missingProgram(program))
		}
	}
}

func runPage(t *testing.T, commands []documented) {
	s := withDev(t, devserver.Config{}, "8000", "8080", "9100")
	var output bytes.Buffer
	s.run(t, commands, &output, &output)
	s.wantCommands(t, commands, output.String())
}

// withDev returns a shell in an empty home directory, next to a development server. Commands that end in & may listen
// at servers.
func withDev(t *testing.T, config devserver.Config, servers ...string) shellRun {
	t.Helper()
	home := t.TempDir()
	config.State = filepath.Join(home, "dev.json")
	w := newWorld(t, config)
	ports := freePorts(t, "8000", "8080", "9100", "9101", "9102", "6379")
	for name, address := range map[string]string{"9000": w.issuer, "9001": w.api} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		ports[name] = u.Port()
	}
	s := shellRun{
		home: home, within: 2 * time.Minute, here: replacingPorts(ports),
		typed: func(command string) string {
			if strings.HasPrefix(command, "oauthctl login") && !strings.Contains(command, "--device") && !strings.Contains(command, "--grant-type") {
				command += " --browser" // there is no terminal here
			}
			return command
		},
		env: []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_CONFIG_HOME=" + filepath.Join(home, "config"), "XDG_STATE_HOME=" + filepath.Join(home, "state"),
			"PYTHONDONTWRITEBYTECODE=1",
		},
	}
	for _, name := range servers {
		s.free = append(s.free, ports[name])
	}
	return s
}

// replacingPorts returns a function that replaces the ports of the pages with the ports in use.
func replacingPorts(ports map[string]string) func(string) string {
	port := regexp.MustCompile(`\b(` + strings.Join(slices.Collect(maps.Keys(ports)), "|") + `)\b`)
	return func(text string) string {
		return port.ReplaceAllStringFunc(text, func(name string) string { return ports[name] })
	}
}

// The pipelines on the pages cannot run here, but every command in them can be parsed: the command and its flags exist.
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

// The page lists every fault, and no other.
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
