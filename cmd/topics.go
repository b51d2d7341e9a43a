package cmd

import (
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/profile"
)

// topic is a page of help that is about no single command.
type topic struct {
	name, short string
	text        func(width int) string
}

// topics returns the table of help topics. A new topic is one row here.
func topics(env *Env) []topic {
	return []topic{
		{"commands", "Every command and what it does", func(width int) string { return commandsText(env, width) }},
		{"flags", "The flags that every command accepts", func(width int) string { return flagsText(env, width) }},
		{"environment", "The environment variables that are read", environmentText},
		{"files", "The files and folders that are used", filesText},
		{"exit-codes", "What each exit code means", exitCodesText},
		{"diagnosis", "The ids of all errors", diagnosisText},
	}
}

func topicNames(env *Env) []string {
	var names []string
	for _, t := range topics(env) {
		names = append(names, t.name)
	}
	return names
}

func newHelp(env *Env) *cobra.Command {
	var rows []helpRow
	for _, t := range topics(env) {
		rows = append(rows, helpRow{t.name, t.short})
	}
	return &cobra.Command{
		Use:   "help [COMMAND|TOPIC]",
		Short: "Show the help of a command or about a topic",
		Long: "Show the help of a command, as COMMAND --help does, or about a topic. Without an argument, list the commands." +
			"\n\nThe topics are:\n\n" + rowsText(rows, helpWidth),
		Example: `  # Show the help of a command
  oauthctl help jwks show

  # Show what each exit code means
  oauthctl help exit-codes`,
		RunE: func(cmd *cobra.Command, args []string) error { return env.runHelp(cmd.Root(), args) },
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return completeHelp(env, cmd.Root(), args), cobra.ShellCompDirectiveNoFileComp
		},
	}
}

func (env *Env) runHelp(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		env.showRootHelp()
		return nil
	}
	if i := slices.IndexFunc(topics(env), func(t topic) bool { return strings.EqualFold(t.name, args[0]) }); i >= 0 && len(args) == 1 {
		env.stdout().line("%s", strings.TrimRight(topics(env)[i].text(env.helpColumns()), "\n"))
		return nil
	}
	found, rest, err := root.Find(args)
	switch {
	case err == nil && len(rest) == 0 && found.HasParent():
		env.showHelp(found)
		return nil
	case err == nil && found.HasParent():
		return unknownSubcommand(found, rest[0])
	}
	return unknownTopic(env, args[0])
}

// completeHelp returns what can follow the arguments of help.
func completeHelp(env *Env, root *cobra.Command, args []string) []string {
	found, rest, err := root.Find(args)
	if err != nil || len(rest) > 0 {
		return nil
	}
	var words []string
	for _, cmd := range found.Commands() {
		if cmd.IsAvailableCommand() {
			words = append(words, cmd.Name()+"\t"+cmd.Short)
		}
	}
	if len(args) == 0 {
		for _, t := range topics(env) {
			words = append(words, t.name+"\t"+t.short)
		}
	}
	return words
}

// commandsText lists every command, those below others too.
func commandsText(env *Env, width int) string {
	root := newRoot(env, nil)
	var sections []string
	for _, group := range commandGroups() {
		var rows []helpRow
		for _, cmd := range root.Commands() {
			if cmd.GroupID == group.id {
				rows = append(rows, commandRows(cmd)...)
			}
		}
		sections = append(sections, group.title+":\n"+rowsText(rows, width))
	}
	return strings.Join(sections, "\n\n")
}

// commandRows returns rows for a command and those below it.
func commandRows(cmd *cobra.Command) []helpRow {
	rows := []helpRow{{strings.TrimPrefix(cmd.CommandPath(), "oauthctl "), cmd.Short}}
	for _, below := range cmd.Commands() {
		rows = append(rows, commandRows(below)...)
	}
	return rows
}

func flagsText(env *Env, width int) string {
	root := newRoot(env, []string{})
	text := "Flags that every command accepts:\n\n"
	for _, group := range flagGroups(root.PersistentFlags()) {
		text += rowsText(append(group.rows, helpRow{"-h, --help", "show the help of the command"}), width)
	}
	return text + "\n\n" + reflow("A flag overrides its environment variable, which overrides the profile: see `oauthctl help environment`.", width)
}

func exitCodesText(width int) string {
	var rows []helpRow
	for _, e := range exitCodes() {
		text := e.text()
		if e.advice != "" {
			text += ". " + capital(e.advice) + "."
		}
		rows = append(rows, helpRow{strconv.Itoa(e.code), text})
	}
	return "Exit codes, and what a script should do:\n\n" + rowsText(rows, width)
}

// environmentVariables are those other than OAUTHCTL_<KEY> of the profile.
func environmentVariables() []helpRow {
	return []helpRow{
		{profile.NameVariable, "the profile to use, like --profile"},
		{variableConfig, "the profile file, like --config"},
		{variableToken, "an access token to use instead of the stored session"},
		{variableRevocations, "where guard and guard deny store revocations, like --revocations"},
		{variableIntrospectSecret, "the secret of the API's client for guard --introspect"},
		{"XDG_CONFIG_HOME", "the profile file is in $XDG_CONFIG_HOME/oauthctl"},
		{"XDG_STATE_HOME", "sessions are in $XDG_STATE_HOME/oauthctl"},
		{"HTTPS_PROXY, HTTP_PROXY", "the proxies for https and http; ALL_PROXY is for both; never used for loopback addresses"},
		{"NO_PROXY", "the hosts that are contacted without a proxy"},
		{"NO_COLOR", "if set, print without colour"},
		{"BROWSER", "the browser that login opens"},
		{"CI", "if set and not \"false\", login does not open a browser unless --browser is given"},
	}
}

// settingVariables are those that override a setting of the profile.
func settingVariables() []helpRow {
	var rows []helpRow
	for _, s := range profile.Settings() {
		help := s.Help()
		if s.Key == profile.ClientSecret {
			help = "the client's secret itself"
		}
		rows = append(rows, helpRow{s.Key.Variable(), help})
	}
	return rows
}

func environmentText(width int) string {
	return reflow("Environment variables. They override the profile; flags override them.", width) + "\n\n" +
		rowsText(append(environmentVariables(), settingVariables()...), width)
}

// files are what the program reads and writes where no flag says otherwise.
func files() []helpRow {
	return []helpRow{
		{"config.yaml", "the profiles, in $XDG_CONFIG_HOME/oauthctl (default ~/.config/oauthctl, on macOS ~/Library/Application Support/oauthctl, on Windows %AppData%\\oauthctl)"},
		{"sessions", "the tokens and their locks, in $XDG_STATE_HOME/oauthctl (default ~/.local/state/oauthctl, on macOS and Windows the folder state next to config.yaml)"},
		{"keyring", "the keys that encrypt the sessions, in the system's keychain, with --store keyring, or with auto if there is a keychain"},
	}
}

func filesText(width int) string {
	return "Files and folders:\n\n" + rowsText(files(), width) + "\n\n" +
		reflow("`oauthctl status` shows where the session is stored. `oauthctl logout --all` deletes all sessions.", width)
}

func diagnosisText(width int) string {
	var rows []string
	for _, e := range diagnosis.All() {
		rows = append(rows, "  "+string(e.ID)+"\n      "+inColumn(width, 6).set(e.Summary))
	}
	return reflow("Every error has an id. Run `oauthctl explain ID` for details.", width) + "\n\n" + strings.Join(rows, "\n")
}
