package cmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/secret"
)

func newRevoke(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "revoke [TOKEN]",
		Long: `Revoke a token at the profile's authorization server (RFC 7009), as the client of
the session. Without an argument it is the session's access token; ` + "`oauthctl logout`" + `
ends the session altogether.

` + longTokenArg,
		Args: upTo(1),
		RunE: env.withToken(runRevoke),
	}
}

func runRevoke(ctx context.Context, env *Env, raw secret.String) error {
	client, _, err := env.signedIn(ctx)
	if err != nil {
		return err
	}
	if err := client.Revoke(ctx, raw, ""); err != nil {
		return err
	}
	env.say("the token is revoked")
	return nil
}
