package cmd

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/profile"
)

// knowCommandLine lists the packages whose hints still have commands. Do not add to it.
func knowCommandLine() []string {
	return []string{"pkg/devserver"}
}

// commandLine matches a command of oauthctl or a flag in a text.
var commandLine = regexp.MustCompile(`\boauthctl [a-z]|(^|[\s` + "`" + `(])--[a-z]`)

// commandTexts returns the string literals of a file that mention the command line.
func commandTexts(file *ast.File) []string {
	var found []string
	ast.Inspect(file, func(n ast.Node) bool {
		if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING && commandLine.MatchString(strings.Trim(l.Value, "\"`")) {
			found = append(found, l.Value)
		}
		return true
	})
	return found
}

func TestHouseLibraryKnowsNoCommandLine(t *testing.T) {
	err := filepath.WalkDir("../pkg", func(path string, d fs.DirEntry, err error) error {
		if d.IsDir() && (d.Name() == "benchmark" || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, exempt := range knowCommandLine() {
			if strings.HasPrefix(filepath.ToSlash(path), "../"+exempt+"/") {
				return nil
			}
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		for _, text := range commandTexts(file) {
			t.Errorf("%s: hints with commands are rows of cmd/hints.go: %s", path, text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestHouseLibraryKnowsNoCommandLineIsHeld(t *testing.T) {
	const source = "package p\nvar a = []string{\"run oauthctl login\", `use --jwks`, \"--key\", \"try `--alg`\", \"oauthctl\", \"a -- b\", \"<!-- x -->\", \"oauthctl/1\"}"
	file, err := parser.ParseFile(token.NewFileSet(), "p.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`"run oauthctl login"`, "`use --jwks`", `"--key"`, "\"try `--alg`\""}
	if diff := cmp.Diff(want, commandTexts(file)); diff != "" {
		t.Errorf("commandTexts (-want +got):\n%s", diff)
	}
}

func TestHints(t *testing.T) {
	evil := "roles$(id)"
	notSigned, _ := diagnosis.Lookup(diagnosis.AlgNone)
	tests := map[string]struct {
		global globalFlags
		d      *diagnosis.Diagnosis
		want   string
	}{
		"the scopes that are missing": {globalFlags{}, &diagnosis.Diagnosis{ID: diagnosis.ScopeMissing, Expected: diagnosis.Values{"read write"}}, "oauthctl login --add-scope read --add-scope write"},
		"one of several scopes":       {globalFlags{}, &diagnosis.Diagnosis{ID: diagnosis.ScopeMissing, Expected: diagnosis.Values{"read", "write"}}, "oauthctl login --add-scope read"},
		"no scope known":              {globalFlags{}, &diagnosis.Diagnosis{ID: diagnosis.ScopeMissing}, "oauthctl login --add-scope SCOPE"},
		"the profile of this run":     {globalFlags{profile: "my staging", config: "c.yaml"}, &diagnosis.Diagnosis{ID: diagnosis.LoginRequired}, "oauthctl login -p 'my staging' --config c.yaml"},
		"no command helps":            {globalFlags{}, &diagnosis.Diagnosis{ID: diagnosis.AlgNone}, notSigned.Fix},
		"a claim's name is quoted": {
			globalFlags{},
			&diagnosis.Diagnosis{ID: diagnosis.ScopeClaimName, Got: diagnosis.Values{evil}},
			"if that claim is meant: --scope-claim 'roles$(id)', or in the policy scope_claims: [\"roles$(id)\"]",
		},
		"details are quoted once": {
			globalFlags{},
			&diagnosis.Diagnosis{ID: diagnosis.DetailsMissing, Expected: diagnosis.Values{`{"type":"payment"}`}},
			`oauthctl login --param 'authorization_details=[{"type":"payment"}]'`,
		},
		"a file that others can write": {
			globalFlags{},
			&diagnosis.Diagnosis{ID: diagnosis.ConfigInsecure, Got: diagnosis.Values{"/etc/a b", "mode 0666"}},
			"chmod go-w '/etc/a b'",
		},
		"a file of another user": {
			globalFlags{},
			&diagnosis.Diagnosis{ID: diagnosis.ConfigInsecure, Got: diagnosis.Values{"/etc/a b"}, Err: profile.ErrOtherOwner},
			"make a copy of your own and use it: the owner of '/etc/a b' can change it at any time",
		},
		"an issuer is quoted": {
			globalFlags{},
			&diagnosis.Diagnosis{ID: diagnosis.TrustUnknown, Got: diagnosis.Values{"https://x/'; id"}},
			`if you trust the issuer that the token claims: oauthctl verify --issuer 'https://x/'\''; id'`,
		},
	}
	for name, tt := range tests {
		if got, _ := (&Env{global: tt.global, Getenv: func(string) string { return "" }}).hintFor(tt.d); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// explain shows a hint that is a command as it is typed.
func TestHintIsASentenceOrACommand(t *testing.T) {
	for hint, want := range map[string]string{
		"oauthctl login":     "oauthctl login",
		"chmod go-w FILE":    "chmod go-w FILE",
		"try again later":    "Try again later",
		"`oauthctl call` is": "`oauthctl call` is",
	} {
		if got := sentence(hint); got != want {
			t.Errorf("%q: %q, want %q", hint, got, want)
		}
	}
}

// A hint has only commands and flags that exist.
func TestHintsHaveOnlyExistingCommands(t *testing.T) {
	root := newRoot(&Env{}, nil)
	flag := regexp.MustCompile(`--([a-z][a-z0-9-]*)`)
	command := regexp.MustCompile("oauthctl ([a-z]+( show)?)")
	for _, e := range diagnosis.All() {
		hint := commandHint(hintContext{Diagnosis: &diagnosis.Diagnosis{ID: e.ID}})
		for _, m := range command.FindAllStringSubmatch(hint, -1) {
			if found, _, err := root.Find(strings.Fields(m[1])); err != nil || found == root {
				t.Errorf("%s: there is no command %q", e.ID, m[1])
			}
		}
		for _, m := range flag.FindAllStringSubmatch(hint, -1) {
			there := root.PersistentFlags().Lookup(m[1]) != nil
			for _, c := range root.Commands() {
				there = there || c.Flags().Lookup(m[1]) != nil
			}
			if !there {
				t.Errorf("%s: there is no flag --%s", e.ID, m[1])
			}
		}
	}
}
