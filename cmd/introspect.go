package cmd

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/session"
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
	client, _, err := env.signedIn(ctx)
	if err != nil {
		return err
	}
	answer, err := client.Introspect(ctx, raw, "access_token")
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

// signedIn returns the session of the profile in use with its client.
func (env *Env) signedIn(ctx context.Context) (*oauth.Client, *session.Session, error) {
	r, err := env.resolve()
	if err != nil {
		return nil, nil, err
	}
	s, err := env.loadSession(r.name)
	switch {
	case errors.Is(err, session.ErrNotFound):
		return nil, nil, loginRequired(r)
	case err != nil:
		return nil, nil, err
	}
	client, err := env.sessionClient(ctx, r, s)
	return client, s, err
}
