package cmd

import (
	"os"
	"strings"
	"testing"
)

// The pages that a user sees have the same colours.
func TestPagesShareTheirColours(t *testing.T) {
	colours := map[string]string{}
	for _, file := range []string{"../pkg/loopback/page.css", "../pkg/devserver/style.css", "../pkg/devserver/console.css"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		root, _, found := strings.Cut(string(text), "}")
		if !found || !strings.HasPrefix(root, ":root {") {
			t.Errorf("%s does not begin with the colours", file)
		}
		colours[root] = file
	}
	if len(colours) != 1 {
		t.Errorf("the colours differ in %v", colours)
	}
}
