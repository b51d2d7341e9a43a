package cmd

import (
	"github.com/spf13/cobra"
)

func newCompletion(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "completion bash|zsh|fish|powershell",
		Long: `Print the completion script for a shell. Packages install it by themselves; by
hand, for instance:

  bash        oauthctl completion bash > ~/.local/share/bash-completion/completions/oauthctl
  zsh         oauthctl completion zsh > "${fpath[1]}/_oauthctl"
  fish        oauthctl completion fish > ~/.config/fish/completions/oauthctl.fish
  powershell  oauthctl completion powershell | Out-String | Invoke-Expression`,
		Args:      between(1, 1),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCompletion(env, cmd.Root(), args[0])
		},
	}
}

func runCompletion(env *Env, root *cobra.Command, shell string) error {
	switch shell {
	case "bash":
		return root.GenBashCompletionV2(env.Stdout, true)
	case "zsh":
		return root.GenZshCompletion(env.Stdout)
	case "fish":
		return root.GenFishCompletion(env.Stdout, true)
	case "powershell":
		return root.GenPowerShellCompletionWithDesc(env.Stdout)
	}
	return usage("completion: expected bash, zsh, fish or powershell, got %q", shell)
}
