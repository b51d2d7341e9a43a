package devserver

import (
	"crypto/rand"
	"strings"
)

// shape describes the form of a provider's tokens: a row of [Providers].
type shape struct {
	name, title string
	// issuer is the part of its issuer identifiers after the host.
	issuer string
	// opaque is the prefix of its opaque access tokens, or "" for a provider with
	// JWTs.
	opaque string
	// claims changes the header and claims of an access token (RFC 9068) to the
	// provider's form.
	claims func(header, claims map[string]any)
	// refreshJWT means that refresh tokens are JWTs.
	refreshJWT bool
}

// shapes has the providers with the differences that matter to resource
// servers, as documented in 2026-11. The claims are those of a user and an API
// without special settings.
var shapes = []shape{
	{
		name: "auth0", title: "Auth0", issuer: "/",
		claims: func(header, claims map[string]any) {
			// There, RFC 9068 is a setting of each API, and off by default.
			header["typ"] = "JWT"
			rename(claims, "client_id", "azp")
			if text, _ := claims["scope"].(string); strings.Contains(" "+text+" ", " openid ") {
				claims["aud"] = append(asList(claims["aud"]), strings.TrimSuffix(claims["iss"].(string), "/")+"/userinfo")
			}
		},
	},
	{
		name: "okta", title: "Okta, a custom authorization server", issuer: "/oauth2/default",
		claims: func(header, claims map[string]any) {
			delete(header, "typ")
			rename(claims, "client_id", "cid")
			claims["ver"], claims["uid"] = 1, claims["sub"]
			if text, ok := claims["scope"].(string); ok {
				claims["scp"] = strings.Fields(text)
				delete(claims, "scope")
			}
		},
	},
	{
		name: "entra", title: "Microsoft Entra ID, version 2", issuer: "/" + entraTenant + "/v2.0",
		claims: func(header, claims map[string]any) {
			header["typ"] = "JWT"
			rename(claims, "client_id", "azp")
			rename(claims, "jti", "uti")
			rename(claims, "scope", "scp")
			claims["ver"], claims["tid"], claims["nbf"] = "2.0", entraTenant, claims["iat"]
			delete(claims, "auth_time")
		},
	},
	{
		name: "keycloak", title: "Keycloak, without an Audience mapper", issuer: "/realms/dev", refreshJWT: true,
		claims: func(header, claims map[string]any) {
			header["typ"] = "JWT"
			rename(claims, "client_id", "azp")
			claims["typ"], claims["aud"], claims["sid"] = "Bearer", "account", rand.Text()
			if claims["realm_access"] == nil {
				claims["realm_access"] = map[string]any{"roles": []string{"default-roles-dev", "offline_access"}}
			}
		},
	},
	{
		name: "cognito", title: "Amazon Cognito", issuer: "/us-east-1_EXAMPLE",
		claims: func(header, claims map[string]any) {
			delete(header, "typ")
			delete(claims, "aud")
			claims["token_use"], claims["version"], claims["username"] = "access", 2, claims["sub"]
		},
	},
	{name: "google", title: "Google", opaque: "ya29."},
	{name: "github", title: "GitHub, an OAuth app", opaque: "gho_"},
	{name: "gitlab", title: "GitLab", opaque: "glat-"},
}

const entraTenant = "11111111-2222-4333-8444-555555555555"

// Providers returns the allowed values of [Config.Provider].
func Providers() []string {
	var names []string
	for _, one := range shapes {
		names = append(names, one.name)
	}
	return names
}

func findShape(name string) *shape {
	for i := range shapes {
		if shapes[i].name == name {
			return &shapes[i]
		}
	}
	return nil
}

// ProviderIssuer returns the part of the provider's issuer identifiers after the
// host, for example /realms/dev, or "" if there is none or the name is unknown.
func ProviderIssuer(name string) string {
	if found := findShape(name); found != nil {
		return found.issuer
	}
	return ""
}

func rename(claims map[string]any, from, to string) {
	if value, ok := claims[from]; ok {
		claims[to] = value
		delete(claims, from)
	}
}

func asList(value any) []string {
	switch v := value.(type) {
	case string:
		return []string{v}
	case []string:
		return v
	}
	return nil
}
