package cmd

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/session"
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
	f.DurationVar(&o.minTTL, "min-ttl", 0, "renew it if it lives for less than this\n(default: a fifth of its life, at most 1m)")
	f.BoolVar(&o.refresh, "refresh", false, "renew it in any case")
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
	r, err := env.resolve()
	if err != nil {
		return err
	}
	if o.format == "env" || o.format == "curl" {
		if err := env.unbound(r, "--format "+o.format); err != nil {
			return err
		}
	}
	value, s, err := env.accessToken(ctx, session.Want{MinTTL: o.minTTL, Fresh: o.refresh})
	if err != nil {
		return err
	}
	return env.printToken(o.format, value, s)
}

func (env *Env) printToken(format string, value secret.String, s *session.Session) error {
	env.mask(value)
	out := env.stdout()
	kind := "Bearer"
	if s != nil {
		kind = s.TokenType
	}
	switch format {
	case "header":
		out.line("Authorization: %s %s", kind, value.Reveal())
	case "env":
		out.line("OAUTHCTL_TOKEN=%s", shellQuote(value.Reveal()))
	case "curl":
		out.line("header = \"Authorization: %s %s\"", kind, value.Reveal())
	case "exec-credential":
		return env.printJSON(execCredential(value, s, env.Getenv("KUBERNETES_EXEC_INFO")))
	case "json":
		shown := struct {
			AccessToken string `json:"access_token"`
			TokenType   string `json:"token_type"`
			ExpiresAt   string `json:"expires_at,omitempty"`
			Scope       string `json:"scope,omitempty"`
		}{AccessToken: value.Reveal(), TokenType: kind}
		if s != nil {
			shown.Scope = strings.Join(s.Scope, " ")
			if !s.ExpiresAt.IsZero() {
				shown.ExpiresAt = s.ExpiresAt.UTC().Format(time.RFC3339)
			}
		}
		return env.printJSON(shown)
	default:
		out.line("%s", value.Reveal())
	}
	return nil
}

// execCredential is the answer of a kubectl credential plugin
// (client.authentication.k8s.io), in the version that kubectl asks for.
func execCredential(value secret.String, s *session.Session, asked string) any {
	type status struct {
		Expires string `json:"expirationTimestamp,omitempty"`
		Token   string `json:"token"`
	}
	answer := struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Status     status `json:"status"`
	}{"client.authentication.k8s.io/v1", "ExecCredential", status{Token: value.Reveal()}}
	if strings.Contains(asked, `"client.authentication.k8s.io/v1beta1"`) {
		answer.APIVersion = "client.authentication.k8s.io/v1beta1"
	}
	if s != nil && !s.ExpiresAt.IsZero() {
		answer.Status.Expires = s.ExpiresAt.UTC().Format(time.RFC3339)
	}
	return answer
}
