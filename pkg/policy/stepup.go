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
func (r Requirement) stepUp(t *token.Token, now time.Time) *diagnosis.Diagnosis {
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
	expected := diagnosis.Values{fmt.Sprintf("a login at most %s ago", r.MaxAge)}
	claim, _ := t.Claim("auth_time")
	seconds, ok := claim.(float64)
	if !ok {
		return &diagnosis.Diagnosis{ID: diagnosis.StepUpRequired, Expected: expected, Got: diagnosis.Values{"no auth_time"}}
	}
	if ago := now.Sub(time.Unix(int64(seconds), 0)); ago > r.MaxAge {
		return &diagnosis.Diagnosis{ID: diagnosis.StepUpRequired, Expected: expected, Got: diagnosis.Values{fmt.Sprintf("one %s ago", ago.Truncate(time.Second))}}
	}
	return nil
}
