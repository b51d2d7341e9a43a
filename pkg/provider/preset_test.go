package provider_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/provider"
)

func TestPresets(t *testing.T) {
	presets := provider.Presets()
	want := []string{"keycloak", "auth0", "okta", "entra", "google", "github", "gitlab", "cognito"}
	if diff := cmp.Diff(want, provider.PresetNames()); diff != "" {
		t.Error(diff)
	}
	for _, p := range presets {
		if day, err := time.Parse(time.DateOnly, p.Checked); err != nil || day.Year() < 2026 {
			t.Errorf("%s: checked on %q, %v", p.Name, p.Checked, err)
		}
		for what, rawURL := range map[string]string{"issuer": p.Issuer, "source": p.Source} {
			if u, err := url.Parse(rawURL); err != nil || u.Scheme != "https" || u.Host == "" {
				t.Errorf("%s: %s %q is not an https URL", p.Name, what, rawURL)
			}
		}
		redirect, err := url.Parse(p.RedirectURI)
		if err != nil || redirect.Scheme != "http" {
			t.Errorf("%s: redirect_uri %q", p.Name, p.RedirectURI)
			continue
		}
		if fixed := redirect.Port() != "0" && redirect.Port() != ""; fixed != p.ExactPort {
			t.Errorf("%s: port %q with exact_port %v", p.Name, redirect.Port(), p.ExactPort)
		}
		// The registered URI is the one that is sent, except for a port that does
		// not matter.
		if sent := strings.Replace(p.RedirectURI, ":0", "", 1); p.Register != "" && p.Register != sent {
			t.Errorf("%s: %q is registered, but %q is sent", p.Name, p.Register, sent)
		}
		if !slices.Contains([]provider.SecretRule{provider.SecretNone, provider.SecretRequired, provider.SecretBrowser}, p.Secret) {
			t.Errorf("%s: secret %q", p.Name, p.Secret)
		}
		if !slices.Contains([]provider.AudienceRule{provider.AudienceByParameter, provider.AudienceByScope, provider.AudienceByServer, provider.AudienceNone}, p.Audience) {
			t.Errorf("%s: audience %q", p.Name, p.Audience)
		}
		steps := strings.Join(p.Instructions(""), "\n")
		if strings.Contains(steps, "REDIRECT_URI") || p.Register != "" && !strings.Contains(steps, p.Register) || len(p.Steps) < 3 {
			t.Errorf("%s: the steps do not contain %q:\n%s", p.Name, p.Register, steps)
		}
	}
}

func TestLookupPreset(t *testing.T) {
	if p, ok := provider.LookupPreset("GitHub"); !ok || p.Name != "github" {
		t.Errorf("got %+v, %v", p, ok)
	}
	if p, ok := provider.LookupPreset("githab"); ok {
		t.Errorf("got %+v for an unknown name", p)
	}
}

func TestPresetEndpoints(t *testing.T) {
	github, _ := provider.LookupPreset("github")
	if got := github.EndpointsAt("")["token_endpoint"]; got != "https://github.com/login/oauth/access_token" {
		t.Errorf("got %q", got)
	}
	if got := github.EndpointsAt("https://git.example.com/")["device_authorization_endpoint"]; got != "https://git.example.com/login/device/code" {
		t.Errorf("got %q", got)
	}
	google, _ := provider.LookupPreset("google")
	if got := google.EndpointsAt(""); got != nil {
		t.Errorf("got %v for a provider with metadata", got)
	}
	if got := github.Instructions("http://localhost:7/cb")[1]; !strings.HasSuffix(got, ": http://localhost:7/cb") {
		t.Errorf("got %q", got)
	}
}
