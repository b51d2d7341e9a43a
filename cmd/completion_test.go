package cmd

import (
	"bytes"
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// completed returns what the shell offers after a command line, with the descriptions.
func completed(t *testing.T, line ...string) []string {
	t.Helper()
	stdout, stderr, code := runHelp(t, append([]string{"__complete"}, line...)...)
	if code != 0 {
		t.Fatalf("%q: %d %s", line, code, stderr)
	}
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	return lines[:len(lines)-1] // the last is a directive to the shell
}

// The descriptions of flags are complete, on one line, and without back quotes.
func TestCompletionDescribesFlags(t *testing.T) {
	seen := 0
	everyCommand(testRoot(), func(cmd *cobra.Command) {
		path := strings.Fields(cmd.CommandPath())[1:]
		want := map[string]string{}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) { want["--"+f.Name] = flagText(f) })
		for _, line := range completed(t, append(path, "--")...) {
			name, text, ok := strings.Cut(line, "\t")
			if !ok || strings.Contains(text, "`") {
				t.Errorf("%s %s: %q", cmd.CommandPath(), name, text)
			}
			if whole := want[strings.TrimSuffix(name, "=")]; whole != "" && name != "--help" && text != whole {
				t.Errorf("%s %s: %q, want %q", cmd.CommandPath(), name, text, whole)
			}
			seen++
		}
	})
	if seen < 200 {
		t.Errorf("%d flags", seen)
	}
}

// The shell offers each command once.
func TestCompletionOffersOnce(t *testing.T) {
	for _, line := range [][]string{{""}, {"help", ""}, {"hel"}, {"jwks", ""}} {
		seen := map[string]bool{}
		for _, offer := range completed(t, line...) {
			name, _, _ := strings.Cut(offer, "\t")
			if seen[name] {
				t.Errorf("%q: %s is offered twice", line, name)
			}
			seen[name] = true
		}
		if len(seen) == 0 {
			t.Errorf("%q: nothing is offered", line)
		}
	}
}

// tried runs a command line in a context that has ended, so that nothing is sent or served, and returns its message.
func tried(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	env := &Env{
		Stdout: &out, Stderr: &errs, Stdin: strings.NewReader("secret-of-more-than-32-characters!"), ConfigDir: dir, StateDir: dir,
		Getenv: func(string) string { return "" }, Now: time.Now, IsTerminal: func(any) bool { return false },
	}
	if code := Run(ctx, env, args); code != exitUsage {
		return ""
	}
	return errs.String()
}

// The command accepts each value that the shell offers for a flag. It refuses an unknown value, which shows that it
// checks them. Algorithms have their own test.
func TestOfferedValuesAreAccepted(t *testing.T) {
	dir := t.TempDir()
	policy, secret := filepath.Join(dir, "policy.yaml"), filepath.Join(dir, "secret")
	private, public := filepath.Join(dir, "key.json"), filepath.Join(dir, "keys.json")
	keys, stderr, code := runHelp(t, "jwks", "generate", "--private-out", private)
	if code != 0 {
		t.Fatal(stderr)
	}
	rsa := filepath.Join(dir, "rsa.pem")
	if _, stderr, code := runHelp(t, "jwks", "generate", "--alg", "PS256", "--private-out", rsa); code != 0 {
		t.Fatal(stderr)
	}
	for path, content := range map[string]string{
		policy: "issuer: http://127.0.0.1:1\naudience: http://127.0.0.1:2\nroutes:\n  \"GET /x\": {public: true}\n",
		secret: "secret-of-more-than-32-characters!", public: keys,
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The other arguments that a command needs before it checks the flag.
	base := map[string][]string{
		"login":  {"http://127.0.0.1:1", "--client-id", "a"},
		"verify": {"x.y.z", "--jwks", public, "--issuer", "http://127.0.0.1:1"}, "check": {"x.y.z", "--jwks", public, "--issuer", "http://127.0.0.1:1", "--scope", "a"},
		"dev": {"--mint", "good", "--seed", "1"}, "jwks convert": {public},
		"audit": {"http://127.0.0.1:1", "--operation", "GET /x"}, "guard": {"--policy", policy, "--listen", "127.0.0.1:0"},
	}
	// The other arguments that one value needs.
	more := map[string][]string{
		"login grant-type jwt-bearer": {"--assertion", "ci:github"}, "login grant-type token-exchange": {"--subject-token", "ci:github"},
		"guard log": {"--upstream", "http://127.0.0.1:1"}, "guard introspect": {"--upstream", "http://127.0.0.1:1", "--introspect-client-id", "a", "--introspect-secret-file", secret},
		"login subject-token-type": {"--grant-type", "token-exchange", "--subject-token", "ci:github"}, "exchange grant-type jwt-bearer": {"--assertion", "a.b.c"},
		"login store": {"--browser"}, "login provider": {"--browser"},
		"guard forward-auth": {"--trusted-proxy", "127.0.0.1"},
	}
	for _, command := range []string{"login", "exchange", "introspect"} {
		for _, method := range []string{"client_secret_basic", "client_secret_post", "client_secret_jwt"} {
			more[command+" auth-method "+method] = []string{"--client-secret-file", secret}
		}
		more[command+" auth-method private_key_jwt"] = []string{"--signing-key", private}
	}
	// What is offered depends on the key.
	ways := map[string][][]string{"sign": {{"--key", private}, {"--key", rsa}, {"--secret-file", secret}, {"--secret-file", "-"}}}
	// Flags that accept any value, or whose value is checked only after a server has responded.
	free := []string{"login prompt", "dev auto-approve", "exchange subject-token-type", "exchange actor-token-type", "exchange requested-token-type", "login subject-token-type"}
	table := flagValues()
	tested := map[string]bool{}
	everyCommand(testRoot(), func(cmd *cobra.Command) {
		path := strings.TrimPrefix(cmd.CommandPath(), "oauthctl ")
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			name := path + " " + f.Name
			_, own := table[name]
			_, isChoice := valuesFor(f)
			if _, ok := table[f.Name]; !own && !ok && !isChoice && name != "sign alg" || f.Name == "alg" && path != "audit" && path != "sign" || slices.Contains([]string{"proxy", "help"}, path) {
				return
			}
			for _, way := range append(ways[path], nil)[:max(1, len(ways[path]))] {
				command := append(strings.Fields(path), way...)
				try := func(value string) string {
					args := append(slices.Clone(command), "--"+f.Name+"="+value)
					args = append(args, more[name]...)
					args = append(args, more[name+" "+value]...)
					return tried(t, append(args, base[path]...)...)
				}
				offered := completed(t, append(slices.Clone(command), "--"+f.Name+"=")...)
				if len(offered) == 0 {
					t.Errorf("%s: nothing is offered", name)
				}
				for _, line := range offered {
					value, _, _ := strings.Cut(line, "\t")
					value = strings.TrimPrefix(value, "--"+f.Name+"=")
					if strings.HasSuffix(value, "=") {
						value += map[bool]string{true: "1s", false: "1"}[strings.HasSuffix(value, "-slow=")]
					}
					if message := try(value); strings.Contains(message, "--"+f.Name) || strings.Contains(message, "unknown") {
						t.Errorf("%s %q: %s is offered and refused: %s", name, way, value, message)
					}
				}
				if message := try("xyzzy"); message == "" && !slices.Contains(free, name) {
					t.Errorf("%s: xyzzy is accepted", name)
				}
				tested[name] = true
			}
		})
	})
	if len(tested) < 20 {
		t.Errorf("%d flags: %q", len(tested), slices.Sorted(maps.Keys(tested)))
	}
}

// Known arguments are offered in each place where they are allowed.
func TestCompletionOfArguments(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"token.txt", "tokens.txt", ".hidden"} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir("folder", 0o700); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"verify ":                      "- @",
		"verify @tok":                  "@token.txt @tokens.txt",
		"verify @":                     "@folder" + string(filepath.Separator) + " @token.txt @tokens.txt",
		"verify @token.txt ":           "",
		"exchange --subject-token @to": "@token.txt @tokens.txt",
		"help exit":                    "exit-codes",
		"help jwks sh":                 "show",
		"explain kid_unkn":             "KID_UNKNOWN",
		"explain EXPIRED ":             "",
		"profile set iss":              "issuer=",
		"profile use a ":               "",
		"completion z":                 "zsh",
		"call pa":                      "PATCH",

		"verify --jwks a --issuer b @token.":     "@token.txt",
		"-p work call --timeout 3s --retry 2 pa": "PATCH",
		"verify --issuer  @token.":               "@token.txt",
		"call -H a:b -H c:d pa":                  "PATCH",
	} {
		var names []string
		for _, offered := range completed(t, strings.Split(line, " ")...) {
			name, _, _ := strings.Cut(offered, "\t")
			if words := strings.Split(line, " "); strings.HasPrefix(strings.ToLower(name), words[len(words)-1]) {
				names = append(names, name) // the shell does this too
			}
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	if slices.ContainsFunc(completed(t, "profile", "set", "issuer=x", ""), func(line string) bool { return strings.HasPrefix(line, "issuer=") }) {
		t.Error("a key that was given is offered again")
	}
}
