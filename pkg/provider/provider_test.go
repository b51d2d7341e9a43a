package provider_test

import (
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/provider"
)

func TestExplain(t *testing.T) {
	const (
		tenant = "11111111-2222-3333-4444-555555555555"
		v2     = "https://login.microsoftonline.com/" + tenant + "/v2.0"
		v1     = "https://sts.windows.net/" + tenant + "/"
		realm  = "https://id.example.com/realms/main"
	)
	type claims = map[string]any
	tests := map[string]struct {
		claims   claims
		id       diagnosis.ID
		expected string
		want     diagnosis.ID
	}{
		"Entra version 2":             {claims{"iss": v2}, diagnosis.IssMismatch, v1, diagnosis.EntraV2Token},
		"Entra, all tenants":          {claims{"iss": v2}, diagnosis.IssMismatch, "https://login.microsoftonline.com/common/v2.0", diagnosis.EntraTenantIssuer},
		"Entra, a template":           {claims{"iss": v2}, diagnosis.IssMismatch, "https://login.microsoftonline.com/{tenantid}/v2.0", diagnosis.EntraTenantIssuer},
		"Entra, another tenant":       {claims{"iss": v2}, diagnosis.IssMismatch, "https://login.microsoftonline.com/x/v2.0", diagnosis.IssMismatch},
		"Azure management":            {claims{"iss": v1, "aud": "https://management.azure.com", "header": "nonce"}, diagnosis.SignatureInvalid, "", diagnosis.EntraGraphToken},
		"a nonce of another issuer":   {claims{"iss": realm, "header": "nonce"}, diagnosis.SignatureInvalid, "", diagnosis.SignatureInvalid},
		"Keycloak's own clients":      {claims{"iss": realm, "aud": []any{"broker", "account", "realm-management"}}, diagnosis.AudMismatch, "api", diagnosis.KCAudAccount},
		"one of them and another":     {claims{"iss": realm, "aud": []any{"broker", "other"}}, diagnosis.AudMismatch, "api", diagnosis.AudMismatch},
		"no issuer":                   {claims{}, diagnosis.AudMissing, "api", diagnosis.AudMissing},
		"Entra version 1":             {claims{"iss": v1}, diagnosis.IssMismatch, v2, diagnosis.EntraV1Token},
		"another issuer":              {claims{"iss": "https://evil.example"}, diagnosis.IssMismatch, v2, diagnosis.IssMismatch},
		"Graph by id":                 {claims{"iss": v1, "aud": "00000003-0000-0000-c000-000000000000"}, diagnosis.SignatureInvalid, "", diagnosis.EntraGraphToken},
		"Graph by URL":                {claims{"iss": v1, "aud": "https://graph.microsoft.com/"}, diagnosis.AudMismatch, "api", diagnosis.EntraGraphToken},
		"a bad signature of an API":   {claims{"iss": v2, "aud": tenant}, diagnosis.SignatureInvalid, "", diagnosis.SignatureInvalid},
		"Entra audience as GUID":      {claims{"iss": v2, "aud": tenant}, diagnosis.AudMismatch, "api://" + tenant, diagnosis.EntraAudForm},
		"Entra audience as URI":       {claims{"iss": v1, "aud": "api://" + tenant}, diagnosis.AudMismatch, tenant, diagnosis.EntraAudForm},
		"another audience at Entra":   {claims{"iss": v2, "aud": "x"}, diagnosis.AudMismatch, "api://" + tenant, diagnosis.AudMismatch},
		"Keycloak's account":          {claims{"iss": realm, "aud": "account"}, diagnosis.AudMismatch, "api", diagnosis.KCAudAccount},
		"Keycloak without audience":   {claims{"iss": realm}, diagnosis.AudMissing, "api", diagnosis.KCAudAccount},
		"another audience of a realm": {claims{"iss": realm, "aud": "other"}, diagnosis.AudMismatch, "api", diagnosis.AudMismatch},
		"Keycloak's refresh token":    {claims{"iss": realm, "typ": "Refresh"}, diagnosis.HSTokenNoSecret, "", diagnosis.RefreshTokenAsAccess},
		"Keycloak's offline token":    {claims{"iss": realm, "typ": "Offline"}, diagnosis.HSTokenNoSecret, "", diagnosis.RefreshTokenAsAccess},
		"Keycloak's HS access token":  {claims{"iss": realm, "typ": "Bearer"}, diagnosis.HSTokenNoSecret, "", diagnosis.HSTokenNoSecret},
		"Cognito":                     {claims{"iss": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_abc"}, diagnosis.AudMissing, "api", diagnosis.CognitoNoAud},
		"no audience elsewhere":       {claims{"iss": "https://id.example.com"}, diagnosis.AudMissing, "api", diagnosis.AudMissing},
		"Okta's own server":           {claims{"iss": "https://dev-1.okta.com"}, diagnosis.KidUnknown, "", diagnosis.OktaOrgAS},
		"Okta custom server":          {claims{"iss": "https://dev-1.okta.com/oauth2/default"}, diagnosis.KidUnknown, "", diagnosis.KidUnknown},
		"another fault":               {claims{"iss": v1}, diagnosis.Expired, v2, diagnosis.Expired},
	}
	for name, tt := range tests {
		c := provider.Case{
			ID: tt.id, Expected: []string{"https://other.example", tt.expected}, Got: []string{"x"},
			Header: func(name string) any {
				if tt.claims["header"] == name {
					return "x"
				}
				return nil
			},
			Claim: func(name string) any { return tt.claims[name] },
		}
		if got := provider.Explain(c); got != tt.want || got != tt.id && !provider.Concerns(tt.id) {
			t.Errorf("%s: Explain = %s, want %s", name, got, tt.want)
		}
	}
	if provider.Concerns(diagnosis.AlgNone) {
		t.Error("ALG_NONE has no provider-specific case")
	}
}

func TestKnown(t *testing.T) {
	providers, checked, err := provider.Known()
	if err != nil || len(providers) < 7 {
		t.Fatal(len(providers), err)
	}
	if _, err := time.Parse("2006-01-02", checked); err != nil {
		t.Error(err)
	}
	for _, p := range providers {
		if p.Name == "" || p.Discovery == "" || p.Audience == "" || p.AccessToken == "" {
			t.Errorf("%+v has an empty field", p)
		}
	}
}

func TestRefusesResource(t *testing.T) {
	for issuer, want := range map[string]bool{
		"https://login.microsoftonline.com/8f5c/v2.0":       true,
		"https://sts.windows.net/8f5c/":                     true,
		"https://login.microsoftonline.us/8f5c/v2.0":        true,
		"https://login.partner.microsoftonline.cn/8/v2.0":   true,
		"https://contoso.ciamlogin.com/8f5c/v2.0":           true,
		"https://contoso.b2clogin.com/8f5c/v2.0/":           true,
		"https://login.microsoftonline.com/{tenantid}/v2.0": true,
		"https://ciamlogin.com/8f5c/v2.0":                   false,
		"https://contoso.b2clogin.com.evil.example/x":       false,
		"http://login.microsoftonline.us/8f5c/v2.0":         false,
		"https://login.microsoftonline.com.evil.example/":   false,
		"https://auth.example.com":                          false,
		"":                                                  false,
	} {
		if got := provider.RefusesResource(issuer); got != want {
			t.Errorf("%s: %v", issuer, got)
		}
	}
}

func TestRefreshesOnline(t *testing.T) {
	for issuer, want := range map[string]bool{
		"https://sso.example.com/realms/shop":      true,
		"http://127.0.0.1:8080/auth/realms/master": true,
		"https://sso.example.com/realms/shop/":     true,
		"https://sso.example.com/realms/":          false,
		"https://sso.example.com/realms/shop/x":    false,
		"https://realms.example.com/shop":          false,
		"https://example.com/?next=/realms/shop":   false,
		"/realms/shop":                             false,
		"":                                         false,
	} {
		if got := provider.RefreshesOnline(issuer); got != want {
			t.Errorf("%q: %v", issuer, got)
		}
	}
}
