package cmd

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
)

type tokenOptions struct {
	wantedToken
	format      string
	variable    string
	username    string
	allowOrigin []string
	action      string // for a credential helper: get, store, erase or list
	asked       string // the request of the program that runs the credential helper
}

func newToken(env *Env) *cobra.Command {
	var o tokenOptions
	cmd := &cobra.Command{
		Use: "token",
		Long: `Print the profile's access token to stdout, refreshing it first if it expires
soon. On failure nothing is printed to stdout. If the refresh fails for a
transient reason and the token is still valid, it is printed with a warning.

With --format git or docker the command is a credential helper: it reads the
request of git or docker from standard input, and gives the token only to the
profile's API, or to --allow-origin.`,
		Example: `  # Call an API with curl, with the token outside of the arguments
  oauthctl token --format curl | curl -s -K - https://api.example.com/api/items

  # Set OAUTHCTL_TOKEN in this shell
  eval "$(oauthctl token --format env)"

  # Verify the token
  oauthctl token | oauthctl verify -

  # Let git use the token for a server
  git config --global credential.https://git.example.com.helper \
    '!oauthctl token --format git'`,
		Args: upTo(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.action = args[0]
			}
			return runToken(cmd.Context(), env, o)
		},
	}
	f := cmd.Flags()
	f.DurationVar(&o.minTTL, "min-ttl", 0, "refresh the token if it is valid for less than this (default: a fifth of its lifetime, at most 1m)")
	f.BoolVar(&o.refresh, "refresh", false, "always refresh the token")
	o.format = "raw"
	oneOf(f, &o.format, "format", tokenFormatNames(), "print the token in this `FORMAT`: "+choices(tokenFormatNames()))
	f.BoolVar(&o.id, "id-token", false, "print the ID token of the login instead of the access token")
	f.StringVar(&o.variable, "env", variableToken, "`NAME` of the variable in the formats env, fish and powershell")
	f.StringVar(&o.username, "username", "oauth2", "user `NAME` in the formats git, docker and netrc")
	f.StringArrayVar(&o.allowOrigin, "allow-origin", nil, "also give the token to the origin of `URL` (repeatable)")
	return cmd
}

func runToken(ctx context.Context, env *Env, o tokenOptions) error {
	format := tokenFormatNamed(o.format)
	o.id = o.id || format.id
	if env.global.wantsJSON() && !format.isJSON {
		format = tokenFormatNamed("json")
	}
	switch {
	case o.minTTL < 0:
		return usage("--min-ttl: expected a duration such as 60s, got %s", o.minTTL)
	case !isVariable(o.variable):
		return usage("--env: expected the name of a variable, got %q", o.variable)
	case strings.ContainsAny(o.username, " \t\r\n"):
		return usage("--username: expected a name without spaces, got %q", o.username)
	case o.action != "" && format.target == nil:
		return usage("unexpected argument %q", o.action)
	case format.passedOn:
		o.bearer = "--format " + format.name
	}
	if format.target != nil {
		return env.credentialHelper(ctx, o, format)
	}
	t, err := env.usableToken(ctx, o.wantedToken)
	if err != nil {
		return err
	}
	env.mask(t.value)
	return format.print(env, o, t)
}

// isVariable reports whether every shell allows a name for a variable.
func isVariable(name string) bool {
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}
