package cmd_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every link of a page leads to something that exists.
func TestLinks(t *testing.T) {
	pages := []string{"../README.md"}
	err := filepath.WalkDir("../docs", func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".md" {
			pages = append(pages, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`\]\(([^)]+)\)`)
	links := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, "://") {
				continue
			}
			links++
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), target)); err != nil {
				t.Errorf("%s: %s leads nowhere", page, m[1])
			}
		}
	}
	if links < 20 {
		t.Errorf("%d links looked at: the test reads the wrong pages", links)
	}
}

// The page on architecture lists every package, in its layer. A package inside another one is in the row of that
// package.
func TestArchitecturePage(t *testing.T) {
	text, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	shown, want := map[string]string{}, map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| (\\d+) \\| `([a-z0-9/]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		shown[m[2]] = m[1]
	}
	for name, layer := range layers() {
		if _, isInside := layers()[path.Dir(name)]; name != "." && (!isInside || shown[name] != "") {
			want[name] = strconv.Itoa(layer)
		}
	}
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Every test that the security page lists exists.
func TestSecurityPageNamesTests(t *testing.T) {
	text, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("Test[A-Z][A-Za-z]+").FindAllString(string(text), -1)
	var all strings.Builder
	err = filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := os.ReadFile(path)
		all.Write(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range named {
		if !strings.Contains(all.String(), "func "+name+"(") {
			t.Errorf("docs/security.md names %s, which is not there", name)
		}
	}
	if len(named) < 15 {
		t.Errorf("%d tests named", len(named))
	}
}
