package cmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

func newRevoke(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "revoke [TOKEN]",
		Long: `Revoke a token at the profile's authorization server (RFC 7009), as the
session's client. Without TOKEN the session's access token is revoked. To end
the session, run ` + "`oauthctl logout`" + `.` + "\n\n" + longTokenArg,
		Example: `  # Revoke the token in a file
  oauthctl revoke @token.txt

  # Revoke the session's access token
  oauthctl revoke`,
		Args: upTo(1),
		RunE: env.withToken(runRevoke),
	}
}

func runRevoke(ctx context.Context, env *Env, raw secret.String) error {
	a, err := env.currentAccount()
	if err != nil {
		return err
	}
	if err := a.Revoke(ctx, raw); err != nil {
		return err
	}
	if env.global.wantsJSON() {
		return env.printJSON(map[string]bool{"revoked": true})
	}
	env.say("the token is revoked")
	if expires := account.ExpiryOf(raw); expires.After(env.Now()) {
		env.say("an API that verifies it without asking the server accepts it until %s", clock(expires, env.Now()))
	}
	return nil
}
