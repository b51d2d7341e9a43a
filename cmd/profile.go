package cmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func newProfile(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "profile",
		Long: `A profile remembers what a login found out, so that later commands need no
flags: the issuer, the client, the scopes, the API. Its secrets are kept
elsewhere. Every value can be overridden by a variable: OAUTHCTL_<KEY>.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var explain bool
	show := &cobra.Command{
		Use:   "show",
		Short: "Show the profile in use",
		Args:  noArgs,
		RunE:  func(*cobra.Command, []string) error { return runProfileShow(env, explain) },
	}
	show.Flags().BoolVar(&explain, "explain", false, "say where each value came from")
	cmd.AddCommand(
		&cobra.Command{
			Use:   "list",
			Short: "List the profiles",
			Args:  noArgs,
			RunE:  func(*cobra.Command, []string) error { return runProfileList(env) },
		},
		show,
		&cobra.Command{
			Use:     "set KEY=VALUE...",
			Short:   "Change values of the profile; an empty value removes it",
			Example: "  oauthctl profile set api=https://api.example.com client_secret=env:MY_SECRET",
			Args:    between(1, 100),
			RunE:    func(_ *cobra.Command, args []string) error { return runProfileSet(env, args) },
		},
		&cobra.Command{
			Use:               "use NAME",
			Short:             "Make a profile the one that commands use",
			Args:              between(1, 1),
			ValidArgsFunction: completeProfiles(env),
			RunE:              func(_ *cobra.Command, args []string) error { return runProfileUse(env, args[0]) },
		},
		&cobra.Command{
			Use:               "delete NAME",
			Short:             "Forget a profile and its session",
			Args:              between(1, 1),
			ValidArgsFunction: completeProfiles(env),
			RunE:              func(cmd *cobra.Command, args []string) error { return runProfileDelete(cmd.Context(), env, args[0]) },
		},
	)
	return cmd
}

func completeProfiles(env *Env) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		c, err := env.openConfig()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return sortedKeys(c.profiles), cobra.ShellCompDirectiveNoFileComp
	}
}

func runProfileList(env *Env) error {
	c, err := env.openConfig()
	if err != nil {
		return err
	}
	used, err := env.profileName(c)
	if err != nil {
		return err
	}
	names := sortedKeys(c.profiles)
	if env.global.wantsJSON() {
		type row struct {
			Name    string `json:"name"`
			Current bool   `json:"current"`
			Issuer  string `json:"issuer,omitempty"`
			API     string `json:"api,omitempty"`
		}
		rows := []row{}
		for _, name := range names {
			p := c.profiles[name]
			rows = append(rows, row{name, name == used, p.Issuer, p.API})
		}
		return env.printJSON(rows)
	}
	if len(names) == 0 {
		env.say("no profiles yet; `oauthctl login URL` makes one")
		return nil
	}
	s := env.stdout()
	for _, name := range names {
		mark := " "
		if name == used {
			mark = s.good("*")
		}
		p := c.profiles[name]
		where := p.API
		if where == "" {
			where = p.Issuer
		}
		s.line("%s %s  %s", mark, s.strong(name), clean(where))
	}
	return nil
}

func runProfileShow(env *Env, explain bool) error {
	r, err := env.resolve()
	if err != nil {
		return err
	}
	if env.global.wantsJSON() {
		values := map[string]any{}
		for _, s := range settings() {
			v := *s.field(&r.profile)
			switch {
			case v == "":
			case explain:
				values[s.key] = map[string]string{"value": v, "from": r.from[s.key]}
			default:
				values[s.key] = v
			}
		}
		return env.printJSON(map[string]any{"name": r.name, "settings": values})
	}
	s := env.stdout()
	rows := [][2]string{{"profile", s.strong(r.name)}}
	for _, row := range settings() {
		v := clean(*row.field(&r.profile))
		if explain && v != "" {
			v += "  " + s.faint("("+r.from[row.key]+")")
		}
		rows = append(rows, [2]string{row.key, v})
	}
	s.table(rows)
	return nil
}

func runProfileSet(env *Env, args []string) error {
	c, err := env.openConfig()
	if err != nil {
		return err
	}
	name, err := env.profileName(c)
	if err != nil {
		return err
	}
	p := profile{}
	if old := c.profiles[name]; old != nil {
		p = *old
	}
	for _, arg := range args {
		key, value, ok := strings.Cut(arg, "=")
		row, known := findSetting(key)
		switch {
		case !ok:
			return usage("expected KEY=VALUE, got %q", arg)
		case !known:
			return &usageError{what: fmt.Sprintf("unknown key %q", key), hint: "the keys are " + strings.Join(settingKeys(), ", ")}
		case !row.mayHold(value):
			return &usageError{what: key + ": a profile never holds the secret itself", hint: "expected " + row.form}
		}
		*row.field(&p) = value
	}
	if err := c.saveProfile(name, &p); err != nil {
		return err
	}
	env.say("profile %s changed", name)
	return nil
}

func runProfileUse(env *Env, name string) error {
	c, err := env.openConfig()
	if err != nil {
		return err
	}
	if c.profiles[name] == nil {
		return noSuchProfile(c, name)
	}
	if err := c.setCurrent(name); err != nil {
		return err
	}
	env.say("profile %s is now in use", name)
	return nil
}

func runProfileDelete(ctx context.Context, env *Env, name string) error {
	c, err := env.openConfig()
	if err != nil {
		return err
	}
	if c.profiles[name] == nil {
		return noSuchProfile(c, name)
	}
	if err := env.forgetSession(ctx, name); err != nil {
		return err
	}
	if c.current == name {
		if err := c.setCurrent(""); err != nil {
			return err
		}
	}
	if err := c.saveProfile(name, nil); err != nil {
		return err
	}
	env.say("profile %s is deleted", name)
	return nil
}

func noSuchProfile(c *config, name string) error {
	hint := "there are none yet; `oauthctl login URL` makes one"
	if names := sortedKeys(c.profiles); len(names) > 0 {
		hint = "the profiles are " + strings.Join(names, ", ")
	}
	return &usageError{what: fmt.Sprintf("there is no profile %q", name), hint: hint}
}
