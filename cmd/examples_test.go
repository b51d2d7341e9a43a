package cmd_test

import (
	"bytes"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/cmd"
	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// Each example of the help runs in an empty home directory next to a development server: api.example.com is its API,
// and auth.example.com the server itself. Files that an example reads exist. An example must succeed. A server that an
// example starts must listen and print no error.
func TestExamples(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the examples are written for a POSIX shell")
	}
	ran := 0
	for path, text := range cmd.HelpExamples() {
		ran += len(readExamples(text))
		t.Run(strings.TrimPrefix(path, "oauthctl "), func(t *testing.T) {
			t.Parallel()
			var plain []documented
			for _, example := range readExamples(text) {
				var missing []string
				for _, program := range moreThanGo(example.command) {
					if missingProgram(program) != "" || required(program) {
						missing = append(missing, program)
					}
				}
				if len(missing) == 0 {
					plain = append(plain, example)
					continue
				}
				t.Run(strings.Join(missing, ","), func(t *testing.T) {
					for _, program := range missing {
						need(t, program, missingProgram(program))
					}
					runExamples(t, path, []documented{example})
				})
			}
			if len(plain) > 0 {
				runExamples(t, path, plain)
			}
		})
	}
	if ran < 60 {
		t.Errorf("%d examples: the test reads the wrong text", ran)
	}
}

// required reports whether OAUTHCTL_TEST_REQUIRE lists a program.
func required(program string) bool {
	return slices.Contains(strings.Split(os.Getenv("OAUTHCTL_TEST_REQUIRE"), ","), program)
}

// readExamples reads the commands of a help text: between comments, and over several lines if a line ends in \ or |.
func readExamples(text string) []documented {
	var all []documented
	goesOn := false
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimPrefix(line, "  ")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case goesOn:
			all[len(all)-1].command += "\n" + line
		default:
			all = append(all, documented{command: line, line: i + 1})
		}
		goesOn = strings.HasSuffix(line, `\`) || strings.HasSuffix(line, "|")
	}
	return all
}

func TestReadExamples(t *testing.T) {
	got := readExamples("  # One\n  oauthctl a \\\n    b\n\n  # Two\n  echo x |\n    oauthctl c\n  oauthctl d")
	var commands []string
	for _, d := range got {
		commands = append(commands, d.command)
	}
	if want := []string{"oauthctl a \\\n  b", "echo x |\n  oauthctl c", "oauthctl d"}; !slices.Equal(commands, want) {
		t.Errorf("%q, want %q", commands, want)
	}
}

// inTheHome returns the files that examples read.
func inTheHome(here func(string) string) map[string]string {
	policy := here("issuer: http://127.0.0.1:9000\naudience: http://127.0.0.1:9001\nroutes:\n  \"GET /api/items\": {scopes: [items:read]}\n")
	return map[string]string{
		"policy.yaml":   policy,
		"deployed.yaml": policy + "  \"GET /api/old\": {scopes: [items:read]}\n",
		"cases.yaml":    "- {operation: GET /api/items, claims: {scope: items:read}, status: 200}\n- {operation: GET /api/items, status: 401}\n",
		"openapi.json":  `{"openapi":"3.1.0","info":{"title":"t","version":"1"},"paths":{"/api/items":{"get":{"security":[{"o":["items:read"]}],"responses":{"200":{"description":"ok"}}}}},"components":{"securitySchemes":{"o":{"type":"oauth2","flows":{"clientCredentials":{"tokenUrl":"https://auth.example.com/token","scopes":{"items:read":""}}}}}}}`,
		"secret.txt":    exampleSecret,
		"smoke-test.sh": "#!/bin/sh\ntest -n \"$OAUTHCTL_TOKEN\"\n",
		"report.pdf":    "%PDF-1.4\n",
	}
}

const exampleSecret = "a-secret-of-at-least-32-characters"

// beforeExamples returns the commands that create what the examples of a command need.
func beforeExamples(path string) []string {
	login := []string{"oauthctl login http://127.0.0.1:9001 -q", "oauthctl token >token.txt", "oauthctl token >tokens.txt"}
	if strings.HasPrefix(path, "oauthctl profile") {
		return append(login, "oauthctl login http://127.0.0.1:9001 -q -p work", "oauthctl profile use default")
	}
	switch path {
	case "oauthctl login", "oauthctl sign", "oauthctl audit", "oauthctl dev", "oauthctl demo", "oauthctl help", "oauthctl version", "oauthctl completion":
		return nil
	case "oauthctl exchange":
		login[0] += " --client-id oauthctl-dev"
		return append(login, "export ACTIONS_ID_TOKEN_REQUEST_URL=http://127.0.0.1:9000/ci/github/token?v=1 ACTIONS_ID_TOKEN_REQUEST_TOKEN=any")
	case "oauthctl jwks thumbprint":
		return []string{"oauthctl jwks generate --private-out key.pem >public.json"}
	}
	return login
}

func runExamples(t *testing.T, path string, examples []documented) {
	var commands []documented
	if strings.HasPrefix(path, "oauthctl guard deny") {
		commands = append(commands, documented{command: "oauthctl guard deny confirm --revocations redis://127.0.0.1:6379/0"})
	}
	for _, command := range beforeExamples(path) {
		commands = append(commands, documented{command: command})
	}
	var servers []string
	ports := slices.DeleteFunc([]string{"8080", "9100", "9101", "9102"}, func(port string) bool {
		return slices.ContainsFunc(examples, func(d documented) bool { return strings.Contains(d.command, ":"+port) })
	})
	for _, example := range examples {
		command := strings.NewReplacer("https://api.example.com", "http://127.0.0.1:9001", "https://auth.example.com", "http://127.0.0.1:9000").Replace(example.command)
		if listen := serves(command); listen != "" {
			if _, own, ok := strings.Cut(command, "--listen 127.0.0.1:"); ok {
				servers = append(servers, own[:4])
			} else {
				command += " --listen 127.0.0.1:" + ports[0]
				servers, ports = append(servers, ports[0]), ports[1:]
			}
			command += listen + " 2>>server.log &"
		}
		if strings.Contains(command, " --device") {
			command = approved(command)
		}
		commands = append(commands, documented{command: command, line: example.line})
	}
	shell := withDev(t, devserver.Config{Clients: []devserver.Client{{ID: "my-app"}, {ID: "service", Secret: exampleSecret}}}, servers...)
	prepareExamples(t, path, shell.home, shell.here)
	var output bytes.Buffer
	shell.run(t, commands, &output, &output)
	shell.wantCommands(t, commands, output.String())
	log, err := os.ReadFile(filepath.Join(shell.home, "server.log"))
	if err != nil && len(servers) > 0 {
		t.Error(err)
	}
	for line := range strings.Lines(string(log)) {
		if strings.HasPrefix(line, "oauthctl: ") && !strings.HasPrefix(line, "oauthctl: warning:") {
			t.Errorf("a server printed %s", line)
		}
	}
}

// serves returns the additional flags for a command that runs until it is stopped, or "" for other commands.
func serves(command string) string {
	switch {
	case strings.HasPrefix(command, "oauthctl dev") && !strings.Contains(command, "--fault list"):
		return " --api-listen 127.0.0.1:0"
	case strings.HasPrefix(command, "oauthctl guard --upstream"), strings.HasPrefix(command, "oauthctl guard --forward-auth"), strings.HasPrefix(command, "oauthctl proxy"):
		return " -q"
	}
	return ""
}

// approved returns the command with a background process that opens the URL of a login on another device.
func approved(command string) string {
	return "{ " + command + ` 2>&1 || echo "@@failed"; } | while read -r line; do
echo "$line"
for word in $line; do case $word in http*user_code=*) xdg-open "$word";; esac; done
case $line in @@failed) exit 1;; esac
done`
}

func prepareExamples(t *testing.T, path, home string, here func(string) string) {
	files := inTheHome(here)
	res, err := http.Get(here("http://127.0.0.1:9000/jwks"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	files["keys.json"] = string(keys)
	certificate, _ := selfSigned(t)
	files["cert.pem"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))
	if path == "oauthctl audit" {
		files["policy.yaml"] = here("issuer: http://127.0.0.1:9100\naudience: http://127.0.0.1:8080\nroutes:\n  \"GET /api/items\": {scopes: [items:read]}\n")
	}
	for name, content := range files {
		write(t, filepath.Join(home, name), content, 0o700)
	}
	if path == "oauthctl guard" || path == "oauthctl audit" {
		listener, err := net.Listen("tcp", here("127.0.0.1:8000"))
		if err != nil {
			t.Fatal(err)
		}
		upstream := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte("[]")) })}} //nolint:gosec // ends with the test
		upstream.Start()
		t.Cleanup(upstream.Close)
	}
	if strings.HasPrefix(path, "oauthctl guard deny") {
		_, port, _ := net.SplitHostPort(here("127.0.0.1:6379"))
		startRedis(t, port)
	}
}
