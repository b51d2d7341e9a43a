package guard

import (
	"fmt"
	"net/http"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/revocation"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// Logout says where a guard receives logout tokens (OpenID Connect Back-Channel
// Logout 1.0). The guard answers a request for this path itself, whatever the
// policy says of it. In [Handler.ForwardAuth] a check of a client's request for
// this path is not such a request. A trusted Envoy sends only checks; there the
// issuer must send logout tokens to the guard directly.
type Logout struct {
	Path      string
	ClientIDs []string // to which the issuers of the policy send logout tokens
	Store     revocation.Revoker
}

// makeLogout returns the receiver of logout tokens, which are verified with the
// keys of the policy's issuers.
func (x *rules) makeLogout(l Logout, o token.Options) (http.Handler, error) {
	var all []*token.Verifier
	for _, one := range x.policy.Trusted {
		o := o
		o.Algorithms = one.Algorithms
		v, err := revocation.LogoutVerifier(one.Issuer, l.ClientIDs, x.keys[one.Issuer], o)
		if err != nil {
			return nil, fmt.Errorf("guard: %w", err)
		}
		all = append(all, v)
	}
	v, err := token.Join(all...)
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	return &revocation.Logout{Verifier: v, Store: l.Store, Done: noteLogout}, nil
}

func noteLogout(r *http.Request, t *token.Token, d *diagnosis.Diagnosis) {
	n := noteOf(r)
	if d != nil {
		n.refuse(d)
		return
	}
	n.decision = "logout"
	n.knows(t)
}

// isLogout reports whether a request is for the receiver of logout tokens.
func (h *Handler) isLogout(r *http.Request) bool {
	return h.config.Logout != nil && r.URL.EscapedPath() == h.config.Logout.Path
}
