// Package problem maps a diagnosis to an HTTP response: its status, the error code
// of a challenge (RFC 6750, section 3.1; RFC 9449, section 7.1; RFC 9470, section
// 3) and a problem body (RFC 9457).
//
// Start with [Of], or with [Gateway] in a proxy. [Problem.Write] sends the
// response. A body contains the diagnosis id and its summary, never a value from a
// token.
package problem

import (
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// retryAfter is the Retry-After of a 503, in seconds.
const retryAfter = "5"

// Problem is a response and its JSON body.
type Problem struct {
	Title  string       `json:"title"`
	Status int          `json:"status"`
	Detail string       `json:"detail"`
	ID     diagnosis.ID `json:"id,omitzero"`
	// Code is the error code of the challenge, or "".
	Code string `json:"error,omitempty"`
	// Scope lists the scopes that the operation needs, if more scopes would
	// help.
	Scope string `json:"scope,omitempty"`
}

// Of returns the response to a request that is refused for d: 400 for a
// malformed request, 401 without credentials or with an invalid token, 403 for
// a token that does not allow the operation, and 503 if this could not be
// checked, which is never the client's fault.
func Of(d *diagnosis.Diagnosis) Problem {
	status, code := http.StatusServiceUnavailable, ""
	switch d.ID {
	case diagnosis.CredentialsInvalid, diagnosis.PathAmbiguous:
		status, code = http.StatusBadRequest, "invalid_request"
	case diagnosis.CredentialsMissing:
		status = http.StatusUnauthorized
	case diagnosis.StepUpRequired:
		status, code = http.StatusUnauthorized, "insufficient_user_authentication"
	case diagnosis.DPoPMissing, diagnosis.DPoPInvalid, diagnosis.DPoPReplayed:
		status, code = http.StatusUnauthorized, "invalid_dpop_proof"
	case diagnosis.DPoPNonce:
		status, code = http.StatusUnauthorized, "use_dpop_nonce"
	case diagnosis.ScopeMissing, diagnosis.ScopeClaimName, diagnosis.ScopeForm:
		status, code = http.StatusForbidden, "insufficient_scope"
	default:
		switch d.Kind() {
		case diagnosis.Rejected:
			status, code = http.StatusUnauthorized, "invalid_token"
		case diagnosis.Denied:
			status = http.StatusForbidden
		}
	}
	return with(status, code, d)
}

// Gateway returns the response of a proxy whose upstream failed: 504 after a
// timeout, otherwise 502.
func Gateway(d *diagnosis.Diagnosis) Problem {
	if d.ID == diagnosis.Timeout {
		return with(http.StatusGatewayTimeout, "", d)
	}
	return with(http.StatusBadGateway, "", d)
}

// New returns a problem that is not a diagnosis.
func New(status int, detail string) Problem {
	return Problem{Title: http.StatusText(status), Status: status, Detail: detail}
}

func with(status int, code string, d *diagnosis.Diagnosis) Problem {
	return Problem{Title: http.StatusText(status), Status: status, Detail: d.Summary(), ID: d.ID, Code: code}
}

// Challenges reports whether the response has challenges: a 401 always, a 403
// only if more scopes would help, and a 400 only if the credentials are wrong.
func (p Problem) Challenges() bool {
	return p.Status == http.StatusUnauthorized || p.Code != ""
}

// Write sends the response. It keeps headers that are already set, and omits the
// body for a HEAD request.
func (p Problem) Write(w http.ResponseWriter, r *http.Request) {
	body, err := json.Marshal(p)
	if err != nil {
		body = []byte("{}") // a value that is not UTF-8
	}
	p.WriteBody(w, r, "application/problem+json", append(body, '\n'))
}

// WriteBody is [Problem.Write] with another body, for APIs whose errors have a
// format of their own.
func (p Problem) WriteBody(w http.ResponseWriter, r *http.Request, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	if p.Status == http.StatusServiceUnavailable && h.Get("Retry-After") == "" {
		h.Set("Retry-After", retryAfter)
	}
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}
