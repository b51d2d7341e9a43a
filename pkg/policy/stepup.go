package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// stepUp returns why the user must log in again (RFC 9470, section 3), or nil if the
// login meets the requirement. The claims acr and auth_time of the token say how and
// when the user logged in (RFC 9068, section 2.2.1).
func (r Requirement) stepUp(t *token.Token) *diagnosis.Diagnosis {
	if len(r.ACR) > 0 {
		claim, _ := t.Claim("acr")
		acr, _ := claim.(string)
		if !slices.Contains(r.ACR, acr) {
			got := diagnosis.None
			if claim != nil {
				got = diagnosis.Values{fmt.Sprint(claim)}
			}
			return &diagnosis.Diagnosis{ID: diagnosis.StepUpRequired, Expected: diagnosis.Values(r.ACR), Got: got}
		}
	}
	if r.MaxAge <= 0 {
		return nil
	}
	age, got := r.loginAge(t)
	if got == "" && age > r.MaxAge {
		got = fmt.Sprintf("one %s ago", age.Truncate(time.Second))
	}
	if got == "" {
		return nil
	}
	expected := fmt.Sprintf("a login at most %s ago", r.MaxAge)
	return &diagnosis.Diagnosis{ID: diagnosis.StepUpRequired, Expected: diagnosis.Values{expected}, Got: diagnosis.Values{got}}
}

// loginLeeway is the allowed clock difference for a login in the future.
const loginLeeway = time.Minute

// loginAge returns how long ago the user logged in, or what auth_time has instead
// of that.
func (r Requirement) loginAge(t *token.Token) (age time.Duration, instead string) {
	claim, _ := t.Claim("auth_time")
	seconds, ok := claim.(float64)
	switch {
	case !ok:
		return 0, "no auth_time"
	case seconds <= 0 || seconds > 1e11: // beyond the year 5000: milliseconds
		return 0, "an auth_time that is not in seconds"
	}
	now := time.Now
	if r.Now != nil {
		now = r.Now
	}
	if age = now().Sub(time.Unix(int64(seconds), 0)); age < -loginLeeway {
		return 0, "one in the future"
	}
	return age, ""
}
