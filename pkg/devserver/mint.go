package devserver

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/forge"
)

// Token describes an access token to sign without a login. The zero value is a
// valid token of alice for the default resource, with items:read and items:write
// or the configured scopes.
type Token struct {
	// Case is the fault of the token, from [forge.Cases]; "" means none.
	Case string
	// Subject is a user or any other name; "" means alice.
	Subject string
	// ClientID is the client of the token; "" means oauthctl-dev.
	ClientID string
	// Audience lists the APIs; nil means the default resource.
	Audience []string
	// Scope lists the scopes; nil means items:read and items:write, or the
	// configured scopes if there are any.
	Scope []string
	// Claims are added and override those of the user. They cannot override
	// iss, exp and others that the server sets.
	Claims map[string]any
	// TTL is the lifetime; 0 means the configured one.
	TTL time.Duration
}

// Mint signs an access token of alice without a login: a valid one for "good", or
// one with a fault of [forge.Cases], such as "expired", "no-audience", "alg-none"
// or "missing-scope". Without scope, it has items:read and items:write, or the
// configured scopes. It returns an error for an unknown case.
func (s *Server) Mint(name string, scope ...string) (string, error) {
	return s.MintToken(Token{Case: name, Scope: scope})
}

// MintToken signs an access token without a login. It returns an error for an
// unknown case, and for claims that the server sets itself.
func (s *Server) MintToken(t Token) (string, error) {
	if t.Case == "" {
		t.Case = goodToken
	}
	if t.Case == "id-token" { // its short name
		t.Case = "id-token-as-access-token"
	}
	if _, ok := forge.Lookup(t.Case); !ok {
		return "", fmt.Errorf("devserver: unknown case %s%s", diagnosis.Quote(t.Case), near(t.Case, caseNames()))
	}
	if err := checkClaims(t.Claims); err != nil {
		return "", fmt.Errorf("devserver: %w", err)
	}
	g := &grant{clientID: t.ClientID, subject: t.Subject, scope: slices.Clone(t.Scope), resource: t.Audience, claims: maps.Clone(t.Claims), authTime: s.now()}
	if g.clientID == "" {
		g.clientID = "oauthctl-dev"
	}
	if g.subject == "" {
		g.subject = "alice"
	}
	if len(g.scope) == 0 {
		if g.scope = s.config.Scopes; len(g.scope) == 0 {
			g.scope = []string{"items:read", "items:write"}
		}
	}
	if len(g.resource) == 0 {
		g.resource, _ = s.readResource(nil)
	}
	raw, err := s.issueAccess(g, accessToken{scope: g.scope, audience: g.resource}, t.TTL, faultSet{t.Case: ""})
	if err != nil {
		return "", fmt.Errorf("devserver: %w", err)
	}
	return raw, nil
}

func caseNames() []string {
	var names []string
	for _, c := range forge.Cases() {
		names = append(names, c.Name)
	}
	return names
}
