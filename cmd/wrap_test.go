package cmd

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// A message on a terminal breaks between words, and the commands in it are not broken, for any command and any text
// after it.
func TestMessageKeepsCommands(t *testing.T) {
	const command = "oauthctl login -p work --config a.yaml"
	const text = "`oauthctl status` shows the session; if that is not it, log in again: " + command
	for width, want := range map[int]string{
		0:   text,
		200: text,
		60:  "`oauthctl status` shows the session; if that is\n  not it, log in again:\n  oauthctl login -p work --config a.yaml",
		30:  "`oauthctl status`\n  shows the session; if that\n  is not it, log in again:\n  oauthctl login -p work --config a.yaml",
	} {
		if got := message(text, "oauthctl: ", width, command); got != want {
			t.Errorf("%d:\n%s\nwant\n%s", width, got, want)
		}
	}
	for _, tt := range []struct {
		width      int
		text, want string
		commands   []string
	}{
		{60, "oauthctl login; some servers give a refresh token only with --scope offline_access", "oauthctl login; some servers give a refresh token\n  only with --scope offline_access", []string{"oauthctl login"}},
		{40, "run kubectl get nodes --all --wide, and look at what it says", "run\n  kubectl get nodes --all --wide, and\n  look at what it says", []string{"kubectl get nodes --all --wide"}},
		{40, "run kubectl get nodes --all --wide, and look at what it says", "run kubectl get nodes --all\n  --wide, and look at what it says", nil},
		{40, "the file is writable: chmod go-w 'a  file with  spaces'", "the file is writable:\n  chmod go-w 'a  file with  spaces'", []string{"chmod go-w 'a  file with  spaces'"}},
		// A sentence that begins like a command.
		{60, "oauthctl writes the profile file only if something in it has changed", "oauthctl writes the profile file only if something\n  in it has changed", nil},
	} {
		if got := message(tt.text, "oauthctl: ", tt.width, tt.commands...); got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.text, got, tt.want)
		}
	}
}

// The commands of each hint are on one line on a narrow terminal.
func TestHintsKeepTheirCommands(t *testing.T) {
	env := &Env{Getenv: func(string) string { return "" }}
	env.global.profile, env.global.config = "a profile with a long name", "/a/long/path/to/a/configuration.yaml"
	seen := 0
	for _, e := range diagnosis.All() {
		f := env.classify(&diagnosis.Diagnosis{ID: e.ID})
		shown := message(f.Hint, "oauthctl: hint: ", 40, f.commands...)
		for _, command := range f.commands {
			seen++
			if !strings.Contains(shown, command) {
				t.Errorf("%s: %q is broken in\n%s", e.ID, command, shown)
			}
		}
	}
	if seen < 20 {
		t.Errorf("%d commands", seen)
	}
}

// Text from outside is never wider than a report, at any position.
func TestReportIsNeverTooWide(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, text := range []string{
		"a " + long + " b", long, "a b c " + strings.Repeat("word ", 60), "`" + strings.Repeat("word ", 30) + "`", "see RFC " + long,
		"https://example.com/" + strings.Repeat("y", 60) + " c", strings.Repeat("ü", 100),
	} {
		for _, indent := range []int{0, 2, 15, 40, 70} {
			lines := strings.Split(continued(text, indent, "word word word"), "\n")
			for i, line := range lines {
				n := utf8.RuneCountInString(line)
				if i == 0 {
					n += indent
				}
				if n > maxColumns {
					t.Errorf("%d columns in %q", n, line)
				}
			}
			joined := strings.Join(lines, "")
			if got, want := strings.ReplaceAll(joined, " ", ""), strings.ReplaceAll(text, " ", ""); got != want {
				t.Errorf("%q became %q", text, joined)
			}
		}
	}
}

// The number of an RFC is on the same line as the word RFC.
func TestNumberOfAnRFCStays(t *testing.T) {
	const text = "use the parameter (RFC 8707; repeatable)"
	for width := 10; width < 60; width++ {
		if got := (layout{width: width}).set(text); !strings.Contains(got, "(RFC 8707;") {
			t.Errorf("%d: %q", width, got)
		}
	}
}
