package cmd

//go:generate go test -run ^TestGenerated$ -update

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/profile"
)

var (
	update = flag.Bool("update", false, "write the generated files instead of comparing them")
	manual = flag.String("man", "", "write the manual pages to this folder, for packages; $SOURCE_DATE_EPOCH or the commit has their date")
)

// TestGenerated compares the committed files with those that the code generates: the command reference, the tables and
// the completion scripts.
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

// generatedOnDisk returns the files in the folders that have only generated files.
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
		"README.md":          withExitCodes(t, "README.md"),
		"docs/exit-codes.md": exitCodesPage(),
		"docs/diagnosis.md":  diagnosisPage(),
		"docs/demo.svg":      demoPicture(t),
		"docs/verify.svg":    verifyPicture(t),

		"docs/reference/settings.md": settingsPage(),
	}
	root := testRoot()
	everyCommand(root, func(cmd *cobra.Command) { addReference(files, cmd) })
	files["docs/reference/oauthctl.md"] = rootReference()
	for shell, ending := range map[string]string{"bash": "bash", "zsh": "zsh", "fish": "fish", "powershell": "ps1"} {
		out := new(bytes.Buffer)
		if err := runCompletion(&Env{Stdout: out}, root, shell); err != nil {
			t.Fatal(err)
		}
		files["completions/oauthctl."+ending] = out.String()
	}
	return files
}

// addReference adds the page of a command.
func addReference(files map[string]string, cmd *cobra.Command) {
	page := pageOf(cmd)
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n", page.path)
	for _, p := range strings.Split(page.long, "\n\n") {
		if strings.HasPrefix(p, " ") {
			p = fenced("text", p)
		} else {
			p = strings.ReplaceAll(strings.ReplaceAll(p, "<", "&lt;"), "*", "\\*")
		}
		b.WriteString(p + "\n\n")
	}
	b.WriteString(fenced("text", strings.Join(page.usage, "\n")) + "\n")
	section := func(title, text string) { fmt.Fprintf(&b, "\n## %s\n\n%s\n", title, text) }
	section("Examples", fenced("sh", outdented(page.examples)))
	if len(page.commands) > 0 {
		var rows []string
		for _, below := range cmd.Commands() {
			rows = append(rows, fmt.Sprintf("- [%s](%s): %s", below.CommandPath(), referenceName(below), below.Short))
		}
		section("Commands", strings.Join(rows, "\n"))
	}
	for _, group := range page.groups {
		section(group.title, fenced("text", rowsText(group.rows, helpWidth)))
	}
	b.WriteString("\nThe flags that every command accepts are on the page of [oauthctl](oauthctl.md).\n")
	files["docs/reference/"+referenceName(cmd)] = b.String()
}

func referenceName(cmd *cobra.Command) string {
	return strings.ReplaceAll(cmd.CommandPath(), " ", "_") + ".md"
}

// rootReference returns the page that lists the commands.
func rootReference() string {
	root := testRoot()
	var b strings.Builder
	fmt.Fprintf(&b, "# oauthctl\n\n%s\n", longRoot)
	for _, group := range commandGroups() {
		fmt.Fprintf(&b, "\n## %s\n\n", group.title)
		for _, cmd := range root.Commands() {
			if cmd.GroupID == group.id {
				fmt.Fprintf(&b, "- [%s](%s): %s\n", cmd.Name(), referenceName(cmd), cmd.Short)
			}
		}
	}
	for _, t := range topics(&Env{Stdout: io.Discard, Getenv: func(string) string { return "" }}) {
		if t.name == "flags" || t.name == "environment" || t.name == "files" {
			heading, text, _ := strings.Cut(t.text(helpWidth), "\n\n")
			fmt.Fprintf(&b, "\n## %s\n\n%s\n\n%s\n", capital(t.name), heading, fenced("text", text))
		}
	}
	b.WriteString("\n[Exit codes](../exit-codes.md), [diagnoses](../diagnosis.md)\n")
	return b.String()
}

func fenced(kind, text string) string { return "```" + kind + "\n" + text + "\n```" }

// outdented returns text without the two spaces at the beginning of each line.
func outdented(text string) string {
	return strings.ReplaceAll(strings.TrimPrefix(text, "  "), "\n  ", "\n")
}

func exitCodesPage() string {
	var b strings.Builder
	b.WriteString("# Exit codes\n\nEvery command ends with one of these; `oauthctl help exit-codes` prints the same table.\n\n")
	b.WriteString("| code | means | a script should |\n| ---: | --- | --- |\n")
	for _, e := range exitCodes() {
		fmt.Fprintf(&b, "| %d | %s | %s |\n", e.code, e.text(), e.advice)
	}
	return b.String()
}

// withExitCodes returns a hand-written page with its table of exit codes replaced by that of the code, without details.
// It omits the codes of exec and of signals.
func withExitCodes(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", page))
	if err != nil {
		t.Fatal(err)
	}
	const head = "| exit code | means |\n| ---: | --- |\n"
	before, rest, found := strings.Cut(string(text), head)
	_, after, ends := strings.Cut(rest, "\n\n")
	if !found || !ends {
		t.Fatalf("%s has no table of exit codes", page)
	}
	var b strings.Builder
	for _, e := range exitCodes() {
		if e.code <= exitAPI {
			fmt.Fprintf(&b, "| %d | %s |\n", e.code, e.means)
		}
	}
	return before + head + b.String() + "\n" + after
}

// settingsPage returns the table of the settings of a profile.
func settingsPage() string {
	var b strings.Builder
	b.WriteString("# Profile settings\n\nEvery setting of a [profile](../profiles.md), with the variable that overrides it. `oauthctl profile set KEY=VALUE` changes a setting; " +
		"`oauthctl help environment` prints the variables.\n\n| key | variable | value |\n| --- | --- | --- |\n")
	for _, s := range profile.Settings() {
		fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", s.Key, s.Key.Variable(), s.Help())
	}
	b.WriteString("\nThe value of `client_secret`, `client_assertion` and `assertion` in a profile says where the secret is. The variable `" + profile.ClientSecret.Variable() + "` holds the client's secret itself.\n")
	return b.String()
}

// diagnosisPage returns the catalogue: an index in the order of the ids, then an entry for each in the order of the
// catalogue.
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
			code = fmt.Sprint(exitCodeOf(e.Kind))
		}
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s |\n", e.ID, strings.ToLower(string(e.ID)), e.Summary, code)
	}
	for _, e := range diagnosis.All() {
		fmt.Fprintf(&b, "\n## %s\n\n%s. %s.\n\n%s\n\n**What to do:** %s\n", e.ID, capital(e.Summary), capital(exitText(e.Kind)), e.Meaning, e.Fix)
		if hint := commandHint(hintContext{Diagnosis: &diagnosis.Diagnosis{ID: e.ID}}); hint != "" {
			fmt.Fprintf(&b, "\n**With oauthctl:** %s\n", hint)
		}
	}
	return b.String()
}
