package cmd_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// Doctor finds no fault of the development server, logged in or not, and --json follows the schema.
func TestDoctorGoodServers(t *testing.T) {
	schema := compiledSchema(t, "../docs/reference/doctor.schema.json")
	w := newWorld(t, devserver.Config{})
	for _, loggedIn := range []bool{false, true} {
		if loggedIn {
			w.mustRun("login", w.api, "--browser", "-q")
		}
		for name, args := range map[string][]string{
			"operation": {w.api + "/api/items"}, "API": {w.api}, "issuer": {w.issuer}, "deep": {w.issuer, "--deep"}, "profile": nil,
		} {
			if code := w.run(append([]string{"doctor", "--json", "--strict"}, args...)...); code != 0 {
				t.Errorf("%s: exit code %d\n%s", name, code, &w.stdout)
			}
			validate(t, schema, w.stdout.Bytes())
			if used := strings.Contains(w.stdout.String(), "with the session's token"); used != (loggedIn && (name == "operation" || name == "API" || name == "profile")) {
				t.Errorf("%s: the token was used: %t\n%s", name, used, &w.stdout)
			}
		}
	}
	if w.run("doctor", w.api+"/api/items", "--no-token", "-v"); strings.Contains(w.stderr.String(), "Authorization") {
		t.Errorf("a token was sent\n%s", &w.stderr)
	}
}

func compiledSchema(t *testing.T, path string) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(path)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func validate(t *testing.T, schema *jsonschema.Schema, text []byte) {
	t.Helper()
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err == nil {
		err = schema.Validate(instance)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}

// A fault is shown with its owner and a command to reproduce it, within 80 columns and with the marks that the terminal
// supports.
func TestDoctorScreen(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(api.Close)
	for locale, mark := range map[string]string{"C.UTF-8": "✗", "C": "FAIL"} {
		w := newWorld(t, devserver.Config{})
		w.getenv["LANG"] = locale
		code := w.run("doctor", api.URL)
		text := w.stdout.String()
		for _, want := range []string{
			mark + " challenge", "401 without WWW-Authenticate", "id         CHALLENGE_MISSING", "request    GET " + api.URL, "owner      the API's owner",
			"rule       RFC 9110, section 11.6.1", "resource_metadata=", "reproduce  curl -si " + api.URL + "\n", "first: CHALLENGE_MISSING",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("LANG=%s lacks %q:\n%s", locale, want, text)
			}
		}
		if code != 7 {
			t.Errorf("exit code %d", code)
		}
		for line := range strings.SplitSeq(text, "\n") {
			if utf8.RuneCountInString(line) > 79 || locale == "C" && strings.ContainsFunc(line, func(r rune) bool { return r > 127 }) {
				t.Errorf("LANG=%s: %q", locale, line)
			}
		}
		if strings.Contains(text, "\x1b") {
			t.Errorf("colour without a terminal: %q", text)
		}
	}
}

// Without a URL every profile is examined. A mistake in the configuration is a fault too.
func TestDoctorProfiles(t *testing.T) {
	schema := compiledSchema(t, "../docs/reference/doctor.schema.json")
	w := newWorld(t, devserver.Config{})
	for name, tt := range map[string]struct {
		code  int
		setup [][]string
		args  []string
		want  string
	}{
		"none":         {0, nil, nil, `"machine"`},
		"two":          {6, [][]string{{"profile", "set", "-p", "a", "api=" + w.api}, {"profile", "set", "-p", "b", "api=http://127.0.0.1:1"}}, nil, `"profiles"`},
		"one of two":   {0, [][]string{{"profile", "set", "-p", "a", "api=" + w.api}, {"profile", "set", "-p", "b", "api=http://127.0.0.1:1"}}, []string{"-p", "a"}, `"profile": "a"`},
		"no such":      {2, nil, []string{"-p", "nope"}, "unknown profile"},
		"not a URL":    {2, nil, []string{"ftp://x"}, "not a URL"},
		"CA file":      {2, nil, []string{w.api, "--ca-cert", "missing.pem"}, "CONFIG_INVALID"},
		"short form":   {0, nil, []string{strings.TrimPrefix(w.api, "http://")}, `"kind": "api"`},
		"proxy":        {2, nil, []string{w.api}, "PROXY_INVALID"},
		"state is bad": {8, nil, []string{w.api}, "STORE_"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, devserver.Config{})
			switch name {
			case "proxy":
				w.getenv["HTTPS_PROXY"] = "gopher://x"
			case "state is bad":
				if err := os.WriteFile(filepath.Join(w.home, "state"), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for _, setup := range tt.setup {
				w.mustRun(setup...)
			}
			if code := w.run(append([]string{"doctor", "--json"}, tt.args...)...); code != tt.code || !strings.Contains(w.stdout.String(), tt.want) {
				t.Errorf("exit code %d, want %d and %q\n%s%s", code, tt.code, tt.want, &w.stdout, &w.stderr)
			}
			validate(t, schema, w.stdout.Bytes())
		})
	}
}

// jwks show finds the same faults as rung 13.
func TestJWKSShowStrict(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	key := filepath.Join(t.TempDir(), "private.jwk")
	w.mustRun("jwks", "generate", "--alg", "ES256", "--private-out", key)
	for _, tt := range []struct {
		code int
		args []string
		want string
	}{
		{0, []string{w.issuer, "--strict"}, "✓"},
		{0, []string{key}, "must not be published"},
		{7, []string{key, "--strict"}, "must not be published"},
		{7, []string{key, "--strict", "--json"}, `"exposed"`},
	} {
		if code := w.run(append([]string{"jwks", "show"}, tt.args...)...); code != tt.code || !strings.Contains(w.stdout.String(), tt.want) {
			t.Errorf("%s: exit code %d, want %d\n%s%s", tt.args, code, tt.code, &w.stdout, &w.stderr)
		}
	}
}

func (w *world) mustRun(args ...string) {
	w.t.Helper()
	if code := w.run(args...); code != 0 {
		w.t.Fatalf("%s: %d %s", strings.Join(args, " "), code, &w.stderr)
	}
}

// The command that reproduces a fault sends the request that showed the fault.
func TestDoctorReproduces(t *testing.T) {
	need(t, "curl", missingProgram("curl"))
	open := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodGet {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":1,"result":{"origin":"` + r.Header.Get("Origin") + `"}}`))
	}))
	t.Cleanup(open.Close)
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	t.Cleanup(bare.Close)
	for name, tt := range map[string]struct {
		args []string
		id   string
		want string
	}{
		"challenge": {[]string{bare.URL}, "CHALLENGE_MISSING", "401 Unauthorized"},
		"origin":    {[]string{open.URL + "/mcp"}, "ORIGIN_ACCEPTED", `"origin":"https://attacker.example"`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, devserver.Config{})
			w.run(append([]string{"doctor", "--jq", `.rungs[] | select(.id == "` + tt.id + `") | .reproduce`}, tt.args...)...)
			command := strings.Trim(strings.TrimSpace(w.stdout.String()), `"`)
			command = strings.ReplaceAll(command, `\"`, `"`)
			output, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", command).CombinedOutput()
			if err != nil || !strings.Contains(string(output), tt.want) {
				t.Errorf("%s: %v, want %q\n%s", command, err, tt.want, output)
			}
		})
	}
}
