package cmd

import (
	"cmp"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oauthctl/oauthctl/pkg/devserver"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/provider"
)

func newCompletion(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "completion " + strings.Join(shellNames(), "|"),
		Long: `Print the completion script for a shell. Packages install it. To install it
yourself, write it to the shell's folder:

  bash        ~/.local/share/bash-completion/completions/oauthctl
  zsh         a folder of $fpath, as _oauthctl
  fish        ~/.config/fish/completions/oauthctl.fish
  powershell  oauthctl completion powershell | Out-String | Invoke-Expression`,
		Example: `  # Install the completion for bash
  mkdir -p ~/.local/share/bash-completion/completions
  oauthctl completion bash > ~/.local/share/bash-completion/completions/oauthctl`,
		Args:      between(1, 1),
		ValidArgs: shellNames(),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCompletion(env, cmd.Root(), args[0])
		},
	}
}

// shells returns the table of shells, each with the function that writes its
// completion script.
func shells() []shellScript {
	return []shellScript{
		{"bash", func(root *cobra.Command, w io.Writer) error { return root.GenBashCompletionV2(w, true) }},
		{"zsh", (*cobra.Command).GenZshCompletion},
		{"fish", func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) }},
		{"powershell", (*cobra.Command).GenPowerShellCompletionWithDesc},
	}
}

type shellScript struct {
	name  string
	write func(root *cobra.Command, w io.Writer) error
}

func shellNames() []string {
	var names []string
	for _, s := range shells() {
		names = append(names, s.name)
	}
	return names
}

func runCompletion(env *Env, root *cobra.Command, shell string) error {
	for _, s := range shells() {
		if s.name == shell {
			return s.write(root, env.Stdout)
		}
	}
	return usage("completion: expected %s, got %q", choices(shellNames()), shell)
}

// completeValues adds completions for the values of flags and arguments to a command
// and its subcommands. It also removes the back quotes from usage texts.
func completeValues(env *Env, cmd *cobra.Command) {
	path := strings.TrimPrefix(cmd.CommandPath(), "oauthctl ")
	table := flagValues()
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		value := valueName(f)
		f.Usage = flagText(f)
		values, fixed := valuesFor(f)
		if !fixed {
			values, fixed = table[path+" "+f.Name]
		}
		if !fixed {
			values, fixed = table[f.Name]
		}
		// An error means that the flag already has a completion, which is kept.
		switch {
		case fixed:
			_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
		case f.Name == "scope" || f.Name == "any-scope" || f.Name == "add-scope":
			_ = cmd.RegisterFlagCompletionFunc(f.Name, completeScopes(env))
		case value == "TOKEN":
			_ = cmd.RegisterFlagCompletionFunc(f.Name, completeToken)
		}
	})
	if cmd.ValidArgsFunction == nil && strings.Contains(cmd.Use, "[TOKEN]") {
		cmd.ValidArgsFunction = onlyFirst(completeToken)
	}
	for _, below := range cmd.Commands() {
		completeValues(env, below)
	}
}

// valuesFor returns the values of a flag that was defined with oneOf.
func valuesFor(f *pflag.Flag) ([]string, bool) {
	value := f.Value
	if strict, ok := value.(*strictValue); ok {
		value = strict.Value
	}
	c, ok := value.(choice)
	return c.values, ok
}

// flagValues returns the values of other flags, by the name of the flag. If they
// depend on the command, the key is the command's path and the name.
func flagValues() map[string][]string {
	var faults []string
	for _, f := range devserver.Faults() {
		name := f.Name
		if f.Value != "" {
			name += "="
		}
		faults = append(faults, name+"\t"+f.Effect)
	}
	return map[string][]string{
		"prompt": {"none", "login", "consent", "select_account"},
		"fault":  faults,
		"accept": {"id_token", "logout_token", "security_event"},

		"forward-auth":         gateways(),
		"subject-token-type":   {"access_token", "refresh_token", "id_token", "jwt"},
		"actor-token-type":     {"access_token", "refresh_token", "id_token", "jwt"},
		"requested-token-type": {"access_token", "refresh_token", "id_token", "jwt", "id-jag"},

		"login provider": provider.PresetNames(),
		"dev provider":   devserver.Providers(),

		"verify alg":        jwks.Algorithms(),
		"check alg":         jwks.Algorithms(),
		"jwks generate alg": jwks.PublicKeyAlgorithms(),
		"dev alg":           jwks.PublicKeyAlgorithms(),
		"audit alg":         jwks.PublicKeyAlgorithms(),

		"dev auto-approve": {"alice", "bob"},
	}
}

// completeToken completes a token: - for standard input, or @ and a file.
func completeToken(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	const none = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	prefix, isFile := strings.CutPrefix(begun, "@")
	if !isFile {
		return []string{"-\tstandard input", "@\ta file"}, none
	}
	dir, name := filepath.Split(prefix)
	entries, err := os.ReadDir(cmp.Or(dir, "."))
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var files []string
	for _, e := range entries {
		path := "@" + dir + e.Name()
		switch {
		case !strings.HasPrefix(e.Name(), name) || name == "" && strings.HasPrefix(e.Name(), "."):
		case e.IsDir():
			files = append(files, path+string(filepath.Separator))
		default:
			files = append(files, path)
		}
	}
	return files, none
}

// onlyFirst completes the first argument of a command, and no other.
func onlyFirst(complete cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return complete(cmd, args, begun)
	}
}

// completeScopes completes the scopes that the profile has.
func completeScopes(env *Env) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		p, err := env.profile()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return p.List(profile.Scope), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeSettings completes the keys of a profile that are not yet given.
func completeSettings(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var keys []string
	for _, s := range profile.Settings() {
		given := func(arg string) bool { return strings.HasPrefix(arg, string(s.Key)+"=") }
		if !slices.ContainsFunc(args, given) {
			keys = append(keys, string(s.Key)+"=\t"+s.Help())
		}
	}
	return keys, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}
