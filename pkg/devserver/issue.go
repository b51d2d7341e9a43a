package devserver

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/oauthctl/oauthctl/pkg/forge"
	"github.com/oauthctl/oauthctl/pkg/token"
)

func (s *Server) sign(d *forge.Draft) (string, error) {
	raw, err := d.Sign()
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return raw, nil
}

// newDraft returns a token with the header of the current signing key.
func (s *Server) newDraft(typ string, claims map[string]any) *forge.Draft {
	key := s.keys.signing()
	return &forge.Draft{
		Key: key, Attacker: &s.attacker, OtherScopes: distinct(apiScopes(), s.config.Scopes),
		Header: map[string]any{"alg": key.Algorithm(), "kid": key.ID(), "typ": typ}, Claims: claims,
	}
}

// accessDraft returns an access token (RFC 9068, section 2).
func (s *Server) accessDraft(g *grant, t *accessToken) *forge.Draft {
	claims := map[string]any{}
	s.addConfigured(claims, g)
	maps.Copy(claims, map[string]any{
		"iss": s.config.Issuer, "sub": g.subject, "client_id": g.clientID, "jti": t.id,
		"iat": t.issued.Unix(), "exp": t.expires.Unix(),
	})
	switch len(t.audience) {
	case 0:
	case 1:
		claims["aud"] = t.audience[0]
	default:
		claims["aud"] = t.audience
	}
	if len(t.scope) > 0 {
		claims["scope"] = strings.Join(t.scope, " ")
	}
	if t.jkt != "" {
		claims["cnf"] = map[string]any{"jkt": t.jkt}
	}
	if g.actor != "" {
		claims["act"] = map[string]any{"sub": g.actor}
	}
	if !g.authTime.IsZero() {
		claims["auth_time"] = g.authTime.Unix()
	}
	return s.newDraft("at+jwt", claims)
}

// issueAccess signs the access token t of a grant, with the active faults. A
// lifetime of 0 is the configured one.
func (s *Server) issueAccess(g *grant, t accessToken, ttl time.Duration, faults faultSet) (string, error) {
	now := s.now()
	if ttl == 0 {
		ttl = s.config.AccessTokenTTL
	}
	t.grant, t.id, t.issued, t.expires = g, rand.Text(), now, now.Add(ttl)
	d := s.accessDraft(g, &t)
	if s.shape != nil && s.shape.claims != nil {
		s.shape.claims(d.Header, d.Claims)
	}
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		if c, ok := forge.Lookup(name); ok {
			c.Spoil(d)
		}
	}
	raw, err := s.sign(d)
	if err != nil {
		return "", err
	}
	if s.shape != nil && s.shape.opaque != "" {
		raw = s.shape.opaque + rand.Text() + rand.Text()
	}
	s.grants.addAccess(raw, &t, now)
	return raw, nil
}

// issueID issues the ID token for an access token (OpenID Connect Core,
// sections 2 and 3.1.3.6), with the nonce of the login, or none after a refresh
// (section 12.2).
func (s *Server) issueID(g *grant, scope []string, accessToken, nonce string, faults faultSet) (string, error) {
	now := s.now()
	claims := map[string]any{}
	s.addConfigured(claims, g)
	s.addIdentity(claims, g.subject, scope)
	maps.Copy(claims, map[string]any{
		"iss": s.config.Issuer, "sub": g.subject, "aud": g.clientID,
		"iat": now.Unix(), "exp": now.Add(s.config.IDTokenTTL).Unix(), "auth_time": g.authTime.Unix(),
		"at_hash": leftHalf(s.config.Algorithm, accessToken),
	})
	switch {
	case nonce == "":
	case faults.has(FaultWrongNonce):
		claims["nonce"] = rand.Text()
	default:
		claims["nonce"] = nonce
	}
	return s.sign(s.newDraft("JWT", claims))
}

// ownIDToken returns an ID token that this server signed, or nil. With pastToo,
// it may have expired.
func (s *Server) ownIDToken(ctx context.Context, raw string, pastToo bool) *token.Token {
	decoded, err := token.Decode(raw)
	if err != nil || len(decoded.Audience()) == 0 || decoded.Kind() != token.KindIDToken {
		return nil
	}
	now := s.now
	if pastToo {
		now = decoded.IssuedAt
	}
	v, err := token.NewVerifier(s.config.Issuer, decoded.Audience()[:1], s.keys.set(), token.Options{Now: now, Require: []string{"sub", "iat", "exp"}, Accept: []token.Kind{token.KindIDToken}})
	if err != nil {
		return nil
	}
	verified, err := v.Verify(ctx, raw)
	if err != nil {
		return nil
	}
	return verified
}

// leftHalf returns the left half of the hash for the algorithm.
func leftHalf(alg, value string) string {
	var sum []byte
	switch {
	case strings.HasSuffix(alg, "384"):
		s := sha512.Sum384([]byte(value))
		sum = s[:]
	case strings.HasSuffix(alg, "512"), strings.HasPrefix(alg, "Ed"):
		s := sha512.Sum512([]byte(value))
		sum = s[:]
	default:
		s := sha256.Sum256([]byte(value))
		sum = s[:]
	}
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}
