package cmd_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/oauthctl/oauthctl/pkg/devserver"
	"github.com/oauthctl/oauthctl/pkg/policy/policyfile"
	"github.com/oauthctl/oauthctl/pkg/profile"
)

// A block of a page that is a file: a program, or a configuration.
type fileBlock struct {
	page, kind, text string
}

// fileBlocks returns the blocks of these kinds in README.md and the hand-written pages.
func fileBlocks(t *testing.T, kinds ...string) []fileBlock {
	t.Helper()
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	fence := regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")
	var found []fileBlock
	for _, page := range append(pages, "../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
			if slices.Contains(kinds, m[1]) {
				found = append(found, fileBlock{filepath.Base(page), m[1], m[2]})
			}
		}
	}
	return found
}

// Each Go program of the pages is a complete file. A program with a main function protects GET /api/items; the others
// are tests.
func TestDocumentedGoPrograms(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	w.mustRun("login", w.api, "--browser")
	w.mustRun("token")
	token := strings.TrimSpace(w.stdout.String())
	ran := map[string]int{}
	for _, block := range fileBlocks(t, "go") {
		port := freePorts(t, "8000")["8000"]
		text := strings.NewReplacer("http://127.0.0.1:9000", w.issuer, "http://127.0.0.1:9001", w.api, "127.0.0.1:8000", "127.0.0.1:"+port).Replace(block.text)
		dir := t.TempDir()
		if strings.HasPrefix(text, "package main\n") {
			ran["main"]++
			startGoProgram(t, dir, text)
			base := "http://127.0.0.1:" + port
			for sent, want := range map[string]int{"": 401, token: 200, token[:len(token)-8] + "AAAAAAAA": 401} {
				if got := statusOnceListening(t, base+"/api/items", sent); got != want {
					t.Errorf("%s: the program answers %d, want %d:\n%s", block.page, got, want, block.text)
				}
			}
			continue
		}
		ran["test"]++
		file := filepath.Join(dir, "page_test.go")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), "go", "test", file).CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "ok") {
			t.Errorf("%s: %v\n%s\n%s", block.page, err, out, block.text)
		}
	}
	if ran["main"] < 2 || ran["test"] < 1 {
		t.Errorf("%v: the test reads the wrong blocks", ran)
	}
}

// startGoProgram builds a program with one file in this module and runs it until the test ends.
func startGoProgram(t *testing.T, dir, text string) {
	t.Helper()
	source, program := filepath.Join(dir, "main.go"), filepath.Join(dir, "program")
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, text)
	}
	startDocumented(t, dir, program)
}

// startDocumented runs a program until the test ends.
func startDocumented(t *testing.T, dir, program string, args ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, args...)
	command.Dir = dir
	command.Env = append(os.Environ(), "HOME="+dir)
	command.WaitDelay = 5 * time.Second
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
}

// statusOnceListening returns the status of a GET, once the server listens.
func statusOnceListening(t *testing.T, address, token string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	waitUntilListening(t, req.URL.Host)
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

func waitUntilListening(t *testing.T, address string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// The profile files and the policies of the pages can be loaded.
func TestDocumentedConfigurations(t *testing.T) {
	read := map[string]int{}
	for _, block := range fileBlocks(t, "yaml") {
		var err error
		switch top := topKeys(t, block); {
		case slices.Contains(top, "profiles"):
			read["profile"]++
			_, err = profile.Parse([]byte(block.text))
		case slices.Contains(top, "routes") && !slices.Contains(top, "include"): // which needs another file
			read["policy"]++
			_, err = policyfile.Load([]byte(block.text), block.page)
		}
		if err != nil {
			t.Errorf("%s: %v\n%s", block.page, err, block.text)
		}
	}
	if read["profile"] < 1 || read["policy"] < 2 {
		t.Errorf("%v: the test reads the wrong blocks", read)
	}
}

// topKeys returns the keys of a block's first document, or nil if it is not a mapping or only a part of one.
func topKeys(t *testing.T, block fileBlock) []string {
	t.Helper()
	first, _, _ := strings.Cut(block.text, "\n---\n")
	var document map[string]any
	if yaml.Unmarshal([]byte(first), &document) != nil {
		return nil
	}
	var keys []string
	for key := range document {
		keys = append(keys, key)
	}
	return keys
}

// The services of the compose file work together. The commands run as processes on one loopback interface, like in the
// one network of the file.
func TestDocumentedComposeFile(t *testing.T) {
	need(t, "python3", missingProgram("python3"))
	var compose struct {
		Services map[string]struct {
			Command     string `yaml:"command"`
			NetworkMode string `yaml:"network_mode"`
		} `yaml:"services"`
	}
	policy := ""
	for _, block := range fileBlocks(t, "yaml") {
		switch {
		case strings.HasPrefix(block.text, "# compose.yaml\n"):
			if err := yaml.Unmarshal([]byte(block.text), &compose); err != nil {
				t.Fatal(err)
			}
		case strings.HasPrefix(block.text, "# policy.yaml\n") && block.page == "containers.md":
			policy = block.text
		}
	}
	ports := freePorts(t, "8000", "8080", "9000", "9001")
	here, dir := replacingPorts(ports), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "policy.yaml"), []byte(here(policy)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"auth", "api", "guard"} {
		service := compose.Services[name]
		if network := map[bool]string{true: "", false: "service:auth"}[name == "auth"]; service.NetworkMode != network || service.Command == "" {
			t.Fatalf("%s: %+v", name, service)
		}
		args := strings.Fields(strings.ReplaceAll(here(service.Command), "0.0.0.0", "127.0.0.1"))
		if name != "api" {
			args = append([]string{"oauthctl"}, args...)
		}
		startDocumented(t, dir, args[0], args[1:]...)
	}
	for _, port := range ports {
		waitUntilListening(t, "127.0.0.1:"+port)
	}
	w := newWorld(t, devserver.Config{})
	api := here("http://localhost:8080")
	if status := statusOnceListening(t, api+"/", ""); status != 401 {
		t.Errorf("without a token: %d", status)
	}
	w.mustRun("login", api, "--browser")
	w.mustRun("call", "GET", "/")
	if !strings.Contains(w.stdout.String(), "policy.yaml") {
		t.Errorf("the API does not list its folder:\n%s", &w.stdout)
	}
}

// The sidecar of the Kubernetes page protects an API with the policy and the arguments of the page, and its probes
// succeed.
func TestDocumentedSidecar(t *testing.T) {
	manifest := ""
	for _, block := range fileBlocks(t, "yaml") {
		if block.page == "kubernetes.md" && strings.Contains(block.text, "kind: Pod") {
			manifest = block.text
		}
	}
	first, second, _ := strings.Cut(manifest, "\n---\n")
	var config struct {
		Data map[string]string `yaml:"data"`
	}
	type probe struct {
		HTTPGet struct{ Path string } `yaml:"httpGet"`
	}
	var pod struct {
		Spec struct {
			Containers []struct {
				Args      []string
				Liveness  probe `yaml:"livenessProbe"`
				Readiness probe `yaml:"readinessProbe"`
			}
		}
	}
	if err := yaml.Unmarshal([]byte(first), &config); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(second), &pod); err != nil || len(pod.Spec.Containers) != 2 {
		t.Fatalf("%v, %+v", err, pod)
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer upstream.Close()
	w := newWorld(t, devserver.Config{})
	w.mustRun("login", w.api, "--browser")
	w.mustRun("token")
	token := strings.TrimSpace(w.stdout.String())
	admin := "127.0.0.1:" + freePorts(t, "9102")["9102"]
	file := filepath.Join(t.TempDir(), "policy.yaml")
	text := strings.NewReplacer("https://auth.example.com", w.issuer, "https://api.example.com", w.api).Replace(config.Data["policy.yaml"])
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sidecar := pod.Spec.Containers[1]
	here := strings.NewReplacer("http://127.0.0.1:8000", upstream.URL, "/policy/policy.yaml", file, "--admin-listen=:9102", "--admin-listen="+admin, "--drain-delay=5s", "--drain-delay=0s")
	var args []string
	for _, arg := range sidecar.Args[1:] {
		if arg != "--listen=:8080" { // startGuard chooses the address
			args = append(args, here.Replace(arg))
		}
	}
	g := startGuard(t, t.TempDir(), args...)
	for _, tt := range []struct {
		path, token string
		status      int
	}{{"/healthz", "", 200}, {"/api/items", "", 401}, {"/api/items", token, 200}} {
		if status, body := g.ask(tt.path, tt.token); status != tt.status {
			t.Errorf("%s: %d %s, want %d", tt.path, status, body, tt.status)
		}
	}
	for _, p := range []probe{sidecar.Liveness, sidecar.Readiness} {
		if status := statusOnceListening(t, "http://"+admin+p.HTTPGet.Path, ""); p.HTTPGet.Path == "" || status != 200 {
			t.Errorf("probe %q: %d", p.HTTPGet.Path, status)
		}
	}
}
