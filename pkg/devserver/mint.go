package devserver

import (
	"fmt"
	"slices"
)

// Mint makes an access token of alice for the API without a login: "good", or
// one that is spoiled by the name of a fault that concerns access tokens, such
// as "expired", "not-yet-valid", "wrong-audience", "no-audience",
// "wrong-issuer", "bad-signature", "alg-none" or "missing-scope"; "id-token" is
// an ID token where an access token belongs. Without scope it holds items:read
// and items:write. It errs on another name.
func (s *Server) Mint(name string, scope ...string) (string, error) {
	if len(scope) == 0 {
		scope = []string{"items:read", "items:write"}
	}
	g := &grant{clientID: "oauthctl-dev", subject: "alice", scope: slices.Clone(scope), resource: []string{s.config.API}, authTime: s.now()}
	faults := faultSet{}
	switch {
	case name == "good":
	case forgery(name) != nil:
		faults[name] = ""
	default:
		return "", fmt.Errorf("devserver: mint: there is no token %q", cut(name))
	}
	raw, err := s.issueAccess(g, g.scope, g.resource, "", faults)
	if err != nil {
		return "", fmt.Errorf("devserver: mint: %w", err)
	}
	return raw, nil
}
