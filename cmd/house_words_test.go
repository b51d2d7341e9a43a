package cmd_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// houseWords are words and phrases that users should not read, each with plainer words. A test can find these without
// understanding the sentence.
func houseWords() map[string]string {
	return map[string]string{
		"told": "printed, shown, reported", "tells": "shows, reports, says", "beside": "next to, with, in addition to",
		"somebody": "the user, a process, a caller", "anybody": "anyone", "stands twice": "duplicate", "cannot be had": "unavailable, unreachable",
		"by itself": "automatically", "judge": "verify", "judges": "verifies", "judged": "verified", "judging": "verifying", "mend": "fix", "mends": "fixes",
		"lend": "add to requests", "lends": "adds to requests", "kin": "similar", "mint": "create, sign", "mints": "creates, signs", "minted": "created, signed",
		"good once": "single-use", "stays behind": "is not sent", "made out to": "issued for", "passing reason": "transient failure",
		"in place of": "instead of", "in vain": "without success", "as of no use": "as useless", "nobody": "no user, no request", "whoever": "anyone who",
		"held against": "checked against, expected of", "stands on": "depends on, is on", "is away": "cannot be reached", "are away": "cannot be reached",
		"came of": "resulted from", "far end": "server, peer", "goes along": "is sent too", "takes part": "is involved", "vouches": "confirms", "has no say": "is ignored",
		"for ever": "forever, without a limit", "it errs": "it is wrong", "foreign": "another, unknown",
	}
}

var houseWord = sync.OnceValue(func() *regexp.Regexp {
	var words []string
	for word := range houseWords() {
		words = append(words, strings.ReplaceAll(word, " ", `\s+`))
	}
	slices.SortFunc(words, func(a, b string) int { return len(b) - len(a) })
	return regexp.MustCompile(`(?i)(^|[^\w-])(` + strings.Join(words, "|") + `)\b`)
})

// wordsIn returns the house words of a text. Flags and text in back quotes are names, and are ignored.
func wordsIn(text string) []string {
	var found []string
	text = regexp.MustCompile("`[^`]*`").ReplaceAllString(text, "``")
	for _, m := range houseWord().FindAllStringSubmatch(text, -1) {
		found = append(found, strings.ToLower(strings.Join(strings.Fields(m[2]), " ")))
	}
	return found
}

func TestHouseWordsAreFound(t *testing.T) {
	for text, want := range map[string][]string{
		"The server tells what it misses.":                   {"tells"},
		"a name stands\ntwice; Somebody has to mend it":      {"stands twice", "somebody", "mend"},
		"the amendment, the judgement, kind, blend, mintage": nil,
		"pass --mint CASE, or `mint` as code":                nil,
		"Judge it by itself, then look":                      {"judge", "by itself"},
	} {
		if got := wordsIn(text); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := proseOf(t, "p.go", "package p\n// told in a comment\nimport \"told\"\nvar a = \"it is told\"\nconst b = `told`\nvar c = map[string]int{\"mint\": 1}\ntype t struct { A int `json:\"is told\"` }\n"); !slices.Equal(got, []string{"it is told"}) {
		t.Errorf("the prose of a source file is %q", got)
	}
}

// Help, messages, the catalogue and the pages are written in plain words. A string literal of the source that has a
// space in it may be shown to a user; a single word is a name.
func TestHouseWords(t *testing.T) {
	texts := 0
	for _, root := range []string{"../cmd", "../pkg", "../README.md", "../docs"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				if entry != nil && (entry.Name() == "testdata" || entry.Name() == "node_modules") {
					return filepath.SkipDir
				}
				return err
			}
			for _, text := range textsOf(t, path) {
				texts++
				for _, word := range wordsIn(text) {
					t.Errorf("%s: %q in %.200q; better: %s", path, word, text, houseWords()[word])
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if texts < 3000 {
		t.Errorf("%d texts: the test reads the wrong files", texts)
	}
}

// textsOf returns the texts in a file that are written for a user.
func textsOf(t *testing.T, path string) []string {
	t.Helper()
	isSource := strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go")
	if !isSource && filepath.Ext(path) != ".md" && filepath.Ext(path) != ".html" {
		return nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if isSource {
		return proseOf(t, path, string(content))
	}
	// The names in a program on a page are not checked.
	page := regexp.MustCompile("(?ms)^ *```.*?^ *```").ReplaceAllString(string(content), "")
	return strings.Split(page, "\n\n")
}

// proseOf returns the string literals of a source file that have a space in them.
func proseOf(t *testing.T, path, source string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec, *ast.Field:
			field, ok := n.(*ast.Field)
			return ok && field.Tag == nil
		case *ast.BasicLit:
			text, err := strconv.Unquote(n.Value)
			if n.Kind == token.STRING && err == nil && strings.Contains(strings.TrimSpace(text), " ") {
				texts = append(texts, text)
			}
		}
		return true
	})
	return texts
}
