package devserver

import (
	"fmt"
	"slices"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/forge"
)

// Mint makes an access token of alice for the API without a login: "good", or
// one that a case of [forge.Cases] changes, such as "expired", "no-audience",
// "alg-none" or "missing-scope". Without scope it holds items:read and
// items:write. It errs on another name.
func (s *Server) Mint(name string, scope ...string) (string, error) {
	if len(scope) == 0 {
		scope = []string{"items:read", "items:write"}
	}
	g := &grant{clientID: "oauthctl-dev", subject: "alice", scope: slices.Clone(scope), resource: []string{s.config.API}, authTime: s.now()}
	if name == "id-token" { // the shorter name of before
		name = "id-token-as-access-token"
	}
	if _, ok := forge.Lookup(name); !ok {
		return "", fmt.Errorf("devserver: mint: there is no token %s", diagnosis.Quote(name))
	}
	raw, err := s.issueAccess(g, g.scope, g.resource, "", faultSet{name: ""})
	if err != nil {
		return "", fmt.Errorf("devserver: mint: %w", err)
	}
	return raw, nil
}
