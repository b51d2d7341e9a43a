package cmd

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/account"
)

type tokenOptions struct {
	minTTL  time.Duration
	refresh bool
	format  string
}

func newToken(env *Env) *cobra.Command {
	var o tokenOptions
	cmd := &cobra.Command{
		Use: "token",
		Long: `Print the profile's access token on stdout, renewed first if it is about to
expire. On failure nothing is printed on stdout. If the renewal fails for a
passing reason and the token still lives, it is printed with a warning.`,
		Example: `  curl -H "$(oauthctl token --format header)" https://api.example.com/items
  oauthctl token --format curl | curl -K - https://api.example.com/items
  oauthctl token | oauthctl verify -`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runToken(cmd.Context(), env, o) },
	}
	f := cmd.Flags()
	f.DurationVar(&o.minTTL, "min-ttl", 0, "refresh it if it is valid for less than this\n(default a fifth of its lifetime, at most 1m)")
	f.BoolVar(&o.refresh, "refresh", false, "refresh it in any case")
	f.StringVar(&o.format, "format", "raw", "how to print it: "+strings.Join(tokenFormats(), ", "))
	return cmd
}

func tokenFormats() []string {
	return []string{"raw", "header", "json", "env", "curl", "exec-credential"}
}

func runToken(ctx context.Context, env *Env, o tokenOptions) error {
	if env.global.wantsJSON() {
		o.format = "json"
	}
	if !slices.Contains(tokenFormats(), o.format) {
		return usage("--format: expected %s, got %q", strings.Join(tokenFormats(), ", "), o.format)
	}
	if o.minTTL < 0 {
		return usage("--min-ttl: expected a duration such as 60s, got %s", o.minTTL)
	}
	t, err := env.accessToken(ctx, account.Want{MinTTL: o.minTTL, Refresh: o.refresh})
	if err != nil {
		return err
	}
	if o.format == "env" || o.format == "curl" {
		if err := unbound(t, "--format "+o.format); err != nil {
			return err
		}
	}
	return env.printToken(o.format, t)
}

func (env *Env) printToken(format string, t *account.Token) error {
	env.mask(t.Value)
	out := env.stdout()
	kind, value := t.Type, t.Value
	switch format {
	case "header":
		out.line("Authorization: %s %s", kind, value.Reveal())
	case "env":
		out.line("OAUTHCTL_TOKEN=%s", shellQuote(value.Reveal()))
	case "curl":
		out.line("header = \"Authorization: %s %s\"", kind, value.Reveal())
	case "exec-credential":
		return env.printJSON(execCredential(t, env.Getenv("KUBERNETES_EXEC_INFO")))
	case "json":
		shown := struct {
			AccessToken string `json:"access_token"`
			TokenType   string `json:"token_type"`
			ExpiresAt   string `json:"expires_at,omitempty"`
			Scope       string `json:"scope,omitempty"`
		}{AccessToken: value.Reveal(), TokenType: kind, Scope: strings.Join(t.Scope, " "), ExpiresAt: timestamp(t.ExpiresAt)}
		return env.printJSON(shown)
	default:
		out.line("%s", value.Reveal())
	}
	return nil
}

// execCredential is the answer of a kubectl credential plugin
// (client.authentication.k8s.io), in the version that kubectl asks for.
func execCredential(t *account.Token, asked string) any {
	type status struct {
		Expires string `json:"expirationTimestamp,omitempty"`
		Token   string `json:"token"`
	}
	answer := struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Status     status `json:"status"`
	}{"client.authentication.k8s.io/v1", "ExecCredential", status{Token: t.Value.Reveal(), Expires: timestamp(t.ExpiresAt)}}
	if strings.Contains(asked, `"client.authentication.k8s.io/v1beta1"`) {
		answer.APIVersion = "client.authentication.k8s.io/v1beta1"
	}
	return answer
}
