package cmd

import (
	"context"

	"github.com/spf13/cobra"
)

func newUserinfo(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "userinfo",
		Long: `Print what the authorization server's userinfo endpoint says about the user
(OpenID Connect Core, section 5.3). A response about another user than the one
who logged in is refused.`,
		Example: `  # Print the user's claims
  oauthctl userinfo

  # Print the user's name only
  oauthctl userinfo --jq .name`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runUserinfo(cmd.Context(), env) },
	}
}

func runUserinfo(ctx context.Context, env *Env) error {
	a, err := env.currentAccount()
	if err != nil {
		return err
	}
	answer, err := a.Userinfo(ctx)
	if err != nil {
		return err
	}
	return env.printJSON(answer.Raw)
}
