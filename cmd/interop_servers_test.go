package cmd_test

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// A foreignServer is an authorization server of other authors, with an API of the same library if it has one.
type foreignServer struct {
	name  string
	start func(t *testing.T) (base string)
	api   string   // the path of the API
	call  []string // the request to it, after `call`
	want  string   // what the response contains
	login []string // flags of each login

	refreshes bool     // it issues refresh tokens
	forgets   bool     // POST /forget makes it lose its clients
	more      []string // a second request, for which the scope of the login is not enough
	scope     string   // what that needs
}

func foreignNode(script string) func(*testing.T) string {
	return func(t *testing.T) string {
		t.Helper()
		need(t, "node", missingNode())
		return startURL(t, exec.Command("node", filepath.Join(interopDir, script)))
	}
}

func startURL(t *testing.T, server *exec.Cmd) string {
	t.Helper()
	started, _ := startProgram[struct {
		URL string `json:"url"`
	}](t, server)
	return started.URL
}

// The MCP server of the TypeScript SDK.
func startSDKServer(t *testing.T) string {
	t.Helper()
	need(t, "conformance", missingConformance())
	node, _ := conformanceSuite()
	return startURL(t, exec.Command(node, filepath.Join(conformanceDir, "sdk-server.mjs")))
}

const goSDKDir = "testdata/gosdk"

// The MCP server of the Go SDK, with the certified server as its issuer. It is in a separate module, which is not
// downloaded here.
func startGoSDKServer(t *testing.T) string {
	t.Helper()
	need(t, "node", missingNode())
	program := filepath.Join(t.TempDir(), "gosdk")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = goSDKDir
	build.Env = append(build.Environ(), "GOPROXY=off", "GOFLAGS=-mod=readonly", "GOWORK=off")
	missing := ""
	if output, err := build.CombinedOutput(); err != nil {
		missing = fmt.Sprintf("run `go mod download` in cmd/%s: %v\n%s", goSDKDir, err, output)
	}
	need(t, "gosdk", missing)
	started, stdin := startProgram[struct {
		URL string `json:"url"`
	}](t, exec.Command(program))
	issuer := startOIDCProvider(t, "--api", started.URL+"/mcp", "--rotate")
	if _, err := fmt.Fprintln(stdin, issuer); err != nil {
		t.Fatal(err)
	}
	return started.URL
}

// Authorization servers and APIs of other authors, from the API's URL alone: log in twice, call, refresh, log out, and
// log in at a server that has lost its clients. A client is registered only if the server does not know it.
func TestInteropServers(t *testing.T) {
	whoami := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{}}}`
	mcp := func(path string) []string {
		return []string{"POST", path, "-d", whoami, "-H", "Accept: application/json, text/event-stream"}
	}
	for _, server := range []foreignServer{
		// It compares redirect URIs with their port, sends challenges only for POST, and has no refresh tokens.
		{name: "MCP TypeScript SDK", start: startSDKServer, api: "/mcp", call: []string{"POST", "/mcp", "-d", "{}"}, want: "mcp:tools", forgets: true},
		{
			name: "MCP Go SDK", start: startGoSDKServer, api: "/mcp", call: mcp("/mcp"), want: "user alice", refreshes: true,
			login: []string{"--prompt", "consent"}, more: mcp("/mcp/write"), scope: "items:write",
		},
		{name: "Cloudflare Workers", start: foreignNode("workers.mjs"), api: "/mcp", call: []string{"GET", "/mcp"}, want: `"alice"`, refreshes: true, forgets: true},
		{name: "better-auth", start: foreignNode("better-auth.mjs"), api: "/items", call: []string{"GET", "/items"}, want: "items:read", refreshes: true, forgets: true},
	} {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			server.drive(t, server.start(t))
		})
	}
}

// drive runs the commands at a server.
func (s *foreignServer) drive(t *testing.T, base string) {
	w := newWorld(t, devserver.Config{})
	run := func(step string, code int, args ...string) string {
		t.Helper()
		if got := w.run(args...); got != code {
			t.Fatalf("%s: exit code %d, want %d\n%s%s", step, got, code, &w.stdout, &w.stderr)
		}
		return w.stdout.String()
	}
	login := func(step string, registers bool, more ...string) {
		t.Helper()
		run(step, 0, append(append([]string{"login", base + s.api, "--browser", "--login-timeout", "20s"}, s.login...), more...)...)
		if registered := strings.Contains(w.stderr.String(), "registered as client"); registered != registers {
			t.Fatalf("%s: registered %v\n%s", step, registered, &w.stderr)
		}
	}
	request := func(to []string) []string { return append([]string{"call", to[0], base + to[1]}, to[2:]...) }
	call := func(step string) {
		t.Helper()
		if got := run(step, 0, request(s.call)...); !strings.Contains(got, s.want) {
			t.Fatalf("%s: %s", step, got)
		}
	}

	login("first login", true)
	call("call")
	login("second login", false)
	call("call after the second login")
	first := run("token", 0, "token")
	if s.refreshes {
		if next := run("refresh", 0, "token", "--refresh"); next == first {
			t.Fatal("the refresh gave the same token")
		}
		call("call with the refreshed token")
	} else {
		run("refresh without a refresh token", 5, "token", "--refresh")
	}
	if s.more != nil {
		login("login with one scope", false, "--scope", "openid offline_access items:read")
		run("call beyond the scope", 4, request(s.more)...)
		if hint := "oauthctl login --add-scope " + s.scope; !strings.Contains(w.stderr.String(), hint) {
			t.Fatalf("no hint %q:\n%s", hint, &w.stderr)
		}
		login("login for another scope", false, "--add-scope", s.scope)
		run("call with that scope", 0, request(s.more)...)
	}
	run("logout", 0, "logout")
	run("call after the logout", 5, request(s.call)...)
	login("login after the logout", false)
	if s.forgets {
		res, err := http.Post(base+"/forget", "", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		login("login at a server that forgot the client", true)
		call("call by the new client")
	}
	run("logout again", 0, "logout")
}
