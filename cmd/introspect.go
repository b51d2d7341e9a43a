package cmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

func newIntrospect(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "introspect [TOKEN]",
		Long: `Ask the profile's authorization server whether a token is active (RFC 7662), as
the client of the session. The exit code is 3 if it is not.

` + longTokenArg,
		Args: upTo(1),
		RunE: env.withToken(runIntrospect),
	}
}

func runIntrospect(ctx context.Context, env *Env, raw secret.String) error {
	a, err := env.currentAccount()
	if err != nil {
		return err
	}
	answer, err := a.Introspect(ctx, raw)
	if err != nil {
		return err
	}
	if err := env.printJSON(answer.Raw); err != nil {
		return err
	}
	if !answer.Active {
		return told{&diagnosis.Diagnosis{ID: diagnosis.Revoked}}
	}
	return nil
}
