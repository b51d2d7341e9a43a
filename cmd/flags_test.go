package cmd

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// runOffline runs a command line that needs no server.
func runOffline(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	dir := t.TempDir()
	env := &Env{
		Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errOut, Getenv: func(string) string { return "" }, Now: time.Now,
		ConfigDir: dir, StateDir: dir, IsTerminal: func(any) bool { return false },
	}
	code = Run(t.Context(), env, args)
	return code, out.String(), errOut.String()
}

// Each flag that takes a value refuses an empty one and the name of a flag, and a flag that can have only one value
// refuses a second one.
func TestFlagsAreNeitherEmptyNorTwice(t *testing.T) {
	root := newRoot(&Env{}, nil)
	var commands []*cobra.Command
	var collect func(*cobra.Command)
	collect = func(c *cobra.Command) {
		commands = append(commands, c)
		for _, below := range c.Commands() {
			collect(below)
		}
	}
	collect(root)
	flags := 0
	for _, c := range commands {
		words := strings.Fields(c.CommandPath())[1:]
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Value.Type() == "bool" || f.Name == "help" {
				return
			}
			flags++
			strict, ok := f.Value.(*strictValue)
			if !ok {
				t.Errorf("%s --%s is not strict", c.CommandPath(), f.Name)
				return
			}
			for _, empty := range []string{"", " ", "\t"} {
				if err := strict.Set(empty); !strict.mayBeEmpty && err != errFlagEmpty {
					t.Errorf("%s --%s=%q: %v", c.CommandPath(), f.Name, empty, err)
				}
			}
			if err := strict.Set("--" + f.Name); err != errFlagNext {
				t.Errorf("%s --%s --%s: %v", c.CommandPath(), f.Name, f.Name, err)
			}
			for _, control := range []string{"--", "-" + f.Name, "--no-flag", "---" + f.Name} {
				if err := strict.Set(control); err == errFlagNext {
					t.Errorf("%s --%s %s: %v", c.CommandPath(), f.Name, control, err)
				}
			}
			if len(words) == 0 || strict.mayBeEmpty {
				return
			}
			if f.Name == "issuer" || f.Name == "scope" || f.Name == "policy" { // a sample through the whole command
				code, _, stderr := runOffline(t, "", append(words, "--"+f.Name+"=")...)
				if code != 2 || !strings.Contains(stderr, "--"+f.Name+" is empty") {
					t.Errorf("%s --%s=: exit %d %s", c.CommandPath(), f.Name, code, stderr)
				}
			}
		})
	}
	if flags < 60 {
		t.Errorf("only %d flags", flags)
	}
}

// An unset variable without quotes makes the next flag a value.
func TestNextFlagIsNoValue(t *testing.T) {
	for _, args := range [][]string{
		{"login", "https://auth.example", "--scope", "--audience", "y"},
		{"verify", "x.y.z", "--issuer", "--audience", "y"},
		{"call", "GET", "/x", "-d", "--json"},
		{"sign", "--key", "--claim", "sub=y"},
	} {
		code, _, stderr := runOffline(t, "", args...)
		if code != 2 || !strings.Contains(stderr, " needs a value, got --") {
			t.Errorf("%v: exit %d %s", args, code, stderr)
		}
	}
}

func TestFlagsGivenTwice(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"policy":    {[]string{"check", "x", "--policy", "a", "--policy", "b"}, "--policy was given twice"},
		"jwks":      {[]string{"verify", "x", "--jwks", "a", "--jwks", "b"}, "--jwks was given twice"},
		"at":        {[]string{"verify", "x", "--at", "1", "--at", "2"}, "--at was given twice"},
		"leeway":    {[]string{"verify", "x", "--leeway", "1s", "--leeway", "2s"}, "--leeway was given twice"},
		"timeout":   {[]string{"verify", "x", "--timeout", "1s", "--timeout", "2s"}, "--timeout was given twice"},
		"after":     {[]string{"verify", "x", "--issuer", "", "--json"}, "--issuer is empty"},
		"the token": {[]string{"verify", "x", "--batch=b"}, "--batch cannot be combined"},
		"a space":   {[]string{"verify", "--jwks", "k.json", "--batch", "tokens.txt"}, "--batch cannot be combined"},
		"two keys":  {[]string{"verify", "x", "--jwks", "a", "--key", "b"}, "--jwks and --key cannot be combined"},
		"three":     {[]string{"verify", "x", "--jwks", "a", "--key", "b", "--secret-file", "c"}, "--jwks and --key and --secret-file cannot"},
		"case":      {[]string{"verify", "x", "--alg", "rs256"}, "did you mean RS256?"},
		"a list":    {[]string{"verify", "x", "--alg", "RS256,ES256"}, "repeat the flag"},
		"unknown":   {[]string{"verify", "x", "--alg", "HS1024"}, "--alg: expected one of"},
		"negative":  {[]string{"verify", "x", "--leeway", "-1m"}, "--leeway: expected"},
		"kind":      {[]string{"verify", "x", "--accept", "idtoken"}, "--accept: expected id_token"},
		"time":      {[]string{"verify", "x", "--at", "soon"}, "--at: expected"},
		"metadata":  {[]string{"verify", "x", "--issuer", "https://as.example/.well-known/openid-configuration"}, "probably https://as.example"},
		"RFC 8414":  {[]string{"verify", "x", "--issuer", "https://as.example/.well-known/oauth-authorization-server/t"}, "probably https://as.example/t"},
		"same":      {[]string{"verify", "x", "--issuer", "https://a.example", "--issuer", "https://a.example"}, "duplicate issuer"},
	} {
		code, stdout, stderr := runOffline(t, "", tt.args...)
		if code != 2 || !strings.Contains(stderr+stdout, tt.want) {
			t.Errorf("%s: exit %d %s%s, want %s", name, code, stdout, stderr, tt.want)
		}
	}
	// Positive controls: a repeatable flag, and a switch.
	if code, stdout, stderr := runOffline(t, "", "verify", "abc", "--audience", "a", "--audience", "b", "--json", "--json", "--issuer", "https://a.example", "--issuer", "https://b.example"); code != 3 || !strings.Contains(stdout, "OPAQUE_TOKEN") {
		t.Errorf("exit %d %s", code, stderr)
	}
}

// A batch without tokens is an error.
func TestBatchWithoutTokens(t *testing.T) {
	for _, stdin := range []string{"", "\n", " \n\t\n\r\n"} {
		code, _, stderr := runOffline(t, stdin, "verify", "--batch", "--issuer", "https://as.example")
		if code != 2 || !strings.Contains(stderr, "holds no tokens") {
			t.Errorf("%q: exit %d %s", stdin, code, stderr)
		}
	}
	if code, stdout, _ := runOffline(t, "abc\n\nv2.local.x\n", "verify", "--batch", "--issuer", "https://as.example"); code != 3 || stdout != "OPAQUE_TOKEN\nTOKEN_MISSING\nFORMAT_UNSUPPORTED\n" {
		t.Errorf("exit %d %s", code, stdout)
	}
}

// An empty --typ makes sign omit the header; for other commands it is refused.
func TestSignWithoutTyp(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("secret 7", 5)), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := runOffline(t, "", "sign", "--secret-file", secret, "--typ", "")
	if code != 0 {
		t.Fatal(code, stderr)
	}
	if _, header, _ := runOffline(t, stdout, "decode", "-", "--jq", ".header"); strings.Contains(header, "typ") {
		t.Error(header)
	}
	if code, _, stderr := runOffline(t, stdout, "verify", "-", "--typ", ""); code != 2 {
		t.Error(code, stderr)
	}
}

// Input that is too long is refused, from a file and from standard input.
func TestInputTooLong(t *testing.T) {
	long := strings.Repeat("a", maxSecretFile+1)
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(long), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{file, "-"} {
		if code, _, stderr := runOffline(t, long, "sign", "--secret-file", from); code != 2 || !strings.Contains(stderr, "is larger than 65536 bytes") {
			t.Errorf("%s: %d %s", from, code, stderr)
		}
	}
}

// A secret from standard input is used for every issuer.
func TestSecretOfSeveralIssuers(t *testing.T) {
	dir, secret := t.TempDir(), strings.Repeat("secret 7", 5)
	for _, issuer := range []string{"https://a.example", "https://b.example"} {
		code, raw, stderr := runOffline(t, secret, "sign", "--secret-file", "-", "--claim", "iss="+issuer)
		if code != 0 {
			t.Fatal(code, stderr)
		}
		file := filepath.Join(dir, "token")
		if err := os.WriteFile(file, []byte(raw), 0o600); err != nil {
			t.Fatal(err)
		}
		code, stdout, stderr := runOffline(t, secret, "verify", "@"+file, "--secret-file", "-", "--issuer", "https://a.example", "--issuer", "https://b.example")
		if code != 0 {
			t.Errorf("%s: %d %s%s", issuer, code, stdout, stderr)
		}
	}
}
