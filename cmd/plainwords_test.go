package cmd

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestPlainMessage(t *testing.T) {
	for text, want := range map[string]string{
		"apicall: the API answered 503":                         "the API answered 503",
		"--claim: policy: expected NAME=VALUE":                  "--claim: expected NAME=VALUE",
		"oauth: safehttp: context deadline exceeded":            "context deadline exceeded",
		"reading the token: token: a leeway cannot be negative": "reading the token: a leeway cannot be negative",
		"the token: no such file":                               "the token: no such file",
		"--jwks: f.json: jwks: jwks: expected a JSON object":    "--jwks: f.json: expected a JSON object",
		"cannot run x: exec: permission denied":                 "cannot run x: permission denied",
		"https://x.example/token: the server closed":            "https://x.example/token: the server closed",
		"nothing to change":                                     "nothing to change",
	} {
		if got := plainMessage(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

// Every package is in the list, so that no package name is shown to a user.
func TestPackagesAreKnown(t *testing.T) {
	err := filepath.WalkDir("../pkg", func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.IsDir() || entry.Name() == "testdata" || entry.Name() == "pkg" {
			if entry != nil && entry.IsDir() && entry.Name() == "testdata" {
				return filepath.SkipDir
			}
			return err
		}
		if files, _ := filepath.Glob(filepath.Join(path, "*.go")); len(files) > 0 && !slices.Contains(packages(), entry.Name()) {
			t.Errorf("%s is missing in packages()", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
