package apicall

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/challenge"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// Refusal interprets an API's response that is not a success, with the values
// of its challenge.
type Refusal struct {
	*diagnosis.Diagnosis
	// Scopes are those that the operation needs (SCOPE_MISSING, RFC 6750, section
	// 3).
	Scopes []string
	// ACRValues and MaxAge describe the login that is required
	// (STEP_UP_REQUIRED, RFC 9470, section 3). MaxAge is negative if the API did
	// not send it.
	ACRValues []string
	MaxAge    time.Duration
	// TokenSent reports whether a token went with the request.
	TokenSent bool
	// Reason reports whether the API sent an error code or a diagnosis id.
	Reason bool
	// Retryable reports whether the same request may succeed later: the status is 408,
	// 425, 429, 502, 503 or 504.
	Retryable bool
}

// Unwrap returns the Diagnosis, so that errors.As finds it in a Refusal.
func (r *Refusal) Unwrap() error { return r.Diagnosis }

// maxProblem limits how much of a body is read to find the reason.
const maxProblem = 64 << 10

// Refused interprets a response that is not a success: a status of 400 or above,
// or a redirect that was not followed. Otherwise it returns nil, as for 304, the
// response to a conditional request. From a problem document (RFC 9457) it reads
// the member id; the body can still be read from its beginning. A Refusal
// contains no credential of the request.
func Refused(res *http.Response) *Refusal {
	status := fmt.Sprintf("%d %s", res.StatusCode, http.StatusText(res.StatusCode))
	r := &Refusal{MaxAge: -1}
	r.TokenSent = tokenSent(res)
	switch {
	case res.StatusCode < 300, res.StatusCode == http.StatusNotModified:
		return nil
	case res.StatusCode < http.StatusBadRequest:
		r.Diagnosis = notFollowed(res, status)
		return r
	}
	c := challengeOf(res)
	code := c.Get("error")
	scopes := words(scrubbed(res, c.Get("scope")))
	r.Reason = code != ""
	switch {
	case code == "insufficient_user_authentication" && res.StatusCode == http.StatusUnauthorized:
		r.ACRValues, r.MaxAge = words(scrubbed(res, c.Get("acr_values"))), seconds(c.Get("max_age"))
		r.Diagnosis = &diagnosis.Diagnosis{ID: diagnosis.StepUpRequired, Expected: diagnosis.Text(r.stepUp()), Got: diagnosis.Text(status)}
		return r
	case code == "insufficient_scope" && r.TokenSent && (res.StatusCode == http.StatusForbidden || res.StatusCode == http.StatusUnauthorized):
		r.Scopes = scopes
		r.Diagnosis = &diagnosis.Diagnosis{ID: diagnosis.ScopeMissing, Expected: diagnosis.Text(strings.Join(scopes, " ")), Got: diagnosis.Text(status)}
	case res.StatusCode == http.StatusForbidden && r.TokenSent && code == "" && len(scopes) > 0:
		r.Reason, r.Scopes = true, scopes
		r.Diagnosis = &diagnosis.Diagnosis{ID: diagnosis.ScopeMissing, Expected: diagnosis.Text(strings.Join(scopes, " ")), Got: diagnosis.Text(status)}
	case res.StatusCode == http.StatusForbidden:
		r.Diagnosis = &diagnosis.Diagnosis{ID: diagnosis.APIForbidden, Got: diagnosis.Text(status + said(res, c))}
	case res.StatusCode == http.StatusUnauthorized:
		r.Diagnosis = r.unauthorized(res, c, status)
	default:
		r.Retryable = transientStatus(res.StatusCode)
		r.Diagnosis = &diagnosis.Diagnosis{ID: diagnosis.APIError, Got: diagnosis.Text(status)}
	}
	if entry, ok := reasonOf(res, c); ok {
		r.Reason = true
		if entry.ID != diagnosis.ScopeMissing {
			r.Scopes = nil
			r.Diagnosis = &diagnosis.Diagnosis{ID: entry.ID, Got: diagnosis.Values{"the API answered " + status}}
		}
	}
	return r
}

// unauthorized interprets a 401 without a step-up challenge. The result depends
// on whether a token was sent, because the error code is optional (RFC 6750,
// section 3.1).
func (r *Refusal) unauthorized(res *http.Response, c challenge.Challenge, status string) *diagnosis.Diagnosis {
	if !r.TokenSent {
		return &diagnosis.Diagnosis{ID: diagnosis.CredentialsMissing, Got: diagnosis.Text(status)}
	}
	return &diagnosis.Diagnosis{ID: diagnosis.APIUnauthorized, Got: diagnosis.Text(status + said(res, c))}
}

// tokenSent reports whether the request of a response had a token. If no Client
// sent it, this is read from the request, or assumed if the challenge has an
// error.
func tokenSent(res *http.Response) bool {
	if res.Request == nil {
		return challengeOf(res).Get("error") != "" || len(res.Header.Values("WWW-Authenticate")) == 0
	}
	if sent, ours := res.Request.Context().Value(carriedKey{}).(*carried); ours {
		return !sent.token.Value.IsZero()
	}
	scheme, _, _ := strings.Cut(res.Request.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "DPoP")
}

// said returns the challenge's description, in quotes.
func said(res *http.Response, c challenge.Challenge) string {
	description := scrubbed(res, c.Get("error_description"))
	if description == "" {
		return ""
	}
	return fmt.Sprintf(", %.200q", description)
}

// notFollowed is a redirect that was not followed.
func notFollowed(res *http.Response, status string) *diagnosis.Diagnosis {
	if location := res.Header.Get("Location"); location != "" {
		status += " to " + where(res, location)
	}
	return &diagnosis.Diagnosis{ID: diagnosis.RedirectNotFollowed, Got: diagnosis.Values{status}}
}

// challengeOf returns the challenge about access tokens, or the zero Challenge.
// If there are several, it returns the first with an error, or otherwise the
// first with a scope.
func challengeOf(res *http.Response) challenge.Challenge {
	challenges, _ := challenge.Parse(res.Header.Values("WWW-Authenticate"))
	var best challenge.Challenge
	weight := func(c challenge.Challenge) int {
		switch {
		case c.Get("error") != "":
			return 3
		case c.Get("scope") != "":
			return 2
		}
		return 1
	}
	found := 0
	for _, one := range challenges {
		if (one.Is("Bearer") || one.Is("DPoP")) && weight(one) > found {
			best, found = one, weight(one)
		}
	}
	return best
}

// reasonOf returns the catalogue entry that the API sends as its reason: an API
// protected by this module sends the id in the problem document, and at the
// beginning of the challenge's description. An id that does not fit the status is
// ignored, because a server must not decide the exit code.
func reasonOf(res *http.Response, c challenge.Challenge) (diagnosis.Entry, bool) {
	front, _, _ := strings.Cut(c.Get("error_description"), ":")
	for _, id := range []string{problemID(res), front} {
		entry, ok := diagnosis.Lookup(diagnosis.ID(id))
		if !ok {
			continue
		}
		switch {
		case entry.Kind == diagnosis.Rejected && res.StatusCode == http.StatusUnauthorized,
			entry.Kind == diagnosis.Denied && res.StatusCode == http.StatusForbidden,
			res.StatusCode == http.StatusBadRequest && (entry.ID == diagnosis.PathAmbiguous || entry.ID == diagnosis.CredentialsInvalid):
			return entry, true
		}
	}
	return diagnosis.Entry{}, false
}

// problemID returns the member id of a problem document, or "".
func problemID(res *http.Response) string {
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if kind != "application/problem+json" && kind != "application/json" || res.Body == nil {
		return ""
	}
	head, err := io.ReadAll(io.LimitReader(res.Body, maxProblem))
	rest := io.Reader(res.Body)
	if err != nil {
		rest = failing{err}
	}
	res.Body = &rewound{io.MultiReader(bytes.NewReader(head), rest), res.Body}
	var problem struct {
		ID jsontext.Value `json:"id"`
	}
	var id string
	if json.Unmarshal(head, &problem, jsontext.AllowDuplicateNames(true)) != nil || problem.ID.Kind() != '"' || json.Unmarshal(problem.ID, &id) != nil {
		return ""
	}
	return id
}

// failing is a body that returns an earlier read error.
type failing struct{ err error }

// Read implements [io.Reader].
func (f failing) Read([]byte) (int, error) { return 0, f.err }

// rewound is a body of which the beginning was read.
type rewound struct {
	io.Reader
	io.Closer
}

// mayRefresh reports whether another token may help: the response is a 401 that
// does not require a nonce, another login or a scope.
func mayRefresh(res *http.Response) bool {
	if res.StatusCode != http.StatusUnauthorized {
		return false
	}
	switch challengeOf(res).Get("error") {
	case "use_dpop_nonce", "insufficient_user_authentication", "insufficient_scope":
		return false
	}
	return true
}

// wantsNonce reports whether the API requires its nonce in the proof (RFC 9449,
// section 9).
func wantsNonce(res *http.Response) bool {
	return res.StatusCode == http.StatusUnauthorized && challengeOf(res).Get("error") == "use_dpop_nonce"
}

// stepUp returns the requirements of a challenge (RFC 9470).
func (r *Refusal) stepUp() string {
	var asked []string
	if len(r.ACRValues) > 0 {
		asked = append(asked, "acr "+strings.Join(r.ACRValues, " "))
	}
	if r.MaxAge >= 0 {
		asked = append(asked, fmt.Sprintf("a login at most %d s ago", int64(r.MaxAge/time.Second)))
	}
	return strings.Join(asked, " and ")
}

// words splits a list of scopes or acr values. It omits invalid (RFC 6749, section
// 3.3) and redacted ones, because the words become part of a command.
func words(list string) []string {
	var all []string
	for _, word := range strings.Fields(list) {
		if len(word) <= 200 && !strings.HasPrefix(word, "-") && !strings.Contains(word, "[redacted]") && !strings.ContainsFunc(word, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			all = append(all, word)
		}
	}
	return all
}

// seconds parses max_age; a value that is not a number is ignored.
func seconds(value string) time.Duration {
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil || n < 0 {
		return -1
	}
	return time.Duration(n) * time.Second
}
