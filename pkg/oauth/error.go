package oauth

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// Endpoint is the name of an endpoint in messages and errors.
type Endpoint string

// The endpoints.
const (
	AuthorizationEndpoint Endpoint = "authorization"
	TokenEndpoint         Endpoint = "token"
	DeviceEndpoint        Endpoint = "device authorization"
	PAREndpoint           Endpoint = "pushed authorization request"
	RegistrationEndpoint  Endpoint = "registration"
	RevocationEndpoint    Endpoint = "revocation"
	IntrospectionEndpoint Endpoint = "introspection"
	UserinfoEndpoint      Endpoint = "userinfo"
)

// Request describes the request, as far as it helps to suggest a fix.
type Request struct {
	Endpoint   Endpoint
	GrantType  string // at the token endpoint
	AuthMethod string // how the client authenticated, one of the Auth constants
	// SecretEncoded reports that client_secret_basic changed the client's secret or
	// id (RFC 6749, section 2.3.1), which servers that do not decode it refuse.
	SecretEncoded bool
	Proof         bool // a proof of possession was sent (RFC 9449)
	// ProofsAnnounced reports that the server announces algorithms for proofs.
	ProofsAnnounced bool
	// MethodsAnnounced reports that the server announces how clients authenticate.
	MethodsAnnounced bool
}

// DependsOnTime reports whether the request had a proof, an assertion or a
// code, which are valid for a short time by the server's clock.
func (r Request) DependsOnTime() bool {
	switch r.GrantType {
	case "authorization_code", GrantJWTBearer, GrantTokenExchange:
		return true
	}
	return r.Proof || r.AuthMethod == AuthPrivateKeyJWT || r.AuthMethod == AuthSecretJWT
}

// Error is an error response of an authorization server, from its token
// endpoint or another (RFC 6749, section 5.2) or in a redirect (section
// 4.1.2.1). It comes wrapped in a Diagnosis whose kind says who can fix it;
// find it with errors.As. Its texts are the server's own.
type Error struct {
	Code        string // "" if the response has none
	Description string
	URI         string
	// Text is the beginning of a response that is an error in a form of its own.
	Text    string
	Status  int // of the HTTP response; 0 in a redirect
	Request Request
	Clock   ServerClock // by the Date of the response
}

// serverText limits how much of a server's text is shown.
const serverText = 500

// Error returns the code and the description, quoted and cut at 500 bytes.
func (e *Error) Error() string {
	code := e.Code
	if strings.Trim(code, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") != "" || len(code) > 60 {
		code = diagnosis.Quote(code)
	}
	switch {
	case e.Code == "":
		return fmt.Sprintf("status %d from the %s endpoint: %s", e.Status, e.Request.Endpoint, diagnosis.Quote(e.Text))
	case e.Description == "":
		return code
	}
	return code + ": " + strconv.Quote(diagnosis.Shorten(e.Description, serverText))
}

// RefusesRefreshToken reports whether the response to a refresh means that the
// refresh token cannot be used any more, and whether that is certain. Only
// invalid_grant is certain (RFC 6749, section 5.2); some servers use other
// codes.
func (e *Error) RefusesRefreshToken() (refused, certain bool) {
	if e.Request.GrantType != "refresh_token" {
		return false, false
	}
	switch e.meaning() {
	case diagnosis.GrantInvalid:
		return true, e.Code == "invalid_grant"
	case diagnosis.RequestRefused:
		return e.isAboutToken(), false
	}
	return false, false
}

// isAboutToken interprets a refused refresh with an unknown code.
// invalid_request and similar codes are about the request, unless the
// description mentions the refresh token.
func (e *Error) isAboutToken() bool {
	switch e.Code {
	case "unsupported_grant_type", "invalid_dpop_proof", "use_dpop_nonce", "invalid_client_metadata", "invalid_resource":
		return false
	case "invalid_request", "":
		text := strings.NewReplacer("_", " ", "-", " ").Replace(strings.ToLower(e.Description + " " + e.Text))
		return strings.Contains(text, "refresh token") || strings.Contains(text, "refreshtoken")
	}
	return e.Status == 0 || e.Status < 500
}

// meanings maps the error codes of OAuth, its extensions and well-known servers
// to diagnoses.
var meanings = map[diagnosis.ID][]string{
	diagnosis.ClientRefused:   {"invalid_client", "unauthorized_client", "incorrect_client_credentials"},
	diagnosis.ScopeRefused:    {"invalid_scope"},
	diagnosis.ResourceRefused: {"invalid_target"},
	diagnosis.GrantInvalid:    {"invalid_grant", "bad_verification_code", "bad_refresh_token"},
	diagnosis.AccessDenied:    {"access_denied", "authorization_declined", "user_denied", "user_cancelled_login", "user_cancelled_authorize"},
	diagnosis.LoginRequired: {
		"login_required", "interaction_required", "consent_required", "account_selection_required",
		"unmet_authentication_requirements", "expired_token",
	},
	diagnosis.RateLimited: {"slow_down"},
	diagnosis.ServerError: {"server_error", "temporarily_unavailable"},
}

// registeredCodes are those of the OAuth Extensions Error registry (RFC 6749,
// section 11.4) and of RFC 6749, RFC 7591 and OpenID Connect Core themselves.
var registeredCodes = []string{
	"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope",
	"access_denied", "unsupported_response_type", "server_error", "temporarily_unavailable",
	"invalid_token", "insufficient_scope", "unsupported_token_type", "insufficient_user_authentication",
	"interaction_required", "login_required", "account_selection_required", "consent_required", "unmet_authentication_requirements",
	"invalid_request_uri", "invalid_request_object", "request_not_supported", "request_uri_not_supported", "registration_not_supported",
	"authorization_pending", "slow_down", "expired_token", "invalid_target", "invalid_authorization_details",
	"use_dpop_nonce", "invalid_dpop_proof", "need_info", "request_denied", "request_submitted",
	"invalid_redirect_uri", "invalid_client_metadata", "invalid_software_statement", "unapproved_software_statement",
}

// IsRegistered reports whether a specification defines the code.
func (e *Error) IsRegistered() bool { return slices.Contains(registeredCodes, e.Code) }

// meaning returns the diagnosis for the code and the status.
func (e *Error) meaning() diagnosis.ID {
	for id, codes := range meanings {
		if slices.Contains(codes, e.Code) && id != diagnosis.ServerError {
			return id
		}
	}
	switch {
	case e.Status == http.StatusTooManyRequests:
		return diagnosis.RateLimited
	case e.Status >= 500 || slices.Contains(meanings[diagnosis.ServerError], e.Code):
		return diagnosis.ServerError
	case e.Code == "" && e.isAboutClient():
		return diagnosis.ClientRefused
	}
	return diagnosis.RequestRefused
}

// isAboutClient reports whether the status alone means that the client is not
// authenticated (RFC 6749, section 5.2; RFC 7009, section 2.2.1; RFC 7662,
// section 2.3). At the userinfo and the registration endpoint, it is about a
// token.
func (e *Error) isAboutClient() bool {
	return e.Status == http.StatusUnauthorized && e.Request.Endpoint != UserinfoEndpoint && e.Request.Endpoint != RegistrationEndpoint
}

// diagnose returns the diagnosis for an error response.
func (e *Error) diagnose() error {
	id := e.meaning()
	if refused, _ := e.RefusesRefreshToken(); refused {
		id = diagnosis.GrantInvalid
	}
	return fmt.Errorf("oauth: %w", &diagnosis.Diagnosis{ID: id, Err: e})
}
