package cmd

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/session"
)

type logoutOptions struct {
	all        bool
	endSession bool
}

func newLogout(env *Env) *cobra.Command {
	var o logoutOptions
	cmd := &cobra.Command{
		Use: "logout",
		Long: `Revoke the session's tokens at the server (RFC 7009) and forget them here. They
are forgotten here in any case; if the server could not be told, the exit code
is 6. With --end-session the browser is sent to end the session at the server too
(OpenID Connect RP-Initiated Logout), so that the next login asks again.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runLogout(cmd.Context(), env, o) },
	}
	cmd.Flags().BoolVar(&o.all, "all", false, "log out of every profile")
	cmd.Flags().BoolVar(&o.endSession, "end-session", false, "end the session in the browser as well")
	return cmd
}

func runLogout(ctx context.Context, env *Env, o logoutOptions) error {
	r, err := env.resolve()
	if err != nil {
		return err
	}
	profiles := []string{r.name}
	if o.all {
		store, err := env.store("")
		if err != nil {
			return err
		}
		if profiles, err = store.Profiles(); err != nil {
			return err
		}
	}
	var untold error
	for _, name := range profiles {
		if err := env.logout(ctx, r, name, o.endSession); err != nil {
			untold = err
		}
	}
	return untold
}

// logout ends one session. The server is told while the tokens are still at
// hand; whatever it says, they are forgotten here.
func (env *Env) logout(ctx context.Context, r *resolved, name string, endSession bool) error {
	s, err := env.loadSession(name)
	if errors.Is(err, session.ErrNotFound) {
		env.say("profile %s: nobody is logged in", name)
		return nil
	}
	var untold error
	if err == nil {
		untold = env.revoke(ctx, r, s)
	}
	// One that cannot be read can still be removed.
	if err := env.forgetSession(ctx, name); err != nil {
		return err
	}
	env.say("profile %s: logged out", name)
	if endSession && err == nil {
		untold = errors.Join(untold, env.endSession(ctx, r, s))
	}
	return untold
}

// endSession sends the browser to where the server ends its own session.
func (env *Env) endSession(ctx context.Context, r *resolved, s *session.Session) error {
	client, err := env.sessionClient(ctx, r, s)
	if err != nil {
		return err
	}
	address, err := client.EndSessionURL()
	if err != nil {
		return err
	}
	out := env.stderr()
	out.line("%s", out.strong("End the session at the server here:"))
	out.line("%s", clean(address))
	if env.IsTerminal(env.Stderr) && env.hasBrowser() {
		if err := env.Browse(address); err != nil {
			env.warn("no browser could be opened (%s); open the URL above yourself", clean(err.Error()))
		}
	}
	return nil
}

// revoke tells the server that the session's tokens are no longer needed.
func (env *Env) revoke(ctx context.Context, r *resolved, s *session.Session) error {
	client, err := env.sessionClient(ctx, r, s)
	if err != nil {
		return err
	}
	if client.Server.RevocationEndpoint == "" {
		until := "until it expires, which the server did not tell"
		if !s.ExpiresAt.IsZero() {
			until = "until " + s.ExpiresAt.UTC().Format("2006-01-02 15:04:05 UTC")
		}
		env.warn("the server cannot revoke tokens; the access token lives %s", until)
		return nil
	}
	if !s.RefreshToken.IsZero() {
		if err := client.Revoke(ctx, s.RefreshToken, "refresh_token"); err != nil {
			return err
		}
	}
	err = client.Revoke(ctx, s.AccessToken, "access_token")
	var refused *oauth.Error
	if errors.As(err, &refused) && refused.Code == "unsupported_token_type" {
		return nil // a JWT that no server is asked about; it ends by itself
	}
	return err
}
