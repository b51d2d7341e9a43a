package apicall

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/oauthctl/oauthctl/pkg/challenge"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// Refusal is what an API's answer of 400 or above means, with what its challenge
// asks for.
type Refusal struct {
	*diagnosis.Diagnosis
	// Scopes are those that the operation needs (SCOPE_MISSING, RFC 6750, section
	// 3).
	Scopes []string
	// ACRValues and MaxAge say how the user has to log in (STEP_UP_REQUIRED, RFC
	// 9470, section 3). MaxAge is negative if nothing was said.
	ACRValues []string
	MaxAge    time.Duration
}

// LoginFlags returns the flags of the `oauthctl login` that would get a token
// which is accepted, nil where no login helps. Their values come from the API:
// quote them for a shell.
func (r *Refusal) LoginFlags() []string {
	var flags []string
	for _, scope := range r.Scopes {
		flags = append(flags, "--add-scope", scope)
	}
	for _, acr := range r.ACRValues {
		flags = append(flags, "--acr-values", acr)
	}
	if r.MaxAge >= 0 {
		flags = append(flags, "--max-age", r.MaxAge.String())
	}
	return flags
}

// Unwrap returns the Diagnosis, so that a Refusal that is returned as an error is
// found as what it is.
func (r *Refusal) Unwrap() error { return r.Diagnosis }

// Refused tells what a refusal means, by its status and challenge; nil below 400.
// The body is not read.
func Refused(res *http.Response) *Refusal {
	if res.StatusCode < http.StatusBadRequest {
		return nil
	}
	c, _ := Challenge(res)
	code, status := c.Get("error"), fmt.Sprintf("%d %s", res.StatusCode, http.StatusText(res.StatusCode))
	r := &Refusal{MaxAge: -1}
	switch {
	case code == "insufficient_user_authentication" && res.StatusCode == http.StatusUnauthorized:
		r.ACRValues, r.MaxAge = words(c.Get("acr_values")), seconds(c.Get("max_age"))
		r.Diagnosis = &diagnosis.Diagnosis{ID: diagnosis.StepUpRequired, Expected: diagnosis.Text(r.stepUp()), Got: diagnosis.Text(status)}
	case code == "insufficient_scope" && res.StatusCode == http.StatusForbidden:
		r.Scopes = words(c.Get("scope"))
		r.Diagnosis = &diagnosis.Diagnosis{ID: diagnosis.ScopeMissing, Expected: diagnosis.Text(strings.Join(r.Scopes, " ")), Got: diagnosis.Text(status)}
	case res.StatusCode == http.StatusForbidden:
		r.Diagnosis = &diagnosis.Diagnosis{ID: diagnosis.APIForbidden, Got: diagnosis.Text(status)}
	case res.StatusCode == http.StatusUnauthorized:
		r.Diagnosis = unauthorized(c, status)
	default:
		r.Diagnosis = &diagnosis.Diagnosis{ID: diagnosis.APIError, Got: diagnosis.Text(status)}
	}
	return r
}

// Diagnose is [Refused] without what the challenge asks for.
func Diagnose(res *http.Response) *diagnosis.Diagnosis {
	if r := Refused(res); r != nil {
		return r.Diagnosis
	}
	return nil
}

// Challenge returns the challenge of a refusal that concerns access tokens, so
// that a command can tell how to answer it; ok is false where there is none. Of
// several the one that names an error says most.
func Challenge(res *http.Response) (c challenge.Challenge, ok bool) {
	challenges, _ := challenge.Parse(res.Header.Values("WWW-Authenticate"))
	for _, one := range challenges {
		if !one.Is("Bearer") && !one.Is("DPoP") {
			continue
		}
		if !ok || c.Get("error") == "" && one.Get("error") != "" {
			c, ok = one, true
		}
	}
	return c, ok
}

// invalidToken reports whether the API says that the token is not good, so that
// another may be.
func invalidToken(res *http.Response) bool {
	c, ok := Challenge(res)
	return res.StatusCode == http.StatusUnauthorized && ok && c.Get("error") == "invalid_token"
}

// wantsNonce reports whether the API asks for its nonce in the proof (RFC 9449,
// section 9).
func wantsNonce(res *http.Response) bool {
	c, ok := Challenge(res)
	return res.StatusCode == http.StatusUnauthorized && ok && c.Get("error") == "use_dpop_nonce"
}

// unauthorized names the reason where the API does: our own middleware puts the
// id in front of the description.
func unauthorized(c challenge.Challenge, status string) *diagnosis.Diagnosis {
	description := c.Get("error_description")
	id, _, _ := strings.Cut(description, ":")
	if entry, ok := diagnosis.Lookup(diagnosis.ID(id)); ok && entry.Kind == diagnosis.Rejected {
		return &diagnosis.Diagnosis{ID: entry.ID, Got: diagnosis.Values{"the API answered " + status}}
	}
	if description != "" {
		status += fmt.Sprintf(", %.200q", description)
	}
	if c.Get("error") == "" && c.Scheme != "" {
		return &diagnosis.Diagnosis{ID: diagnosis.CredentialsMissing, Got: diagnosis.Text(status)}
	}
	return &diagnosis.Diagnosis{ID: diagnosis.APIUnauthorized, Got: diagnosis.Text(status)}
}

// stepUp tells what a challenge of RFC 9470 asks for.
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

// words splits a list of scopes or acr values, and leaves out what is none (RFC
// 6749, section 3.3): the words become part of a command.
func words(list string) []string {
	var all []string
	for _, word := range strings.Fields(list) {
		if len(word) <= 200 && !strings.HasPrefix(word, "-") && !strings.ContainsFunc(word, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			all = append(all, word)
		}
	}
	return all
}

// seconds reads max_age; what is no such number says nothing.
func seconds(value string) time.Duration {
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil || n < 0 {
		return -1
	}
	return time.Duration(n) * time.Second
}
