package cmd

import (
	"context"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/account"
)

type execOptions struct {
	variable string
	command  []string
}

func newExec(env *Env) *cobra.Command {
	var o execOptions
	cmd := &cobra.Command{
		Use: "exec [--env NAME] -- COMMAND [ARG...]",
		Long: `Run a command with the profile's access token in its environment, where other
users cannot read it as they can arguments. The command takes this one's place:
signals reach it, and its exit code is what the shell sees.`,
		Example: `  oauthctl exec -- ./smoke-test.sh
  oauthctl exec --env API_TOKEN -- terraform plan`,
		Args: between(1, 10_000),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.command = args
			return runExec(cmd.Context(), env, o)
		},
	}
	cmd.Flags().SetInterspersed(false)
	cmd.Flags().StringVar(&o.variable, "env", "OAUTHCTL_TOKEN", "the `NAME` of the variable")
	return cmd
}

func runExec(ctx context.Context, env *Env, o execOptions) error {
	if o.variable == "" || strings.ContainsAny(o.variable, "= \x00") {
		return usage("--env: expected the name of a variable, got %q", o.variable)
	}
	path, err := exec.LookPath(o.command[0])
	if err != nil {
		return usage("exec: %w", err)
	}
	t, err := env.accessToken(ctx, account.Want{})
	if err != nil {
		return err
	}
	if err := unbound(t, "exec"); err != nil {
		return err
	}
	return env.replace(path, o.command, withVariable(publicEnviron(), o.variable, t.Value.Reveal()))
}

// withVariable returns an environment in which a variable has one value.
func withVariable(environ []string, name, value string) []string {
	var kept []string
	for _, pair := range environ {
		if !strings.HasPrefix(pair, name+"=") {
			kept = append(kept, pair)
		}
	}
	return append(kept, name+"="+value)
}
