package cmd

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

type tokenOptions struct {
	wantedToken
	format      string
	variable    string
	username    string
	allowOrigin []string
	action      string // of a credential helper: get, store, erase or list
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
	f.StringVar(&o.format, "format", "raw", "print the token in this `FORMAT`: "+choices(tokenFormats()))
	f.BoolVar(&o.id, "id-token", false, "print the ID token of the login instead of the access token")
	f.StringVar(&o.variable, "env", "OAUTHCTL_TOKEN", "`NAME` of the variable in the formats env, fish and powershell")
	f.StringVar(&o.username, "username", "oauth2", "user `NAME` in the formats git, docker and netrc")
	f.StringArrayVar(&o.allowOrigin, "allow-origin", nil, "also give the token to the origin of `URL` (repeatable)")
	return cmd
}

func tokenFormats() []string {
	return []string{"raw", "header", "json", "env", "fish", "powershell", "curl", "netrc", "git", "docker", "exec-credential", "id_token"}
}

func runToken(ctx context.Context, env *Env, o tokenOptions) error {
	o.id = o.id || o.format == "id_token"
	if o.format == "id_token" {
		o.format = "raw"
	}
	if env.global.wantsJSON() && o.format != "exec-credential" {
		o.format = "json"
	}
	helper := o.format == "git" || o.format == "docker"
	switch {
	case !slices.Contains(tokenFormats(), o.format):
		return usage("--format: expected %s, got %q", strings.Join(tokenFormats(), ", "), o.format)
	case o.minTTL < 0:
		return usage("--min-ttl: expected a duration such as 60s, got %s", o.minTTL)
	case !isVariable(o.variable):
		return usage("--env: expected the name of a variable, got %q", o.variable)
	case strings.ContainsAny(o.username, " \t\r\n"):
		return usage("--username: expected a name without spaces, got %q", o.username)
	case o.action != "" && !helper:
		return usage("unexpected argument %q", o.action)
	case helper:
		return env.credentialHelper(ctx, o)
	}
	switch o.format {
	case "env", "fish", "powershell", "curl", "netrc":
		o.bearer = "--format " + o.format
	}
	t, err := env.usableToken(ctx, o.wantedToken)
	if err != nil {
		return err
	}
	return env.printToken(o, t)
}

func (env *Env) printToken(o tokenOptions, t *usableToken) error {
	env.mask(t.value)
	out := env.stdout()
	value := t.value.Reveal()
	switch o.format {
	case "header":
		out.line("Authorization: %s %s", t.kind, value)
	case "env":
		out.line("export %s=%s", o.variable, shellQuote(value))
	case "fish":
		out.line("set -gx %s '%s'", o.variable, strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value))
	case "powershell":
		out.line("$env:%s = '%s'", o.variable, strings.ReplaceAll(value, "'", "''"))
	case "curl":
		out.line("header = \"Authorization: %s %s\"", t.kind, value)
	case "netrc":
		host, err := t.host()
		if err != nil {
			return err
		}
		out.line("machine %s login %s password %s", host, o.username, value)
	case "exec-credential":
		return env.printJSON(execCredential(t, env.Getenv("KUBERNETES_EXEC_INFO")))
	case "json":
		return env.printJSON(tokenJSON(t, o.id))
	default:
		out.line("%s", value)
	}
	return nil
}

func tokenJSON(t *usableToken, id bool) any {
	shown := struct {
		AccessToken string `json:"access_token,omitempty"`
		IDToken     string `json:"id_token,omitempty"`
		TokenType   string `json:"token_type"`
		ExpiresAt   string `json:"expires_at,omitempty"`
		Scope       string `json:"scope,omitempty"`
	}{AccessToken: t.value.Reveal(), TokenType: t.kind, Scope: strings.Join(t.scope, " ")}
	if id {
		shown.AccessToken, shown.IDToken = "", shown.AccessToken
	}
	shown.ExpiresAt = timestamp(t.expires)
	return shown
}

// execCredential is the answer of a kubectl credential plugin
// (client.authentication.k8s.io), in the version that kubectl asks for.
func execCredential(t *usableToken, asked string) any {
	type status struct {
		Expires string `json:"expirationTimestamp,omitempty"`
		Token   string `json:"token"`
	}
	answer := struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Status     status `json:"status"`
	}{"client.authentication.k8s.io/v1", "ExecCredential", status{Token: t.value.Reveal()}}
	if strings.Contains(asked, `"client.authentication.k8s.io/v1beta1"`) {
		answer.APIVersion = "client.authentication.k8s.io/v1beta1"
	}
	answer.Status.Expires = timestamp(t.expires)
	return answer
}

// isVariable reports whether a name can be that of a variable in every shell.
func isVariable(name string) bool {
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}
