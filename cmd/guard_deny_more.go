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
		Long: `List what ` + "`oauthctl guard deny`" + ` revoked and still counts, oldest first: the
time, what was revoked, its issuer, and until when the entry counts. What an API
revoked itself is not in the list.`,
		Example: `  oauthctl guard deny list --revocations redis://127.0.0.1:6379/0`,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runGuardDenyList(cmd.Context(), env, o) },
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

func newGuardDenyUndo(env *Env) *cobra.Command {
	var o deniedFlags
	cmd := &cobra.Command{
		Use:   "undo --jti J|--sub S|--sid S --policy FILE --revocations URL",
		Short: "Accept again what guard deny revoked",
		Long: `Remove an entry that ` + "`oauthctl guard deny`" + ` made. Tokens that it refused and that
have not expired are accepted again, within 2 seconds.`,
		Example: `  oauthctl guard deny undo --sub alice --policy policy.yaml`,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runGuardDenyUndo(cmd.Context(), env, o) },
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func runGuardDenyUndo(ctx context.Context, env *Env, o deniedFlags) error {
	issuer, err := o.check("guard deny undo")
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

func newGuardDenyConfirm(env *Env) *cobra.Command {
	var o revocationsFlag
	cmd := &cobra.Command{
		Use:   "confirm --revocations URL",
		Short: "Use a Redis that lost what was revoked",
		Long: `Say that the guards may use a Redis that came back empty. Guards that ran before
go on with what they knew; those that started afterwards answer 503 until this
command is run. Revoke again first what has not expired.`,
		Example: `  oauthctl guard deny confirm --revocations redis://127.0.0.1:6379/0`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			store, err := o.must(env, "guard deny confirm")
			if err != nil {
				return err
			}
			defer store.Close()
			if err := store.Confirm(cmd.Context()); err != nil {
				return err
			}
			env.say("confirmed: the guards use this Redis")
			return nil
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}
