package devserver

import (
	"net/http"

	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// metadata is used for both documents: authorization server metadata (RFC 8414,
// section 2) and OpenID Connect Discovery 1.0, section 3.
type metadata struct {
	Issuer                            string   `json:"issuer"`
	AuthorizationEndpoint             string   `json:"authorization_endpoint"`
	TokenEndpoint                     string   `json:"token_endpoint"`
	JWKSURI                           string   `json:"jwks_uri"`
	RegistrationEndpoint              string   `json:"registration_endpoint"`
	RevocationEndpoint                string   `json:"revocation_endpoint"`
	IntrospectionEndpoint             string   `json:"introspection_endpoint"`
	UserinfoEndpoint                  string   `json:"userinfo_endpoint"`
	DeviceAuthorizationEndpoint       string   `json:"device_authorization_endpoint"`
	PushedRequestEndpoint             string   `json:"pushed_authorization_request_endpoint"`
	EndSessionEndpoint                string   `json:"end_session_endpoint"`
	ScopesSupported                   []string `json:"scopes_supported"`
	ResponseTypesSupported            []string `json:"response_types_supported"`
	ResponseModesSupported            []string `json:"response_modes_supported"`
	GrantTypesSupported               []string `json:"grant_types_supported"`
	SubjectTypesSupported             []string `json:"subject_types_supported"`
	IDTokenSigningAlgValuesSupported  []string `json:"id_token_signing_alg_values_supported"`
	TokenEndpointAuthMethodsSupported []string `json:"token_endpoint_auth_methods_supported"`
	TokenEndpointAuthAlgorithms       []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	DPoPAlgorithms                    []string `json:"dpop_signing_alg_values_supported"`
	CodeChallengeMethodsSupported     []string `json:"code_challenge_methods_supported"`
	PromptValuesSupported             []string `json:"prompt_values_supported"`
	ClientDocuments                   bool     `json:"client_id_metadata_document_supported"`
	RequestURI                        bool     `json:"request_uri_parameter_supported"`
	ClaimsSupported                   []string `json:"claims_supported"`
	AuthorizationResponseIss          bool     `json:"authorization_response_iss_parameter_supported"`
	ProtectedResources                []string `json:"protected_resources"`
}

func (s *Server) serveMetadata(w http.ResponseWriter, r *http.Request) {
	issuer := s.base
	m := metadata{
		Issuer:                            s.config.Issuer,
		AuthorizationEndpoint:             issuer + "/authorize",
		TokenEndpoint:                     issuer + "/token",
		JWKSURI:                           issuer + "/jwks",
		RegistrationEndpoint:              issuer + "/register",
		RevocationEndpoint:                issuer + "/revoke",
		IntrospectionEndpoint:             issuer + "/introspect",
		UserinfoEndpoint:                  issuer + "/userinfo",
		DeviceAuthorizationEndpoint:       issuer + "/device_authorization",
		PushedRequestEndpoint:             issuer + "/par",
		EndSessionEndpoint:                issuer + "/end-session",
		ScopesSupported:                   s.scopesSupported(),
		ResponseTypesSupported:            []string{"code"},
		ResponseModesSupported:            responseModes(),
		GrantTypesSupported:               grantTypesSupported(),
		SubjectTypesSupported:             []string{"public"},
		IDTokenSigningAlgValuesSupported:  []string{s.config.Algorithm},
		TokenEndpointAuthMethodsSupported: authMethods(),
		TokenEndpointAuthAlgorithms:       append(jwks.PublicKeyAlgorithms(), "HS256", "HS384", "HS512"),
		DPoPAlgorithms:                    jwks.PublicKeyAlgorithms(),
		CodeChallengeMethodsSupported:     []string{"S256"},
		PromptValuesSupported:             []string{"none", "login", "consent", "select_account"},
		ClaimsSupported:                   []string{"sub", "name", "preferred_username", "email", "email_verified"},
		AuthorizationResponseIss:          true,
		ClientDocuments:                   true,
		ProtectedResources:                s.resources(),
	}
	if faultsOf(r).has(FaultDiscoveryIssuerMismatch) {
		m.Issuer = otherIssuer
	}
	w.Header().Set("Cache-Control", "no-cache")
	writeJSON(w, http.StatusOK, m)
}
