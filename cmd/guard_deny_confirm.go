package cmd

import (
	"context"

	"github.com/spf13/cobra"
)

func newGuardDenyConfirm(env *Env) *cobra.Command {
	var o revocationsFlag
	cmd := &cobra.Command{
		Use:   "confirm --revocations URL",
		Short: "Let the guards use a Redis that lost its data",
		Long: `Let the guards use a Redis that lost its data. Guards that were running use the
data that they have in memory; guards that started afterwards answer 503 until
this command is run. First, revoke again all tokens that have not expired.`,
		Example: `  # Use a Redis that was restarted without its data
  oauthctl guard deny confirm --revocations redis://127.0.0.1:6379/0`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runGuardDenyConfirm(cmd.Context(), env, o) },
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func runGuardDenyConfirm(ctx context.Context, env *Env, o revocationsFlag) error {
	store, err := o.must(env, "guard deny confirm")
	if err != nil {
		return err
	}
	defer store.Close()
	if err := store.Confirm(ctx); err != nil {
		return err
	}
	env.say("confirmed: the guards use this Redis")
	return nil
}
