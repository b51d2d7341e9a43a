// Package provider describes particular authorization servers: dated data files,
// and the rules that map a general diagnosis to a provider-specific one.
//
// Start with [Explain], which the verifier of package token calls for each check
// that failed. A rule may look at claims that were not verified, because it
// never accepts a token; it only makes the reason more precise. The package
// sends no requests.
package provider

import (
	_ "embed" // for the data file
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

//go:embed providers.json
var data []byte

// Provider describes one authorization server.
type Provider struct {
	Name        string `json:"name"`
	Issuer      string `json:"issuer"` // with * for the variable parts; "" if it has none
	Discovery   string `json:"discovery"`
	Audience    string `json:"audience"`     // how to request a token for an API
	AccessToken string `json:"access_token"` // the format of its access tokens
}

// Known returns the providers, and the date on which the facts were checked, as
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

// Case holds the values of a check that a token failed, as the rules need them.
// The token need not be verified.
type Case struct {
	ID            diagnosis.ID // the general diagnosis
	Expected, Got []string
	// Header and Claim return a member of the token's header or claims as JSON, or
	// nil if it is missing.
	Header, Claim func(name string) any
}

func (c Case) text(claim string) string {
	s, _ := c.Claim(claim).(string)
	return s
}

// audience returns aud as a list, or nil if it is missing or has another form.
func (c Case) audience() []string {
	switch aud := c.Claim("aud").(type) {
	case string:
		return []string{aud}
	case []any:
		var all []string
		for _, a := range aud {
			if s, ok := a.(string); ok {
				all = append(all, s)
			}
		}
		return all
	}
	return nil
}

// A rule maps a general diagnosis to a provider-specific one.
type rule struct {
	id   diagnosis.ID
	of   []diagnosis.ID // the general diagnoses that it applies to
	fits func(Case) bool
}

// rules is the table of rules. A new case needs one row here and one in the
// catalogue.
var rules = []rule{
	{
		diagnosis.EntraTenantIssuer,
		[]diagnosis.ID{diagnosis.IssMismatch, diagnosis.IssSlash},
		func(c Case) bool {
			return isEntraIssuer(c.text("iss")) && slices.ContainsFunc(c.Expected, func(e string) bool { return isEntraIssuer(e) && isEntraTemplate(e) })
		},
	},
	{
		diagnosis.EntraV1Token,
		[]diagnosis.ID{diagnosis.IssMismatch},
		func(c Case) bool {
			return isEntraVersion1(c.text("iss")) && slices.ContainsFunc(c.Expected, isEntraVersion2)
		},
	},
	{
		diagnosis.EntraV2Token,
		[]diagnosis.ID{diagnosis.IssMismatch},
		func(c Case) bool {
			return isEntraVersion2(c.text("iss")) && slices.ContainsFunc(c.Expected, isEntraVersion1)
		},
	},
	{
		// A nonce in the header means that the signature is over a different text,
		// which only Microsoft's own APIs can check.
		diagnosis.EntraGraphToken,
		[]diagnosis.ID{diagnosis.SignatureInvalid},
		func(c Case) bool { return isEntraIssuer(c.text("iss")) && c.Header("nonce") != nil },
	},
	{
		diagnosis.EntraGraphToken,
		[]diagnosis.ID{diagnosis.SignatureInvalid, diagnosis.AudMismatch, diagnosis.AudSlash},
		func(c Case) bool {
			return slices.ContainsFunc(c.audience(), func(a string) bool {
				return a == "00000003-0000-0000-c000-000000000000" || strings.TrimSuffix(a, "/") == "https://graph.microsoft.com"
			})
		},
	},
	{
		diagnosis.EntraAudForm,
		[]diagnosis.ID{diagnosis.AudMismatch},
		func(c Case) bool {
			return isEntraIssuer(c.text("iss")) && slices.ContainsFunc(c.audience(), func(a string) bool {
				return slices.Contains(c.Expected, "api://"+a) || slices.Contains(c.Expected, strings.TrimPrefix(a, "api://"))
			})
		},
	},
	{
		diagnosis.KCAudAccount,
		[]diagnosis.ID{diagnosis.AudMismatch, diagnosis.AudMissing},
		func(c Case) bool {
			foreign := func(a string) bool { return !slices.Contains(keycloakClients, a) }
			return isKeycloakIssuer(c.text("iss")) && !slices.ContainsFunc(c.audience(), foreign)
		},
	},
	{
		// Keycloak signs its refresh tokens with a secret of its own.
		diagnosis.RefreshTokenAsAccess,
		[]diagnosis.ID{diagnosis.HSTokenNoSecret},
		func(c Case) bool { return slices.Contains([]string{"Refresh", "Offline"}, c.text("typ")) },
	},
	{
		diagnosis.CognitoNoAud,
		[]diagnosis.ID{diagnosis.AudMissing},
		func(c Case) bool { return strings.HasPrefix(c.text("iss"), "https://cognito-idp.") },
	},
	{
		diagnosis.OktaOrgAS,
		[]diagnosis.ID{diagnosis.SignatureInvalid, diagnosis.KidUnknown, diagnosis.IssMismatch, diagnosis.AudMismatch},
		func(c Case) bool {
			u, err := url.Parse(c.text("iss"))
			return err == nil && strings.HasSuffix(u.Hostname(), ".okta.com") && strings.Trim(u.Path, "/") == ""
		},
	},
}

// keycloakClients are the clients that Keycloak creates in each realm.
var keycloakClients = []string{"account", "account-console", "admin-cli", "broker", "realm-management", "security-admin-console"}

// isKeycloakIssuer reports whether an issuer has the form of a realm of
// Keycloak, with any path before it.
func isKeycloakIssuer(issuer string) bool {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" {
		return false
	}
	segments := strings.Split(strings.TrimSuffix(u.Path, "/"), "/")
	n := len(segments)
	return n > 2 && segments[n-2] == "realms" && segments[n-1] != ""
}

func isEntraIssuer(issuer string) bool { return isEntraVersion1(issuer) || isEntraVersion2(issuer) }

func isEntraVersion1(issuer string) bool {
	return hasHost(issuer, "sts.windows.net", "sts.chinacloudapi.cn", "sts.microsoftonline.us")
}

// isEntraVersion2 covers the public and national clouds, External ID and B2C.
func isEntraVersion2(issuer string) bool {
	return hasHost(issuer,
		"login.microsoftonline.com", "login.microsoft.com", "login.windows.net",
		"login.microsoftonline.us", "login.partner.microsoftonline.cn", "login.chinacloudapi.cn",
		".ciamlogin.com", ".b2clogin.com",
	)
}

// hasHost reports whether the https issuer has one of the hosts. A host with a
// leading dot matches its subdomains.
func hasHost(issuer string, hosts ...string) bool {
	rest, ok := strings.CutPrefix(issuer, "https://")
	if !ok {
		return false
	}
	// An issuer with braces is not a URL.
	host, _, slash := strings.Cut(rest, "/")
	host = strings.ToLower(host)
	return slash && slices.ContainsFunc(hosts, func(h string) bool {
		return host == h || h[0] == '.' && strings.HasSuffix(host, h)
	})
}

// isEntraTemplate reports whether an issuer is the template for all tenants, as
// in the metadata of /common.
func isEntraTemplate(issuer string) bool {
	u, err := url.Parse(issuer)
	if err != nil {
		return true // braces in the path are not allowed in a URL
	}
	tenant, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	return slices.Contains([]string{"common", "organizations", "consumers", "{tenantid}"}, tenant)
}

// RefusesResource reports whether the authorization server refuses resource
// indicators (RFC 8707). Entra ID does, because its scopes identify the API.
func RefusesResource(issuer string) bool { return isEntraIssuer(issuer) }

// RefreshesOnline reports whether the authorization server issues refresh tokens
// for the user's session without the scope offline_access. There the scope asks
// for more, a session that goes on after the user has logged out: Keycloak calls
// it an offline session.
func RefreshesOnline(issuer string) bool { return isKeycloakIssuer(issuer) }

// Explain returns the id of the provider-specific case of c, or c.ID if there
// is none.
func Explain(c Case) diagnosis.ID {
	for i := range rules {
		if r := &rules[i]; slices.Contains(r.of, c.ID) && r.fits(c) {
			return r.id
		}
	}
	return c.ID
}

// Concerns reports whether a rule applies to id, so that the token must be
// parsed for [Explain].
func Concerns(id diagnosis.ID) bool {
	return slices.ContainsFunc(rules, func(r rule) bool { return slices.Contains(r.of, id) })
}
