// Package provider is what is known of particular authorization servers: one
// dated data file, and the rules that make of a general diagnosis a precise one
// whose remedy is that provider's.
//
// Start with [Explain]. What it says is advice: it looks at what a token claims,
// verified or not, and so decides nothing. It contacts nobody.
package provider

import (
	_ "embed" // for the data file
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/token"
)

//go:embed providers.json
var data []byte

// Provider is what is known of one authorization server.
type Provider struct {
	Name        string `json:"name"`
	Issuer      string `json:"issuer"` // with * for what differs; "" if it has none
	Discovery   string `json:"discovery"`
	Audience    string `json:"audience"`     // how a token for an API is asked for
	AccessToken string `json:"access_token"` // what its access tokens are
}

// Known returns the providers and the day on which the facts were checked, as
// 2006-01-02.
func Known() (providers []Provider, checked string, err error) {
	var file struct {
		Checked   string     `json:"checked"`
		Providers []Provider `json:"providers"`
	}
	if err := json.Unmarshal(data, &file, json.RejectUnknownMembers(true)); err != nil {
		return nil, "", fmt.Errorf("provider: %w", err)
	}
	return file.Providers, file.Checked, nil
}

// rule recognises one provider's case behind a general diagnosis.
type rule struct {
	id   diagnosis.ID
	of   []diagnosis.ID // the general ones behind which it may stand
	fits func(t *token.Token, d *diagnosis.Diagnosis) bool
}

// rules is the table; a new case is one row here and one in the catalogue.
var rules = []rule{
	{
		diagnosis.EntraV1Token,
		[]diagnosis.ID{diagnosis.IssuerMismatch},
		func(t *token.Token, d *diagnosis.Diagnosis) bool {
			return strings.HasPrefix(t.Issuer(), "https://sts.windows.net/") && slices.ContainsFunc(d.Expected, func(e string) bool { return strings.HasPrefix(e, "https://login.microsoftonline.com/") })
		},
	},
	{
		diagnosis.EntraGraphToken,
		[]diagnosis.ID{diagnosis.SignatureInvalid, diagnosis.AudienceMismatch},
		func(t *token.Token, _ *diagnosis.Diagnosis) bool {
			return slices.ContainsFunc(t.Audience(), func(a string) bool {
				return a == "00000003-0000-0000-c000-000000000000" || strings.TrimSuffix(a, "/") == "https://graph.microsoft.com"
			})
		},
	},
	{
		diagnosis.EntraAudienceForm,
		[]diagnosis.ID{diagnosis.AudienceMismatch},
		func(t *token.Token, d *diagnosis.Diagnosis) bool {
			return isEntra(t) && slices.ContainsFunc(t.Audience(), func(a string) bool {
				return slices.ContainsFunc(d.Expected, func(e string) bool { return "api://"+a == e || a == "api://"+e })
			})
		},
	},
	{
		diagnosis.KeycloakAudience,
		[]diagnosis.ID{diagnosis.AudienceMismatch, diagnosis.AudienceMissing},
		func(t *token.Token, _ *diagnosis.Diagnosis) bool {
			audience := t.Audience()
			return strings.Contains(t.Issuer(), "/realms/") && (len(audience) == 0 || len(audience) == 1 && audience[0] == "account")
		},
	},
	{
		diagnosis.CognitoNoAudience,
		[]diagnosis.ID{diagnosis.AudienceMissing},
		func(t *token.Token, _ *diagnosis.Diagnosis) bool {
			return strings.HasPrefix(t.Issuer(), "https://cognito-idp.")
		},
	},
	{
		diagnosis.OktaOrgServer,
		[]diagnosis.ID{diagnosis.SignatureInvalid, diagnosis.KeyUnknown, diagnosis.IssuerMismatch, diagnosis.AudienceMismatch},
		func(t *token.Token, _ *diagnosis.Diagnosis) bool {
			u, err := url.Parse(t.Issuer())
			return err == nil && strings.HasSuffix(u.Hostname(), ".okta.com") && strings.Trim(u.Path, "/") == ""
		},
	},
}

func isEntra(t *token.Token) bool { return isEntraIssuer(t.Issuer()) }

func isEntraIssuer(issuer string) bool {
	return strings.HasPrefix(issuer, "https://login.microsoftonline.com/") || strings.HasPrefix(issuer, "https://sts.windows.net/")
}

// RefusesResource reports whether the authorization server fails a request for
// having resource indicators (RFC 8707): Entra ID does, since its scopes name the
// API.
func RefusesResource(issuer string) bool { return isEntraIssuer(issuer) }

// Explain returns the provider's case that stands behind d, with the same
// evidence, or d itself if none is recognised. The token may be unverified.
func Explain(t *token.Token, d *diagnosis.Diagnosis) *diagnosis.Diagnosis {
	if t == nil || d == nil {
		return d
	}
	for _, r := range rules {
		if slices.Contains(r.of, d.ID) && r.fits(t, d) {
			return &diagnosis.Diagnosis{ID: r.id, Expected: d.Expected, Got: d.Got, Err: d.Err}
		}
	}
	return d
}
