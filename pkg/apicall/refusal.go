package apicall

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/challenge"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// invalidToken reports whether the API says that the token is not good, so that
// another may be.
func invalidToken(res *http.Response) bool {
	c, ok := Challenge(res)
	return res.StatusCode == http.StatusUnauthorized && ok && c.Get("error") == "invalid_token"
}

// Challenge returns the challenge of a refusal that concerns access tokens, so
// that a command can tell how to answer it; ok is false where there is none.
func Challenge(res *http.Response) (c challenge.Challenge, ok bool) {
	challenges, _ := challenge.Parse(res.Header.Values("WWW-Authenticate"))
	for _, c := range challenges {
		if c.Is("Bearer") || c.Is("DPoP") {
			return c, true
		}
	}
	return challenge.Challenge{}, false
}

// Diagnose tells what a refusal means, by its status and challenge; nil below
// 400. The body is not read.
func Diagnose(res *http.Response) *diagnosis.Diagnosis {
	c, _ := Challenge(res)
	code, status := c.Get("error"), fmt.Sprintf("%d %s", res.StatusCode, http.StatusText(res.StatusCode))
	switch {
	case res.StatusCode < http.StatusBadRequest:
		return nil
	case code == "insufficient_user_authentication":
		return &diagnosis.Diagnosis{ID: diagnosis.StepUpRequired, Expected: stepUp(c), Got: status}
	case res.StatusCode == http.StatusForbidden && code == "insufficient_scope":
		return &diagnosis.Diagnosis{ID: diagnosis.ScopeMissing, Expected: c.Get("scope"), Got: status}
	case res.StatusCode == http.StatusForbidden:
		return &diagnosis.Diagnosis{ID: diagnosis.APIForbidden, Got: status}
	case res.StatusCode == http.StatusUnauthorized:
		return unauthorized(c, status)
	}
	return &diagnosis.Diagnosis{ID: diagnosis.APIError, Got: status}
}

// unauthorized names the reason where the API does: our own middleware puts the
// id in front of the description.
func unauthorized(c challenge.Challenge, status string) *diagnosis.Diagnosis {
	description := c.Get("error_description")
	id, _, _ := strings.Cut(description, ":")
	if entry, ok := diagnosis.Lookup(diagnosis.ID(id)); ok && entry.Kind == diagnosis.Rejected {
		return &diagnosis.Diagnosis{ID: entry.ID, Got: "the API answered " + status}
	}
	if description != "" {
		status += fmt.Sprintf(", %.200q", description)
	}
	if c.Get("error") == "" && c.Scheme != "" {
		return &diagnosis.Diagnosis{ID: diagnosis.CredentialsMissing, Got: status}
	}
	return &diagnosis.Diagnosis{ID: diagnosis.APIUnauthorized, Got: status}
}

// stepUp tells what a challenge of RFC 9470 asks for.
func stepUp(c challenge.Challenge) string {
	var asked []string
	if v := c.Get("acr_values"); v != "" {
		asked = append(asked, "acr "+v)
	}
	if v := c.Get("max_age"); v != "" {
		asked = append(asked, "a login at most "+v+" s ago")
	}
	return strings.Join(asked, " and ")
}
