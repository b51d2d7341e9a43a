package audit

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// Result is the result of a case.
type Result string

// The results. Inconclusive is never counted as proof.
const (
	Pass         Result = "pass"
	Fail         Result = "fail"
	Warning      Result = "warn"
	Inconclusive Result = "inconclusive"
)

// Seen holds the responses that decide one case.
type Seen struct {
	Control   *Answer // to a valid request; nil for a public operation
	Anonymous *Answer // to the request without a token
	Spoiled   *Answer // to the case bad-signature; nil if it was not sent
	Answer    *Answer // to the case itself
	// ScopesHide means that the API returned 404 for a missing scope on an operation
	// whose valid request succeeded, so that a 404 may mean 403.
	ScopesHide bool
}

// Outcome is a result with its id and its reason; both may be empty.
type Outcome struct {
	Result Result
	ID     diagnosis.ID
	Reason string
}

func inconclusive(format string, args ...any) Outcome {
	return Outcome{Inconclusive, "", fmt.Sprintf(format, args...)}
}

func failed(c *Case, format string, args ...any) Outcome {
	result := Fail
	if c.Warn {
		result = Warning
	}
	return Outcome{result, c.ID, fmt.Sprintf(format, args...)}
}

// Classify decides a case from the responses alone. A case that no rule decides
// is inconclusive.
func Classify(c *Case, s Seen) Outcome {
	if c.Group == GroupPublic {
		return classifyPublic(c, s.Answer)
	}
	if s.Control == nil || s.Anonymous == nil {
		return inconclusive("no valid request was sent")
	}
	if o, ok := classifyControl(s.Control, s.Anonymous); !ok {
		if c.Name == "good" && o.ID == diagnosis.RightTokenRefused || c.Name == "no-token" && o.ID == diagnosis.NoTokenAccepted {
			return o
		}
		return inconclusive("%s", o.Reason)
	}
	switch {
	case s.Answer.isUnusable():
		return inconclusive("%s", describe(s.Answer))
	case c.Accept && s.Answer.isLike(s.Control):
		return Outcome{Result: Pass}
	case c.Accept:
		return failed(c, "%s, and %d with a valid token", describe(s.Answer), s.Control.Status)
	}
	return classifyRefusal(c, s)
}

// classifyControl reports whether the two control responses prove that the
// operation checks tokens. Otherwise it returns what they show, and nothing
// more is sent.
func classifyControl(control, anonymous *Answer) (Outcome, bool) {
	switch {
	case control.Status == http.StatusUnauthorized, control.Status == http.StatusForbidden:
		return Outcome{Fail, diagnosis.RightTokenRefused, fmt.Sprintf("the response to a valid token is %d", control.Status)}, false
	case control.isUnusable(), control.in(300, 400), control.isServerError():
		return inconclusive("no response to the valid request: %s", describe(control)), false
	case anonymous.isUnusable():
		return inconclusive("no response to the request without a token: %s", describe(anonymous)), false
	case control.isLike(anonymous) && control.isSuccess():
		return Outcome{Fail, diagnosis.NoTokenAccepted, fmt.Sprintf("%d with a token and without", control.Status)}, false
	case control.isLike(anonymous) && control.Status == http.StatusNotFound:
		return inconclusive("404 with a token and without: the API does not know the operation, or looks for the object before it checks the token"), false
	case control.isLike(anonymous):
		return inconclusive("%d with and without a token: the API checks the request before the token; use valid values", control.Status), false
	}
	return Outcome{}, true
}

func classifyPublic(c *Case, r *Answer) Outcome {
	switch {
	case r.Status == http.StatusUnauthorized, r.Status == http.StatusForbidden:
		return failed(c, "%s", describe(r))
	case r.isUnusable(), r.isServerError():
		return inconclusive("%s", describe(r))
	}
	return Outcome{Result: Pass}
}

// classifyRefusal decides a case that must be refused.
func classifyRefusal(c *Case, s Seen) Outcome {
	r := s.Answer
	switch {
	case r.isServerError() && c.Group == GroupForm:
		return Outcome{Fail, diagnosis.Refusal5xx, describe(r)}
	case r.isServerError():
		return Outcome{Inconclusive, diagnosis.Refusal5xx, describe(r)}
	case c.Name == "head" && s.Anonymous.Status == http.StatusOK:
		return inconclusive("HEAD has no body, and the API refuses with 200")
	case c.accepts(s):
		return classifyAccepted(c, s)
	case c.passedAuthentication(s):
		return failed(c, "403, and 401 for a bad signature: the token passed authentication")
	case isRefusal(c, s):
		return Outcome{Result: Pass}
	}
	return inconclusive("%s is neither like the response to a valid token nor a refusal", describe(r))
}

// accepts reports whether the response is like that to a valid token.
func (c *Case) accepts(s Seen) bool {
	if c.Name == "head" { // it has no body
		return s.Answer.Status == s.Control.Status
	}
	return s.Answer.isLike(s.Control)
}

func classifyAccepted(c *Case, s Seen) Outcome {
	switch r := s.Answer; {
	case c.Group == GroupScope && r.Status == http.StatusNotFound && s.ScopesHide:
		return inconclusive("404 may hide a 403, as it does elsewhere in this API")
	case slices.Contains(c.allow, r.Status) && len(r.Challenges) > 0 && len(s.Control.Challenges) == 0:
		return Outcome{Result: Pass} // the challenge shows that the token was refused
	case slices.Contains(c.allow, r.Status) && string(r.Body) != string(s.Control.Body):
		return inconclusive("the response to a valid token is also %d, with another body", r.Status)
	}
	return failed(c, "%s, as with a valid token", describe(s.Answer))
}

// passedAuthentication reports whether a 403 is from the check of scopes, so that
// the API accepted the token before. This is so if the API returns 401 without a
// token and for a bad signature. It does not apply to requests without a token, and
// to tokens that cannot be parsed.
func (c *Case) passedAuthentication(s Seen) bool {
	if c.Group == GroupScope || c.Group == GroupForm || c.Name == "member-case" || c.Token == "" || s.Spoiled == nil {
		return false
	}
	return s.Answer.Status == http.StatusForbidden && s.Anonymous.Status == http.StatusUnauthorized && s.Spoiled.Status == http.StatusUnauthorized
}

// isRefusal reports whether the response refuses the request.
func isRefusal(c *Case, s Seen) bool {
	switch r := s.Answer; {
	case r.Status == http.StatusUnauthorized, r.Status == http.StatusForbidden, r.in(300, 400):
		return true
	case r.isLike(s.Anonymous), slices.Contains(c.allow, r.Status) && r.Status != s.Control.Status:
		return true
	case r.Status == http.StatusNotFound:
		return s.Control.Status != http.StatusNotFound
	case r.in(400, 500):
		return s.Control.isSuccess()
	}
	return false
}

// describe summarises the response.
func describe(a *Answer) string {
	switch {
	case a.Err != nil:
		return "no response (" + a.Err.Error() + ")"
	case a.Status == http.StatusTooManyRequests:
		return "429, a rate limit"
	}
	return fmt.Sprint(a.Status)
}
