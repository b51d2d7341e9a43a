package cmd_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
)

// The stripped binary of a release has at most this many bytes.
const mostBytes = 16_000_000

// TestSizeOfRelease builds the program as a release does.
func TestSizeOfRelease(t *testing.T) {
	if os.Getenv("OAUTHCTL_TEST_LONG") == "" && os.Getenv("START_COST") == "" {
		t.Skip("builds a release; set OAUTHCTL_TEST_LONG=1")
	}
	info, err := os.Stat(buildRelease(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", info.Size())
	if info.Size() > mostBytes {
		t.Errorf("the binary has %d bytes, want at most %d", info.Size(), mostBytes)
	}
}

// TestCostOfStart prints what a start and one GET cost, compared with a Go program that does nothing and with curl.
func TestCostOfStart(t *testing.T) {
	if os.Getenv("START_COST") == "" {
		t.Skip("set START_COST=1 to measure (docs/performance.md)")
	}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`[{"id":1}]`)) }))
	defer api.Close()
	bearer := strings.Repeat("t", 600)
	dir := t.TempDir()
	hello := writeFile(t, "hello.go", "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(\"hello\") }\n")
	build(t, filepath.Join(dir, "hello"), "-trimpath", "-ldflags=-s -w", hello)
	oauthctl := buildRelease(t)
	programs := map[string][]string{
		"nothing":    {"/bin/true"},
		"Go hello":   {filepath.Join(dir, "hello")},
		"--help":     {oauthctl, "--help"},
		"GET":        {oauthctl, "call", "GET", "/api/items"},
		"curl's GET": {"curl", "-sS", "-H", "Authorization: Bearer " + bearer, api.URL + "/api/items"},
	}
	environment := append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_STATE_HOME="+dir, "OAUTHCTL_TOKEN="+bearer, "OAUTHCTL_API="+api.URL)
	times := map[string][]time.Duration{}
	for range 200 {
		for name, args := range programs {
			times[name] = append(times[name], cpuTime(t, args, environment))
		}
	}
	for name := range programs {
		slices.Sort(times[name])
		t.Logf("%-10s %v of CPU time", name, median(times[name]).Round(10*time.Microsecond))
	}
	over := func(name string) float64 { return float64(median(times[name]) - median(times["nothing"])) }
	t.Logf("--help takes %.2f times the CPU time of a Go program that prints a line", float64(median(times["--help"]))/float64(median(times["Go hello"])))
	t.Logf("a start and one GET take %.2f of the CPU time of curl, both less that of /bin/true", over("GET")/over("curl's GET"))
}

func median(sorted []time.Duration) time.Duration { return sorted[len(sorted)/2] }

// cpuTime runs a program and returns its user and system time.
func cpuTime(t *testing.T, args, environment []string) time.Duration {
	t.Helper()
	c := exec.Command(args[0], args[1:]...)
	c.Env = environment
	if out, err := c.Output(); err != nil {
		t.Fatalf("%s: %v\n%s", args[0], err, out)
	}
	return c.ProcessState.UserTime() + c.ProcessState.SystemTime()
}

// buildRelease builds the program with the flags of .goreleaser.yaml and returns its path. The file is written like one
// that is unpacked: what the linker writes is mapped in smaller pieces, and starts more slowly.
func buildRelease(t *testing.T) string {
	t.Helper()
	var release struct {
		Builds []struct{ Flags, Gcflags, Ldflags []string }
	}
	data, err := os.ReadFile("../.goreleaser.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, &release); err != nil || len(release.Builds) != 1 {
		t.Fatalf("%d builds, %v", len(release.Builds), err)
	}
	b := release.Builds[0]
	args := slices.Clone(b.Flags)
	for _, flag := range b.Gcflags {
		args = append(args, "-gcflags="+flag)
	}
	values := strings.NewReplacer("{{ .Version }}", "1.0.0", "{{ .FullCommit }}", strings.Repeat("c", 40), "{{ .CommitDate }}", "2026-11-26T00:00:00Z")
	args = append(args, "-ldflags="+values.Replace(strings.Join(b.Ldflags, " ")), "..")
	path := filepath.Join(t.TempDir(), "oauthctl")
	build(t, path+".linked", args...)
	linked, err := os.ReadFile(path + ".linked")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, linked, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func build(t *testing.T, path string, args ...string) {
	t.Helper()
	c := exec.Command("go", append([]string{"build", "-o", path}, args...)...)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
