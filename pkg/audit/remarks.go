package audit

import (
	"net/http"
	"regexp"
	"sync"

	"github.com/oauthctl/oauthctl/pkg/challenge"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// Remark is a fault of a refusal: the API refused the request, but in a wrong way.
type Remark struct {
	ID     diagnosis.ID
	Result Result // Fail or Warning
	Reason string
	Clause string
}

// leaks matches texts that a refusal must not contain: stack traces of common
// languages, and keys.
var leaks = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`Traceback \(most recent call last\)|goroutine \d+ \[|\n\s+at [\w$.<>/ ]+\([^)\n]*\)|\n\s+at [\w$.]+ \(?/|` +
		`Exception in thread|-----BEGIN [A-Z ]*(PRIVATE|PUBLIC) KEY-----|File "/[^"]+", line \d+|#\d+ /\S+\.php\(\d+\)|"kty"\s*:`)
})

// Remarks returns the faults of a refusal. It returns nil for a response that is not
// a refusal.
func Remarks(c *Case, s Seen) []Remark {
	r := s.Answer
	isEnvelope := s.Anonymous != nil && s.Anonymous.Status == http.StatusOK
	if c.Accept || r.isUnusable() || c.Group == GroupPublic || s.Control == nil || c.accepts(s) {
		return nil
	}
	var all []Remark
	if leaks().Match(r.Body) {
		all = append(all, Remark{diagnosis.RefusalLeaks, Warning, "the body shows a stack trace or a key", "CWE-209"})
	}
	if isEnvelope {
		if c.Name == "no-token" {
			all = append(all, Remark{diagnosis.RefusalIs200, Warning, "without a token the status is 200, with another body", "RFC 6750, section 3.1"})
		}
		return all
	}
	if reason := wrongStatus(c, r.Status); reason != "" {
		all = append(all, Remark{diagnosis.RefusalStatus, Fail, reason, "RFC 6750, section 3.1"})
	}
	if c.Name == "head" {
		return all
	}
	if remark, ok := wrongChallenge(c, r); ok {
		all = append(all, remark)
	}
	return all
}

// wrongStatus returns what is wrong if the API uses 401 instead of 403 or 403
// instead of 401, or "".
func wrongStatus(c *Case, status int) string {
	switch {
	case c.Name == "member-case", c.Group == GroupRoute:
		return ""
	case c.Group == GroupScope && status == http.StatusUnauthorized:
		return "401 for a valid token without the scope; 403 is right"
	case c.Group != GroupScope && c.Token == "" && status == http.StatusForbidden:
		return "403 without a token; 401 is right"
	case c.Group != GroupScope && status == http.StatusForbidden:
		return "403 for an invalid token; 401 is right"
	}
	return ""
}

func wrongChallenge(c *Case, r *Answer) (Remark, bool) {
	const section = "RFC 9110, section 11.6.1"
	if r.Status == http.StatusUnauthorized && len(r.Challenges) == 0 {
		return Remark{diagnosis.ChallengeMissing, Fail, "401 without WWW-Authenticate", section}, true
	}
	all, err := challenge.Parse(r.Challenges)
	switch {
	case err != nil:
		return Remark{diagnosis.ChallengeInvalid, Fail, "WWW-Authenticate cannot be parsed", section}, true
	case c.Name != "no-token":
		return Remark{}, false
	}
	for _, one := range all {
		if one.Get("error") != "" {
			return Remark{diagnosis.ChallengeInvalid, Warning, "an error code although no token was sent", "RFC 6750, section 3.1"}, true
		}
	}
	return Remark{}, false
}
