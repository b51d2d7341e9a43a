package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/profile"
)

func newProfile(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "profile",
		Long: `A profile stores the settings of a login, so that later commands need no flags:
the issuer, the client, the scopes and the API. Secrets are stored elsewhere. A
variable OAUTHCTL_<KEY> overrides each setting.`,
		Example: `  # Show the settings of a profile and where each value came from
  oauthctl profile show --explain`,
		Args:        noArgs,
		RunE:        func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Annotations: map[string]string{onlyParent: "yes"},
	}
	cmd.AddCommand(newProfileList(env), newProfileShow(env), newProfileSet(env), newProfileUse(env), newProfileDelete(env))
	return cmd
}

func newProfileShow(env *Env) *cobra.Command {
	var explain bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show the settings of the profile",
		Example: `  # Show the settings of the profile in use
  oauthctl profile show

  # Print one setting of another profile
  oauthctl profile show -p work --jq .settings.issuer`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return runProfileShow(env, explain) },
	}
	cmd.Flags().BoolVar(&explain, "explain", false, "show where each value came from")
	return cmd
}

func newProfileList(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the profiles",
		Example: `  # List the profiles; * marks the one in use
  oauthctl profile list`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return runProfileList(env) },
	}
}

func newProfileSet(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "set KEY=VALUE...",
		Short: "Change settings of the profile; an empty value removes one",
		Example: `  # Set the API, and read the client's secret from a variable
  oauthctl profile set api=https://api.example.com client_secret=env:MY_SECRET

  # Remove a setting
  oauthctl profile set client_secret=`,
		Args:              between(1, 100),
		ValidArgsFunction: completeSettings,
		RunE:              func(cmd *cobra.Command, args []string) error { return runProfileSet(cmd.Context(), env, args) },
	}
}

func newProfileUse(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "use NAME",
		Short: "Use a profile from now on",
		Example: `  # Use the profile work in later commands
  oauthctl profile use work`,
		Args:              between(1, 1),
		ValidArgsFunction: onlyFirst(completeProfiles(env)),
		RunE:              func(cmd *cobra.Command, args []string) error { return runProfileUse(cmd.Context(), env, args[0]) },
	}
}

func newProfileDelete(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete a profile and its session",
		Example: `  # Log out of the profile work and delete it
  oauthctl profile delete work`,
		Args:              between(1, 1),
		ValidArgsFunction: onlyFirst(completeProfiles(env)),
		RunE:              func(cmd *cobra.Command, args []string) error { return runProfileDelete(cmd.Context(), env, args[0]) },
	}
}

func completeProfiles(env *Env) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		f, err := profile.Load(env.configPath())
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return f.Names(), cobra.ShellCompDirectiveNoFileComp
	}
}

func runProfileList(env *Env) error {
	f, err := profile.Load(env.configPath())
	if err != nil {
		return err
	}
	used, err := f.Resolve(profile.Query{Name: env.global.profile, Getenv: env.Getenv})
	if err != nil {
		return err
	}
	if env.global.wantsJSON() {
		type row struct {
			Name    string `json:"name"`
			Current bool   `json:"current"`
			Issuer  string `json:"issuer,omitempty"`
			API     string `json:"api,omitempty"`
		}
		rows := []row{}
		for _, name := range f.Names() {
			values, _ := f.Values(name)
			rows = append(rows, row{Name: name, Current: name == used.Name(), Issuer: values[profile.Issuer], API: values[profile.API]})
		}
		return env.printJSON(rows)
	}
	if len(f.Names()) == 0 {
		env.say("no profiles yet; `oauthctl login URL` creates one")
		return nil
	}
	s := env.stdout()
	for _, name := range f.Names() {
		mark := " "
		if name == used.Name() {
			mark = s.good("*")
		}
		values, _ := f.Values(name)
		s.line("%s %s  %s", mark, s.strong(name), clean(cmp.Or(values[profile.API], values[profile.Issuer])))
	}
	return nil
}

// originText says where a value came from.
func originText(p *profile.Profile, key profile.Key) string {
	switch p.Origin(key) {
	case profile.Flag:
		return "flag"
	case profile.Environment:
		return key.Variable()
	case profile.Preset:
		return "preset"
	case profile.Found:
		return "found"
	}
	return "profile " + p.Name()
}

func runProfileShow(env *Env, explain bool) error {
	p, err := env.profile()
	if err != nil {
		return err
	}
	if env.global.wantsJSON() {
		values := map[string]any{}
		for _, s := range profile.Settings() {
			v := p.Get(s.Key)
			switch {
			case v == "":
			case explain:
				values[string(s.Key)] = map[string]string{"value": v, "from": originText(p, s.Key)}
			default:
				values[string(s.Key)] = v
			}
		}
		return env.printJSON(map[string]any{"name": p.Name(), "settings": values})
	}
	s := env.stdout()
	rows := [][2]string{{"profile", s.strong(p.Name())}}
	for _, row := range profile.Settings() {
		v := clean(p.Get(row.Key))
		if explain && v != "" {
			v += "  " + s.faint("("+originText(p, row.Key)+")")
		}
		rows = append(rows, [2]string{string(row.Key), v})
	}
	s.table(rows)
	return nil
}

func runProfileSet(ctx context.Context, env *Env, args []string) error {
	changes := profile.Values{}
	for _, arg := range args {
		key, value, ok := strings.Cut(arg, "=")
		row, known := profile.Lookup(profile.Key(key))
		switch {
		case !ok:
			return usage("expected KEY=VALUE, got %q", diagnosis.Shorten(arg, 200))
		case !known:
			return &usageError{what: fmt.Sprintf("unknown key %q", diagnosis.Shorten(key, 200)), hint: "the keys are " + strings.Join(profile.Keys(), ", ")}
		case !row.Holds(value):
			return &usageError{what: key + ": a profile never holds the secret itself", hint: "expected " + row.Form()}
		}
		if values := account.Choices(row.Key); values != nil && value != "" && !slices.Contains(values, value) {
			return usage("%s: expected %s, got %s", key, choices(values), diagnosis.Quote(value))
		}
		changes[row.Key] = value
	}
	p, err := env.anyProfile()
	if err != nil {
		return err
	}
	var dropped []profile.Key
	err = profile.Update(ctx, env.configPath(), func(f *profile.File) error {
		dropped = f.Set(p.Name(), changes)
		return nil
	})
	if err != nil {
		return err
	}
	for _, key := range dropped {
		env.warn("%s was configured for another server, so it is removed; set it again if it is for this one", key)
	}
	return env.profileChanged(p.Name(), "profile %s changed")
}

// profileChanged says what became of a profile.
func (env *Env) profileChanged(name, text string) error {
	if env.global.wantsJSON() {
		f, err := profile.Load(env.configPath())
		if err != nil {
			return err
		}
		values, exists := f.Values(name)
		return env.printJSON(map[string]any{"name": name, "current": f.Current() == name, "exists": exists, "settings": values})
	}
	env.say(text, name)
	return nil
}

func runProfileUse(ctx context.Context, env *Env, name string) error {
	err := profile.Update(ctx, env.configPath(), func(f *profile.File) error {
		if _, ok := f.Values(name); !ok {
			return noSuchProfile(f, name)
		}
		f.Use(name)
		return nil
	})
	if err != nil {
		return err
	}
	return env.profileChanged(name, "profile %s is now in use")
}

func runProfileDelete(ctx context.Context, env *Env, name string) error {
	f, err := profile.Load(env.configPath())
	if err != nil {
		return err
	}
	if _, ok := f.Values(name); !ok && !env.hasSession(name) {
		return noSuchProfile(f, name)
	}
	p, err := f.Resolve(profile.Query{Name: name, Flags: env.global.profileValues()})
	if err != nil {
		return err
	}
	a, err := env.account(p, credentials{})
	if err != nil {
		return err
	}
	_, failed := a.Delete(ctx)
	var d *diagnosis.Diagnosis
	if errors.As(failed, &d) && d.Kind() == diagnosis.Store {
		return failed
	}
	err = profile.Update(ctx, env.configPath(), func(f *profile.File) error {
		f.Delete(name)
		return nil
	})
	if err == nil {
		err = env.profileChanged(name, "profile %s is deleted")
	}
	return errors.Join(failed, err)
}
