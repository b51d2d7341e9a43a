package cmd

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

func newExplain(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:  "explain ID|list",
		Long: "Explain a diagnosis by its id, or list all of them. Nothing is contacted.",
		Args: between(1, 1),
		RunE: func(_ *cobra.Command, args []string) error { return runExplain(env, args[0]) },
		Example: "  oauthctl explain EXPIRED\n" +
			"  oauthctl explain list",
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			ids := []string{"list"}
			for _, e := range diagnosis.All() {
				ids = append(ids, string(e.ID)+"\t"+e.Summary)
			}
			return ids, cobra.ShellCompDirectiveNoFileComp
		},
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

func runExplain(env *Env, id string) error {
	if strings.EqualFold(id, "list") {
		return listDiagnoses(env)
	}
	wanted := diagnosis.ID(strings.ToUpper(strings.ReplaceAll(id, "-", "_")))
	e, ok := diagnosis.Lookup(wanted)
	if !ok {
		return &usageError{what: fmt.Sprintf("there is no diagnosis %q", id), hint: "`oauthctl explain list` shows all of them"}
	}
	if env.global.wantsJSON() {
		return env.printJSON(explanation{e.ID, e.Summary, e.Meaning, e.Fix, e.Kind.ExitCode()})
	}
	s := env.stdout()
	s.line("%s  %s", s.strong(string(e.ID)), s.faint(ending(e.Kind)))
	s.line("%s", wrap(capital(e.Summary)+".", ""))
	s.line("")
	s.line("%s", s.name("What it means"))
	s.line("%s", wrap(e.Meaning, "  "))
	s.line("")
	s.line("%s", s.name("What to do"))
	s.line("%s", wrap(e.Fix, "  "))
	return nil
}

// ending tells how a command ends that meets a fault of that kind.
func ending(k diagnosis.Kind) string {
	if k == diagnosis.Advice {
		return "a warning, no failure"
	}
	return fmt.Sprintf("exit code %d", k.ExitCode())
}

func listDiagnoses(env *Env) error {
	all := diagnosis.All()
	if env.global.wantsJSON() {
		rows := make([]explanation, len(all))
		for i, e := range all {
			rows[i] = explanation{e.ID, e.Summary, e.Meaning, e.Fix, e.Kind.ExitCode()}
		}
		return env.printJSON(rows)
	}
	width := 0
	for _, e := range all {
		width = max(width, len(e.ID))
	}
	s := env.stdout()
	for _, e := range all {
		s.line("%s  %s", s.strong(fmt.Sprintf("%-*s", width, e.ID)), e.Summary)
	}
	return nil
}

func capital(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
