package bearer

import (
	"net/http"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/problem"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// Decision is the result of [Require] for a request.
type Decision struct {
	// Token is the token of an accepted request. It is nil on a public route and
	// if the request is refused.
	Token *token.Token
	// Diagnosis is why the request is refused, or nil if it is accepted.
	Diagnosis *diagnosis.Diagnosis
	// Problem is the response to a refused request.
	Problem problem.Problem
	// Route is the pattern of the route in the [Policy], or "" if none is
	// listed.
	Route string
}

// Decide returns the decision of middleware from [Require] with the same
// arguments. It sends nothing, and calls neither [OnRefusal] nor [OnAccept].
func Decide(v Verifier, r *http.Request, options ...Option) Decision {
	made := newGate(v, options).check(r)
	d := Decision{Token: made.token, Route: made.pattern}
	if made.refusal != nil {
		d.Diagnosis, d.Problem = made.refusal.why, made.refusal.Problem
	}
	return d
}
