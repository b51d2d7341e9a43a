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

// ErrState marks parameters that are no answer to this request: their state is
// missing or another one, they hold neither a code nor an error, or the request
// was answered before. Anyone can send such a thing to a loopback port, so the
// wait for the real answer goes on.
var ErrState = errors.New("not the answer to this request")

// StateError is an [ErrState] with what the parameters hold, so that the user can
// be shown why nothing happens.
type StateError struct {
	Missing bool   // there is no state at all
	Cut     bool   // the parameters end in the middle of an answer to this request
	Code    string // of the error parameter, "" if there is none; unverified
}

// Error says what is wrong with the state.
func (e *StateError) Error() string {
	switch {
	case e.Missing:
		return "without state"
	case e.Cut:
		return "cut short"
	}
	return ErrState.Error()
}

// Is makes every StateError an [ErrState].
func (e *StateError) Is(target error) bool { return target == ErrState }

// Code takes the parameters of the redirect and returns the code they hold
// (RFC 6749, section 4.1.2). It is the only way to a code, and can be used once.
//
// The state is compared first, in constant time; without it nothing else is
// believed, not even an error. Then iss, which must be the issuer, and must be
// there if the server announces it (RFC 9207), in an error response too. Errors
// are Diagnoses: STATE_MISMATCH wrapping [ErrState], after which the wait goes
// on; ISS_PARAM, which ends the login; or what the [*Error] of an error response
// means.
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

// Missing returns the name of a parameter that every answer to this request has
// and v lacks, "" if v has them all: state, code or error, and iss if the server
// announces it (RFC 9207). It believes nothing that is there.
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

// isCut reports whether v is the beginning of an answer to this request, as a
// terminal leaves of a long line: the state ends early, or comes without the rest.
func (r *AuthorizationRequest) isCut(v url.Values) bool {
	state := v["state"]
	return len(state) == 1 && state[0] != "" && !v.Has("error") && strings.HasPrefix(r.state.Reveal(), state[0]) && len(v["code"]) < 2
}

func (r *AuthorizationRequest) issuerFits(iss []string) bool { return r.checkIssuer(iss) == nil }

func (r *AuthorizationRequest) checkIssuer(iss []string) error {
	d := &diagnosis.Diagnosis{ID: diagnosis.IssuerParam, Expected: diagnosis.Values{"iss " + diagnosis.Quote(r.issuer)}}
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

// IDTokenExpectation returns what the ID token of this login must fit.
func (r *AuthorizationRequest) IDTokenExpectation() IDTokenExpectation {
	return IDTokenExpectation{Nonce: r.nonce, MaxAge: r.maxAge, ACRValues: r.acrValues}
}
