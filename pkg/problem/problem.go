// Package problem is the one mapping from a diagnosis to an HTTP answer: the
// status, the error code of a challenge (RFC 6750, section 3.1; RFC 9449, section
// 7.1; RFC 9470, section 3) and a problem body (RFC 9457).
//
// Start with [Of], or with [Gateway] in a proxy. [Problem.Write] sends the answer.
// A body has the diagnosis id and its fixed sentence, never a value from a token.
package problem

import (
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// retryAfter is the Retry-After of a 503, in seconds.
const retryAfter = "5"

// Problem is an answer and its JSON body.
type Problem struct {
	Title  string       `json:"title"`
	Status int          `json:"status"`
	Detail string       `json:"detail"`
	ID     diagnosis.ID `json:"id,omitzero"`
	// Code is the error of the challenge, "" where there is none.
	Code string `json:"error,omitempty"`
	// Scope is what a token needs, where more scopes would help.
	Scope string `json:"scope,omitempty"`
}

// Of returns how an API answers a request that it refuses for d: 400 for a
// request that is malformed, 401 without credentials or for a token that is
// refused, 403 for a token that does not allow this, and 503 where that could
// not be decided, which is never the client's fault.
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

// Gateway returns how a proxy answers where the API behind it did not: 504 after
// a time limit, otherwise 502.
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

// Challenges reports whether the answer carries challenges: a 401 always, a 403
// only if more scopes would help, and a 400 that is about the credentials.
func (p Problem) Challenges() bool {
	return p.Status == http.StatusUnauthorized || p.Code != ""
}

// Write sends the answer. Header fields that are set before it are kept; the body
// is left out for a HEAD request.
func (p Problem) Write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if p.Status == http.StatusServiceUnavailable && h.Get("Retry-After") == "" {
		h.Set("Retry-After", retryAfter)
	}
	body, err := json.Marshal(p)
	if err != nil {
		body = []byte("{}") // text that is no UTF-8
	}
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(append(body, '\n'))
	}
}
