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

// Refusal is what an API's answer means that is not the one that was asked for,
// with what its challenge requests.
type Refusal struct {
	*diagnosis.Diagnosis
	// Scopes are those that the operation needs (SCOPE_MISSING, RFC 6750, section
	// 3).
	Scopes []string
	// ACRValues and MaxAge say how the user has to log in (STEP_UP_REQUIRED, RFC
	// 9470, section 3). MaxAge is negative if the API did not say.
	ACRValues []string
	MaxAge    time.Duration
	// TokenSent reports whether a token went with the request.
	TokenSent bool
	// Reason is true if the API said why: by an error code or a diagnosis id.
	Reason bool
	// Retryable is true if the same request may succeed later: the status is 408, 425,
	// 429, 502, 503 or 504.
	Retryable bool
}

// Unwrap returns the Diagnosis, so that a Refusal that is returned as an error is
// found as what it is.
func (r *Refusal) Unwrap() error { return r.Diagnosis }

// maxProblem bounds how much of a body is read for the reason it gives.
const maxProblem = 64 << 10

// Refused returns what an answer means that is no success: a status of 400 or
// above, or a redirect that was not followed. It returns nil for any other, and
// for 304, which a conditional request asks for. Of a problem document (RFC 9457)
// it reads the member id, and leaves the body to be read from its beginning.
// Nothing in a Refusal holds a credential that the request carried.
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

// unauthorized is a 401 that asks for no other login. Whether a token was sent
// decides what it means, since the error code is optional (RFC 6750, section
// 3.1).
func (r *Refusal) unauthorized(res *http.Response, c challenge.Challenge, status string) *diagnosis.Diagnosis {
	if !r.TokenSent {
		return &diagnosis.Diagnosis{ID: diagnosis.CredentialsMissing, Got: diagnosis.Text(status)}
	}
	return &diagnosis.Diagnosis{ID: diagnosis.APIUnauthorized, Got: diagnosis.Text(status + said(res, c))}
}

// tokenSent reports whether a token went with the request of an answer. Of an
// answer that no Client received it is seen in the request, or else assumed where
// the challenge names an error.
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

// said is the challenge's description, in quotes.
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

// challengeOf returns the challenge of a refusal that concerns access tokens, the
// zero Challenge where there is none. Of several the first that names an error is
// returned, or else the first that names a scope.
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

// reasonOf returns the catalogue's entry that the API gives as its reason: an API
// that is protected by this toolkit puts the id into the problem document, and in
// front of the challenge's description. An id that does not fit the status is
// none: a server does not decide how a command ends.
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

// problemID reads the member id of a problem document, "" if there is none.
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

// failing gives an error that reading has met before.
type failing struct{ err error }

// Read implements [io.Reader].
func (f failing) Read([]byte) (int, error) { return 0, f.err }

// rewound is a body of which the beginning was read.
type rewound struct {
	io.Reader
	io.Closer
}

// mayRefresh reports whether another token may help: the answer is a 401 that
// asks neither for a nonce nor for another login or scope.
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

// wantsNonce reports whether the API asks for its nonce in the proof (RFC 9449,
// section 9).
func wantsNonce(res *http.Response) bool {
	return res.StatusCode == http.StatusUnauthorized && challengeOf(res).Get("error") == "use_dpop_nonce"
}

// stepUp says what a challenge of RFC 9470 asks for.
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

// words splits a list of scopes or acr values, and leaves out what is not one (RFC
// 6749, section 3.3) and what was redacted: the words become part of a command.
func words(list string) []string {
	var all []string
	for _, word := range strings.Fields(list) {
		if len(word) <= 200 && !strings.HasPrefix(word, "-") && !strings.Contains(word, "[redacted]") && !strings.ContainsFunc(word, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			all = append(all, word)
		}
	}
	return all
}

// seconds reads max_age; a value that is not a number says nothing.
func seconds(value string) time.Duration {
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil || n < 0 {
		return -1
	}
	return time.Duration(n) * time.Second
}
