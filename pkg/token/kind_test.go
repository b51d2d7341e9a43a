package token_test

import (
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// registeredTypes are the types ending in +jwt of IANA's registry of media
// types (November 2026), except at+jwt.
const registeredTypes = `dpop+jwt eat+jwt entity-statement+jwt explicit-registration-response+jwt jwk-set+jwt kb+jwt logout+jwt oauth-authz-req+jwt
	provided-claims+jwt resolve-response+jwt secevent+jwt statuslist+jwt token-introspection+jwt trust-mark+jwt trust-mark-delegation+jwt
	trust-mark-status-response+jwt vc+jwt vnd.ga4gh.passport+jwt vp+jwt`

// draftTypes are types from OpenID's specifications, from drafts and from
// software.
const draftTypes = `atproto-client-attestation+jwt atproto-space-credential+jwt client-authentication+jwt command+jwt dc+sd-jwt example+sd-jwt
	global-token-revocation+jwt gnap-binding+jws gnap-binding+jwsd id_token+jwt key-attestation+jwt keyattestation+jwt oauth-client-attestation+jwt
	oauth-client-attestation-pop+jwt oauth-id-jag+jwt oauth-jar+jwt openid4vci-proof+jwt statuslist+cwt trust_mark+jwt txn_token+jwt txntoken+jwt
	userinfo+jwt vc+ld+jwt vc+sd-jwt verifier-attestation+jwt vp+ld+jwt wallet-attestation+jwt wallet-instance-attestation+jwt wallet-unit-attestation+jwt
	wimse-id+jwt wit+jwt wpt+jwt acme-invite+jwt order+jws`

// TestOtherTypesAreRefused verifies tokens that are otherwise valid.
func TestOtherTypesAreRefused(t *testing.T) {
	key := newKey(t, "ES256")
	v := verifier(t, token.Options{}, key)
	types := strings.Fields(registeredTypes + " " + draftTypes)
	if len(types) < 50 {
		t.Errorf("only %d types", len(types))
	}
	for _, typ := range types {
		for _, form := range []string{typ, "application/" + typ, strings.ToUpper(typ), "Application/" + typ, typ + ";v=1", " " + typ, typ + "\t"} {
			raw := sign(t, key, form, claims(nil))
			if _, err := v.Verify(t.Context(), raw); idOf(err) != diagnosis.TypRefused {
				t.Errorf("typ %q: %v", form, err)
			}
		}
		if _, err := verifier(t, token.Options{Types: []string{typ}}, key).Verify(t.Context(), sign(t, key, typ, claims(nil))); err != nil {
			t.Errorf("typ %s, configured: %v", typ, err)
		}
	}
	for _, typ := range []string{"", "JWT", "jwt", "JOSE", "application/jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/okta-internal-at+jwt", "acme+at+jwt", "Session", "vnd.acme.token"} {
		if _, err := v.Verify(t.Context(), sign(t, key, typ, claims(nil))); err != nil {
			t.Errorf("positive control: typ %q: %v", typ, err)
		}
	}
}

// If typ does not say which kind a token is, its claims decide, and a caller
// can accept a kind by its name.
func TestKindByClaims(t *testing.T) {
	key := newKey(t, "ES256")
	type change = map[string]any
	events := func(name string) change { return change{"events": map[string]any{name: map[string]any{}}} }
	tests := map[string]struct {
		change change
		want   diagnosis.ID
		accept string
	}{
		"at_hash":               {change{"at_hash": "x"}, diagnosis.IDTokenAsAccess, "id_token"},
		"c_hash":                {change{"c_hash": "x"}, diagnosis.IDTokenAsAccess, "id_token"},
		"Cognito's ID token":    {change{"token_use": "id", "scope": nil}, diagnosis.IDTokenAsAccess, "id_token"},
		"Keycloak's ID token":   {change{"typ": "ID"}, diagnosis.IDTokenAsAccess, "id_token"},
		"nonce alone":           {change{"nonce": "x", "scope": nil}, diagnosis.IDTokenAsAccess, "id_token"},
		"Keycloak's refresh":    {change{"typ": "Refresh"}, diagnosis.RefreshTokenAsAccess, ""},
		"Keycloak's offline":    {change{"typ": "Offline"}, diagnosis.RefreshTokenAsAccess, ""},
		"Keycloak's logout":     {change{"typ": "Logout"}, diagnosis.TypRefused, "logout_token"},
		"back-channel logout":   {events("http://schemas.openid.net/event/backchannel-logout"), diagnosis.TypRefused, "logout_token"},
		"security event":        {events("https://schemas.openid.net/secevent/risc/event-type/account-disabled"), diagnosis.TypRefused, "security_event"},
		"Hydra's refresh":       {change{"token_use": "refresh_token"}, diagnosis.RefreshTokenAsAccess, ""},
		"Simple JWT's refresh":  {change{"token_type": "refresh"}, diagnosis.RefreshTokenAsAccess, ""},
		"a token type's URI":    {change{"token_type": "urn:ietf:params:oauth:token-type:id_token"}, diagnosis.IDTokenAsAccess, "id_token"},
		"Simple JWT's access":   {change{"token_type": "access", "scope": nil, "nonce": "x"}, "", ""},
		"nonce and scope":       {change{"nonce": "x"}, "", ""},
		"nonce and scp":         {change{"nonce": "x", "scope": nil, "scp": []string{"a"}}, "", ""},
		"older Keycloak":        {change{"nonce": "x", "scope": nil, "typ": "Bearer"}, "", ""},
		"Keycloak with DPoP":    {change{"typ": "DPoP", "scope": nil}, "", ""},
		"Cognito's access":      {change{"token_use": "access", "scope": nil, "nonce": "x"}, "", ""},
		"another payload typ":   {change{"typ": "order"}, "", ""},
		"typ that is no string": {change{"typ": 7}, "", ""},
		"no scope":              {change{"scope": nil}, "", ""},
	}
	for name, tt := range tests {
		raw := sign(t, key, "JWT", claims(tt.change))
		v := verifier(t, token.Options{}, key)
		_, err := v.Verify(t.Context(), raw)
		if idOf(err) != tt.want || idOf(v.Report(t.Context(), raw).Err()) != tt.want {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
		if tt.accept != "" {
			kind, err := token.ParseKind(tt.accept)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := verifier(t, token.Options{Accept: []token.Kind{kind}}, key).Verify(t.Context(), raw); err != nil {
				t.Errorf("%s: accepted as %s: %v", name, tt.accept, err)
			}
		}
		if _, err := v.Verify(t.Context(), sign(t, key, "at+jwt", claims(tt.change))); err != nil {
			t.Errorf("%s with typ at+jwt: %v", name, err)
		}
	}
	if _, err := token.ParseKind("anything"); err == nil {
		t.Error("a kind that there is not is accepted")
	}
}
