package cmd

import (
	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/devserver"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/oauth"
)

func newCompletion(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "completion bash|zsh|fish|powershell",
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

// completeValues has the shell complete the values of flags that take one of a
// few, of a command and those below it.
func completeValues(env *Env, cmd *cobra.Command) {
	table := flagValues()
	for name, values := range table {
		if own, ok := table[cmd.Name()+" "+name]; ok {
			values = own
		}
		if cmd.Flags().Lookup(name) != nil {
			// It errs on a flag that has a completion already, which is then kept.
			_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
		}
	}
	for _, below := range cmd.Commands() {
		completeValues(env, below)
	}
}

// flagValues lists the values of flags by the flag's name, or by a command's name
// and the flag's where the command accepts fewer.
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
		"format":      tokenFormats(),
		"store":       account.StoreKinds(),
		"print":       printable(),
		"grant-type":  account.GrantTypes(),
		"auth-method": {oauth.AuthNone, oauth.AuthSecretBasic, oauth.AuthSecretPost, oauth.AuthSecretJWT, oauth.AuthPrivateKeyJWT, oauth.AuthTLS},
		"prompt":      {"none", "login", "consent", "select_account"},
		"alg":         jwks.Algorithms(),
		"fault":       faults,
		"to":          {"pem", "jwk"},

		"exchange grant-type": {grantExchange, grantJWTBearer},

		"generate alg": jwks.PublicKeyAlgorithms(),
		"dev alg":      jwks.PublicKeyAlgorithms(),
	}
}
