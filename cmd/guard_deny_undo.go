package cmd

import (
	"context"

	"github.com/spf13/cobra"
)

func newGuardDenyUndo(env *Env) *cobra.Command {
	var o deniedFlags
	cmd := &cobra.Command{
		Use:   "undo --jti J|--sub S|--sid S --policy FILE --revocations URL",
		Short: "Undo a revocation of guard deny",
		Long: `Remove an entry that ` + "`oauthctl guard deny`" + ` made. Tokens that it refused and that
have not expired are accepted again, within 2 seconds.`,
		Example: `  # Accept the tokens of a user again
  oauthctl guard deny undo --sub alice --policy policy.yaml \
    --revocations redis://127.0.0.1:6379/0`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runGuardDenyUndo(cmd.Context(), env, o) },
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func runGuardDenyUndo(ctx context.Context, env *Env, o deniedFlags) error {
	issuer, err := o.check(env, "guard deny undo")
	if err != nil {
		return err
	}
	store, err := o.revocations.must(env, "guard deny undo")
	if err != nil {
		return err
	}
	defer store.Close()
	entry, about := o.entry(issuer, env.Now())
	if err := store.Undo(ctx, entry); err != nil {
		return err
	}
	if env.global.wantsJSON() {
		return env.printJSON(about)
	}
	env.say("accepted again: %s from %s", clean(o.words(nil)), clean(issuer))
	return nil
}
