package provider_test

import (
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/provider"
	"github.com/oauthctl/oauthctl/pkg/token"
)

func decoded(t *testing.T, claims map[string]any) *token.Token {
	t.Helper()
	key, err := jwks.Generate("EdDSA")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := token.Sign(key, "at+jwt", claims)
	if err != nil {
		t.Fatal(err)
	}
	got, err := token.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

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
		"Entra version 1":             {claims{"iss": v1}, diagnosis.IssuerMismatch, v2, diagnosis.EntraV1Token},
		"another issuer":              {claims{"iss": "https://evil.example"}, diagnosis.IssuerMismatch, v2, diagnosis.IssuerMismatch},
		"Graph by id":                 {claims{"iss": v1, "aud": "00000003-0000-0000-c000-000000000000"}, diagnosis.SignatureInvalid, "", diagnosis.EntraGraphToken},
		"Graph by URL":                {claims{"iss": v1, "aud": "https://graph.microsoft.com/"}, diagnosis.AudienceMismatch, "api", diagnosis.EntraGraphToken},
		"a bad signature of an API":   {claims{"iss": v2, "aud": tenant}, diagnosis.SignatureInvalid, "", diagnosis.SignatureInvalid},
		"Entra audience as GUID":      {claims{"iss": v2, "aud": tenant}, diagnosis.AudienceMismatch, "api://" + tenant, diagnosis.EntraAudienceForm},
		"Entra audience as URI":       {claims{"iss": v1, "aud": "api://" + tenant}, diagnosis.AudienceMismatch, tenant, diagnosis.EntraAudienceForm},
		"another audience at Entra":   {claims{"iss": v2, "aud": "x"}, diagnosis.AudienceMismatch, "api://" + tenant, diagnosis.AudienceMismatch},
		"Keycloak's account":          {claims{"iss": realm, "aud": "account"}, diagnosis.AudienceMismatch, "api", diagnosis.KeycloakAudience},
		"Keycloak without audience":   {claims{"iss": realm}, diagnosis.AudienceMissing, "api", diagnosis.KeycloakAudience},
		"another audience of a realm": {claims{"iss": realm, "aud": "other"}, diagnosis.AudienceMismatch, "api", diagnosis.AudienceMismatch},
		"Cognito":                     {claims{"iss": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_abc"}, diagnosis.AudienceMissing, "api", diagnosis.CognitoNoAudience},
		"no audience elsewhere":       {claims{"iss": "https://id.example.com"}, diagnosis.AudienceMissing, "api", diagnosis.AudienceMissing},
		"Okta's own server":           {claims{"iss": "https://dev-1.okta.com"}, diagnosis.KeyUnknown, "", diagnosis.OktaOrgServer},
		"Okta custom server":          {claims{"iss": "https://dev-1.okta.com/oauth2/default"}, diagnosis.KeyUnknown, "", diagnosis.KeyUnknown},
		"another fault":               {claims{"iss": v1}, diagnosis.Expired, v2, diagnosis.Expired},
	}
	for name, tt := range tests {
		d := &diagnosis.Diagnosis{ID: tt.id, Expected: diagnosis.Values{tt.expected}, Got: diagnosis.Values{"x"}}
		got := provider.Explain(decoded(t, tt.claims), d)
		if got.ID != tt.want || got.Expected.String() != d.Expected.String() || got.Got.String() != "x" || got.Kind() != d.Kind() {
			t.Errorf("%s: Explain = %+v, want %s", name, got, tt.want)
		}
	}
	if provider.Explain(nil, nil) != nil {
		t.Error("nothing to explain")
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
			t.Errorf("%+v has a gap", p)
		}
	}
}

func TestRefusesResource(t *testing.T) {
	for issuer, want := range map[string]bool{
		"https://login.microsoftonline.com/8f5c/v2.0":     true,
		"https://sts.windows.net/8f5c/":                   true,
		"https://login.microsoftonline.com.evil.example/": false,
		"https://auth.example.com":                        false,
		"":                                                false,
	} {
		if got := provider.RefusesResource(issuer); got != want {
			t.Errorf("%s: %v", issuer, got)
		}
	}
}
