package cmd

import (
	"cmp"
	"context"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/discovery"
)

func newDiscover(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "discover [URL]",
		Long: `Show what is known of an API or an authorization server: each place that was
asked, what was found there, and what follows from it. URL is either; without
one the profile's API or issuer is taken.`,
		Args: upTo(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var url string
			if len(args) > 0 {
				url = args[0]
			}
			return runDiscover(cmd.Context(), env, url)
		},
	}
}

func runDiscover(ctx context.Context, env *Env, url string) error {
	if url == "" {
		r, err := env.resolve()
		if err != nil {
			return err
		}
		if url = cmp.Or(r.API, r.Issuer); url == "" {
			return &usageError{what: "no URL is given and the profile names none", hint: "oauthctl discover URL"}
		}
	}
	client, err := env.client()
	if err != nil {
		return err
	}
	found, trail, err := discovery.Find(ctx, client, url)
	if !env.global.wantsJSON() || err != nil {
		showTrail(env.stderr(), trail)
	}
	if err != nil {
		return err
	}
	if env.global.wantsJSON() {
		shown := struct {
			Resource jsontext.Value `json:"resource,omitempty"`
			Server   jsontext.Value `json:"server"`
		}{Server: found.Server.Raw}
		if found.Resource != nil {
			shown.Resource = found.Resource.Raw
		}
		return env.printJSON(shown)
	}
	showMetadata(env.stdout(), found)
	return nil
}

// showTrail tells a person which way a search went.
func showTrail(s *screen, trail discovery.Trail) {
	for _, step := range trail {
		mark := s.good("·")
		if step.Err != nil {
			mark = s.bad("✗")
		}
		s.line("%s %s", mark, clean(step.URL))
		told := step.Found
		if step.Verdict != "" {
			told += "; " + step.Verdict
		}
		s.line("  %s", s.faint(clean(told)))
	}
}

func showMetadata(s *screen, found *discovery.Found) {
	if r := found.Resource; r != nil {
		s.line("%s", s.strong("API"))
		s.table([][2]string{
			{"resource", clean(r.Resource)},
			{"name", clean(r.ResourceName)},
			{"authorization servers", clean(strings.Join(r.AuthorizationServers, " "))},
			{"scopes", clean(strings.Join(r.ScopesSupported, " "))},
		})
		s.line("")
	}
	m := found.Server
	s.line("%s", s.strong("Authorization server"))
	s.table([][2]string{
		{"issuer", clean(m.Issuer)},
		{"authorization endpoint", clean(m.AuthorizationEndpoint)},
		{"token endpoint", clean(m.TokenEndpoint)},
		{"key set", clean(m.JWKSURI)},
		{"registration endpoint", clean(m.RegistrationEndpoint)},
		{"revocation endpoint", clean(m.RevocationEndpoint)},
		{"introspection endpoint", clean(m.IntrospectionEndpoint)},
		{"userinfo endpoint", clean(m.UserinfoEndpoint)},
		{"device endpoint", clean(m.DeviceAuthorizationEndpoint)},
		{"PAR endpoint", clean(m.PushedAuthorizationRequestEndpoint)},
		{"end-session endpoint", clean(m.EndSessionEndpoint)},
		{"scopes", clean(strings.Join(m.ScopesSupported, " "))},
		{"grant types", clean(strings.Join(m.GrantTypesSupported, " "))},
		{"client authentication", clean(strings.Join(m.TokenEndpointAuthMethodsSupported, " "))},
		{"PKCE", clean(strings.Join(m.CodeChallengeMethodsSupported, " "))},
		{"iss in the response", yes(m.AuthorizationResponseIssParameterSupported)},
	})
}

func yes(b bool) string {
	if b {
		return "yes (RFC 9207)"
	}
	return "not announced"
}
