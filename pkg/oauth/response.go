package oauth

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// ErrState marks parameters that are not a response to this request: the state is
// missing or differs, they contain neither a code nor an error, or the request was
// already answered. Anyone can send such parameters to a loopback port, so continue
// to wait for the real response.
var ErrState = errors.New("not the answer to this request")

// StateError is an [ErrState] with details that can be shown to the user.
type StateError struct {
	Missing bool   // there is no state
	Cut     bool   // the parameters are the beginning of a response to this request
	Code    string // the parameter error, or ""; it is not verified
}

// Error describes the problem with the state.
func (e *StateError) Error() string {
	switch {
	case e.Missing:
		return "without state"
	case e.Cut:
		return "cut short"
	}
	return ErrState.Error()
}

// Is reports whether target is [ErrState].
func (e *StateError) Is(target error) bool { return target == ErrState }

// Code returns the authorization code in the parameters of the redirect (RFC 6749,
// section 4.1.2). There is no other way to get the code, and a request accepts only
// one response.
//
// The state is compared first, in constant time. If it differs, nothing else is
// read, not even an error. Then iss is compared with the issuer. It is required if
// the server announces it (RFC 9207), also in an error response.
//
// Errors are Diagnoses: STATE_MISMATCH, which wraps [ErrState] (continue to wait),
// ISS_PARAM (the login has failed), or the diagnosis for an error response, which
// wraps its [*Error].
func (r *AuthorizationRequest) Code(v url.Values) (secret.String, error) {
	if !r.isMine(v) {
		return secret.String{}, fmt.Errorf("oauth: %w", &diagnosis.Diagnosis{ID: diagnosis.StateMismatch, Err: &StateError{
			Missing: !v.Has("state"), Cut: r.isCut(v), Code: scrub(v.Get("error"), r.params),
		}})
	}
	if !r.answered.CompareAndSwap(false, true) {
		return secret.String{}, fmt.Errorf("oauth: %w", &diagnosis.Diagnosis{ID: diagnosis.StateMismatch, Got: diagnosis.Values{"a second response"}, Err: ErrState})
	}
	if err := r.checkIssuer(v["iss"]); err != nil {
		return secret.String{}, fmt.Errorf("oauth: %w", err)
	}
	if v.Has("error") {
		return secret.String{}, (&Error{
			Code:        scrub(v.Get("error"), r.params),
			Description: scrub(v.Get("error_description"), r.params),
			URI:         scrub(v.Get("error_uri"), r.params),
			Request:     Request{Endpoint: AuthorizationEndpoint},
		}).diagnose()
	}
	return secret.New(v.Get("code")), nil
}

// isMine reports whether v is a response to this request. Duplicate parameters are
// not allowed (RFC 6749, section 3.1).
func (r *AuthorizationRequest) isMine(v url.Values) bool {
	state, code := v["state"], v["code"]
	if len(state) != 1 || subtle.ConstantTimeCompare([]byte(state[0]), []byte(r.state.Reveal())) != 1 {
		return false
	}
	return v.Has("error") || len(code) == 1 && code[0] != "" || !r.issuerFits(v["iss"])
}

// Missing returns the name of a required parameter that v lacks, or "". Required
// are state, code (or error), and iss if the server announces it (RFC 9207). The
// values are not checked.
func (r *AuthorizationRequest) Missing(v url.Values) string {
	switch {
	case !v.Has("state"):
		return "state"
	case !v.Has("code") && !v.Has("error"):
		return "code"
	case !v.Has("iss") && !r.issuerFits(nil):
		return "iss"
	}
	return ""
}

// isCut reports whether v is the beginning of a response to this request, such as a
// long line that a terminal cut off: the state ends early, or nothing follows it.
func (r *AuthorizationRequest) isCut(v url.Values) bool {
	state := v["state"]
	return len(state) == 1 && state[0] != "" && !v.Has("error") && strings.HasPrefix(r.state.Reveal(), state[0]) && len(v["code"]) < 2
}

func (r *AuthorizationRequest) issuerFits(iss []string) bool { return r.checkIssuer(iss) == nil }

func (r *AuthorizationRequest) checkIssuer(iss []string) error {
	d := &diagnosis.Diagnosis{ID: diagnosis.IssParam, Expected: diagnosis.Values{"iss " + diagnosis.Quote(r.issuer)}}
	switch {
	case len(iss) == 0 && !r.issAnnounced:
		return nil
	case len(iss) == 0:
		d.Got = diagnosis.Values{"no iss, although the server announces it"}
	case len(iss) > 1:
		d.Got = diagnosis.Values{"iss more than once"}
	case r.issuer == "":
		return nil // without metadata there is nothing to compare it with (RFC 9207, section 2.4)
	case subtle.ConstantTimeCompare([]byte(iss[0]), []byte(r.issuer)) != 1:
		d.Got = diagnosis.Values{iss[0]}
	default:
		return nil
	}
	return d
}

// TokenRequest returns the request that exchanges the code (RFC 6749, section
// 4.1.3) with this request's verifier, redirect URI and resource. It is never
// sent a second time, because a code is single-use.
func (r *AuthorizationRequest) TokenRequest(code secret.String) TokenRequest {
	t := TokenRequest{GrantType: "authorization_code", scope: r.Scope}
	return t.secret("code", code).with("redirect_uri", r.RedirectURI).secret("code_verifier", r.verifier).with("resource", r.resource...)
}

// IDTokenExpectation returns the values that the ID token of this login must have.
func (r *AuthorizationRequest) IDTokenExpectation() IDTokenExpectation {
	return IDTokenExpectation{Nonce: r.nonce, MaxAge: r.maxAge, ACRValues: r.acrValues}
}
