package cmd

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// An unknown word is a usage error with a similar name, or with the name that oauthctl has for a word of other
// programs.
func TestUnknownWords(t *testing.T) {
	for line, want := range map[string][2]string{
		"verfy":                   {`unknown command "verfy"`, "`oauthctl verify`"},
		"lgoin":                   {`unknown command "lgoin"`, "`oauthctl login`"},
		"whoami":                  {`unknown command "whoami"`, "`oauthctl userinfo`"},
		"refresh":                 {`unknown command "refresh"`, "`oauthctl token --refresh`"},
		"auth":                    {`unknown command "auth"`, "`oauthctl login`"},
		"inspect":                 {`unknown command "inspect"`, "`oauthctl decode`"},
		"Validate":                {`unknown command "Validate"`, "`oauthctl verify`"},
		"patch":                   {`unknown command "patch"`, "`oauthctl call PATCH PATH`"},
		"exit-codes":              {`unknown command "exit-codes"`, "`oauthctl help exit-codes`"},
		"xyzzy":                   {`unknown command "xyzzy"`, "`oauthctl help`"},
		"help exitcodes":          {`unknown help topic "exitcodes"`, "`oauthctl help exit-codes`"},
		"help verfy":              {`unknown help topic "verfy"`, "`oauthctl help verify`"},
		"help xyzzy":              {`unknown help topic "xyzzy"`, "exit-codes"},
		"help jwks shwo":          {`unknown subcommand "shwo"`, "`oauthctl jwks show`"},
		"jwks list":               {`unknown subcommand "list"`, "`oauthctl jwks show`"},
		"jwks genrate":            {`unknown subcommand "genrate"`, "`oauthctl jwks generate`"},
		"profile remove work":     {`unknown subcommand "remove"`, "`oauthctl profile delete NAME`"},
		"profile xyzzy":           {`unknown subcommand "xyzzy"`, "list, show, set"},
		"guard list":              {`unknown subcommand "list"`, "`oauthctl guard deny list`"},
		"guard deny undoo":        {`unknown subcommand "undoo"`, "`oauthctl guard deny undo`"},
		"login --scopes x":        {"unknown flag --scopes", "--scope?"},
		"token --fromat json":     {"unknown flag --fromat", "--format?"},
		"call -X POST /x":         {"unknown flag -X", "METHOD is the first argument"},
		"login -k":                {"unknown flag -k", "--insecure-skip-tls-verify"},
		"status -H x":             {"unknown flag -H", "oauthctl call"},
		"verify -d x":             {"unknown flag -d", "oauthctl call"},
		"login --client-secret=x": {"unknown flag --client-secret", "--client-secret-file"},
		"token --xyzzy":           {"unknown flag --xyzzy", "oauthctl token --help"},
		"explain EXPIRD":          {`unknown id "EXPIRD"`, "`oauthctl explain EXPIRED`"},
		"explain xyzzy":           {`unknown id "xyzzy"`, "explain list"},
		"profile set issuerr=x":   {`unknown key "issuerr"`, "issuer"},
		"completion":              {"missing argument bash", "usage:"},
		"profile use":             {"missing argument NAME", "usage:"},
		"exec":                    {"missing argument COMMAND", "usage: oauthctl exec [flags] -- COMMAND [ARG...]"},
		"verify --leeway abc":     {`--leeway: expected a duration such as 30s or 5m, got "abc"`, ""},
		"call --retry many /x":    {`--retry: expected a whole number, got "many"`, ""},
		"audit --rate fast URL":   {`--rate: expected a number, got "fast"`, ""},
		"status --json=maybe":     {`--json: expected true or false, got "maybe"`, ""},
		"check --scope":           {"--scope needs a value", "oauthctl check --help"},
		"jwks show a b":           {`unexpected argument "b"`, "usage:"},
	} {
		stdout, stderr, code := runHelp(t, strings.Fields(line)...)
		message, hint, _ := strings.Cut(stderr, "\n")
		if code != exitUsage || stdout != "" || !strings.Contains(message, want[0]) || !strings.Contains(hint, want[1]) {
			t.Errorf("%s: %d\n%s%s", line, code, stdout, stderr)
		}
	}
}

func TestVersionFlags(t *testing.T) {
	want, _, code := runHelp(t, "version")
	for _, flag := range []string{"--version", "-V"} {
		if got, stderr, c := runHelp(t, flag); got != want || c != code || stderr != "" || code != 0 {
			t.Errorf("%s: %d, %q, %s", flag, c, got, stderr)
		}
	}
}

// Each command in the hints of the table exists, and no row hides a command or a flag of the program.
func TestOtherWords(t *testing.T) {
	root := testRoot()
	for _, o := range otherWords() {
		of := root
		if o.of != "" {
			found, _, err := root.Find(strings.Fields(o.of)[1:])
			if err != nil || found.CommandPath() != o.of {
				t.Errorf("%s is no command", o.of)
				continue
			}
			of = found
		}
		for _, word := range strings.Fields(o.words) {
			if exists(of, word) && o.of != "" {
				t.Errorf("%s %s exists", o.of, word)
			}
		}
		for _, quoted := range strings.Split(o.hint, "`")[1:] {
			words := strings.Fields(quoted)
			if len(words) < 2 || words[0] != "oauthctl" {
				continue
			}
			if found, _, err := root.Find(words[1:2]); err != nil || !found.HasParent() {
				t.Errorf("%s: there is no `%s`", o.words, quoted)
			}
		}
	}
}

// exists reports whether word is a flag or a subcommand of a command.
func exists(cmd *cobra.Command, word string) bool {
	if name, isLong := strings.CutPrefix(word, "--"); isLong {
		return cmd.Flags().Lookup(name) != nil
	}
	if name, isShort := strings.CutPrefix(word, "-"); isShort {
		return cmd.Flags().ShorthandLookup(name) != nil
	}
	for _, below := range cmd.Commands() {
		if below.Name() == word {
			return true
		}
	}
	return false
}

// A name that has little in common with the word is not suggested.
func TestNearest(t *testing.T) {
	for typed, want := range map[string]string{
		"scpoe": "scope", "scopes": "scope", "aud": "audience", "audiences": "audience", "get": "", "x": "", "SCOPE": "scope", "prefix-of-nothing": "",
	} {
		if got := nearest(typed, []string{"scope", "audience", "dev"}); got != want {
			t.Errorf("%s: %q, want %q", typed, got, want)
		}
	}
}
