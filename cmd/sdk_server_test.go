package cmd_test

import (
	"bufio"
	"bytes"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// startSDKServer runs the MCP server of the TypeScript SDK until the test ends, and returns its address.
func startSDKServer(t *testing.T) string {
	t.Helper()
	need(t, "conformance", missingConformance())
	node, _ := conformanceSuite()
	var stderr bytes.Buffer
	server := exec.Command(node, filepath.Join(conformanceDir, "sdk-server.mjs"))
	server.Stderr, server.WaitDelay = &stderr, 5*time.Second
	stdin, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		if err := server.Wait(); err != nil || t.Failed() {
			t.Logf("the server ended: %v\n%s", err, stderr.String())
		}
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		t.Fatalf("no address: %v\n%s", err, stderr.String())
	}
	var started struct {
		URL string `json:"url"`
	}
	if err := json.Unmarshal(line, &started); err != nil {
		t.Fatal(err)
	}
	return started.URL
}

// The MCP server of the TypeScript SDK compares redirect URIs with their port, challenges POST alone, and forgets its
// clients when it restarts.
func TestMCPSDKServer(t *testing.T) {
	base := startSDKServer(t)
	w := newWorld(t, devserver.Config{})
	login := []string{"login", base + "/mcp", "--browser", "--login-timeout", "20s"}
	for _, step := range []struct {
		name     string
		args     []string
		register bool
	}{
		{"first login", login, true},
		{"second login", login, false},
		{"call", []string{"call", "POST", base + "/mcp", "-d", "{}"}, false},
		{"another scope", append(login, "--add-scope", "mcp:more"), false},
		{"logout", []string{"logout"}, false},
		{"login after the logout", login, false},
		{"forget", nil, false},
		{"login at a server that forgot the client", login, true},
		{"call again", []string{"call", "POST", base + "/mcp", "-d", "{}"}, false},
	} {
		if step.args == nil {
			res, err := http.Post(base+"/forget", "", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			continue
		}
		code := w.run(step.args...)
		if registered := strings.Contains(w.stderr.String(), "registered as client"); code != 0 || registered != step.register {
			t.Fatalf("%s: exit code %d, registered: %v\n%s%s", step.name, code, registered, &w.stdout, &w.stderr)
		}
	}
}
