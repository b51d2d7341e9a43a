package cmd

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// runHelp returns the output of a command line without a terminal.
func runHelp(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	env := &Env{
		Stdout: &out, Stderr: &errs, Stdin: strings.NewReader(""),
		Getenv: func(string) string { return "" }, Now: time.Now, IsTerminal: func(any) bool { return false },
	}
	code = Run(context.Background(), env, append([]string{}, args...))
	return out.String(), errs.String(), code
}

// Every line of the help of all commands and topics fits on a terminal.
func TestHelpFitsTheTerminal(t *testing.T) {
	pages := [][]string{{"--help"}, {"help"}}
	everyCommand(testRoot(), func(cmd *cobra.Command) {
		pages = append(pages, append(strings.Fields(cmd.CommandPath())[1:], "--help"))
	})
	for _, topic := range topics(&Env{}) {
		pages = append(pages, []string{"help", topic.name})
	}
	for _, args := range pages {
		stdout, stderr, code := runHelp(t, args...)
		if code != 0 || stderr != "" || len(stdout) < 50 {
			t.Errorf("%q: %d, %q\n%s", args, code, stderr, stdout)
		}
		for line := range strings.Lines(stdout) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > helpWidth {
				t.Errorf("%q: %d columns: %s", args, n, line)
			}
		}
	}
	if len(pages) < 40 {
		t.Errorf("%d pages", len(pages))
	}
}

// The root help fits on a terminal of 24 lines, with one line for the prompt.
func TestRootHelpFitsOneScreen(t *testing.T) {
	stdout, _, _ := runHelp(t)
	if lines := strings.Count(stdout, "\n"); lines > 23 {
		t.Errorf("%d lines:\n%s", lines, stdout)
	}
	for _, v := range verbs() {
		if !strings.Contains(stdout, v.name) {
			t.Errorf("%s is missing", v.name)
		}
	}
}

// The value of each flag has a name, and a command with more than twelve flags has them in groups.
func TestFlagsAreDescribed(t *testing.T) {
	check := func(path string, set *pflag.FlagSet) {
		count, grouped := 0, 0
		set.VisitAll(func(f *pflag.Flag) {
			if f.Hidden || f.Name == "help" {
				return
			}
			count++
			if len(f.Annotations[groupOf]) > 0 {
				grouped++
			}
			if name := valueName(f); strings.ToUpper(name) != name && !strings.ContainsAny(name, "=:[/") {
				t.Errorf("%s --%s: the value has no name but %q", path, f.Name, name)
			}
			if text := flagText(f); text == "" || strings.HasSuffix(text, ".") || strings.Contains(text, "`") {
				t.Errorf("%s --%s: %q", path, f.Name, text)
			}
		})
		if count > 12 && grouped != count {
			t.Errorf("%s: %d of %d flags are in groups", path, grouped, count)
		}
	}
	root := testRoot()
	everyCommand(root, func(cmd *cobra.Command) { check(cmd.CommandPath(), cmd.LocalNonPersistentFlags()) })
	if flagText(root.PersistentFlags().Lookup("json")) == "" {
		t.Error("there are no flags of every command")
	}
}

func TestFlagText(t *testing.T) {
	f := pflag.NewFlagSet("x", pflag.ContinueOnError)
	f.StringP("scope", "s", "", "request this `SCOPE`")
	f.String("format", "raw", "`FORMAT`: raw or json")
	f.Duration("wait", 90*time.Minute, "maximum wait")
	f.Duration("ttl", 720*time.Hour, "lifetime")
	f.Duration("leeway", 5*time.Minute, "`TIME`: allowed difference")
	f.Duration("short", 1500*time.Millisecond, "a short one")
	f.Bool("on", true, "a switch")
	f.Bool("off", false, "another switch")
	f.Int("count", 0, "a number")
	f.String("who", "", "log `USER` in (alice)")
	f.Lookup("who").NoOptDefVal = "alice"
	for name, want := range map[string][2]string{
		"scope":  {"-s, --scope SCOPE", "request this SCOPE"},
		"format": {"    --format FORMAT", "raw or json (default raw)"},
		"wait":   {"    --wait DURATION", "maximum wait (default 1h30m)"},
		"ttl":    {"    --ttl DURATION", "lifetime (default 720h)"},
		"leeway": {"    --leeway TIME", "allowed difference (default 5m)"},
		"short":  {"    --short DURATION", "a short one (default 1.5s)"},
		"on":     {"    --on", "a switch (default true)"},
		"off":    {"    --off", "another switch"},
		"count":  {"    --count N", "a number"},
		"who":    {"    --who[=USER]", "log USER in (alice)"},
	} {
		flag := f.Lookup(name)
		if got := [2]string{flagName(flag), flagText(flag)}; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestReflow(t *testing.T) {
	const text = "One two three four five (RFC 6749) six.\n\n  a=b       the first of two\n  c         second"
	for width, want := range map[int]string{
		80: text,
		24: "One two three four five\n(RFC 6749) six.\n\n  a=b       the first\n            of two\n  c         second",
	} {
		got := reflow(text, width)
		if got != want {
			t.Errorf("%d:\n%s\nwant\n%s", width, got, want)
		}
		for line := range strings.Lines(got) {
			for _, word := range strings.Fields(line) {
				if !strings.Contains(text, word) {
					t.Errorf("%d: the word %q is broken", width, word)
				}
			}
		}
	}
}

// Every command has an example, and every example has a comment.
func TestEveryCommandHasAnExample(t *testing.T) {
	for path, example := range HelpExamples() {
		first := strings.TrimSpace(strings.SplitN(example, "\n", 2)[0])
		if !strings.HasPrefix(first, "# ") || !strings.Contains(example, "oauthctl") {
			t.Errorf("%s: %q", path, first)
		}
	}
}
