package cmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/profile"
)

type logoutOptions struct {
	all        bool
	endSession bool
}

func newLogout(env *Env) *cobra.Command {
	var o logoutOptions
	cmd := &cobra.Command{
		Use: "logout",
		Long: `Revoke the session's tokens at the server (RFC 7009) and remove them from this
machine. They are removed from this machine in any case; if the server cannot be
reached, the exit code is 6.

With --end-session the session in the browser is ended too (OpenID Connect
RP-Initiated Logout), so that the next login asks for the password again.`,
		Example: `  # Log out of the profile in use
  oauthctl logout

  # Log out of every profile
  oauthctl logout --all`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runLogout(cmd.Context(), env, o) },
	}
	cmd.Flags().BoolVar(&o.all, "all", false, "log out of every profile")
	cmd.Flags().BoolVar(&o.endSession, "end-session", false, "also end the session in the browser")
	return cmd
}

// logoutReport is what logout --json shows of a profile.
type logoutReport struct {
	Profile       string `json:"profile"`
	Forgotten     bool   `json:"forgotten"`
	Revoked       bool   `json:"revoked"`
	EndSessionURL string `json:"end_session_url,omitempty"`
}

func runLogout(ctx context.Context, env *Env, o logoutOptions) error {
	profiles, err := env.logoutProfiles(o.all)
	if err != nil {
		return err
	}
	reports := []logoutReport{}
	var failed error
	for _, p := range profiles {
		a, err := env.account(p, credentials{})
		if err != nil {
			return err
		}
		out, err := a.Logout(ctx, o.endSession)
		reports = append(reports, logoutReport{out.Profile, out.Forgotten, out.Revoked, out.EndSessionURL})
		if !env.global.wantsJSON() {
			env.showLogout(out)
		}
		if err != nil && len(profiles) > 1 {
			env.warnOf(err)
		}
		if err != nil {
			failed = err
		}
	}
	if env.global.wantsJSON() {
		if err := env.printJSON(reports); err != nil || failed == nil {
			return err
		}
		return printedError{failed}
	}
	return failed
}

// logoutProfiles are the profiles to log out of: the one in use, or each that has
// a session, with what its own file says and nothing of another's.
func (env *Env) logoutProfiles(all bool) ([]*profile.Profile, error) {
	current, err := env.profile()
	if err != nil || !all {
		return []*profile.Profile{current}, err
	}
	store, err := account.NewStore(current, env.StateDir)
	if err != nil {
		return nil, err
	}
	names, err := store.Profiles()
	if err != nil {
		return nil, err
	}
	f, err := profile.Load(env.configPath())
	if err != nil {
		return nil, err
	}
	var profiles []*profile.Profile
	for _, name := range names {
		p, err := f.Resolve(profile.Query{Name: name, Getenv: env.Getenv, Flags: env.global.profileValues()})
		if err != nil {
			return nil, err
		}
		env.hideSecrets(p)
		profiles = append(profiles, p)
	}
	return profiles, nil
}

func (env *Env) showLogout(out account.LoggedOut) {
	if !out.Forgotten {
		env.say("profile %s: not logged in", out.Profile)
		return
	}
	env.say("profile %s: logged out", out.Profile)
	if out.EndSessionURL == "" {
		return
	}
	s := env.stderr()
	s.line("%s", s.strong("End the session at the server here:"))
	s.line("%s", clean(out.EndSessionURL))
	if env.IsTerminal(env.Stderr) && env.hasBrowser() {
		if err := env.Browse(out.EndSessionURL); err != nil {
			env.warn("no browser could be opened (%s); open the URL above yourself", clean(err.Error()))
		}
	}
}
