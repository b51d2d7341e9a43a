package cmd

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func newGuardDenyList(env *Env) *cobra.Command {
	var o revocationsFlag
	cmd := &cobra.Command{
		Use:   "list --revocations URL",
		Short: "List what guard deny revoked",
		Long: `List the active revocations of ` + "`oauthctl guard deny`" + `, oldest first: the time,
what was revoked, its issuer, and when the revocation ends. Tokens that an API
revoked are not listed.`,
		Example: `  # List the revocations
  oauthctl guard deny list --revocations redis://127.0.0.1:6379/0`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runGuardDenyList(cmd.Context(), env, o) },
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func runGuardDenyList(ctx context.Context, env *Env, o revocationsFlag) error {
	store, err := o.must(env, "guard deny list")
	if err != nil {
		return err
	}
	defer store.Close()
	all, err := store.List(ctx)
	if err != nil {
		return err
	}
	if env.global.wantsJSON() {
		return env.printJSON(all)
	}
	for _, d := range all {
		fmt.Fprintf(env.Stdout, "%s  %s %s  %s  until %s\n", d.Revoked.Format(time.RFC3339), d.Kind, clean(d.Value), clean(d.Issuer), d.Until.Format(time.RFC3339))
	}
	return nil
}
