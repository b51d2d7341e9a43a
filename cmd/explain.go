package cmd

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

func newExplain(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "explain ID|WORD|list",
		Long: `Explain an error by its id, list the ids that contain a word, or list all ids.
No server is contacted.`,
		Example: `  # Explain an error
  oauthctl explain AUD_MISMATCH

  # List the ids that contain a word
  oauthctl explain scope

  # List all ids
  oauthctl explain list`,
		Args: between(1, 1),
		RunE: func(_ *cobra.Command, args []string) error { return runExplain(env, args[0]) },
		ValidArgsFunction: onlyFirst(func(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
			var ids []string
			for _, e := range append([]diagnosis.Entry{{ID: "list", Summary: "all of them"}}, diagnosis.All()...) {
				if strings.HasPrefix(strings.ToUpper(string(e.ID)), strings.ToUpper(begun)) {
					ids = append(ids, string(e.ID)+"\t"+e.Summary)
				}
			}
			return ids, cobra.ShellCompDirectiveNoFileComp
		}),
	}
}

// explanation is an entry of the catalogue as --json shows it.
type explanation struct {
	ID       diagnosis.ID `json:"id"`
	Summary  string       `json:"summary"`
	Meaning  string       `json:"meaning"`
	Fix      string       `json:"fix"`
	ExitCode int          `json:"exit_code"`
}

func explanationOf(e diagnosis.Entry) explanation {
	return explanation{e.ID, e.Summary, e.Meaning, e.Fix, exitCodeOf(e.Kind)}
}

func runExplain(env *Env, id string) error {
	if strings.EqualFold(id, "list") {
		return env.listDiagnoses(diagnosis.All())
	}
	wanted := strings.ToUpper(strings.ReplaceAll(id, "-", "_"))
	e, ok := diagnosis.Lookup(diagnosis.ID(wanted))
	if !ok {
		found := diagnosesWith(wanted)
		if len(found) == 0 {
			return unknownDiagnosis(id, wanted)
		}
		return env.listDiagnoses(found)
	}
	if env.global.wantsJSON() {
		return env.printJSON(explanationOf(e))
	}
	s := env.stdout()
	s.line("%s  %s", s.strong(string(e.ID)), s.faint(exitText(e.Kind)))
	s.line("%s", wrap(capital(e.Summary)+".", ""))
	s.line("")
	s.line("%s", s.name("What it means"))
	s.line("%s", wrap(e.Meaning, "  "))
	s.line("")
	s.line("%s", s.name("What to do"))
	s.line("%s", wrap(e.Fix, "  "))
	c := hintContext{Diagnosis: &diagnosis.Diagnosis{ID: e.ID}, named: new(namedCommands)}
	if hint := commandHint(c); hint != "" {
		s.line("")
		s.line("%s", s.name("With oauthctl"))
		s.line("%s", wrap(sentence(hint), "  ", c.named.text...))
	}
	return nil
}

// diagnosesWith returns the entries whose id contains a word; none if the word has
// fewer than two letters.
func diagnosesWith(word string) []diagnosis.Entry {
	var found []diagnosis.Entry
	for _, e := range diagnosis.All() {
		if len(word) > 1 && strings.Contains(string(e.ID), word) {
			found = append(found, e)
		}
	}
	return found
}

// exitText describes the exit code for a fault of this kind.
func exitText(k diagnosis.Kind) string {
	if k == diagnosis.Advice {
		return "a warning, no failure"
	}
	return fmt.Sprintf("exit code %d", exitCodeOf(k))
}

func (env *Env) listDiagnoses(entries []diagnosis.Entry) error {
	if env.global.wantsJSON() {
		rows := make([]explanation, len(entries))
		for i, e := range entries {
			rows[i] = explanationOf(e)
		}
		return env.printJSON(rows)
	}
	width := 0
	for _, e := range entries {
		width = max(width, len(e.ID))
	}
	s := env.stdout()
	for _, e := range entries {
		s.line("%s  %s", s.strong(fmt.Sprintf("%-*s", width, e.ID)), e.Summary)
	}
	return nil
}

// sentence returns a hint with a capital first letter. If the hint begins with a
// command, it is not changed, so that the command can be copied.
func sentence(hint string) string {
	for _, command := range []string{"oauthctl ", "chmod "} {
		if strings.HasPrefix(hint, command) {
			return hint
		}
	}
	return capital(hint)
}

func capital(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
