package devserver

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// serveRevoke revokes a token of a client (RFC 7009). For an unknown token, or
// one of another client, it does nothing and returns success.
func (s *Server) serveRevoke(w http.ResponseWriter, r *http.Request) {
	value, c, refused := s.tokenOf(w, r)
	if refused == nil {
		s.grants.revoke(value, c.id)
		if err := s.save(); err != nil {
			refused = serverError(err)
		}
	}
	if refused != nil {
		writeError(w, refused)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// tokenOf returns the token that a request is about, and the client that sent it.
func (s *Server) tokenOf(w http.ResponseWriter, r *http.Request) (value string, c *client, refused *oauthError) {
	form, refused := readForm(w, r)
	if refused != nil {
		return "", nil, refused
	}
	if c, refused = s.authenticate(r, form); refused != nil {
		return "", nil, refused
	}
	if value = form.Get("token"); value == "" {
		return "", nil, refuse("invalid_request", "token is missing")
	}
	return value, c, nil
}

// RevokeToken revokes a token, whichever client it was issued to.
func (s *Server) RevokeToken(raw string) {
	if t := s.grants.activeAccess(raw, s.now()); t != nil {
		s.grants.revoke(raw, t.grant.clientID)
	}
	if g, _ := s.grants.activeRefresh(raw, s.now()); g != nil {
		s.grants.revoke(raw, g.clientID)
	}
}

// Revocation reports which access tokens were revoked.
func (s *Server) Revocation() bearer.RevocationChecker { return &s.grants }

// Revoked reports whether an access token was revoked.
func (g *grants) Revoked(_ context.Context, t *token.Token) (bool, error) {
	return g.isRevoked(t.ID()), nil
}

// introspection is an introspection response (RFC 7662, section 2.2).
type introspection struct {
	Active    bool     `json:"active"`
	Scope     string   `json:"scope,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	TokenType string   `json:"token_type,omitempty"`
	Expiry    int64    `json:"exp,omitzero"`
	IssuedAt  int64    `json:"iat,omitzero"`
	Subject   string   `json:"sub,omitempty"`
	Audience  []string `json:"aud,omitzero"`
	Issuer    string   `json:"iss,omitempty"`
	ID        string   `json:"jti,omitempty"`
	// Confirmation is the key that the token is bound to (RFC 9449, section 6.2).
	Confirmation map[string]string `json:"cnf,omitempty"`
}

// serveIntrospect answers a confidential client for every token, and a public
// client for its own.
func (s *Server) serveIntrospect(w http.ResponseWriter, r *http.Request) {
	value, c, refused := s.tokenOf(w, r)
	if refused != nil {
		writeError(w, refused)
		return
	}
	answer := s.introspect(value)
	if c.isPublic() && answer.ClientID != c.id {
		answer = introspection{}
	}
	writeJSON(w, http.StatusOK, answer)
}

func (s *Server) introspect(value string) introspection {
	if t := s.grants.activeAccess(value, s.now()); t != nil {
		answer := introspection{
			Active: true, Scope: strings.Join(t.scope, " "), ClientID: t.grant.clientID, TokenType: "Bearer",
			Expiry: t.expires.Unix(), IssuedAt: t.issued.Unix(), Subject: t.grant.subject, Audience: t.audience,
			Issuer: s.config.Issuer, ID: t.id,
		}
		if t.jkt != "" {
			answer.TokenType, answer.Confirmation = "DPoP", map[string]string{"jkt": t.jkt}
		}
		return answer
	}
	if g, expires := s.grants.activeRefresh(value, s.now()); g != nil {
		return introspection{
			Active: true, Scope: strings.Join(g.scope, " "), ClientID: g.clientID,
			Expiry: expires.Unix(), Subject: g.subject, Issuer: s.config.Issuer,
		}
	}
	return introspection{}
}

// serveUserinfo returns the claims about the token's user (OpenID Connect Core, section
// 5.3). It looks up the token instead of verifying it.
func (s *Server) serveUserinfo(w http.ResponseWriter, r *http.Request) {
	scheme, raw, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	t := s.grants.activeAccess(raw, s.now())
	kind := "Bearer"
	if t != nil && t.jkt != "" {
		kind = "DPoP"
	}
	switch {
	case raw == "":
		w.Header().Set("WWW-Authenticate", "Bearer")
		writeError(w, &oauthError{Code: "invalid_token", Description: "the request has no token", status: http.StatusUnauthorized})
		return
	case t == nil || !strings.EqualFold(scheme, kind):
		w.Header().Set("WWW-Authenticate", kind+` error="invalid_token"`)
		writeError(w, &oauthError{Code: "invalid_token", Description: "the token is not valid, not from this server, or bound to a key", status: http.StatusUnauthorized})
		return
	case !slices.Contains(t.scope, "openid"):
		w.Header().Set("WWW-Authenticate", kind+` error="insufficient_scope", scope="openid"`)
		writeError(w, &oauthError{Code: "insufficient_scope", Description: "the scope openid is required", status: http.StatusForbidden})
		return
	}
	if refused := s.possession(w, r, t, raw); refused != nil {
		w.Header().Set("WWW-Authenticate", `DPoP error="`+refused.Code+`"`)
		writeError(w, refused)
		return
	}
	claims := map[string]any{}
	s.addIdentity(claims, t.grant.subject, t.scope)
	claims["sub"] = t.grant.subject
	writeJSON(w, http.StatusOK, claims)
}
