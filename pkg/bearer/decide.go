package bearer

import (
	"net/http"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/problem"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// Decision is what [Require] would do with a request.
type Decision struct {
	// Token is the token that the request is accepted with, nil on a public route
	// and where it is refused.
	Token *token.Token
	// Diagnosis is why the request is refused, nil if it is accepted.
	Diagnosis *diagnosis.Diagnosis
	// Problem is the answer to a request that is refused.
	Problem problem.Problem
	// Route is the pattern of the route of the [Policy], "" if none is listed.
	Route string
}

// Decide returns what middleware of [Require] with the same arguments does with
// r. It sends nothing, and calls neither [OnRefusal] nor [OnAccept].
func Decide(v Verifier, r *http.Request, options ...Option) Decision {
	made := newGate(v, options).judge(r)
	d := Decision{Token: made.token, Route: made.pattern}
	if made.refusal != nil {
		d.Diagnosis, d.Problem = made.refusal.why, made.refusal.Problem
	}
	return d
}
