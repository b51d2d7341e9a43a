package cmd

//go:generate go test -run ^TestGenerated$ -update

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/profile"
)

var (
	update = flag.Bool("update", false, "write the generated files instead of comparing them")
	manual = flag.String("man", "", "write the manual pages to this folder, for packages")
)

// TestManual makes the manual pages, one a command; packages have them, the
// repository does not.
func TestManual(t *testing.T) {
	dir := *manual
	if dir == "" {
		dir = t.TempDir()
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	env := &Env{Stdout: new(bytes.Buffer), Stderr: new(bytes.Buffer), Stdin: strings.NewReader(""), Getenv: func(string) string { return "" }, Now: time.Now}
	root := newRoot(env, nil)
	root.InitDefaultHelpCmd()
	// A fixed date, so that the same commit makes the same pages.
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := doc.GenManTree(root, &doc.GenManHeader{Title: "OAUTHCTL", Section: "1", Source: "oauthctl", Manual: "oauthctl", Date: &day}, dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"oauthctl.1", "oauthctl-login.1", "oauthctl-jwks-generate.1"} {
		page, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Contains(page, []byte(".SH SYNOPSIS")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestGenerated holds the committed files to what the code would generate now:
// the command reference, the tables and the completion scripts.
func TestGenerated(t *testing.T) {
	want := generated(t)
	if *update {
		for _, old := range generatedOnDisk(t) {
			if _, ok := want[old]; !ok {
				if err := os.Remove(filepath.Join("..", old)); err != nil {
					t.Fatal(err)
				}
			}
		}
		for name, text := range want {
			path := filepath.Join("..", name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Errorf("%v; run go generate ./...", err)
			continue
		}
		if diff := gocmp.Diff(want[name], string(got)); diff != "" {
			t.Errorf("%s is stale; run go generate ./... (-want +got):\n%s", name, diff)
		}
	}
	for _, name := range generatedOnDisk(t) {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is left over from a command that is gone; run go generate ./...", name)
		}
	}
}

// generatedOnDisk lists what stands where only generated files stand.
func generatedOnDisk(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, dir := range []string{"docs/reference", "completions"} {
		err := filepath.WalkDir(filepath.Join("..", dir), func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && filepath.Ext(path) != ".json" {
				names = append(names, filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator))))
			}
			return err
		})
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	return names
}

func generated(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{
		"docs/exit-codes.md": exitCodesPage(),
		"docs/diagnosis.md":  diagnosisPage(),
		"docs/demo.svg":      demoPicture(t),
		"docs/verify.svg":    verifyPicture(t),

		"docs/reference/settings.md": settingsPage(),
	}
	env := &Env{Stdout: new(bytes.Buffer), Stderr: new(bytes.Buffer), Stdin: strings.NewReader(""), Getenv: func(string) string { return "" }, Now: time.Now}
	root := newRoot(env, nil)
	root.InitDefaultHelpCmd()
	addReference(t, files, root)
	for shell, ending := range map[string]string{"bash": "bash", "zsh": "zsh", "fish": "fish", "powershell": "ps1"} {
		out := new(bytes.Buffer)
		env.Stdout = out
		if err := runCompletion(env, root, shell); err != nil {
			t.Fatal(err)
		}
		files["completions/oauthctl."+ending] = out.String()
	}
	return files
}

func addReference(t *testing.T, files map[string]string, cmd *cobra.Command) {
	t.Helper()
	if cmd.IsAdditionalHelpTopicCommand() || cmd.Name() == "help" {
		return
	}
	cmd.DisableAutoGenTag = true
	var out bytes.Buffer
	if err := doc.GenMarkdown(cmd, &out); err != nil {
		t.Fatal(err)
	}
	files["docs/reference/"+strings.ReplaceAll(cmd.CommandPath(), " ", "_")+".md"] = out.String()
	for _, sub := range cmd.Commands() {
		addReference(t, files, sub)
	}
}

func exitCodesPage() string {
	var b strings.Builder
	b.WriteString("# Exit codes\n\nEvery command ends with one of these; `oauthctl help exit-codes` prints the same table.\n\n")
	b.WriteString("| code | means | a script should |\n| ---: | --- | --- |\n")
	for _, e := range exitCodes() {
		fmt.Fprintf(&b, "| %d | %s | %s |\n", e.code, e.means, e.advice)
	}
	return b.String()
}

// settingsPage is the table of what a profile holds.
func settingsPage() string {
	var b strings.Builder
	b.WriteString("# Profile settings\n\nEvery setting of a [profile](../profiles.md), with the variable that overrides it. `oauthctl profile set KEY=VALUE` changes a setting; " +
		"`oauthctl help environment` prints the variables.\n\n| key | variable | value |\n| --- | --- | --- |\n")
	for _, s := range profile.Settings() {
		fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", s.Key, s.Key.Variable(), s.Help)
	}
	b.WriteString("\nThe value of `client_secret`, `client_assertion` and `assertion` in a profile says where the secret is. The variable `" + profile.ClientSecret.Variable() + "` holds the client's secret itself.\n")
	return b.String()
}

// diagnosisPage is the catalogue: an index in the order of the ids, then an entry
// for each in the order of the catalogue.
func diagnosisPage() string {
	var b strings.Builder
	b.WriteString("# Diagnoses\n\nLook up an id here to learn what it means and what to change. Commands print the id of each error, and the " +
		"middleware answers with it; ids never change. `oauthctl explain ID` prints the same text.\n\n" +
		"## Index\n\n| id | summary | exit code |\n| --- | --- | ---: |\n")
	byID := diagnosis.All()
	slices.SortFunc(byID, func(a, b diagnosis.Entry) int { return cmp.Compare(a.ID, b.ID) })
	for _, e := range byID {
		code := "warning"
		if e.Kind != diagnosis.Advice {
			code = fmt.Sprint(e.Kind.ExitCode())
		}
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s |\n", e.ID, strings.ToLower(string(e.ID)), e.Summary, code)
	}
	for _, e := range diagnosis.All() {
		fmt.Fprintf(&b, "\n## %s\n\n%s. %s.\n\n%s\n\n**What to do:** %s\n", e.ID, capital(e.Summary), capital(ending(e.Kind)), e.Meaning, e.Fix)
		if hint := commandHint(hintContext{Diagnosis: &diagnosis.Diagnosis{ID: e.ID}}); hint != "" {
			fmt.Fprintf(&b, "\n**With oauthctl:** %s\n", hint)
		}
	}
	return b.String()
}
