package cmd

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/profile"
)

func newDiscover(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:         "discover [URL]",
		Annotations: map[string]string{onlyShows: "yes"},
		Long: `Show the metadata of an API or an authorization server: each URL that was
requested, what was found, and the result. URL is an API or an issuer; without
URL, the profile's API or issuer is used.`,
		Example: `  # Show an API's metadata and its authorization server
  oauthctl discover https://api.example.com

  # Print the scopes that an issuer announces
  oauthctl discover https://auth.example.com --jq .server.scopes_supported`,
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
		p, err := env.profile()
		if err != nil {
			return err
		}
		if url = cmp.Or(p.Get(profile.API), p.Get(profile.Issuer)); url == "" {
			return usageOf("no URL is given, and the profile has neither an API nor an issuer", "oauthctl discover URL")
		}
	}
	client, err := env.client()
	if err != nil {
		return err
	}
	env.about = discovery.CompleteURL(url)
	found, trail, err := discovery.Find(ctx, client, env.about)
	if !env.global.wantsJSON() || err != nil {
		showTrail(env.stderr(), trail)
	}
	if err != nil {
		return err
	}
	if env.global.wantsJSON() {
		return env.printJSON(discovered(found, trail))
	}
	showMetadata(env.stdout(), found)
	return nil
}

// discoveredJSON is what discover prints for programs.
type discoveredJSON struct {
	Resource jsontext.Value `json:"resource,omitempty"`
	Server   jsontext.Value `json:"server"`
	Ignored  []ignoredJSON  `json:"ignored,omitempty"`
	Trail    []stepJSON     `json:"trail"`
}

// ignoredJSON is a member of the metadata that cannot be used.
type ignoredJSON struct {
	Member string `json:"member"`
	Reason string `json:"reason"`
}

type stepJSON struct {
	Method string `json:"method"`
	URL    string `json:"url"`
	Found  string `json:"found"`
	Result string `json:"result,omitempty"`
}

func discovered(found *discovery.Found, trail discovery.Trail) discoveredJSON {
	shown := discoveredJSON{Server: found.Server.Raw}
	if found.Resource != nil {
		shown.Resource = found.Resource.Raw
	}
	for _, p := range ignored(found) {
		shown.Ignored = append(shown.Ignored, ignoredJSON{p.Member, p.Err.Error()})
	}
	for _, s := range trail {
		shown.Trail = append(shown.Trail, stepJSON{s.Method, s.URL, s.Found, s.Result})
	}
	return shown
}

// ignored lists the members that cannot be used, of both documents.
func ignored(found *discovery.Found) []discovery.Problem {
	all := slices.Clone(found.Server.Problems)
	if found.Resource != nil {
		all = append(all, found.Resource.Problems...)
	}
	return all
}

// showTrail shows which way a search went.
func showTrail(s *screen, trail discovery.Trail) {
	for _, step := range trail {
		mark := s.good(s.marks.none)
		if step.Err != nil {
			mark = s.bad(s.marks.fail)
		}
		place := clean(step.URL)
		if step.Method != http.MethodGet {
			place = step.Method + " " + place
		}
		s.line("%s %s", mark, place)
		found := step.Found
		if step.Result != "" {
			found += "; " + step.Result
		}
		s.line("  %s", s.faint(clean(found)))
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
		{"iss in the response", announced(m.AuthorizationResponseIssParameterSupported, "RFC 9207")},
		{"client id documents", announced(m.ClientIDMetadataDocumentSupported, "client_id_metadata_document_supported")},
	})
	for _, p := range ignored(found) {
		s.line("%s %s: %s", s.bad("ignored"), clean(p.Member), clean(p.Err.Error()))
	}
}

func announced(b bool, by string) string {
	if b {
		return "yes (" + by + ")"
	}
	return "not announced"
}
