package cmd

import (
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// With --json, the error of every command is one object with the exit code. It is on stdout, unless stdout is for other
// output.
func TestErrorOfEveryCommandIsAnObject(t *testing.T) {
	toStderr := []string{"token", "call", "exec"}
	shapes := map[string]string{"verify": "status", "check": "status", "introspect": "status"}
	seen := 0
	everyCommand(testRoot(), func(cmd *cobra.Command) {
		path := strings.Fields(cmd.CommandPath())[1:]
		stdout, stderr, code := runHelp(t, append(slices.Clone(path), "--json", "--no-such-flag")...)
		if code != exitUsage {
			t.Errorf("%q: exit code %d", path, code)
			return
		}
		text, other := stdout, stderr
		if slices.Contains(toStderr, path[0]) {
			text, other = stderr, stdout
		}
		var shown map[string]any
		if err := json.Unmarshal([]byte(text), &shown); err != nil || other != "" {
			t.Errorf("%q: %v\nstdout %q\nstderr %q", path, err, stdout, stderr)
			return
		}
		if one, _ := shown["error"].(map[string]any); one["exit_code"] != float64(exitUsage) {
			t.Errorf("%q: %v", path, shown)
		}
		delete(shown, "error")
		if _, ok := shown[shapes[path[0]]]; ok != (shapes[path[0]] != "") || !ok && len(shown) > 0 {
			t.Errorf("%q: in addition to the error %v", path, shown)
		}
		seen++
	})
	if seen < 30 {
		t.Errorf("%d commands", seen)
	}
}

// A hint does not suggest the command that has failed, if it would only fail again.
func TestHintIsNotTheCommandThatFailed(t *testing.T) {
	entry, _ := diagnosis.Lookup(diagnosis.KidUnknown)
	everyCommand(testRoot(), func(cmd *cobra.Command) {
		env := &Env{failed: cmd, Getenv: func(string) string { return "" }}
		hint, _ := env.hintFor(&diagnosis.Diagnosis{ID: diagnosis.KidUnknown})
		if isSame := cmd.CommandPath() == "oauthctl jwks show"; isSame != (hint == entry.Fix) || isSame == strings.Contains(hint, "oauthctl jwks show") {
			t.Errorf("%s: %s", cmd.CommandPath(), hint)
		}
	})
}
