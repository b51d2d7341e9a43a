package devserver

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// tokenResponse is a token response (RFC 6749, section 5.1).
type tokenResponse struct {
	AccessToken     string `json:"access_token"`
	TokenType       string `json:"token_type"`
	ExpiresIn       int64  `json:"expires_in,omitzero"`
	RefreshToken    string `json:"refresh_token,omitempty"`
	IDToken         string `json:"id_token,omitempty"`
	Scope           string `json:"scope"`
	IssuedTokenType string `json:"issued_token_type,omitempty"` // RFC 8693, section 2.2.1
}

// tokenRequest is a request to the token endpoint with a known client.
type tokenRequest struct {
	request *http.Request
	client  *client
	form    url.Values
	faults  faultSet
	jkt     string // the key in the request's proof (RFC 9449), or ""
}

// tokenGrant is a row of the table of grants.
type tokenGrant struct {
	name string
	// exchange issues tokens for the grant.
	exchange func(*Server, *tokenRequest) (*tokenResponse, *oauthError)
}

// tokenGrants returns the table. A new grant is one row here.
func tokenGrants() []tokenGrant {
	return []tokenGrant{
		{"authorization_code", (*Server).exchangeCode},
		{"refresh_token", (*Server).exchangeRefreshToken},
		{"client_credentials", (*Server).exchangeCredentials},
		{grantDeviceCode, (*Server).exchangeDeviceCode},
		{grantTokenExchange, (*Server).exchangeToken},
		{grantJWTBearer, (*Server).exchangeAssertion},
	}
}

func grantTypesSupported() []string {
	var names []string
	for _, g := range tokenGrants() {
		names = append(names, g.name)
	}
	return names
}

// serveToken is the token endpoint (RFC 6749, section 3.2).
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	faults := faultsOf(r)
	form, refused := readForm(w, r) // before any delay
	wait(r, faults.delay(FaultTokenSlow))
	if faults.has(FaultTokenHang) {
		hang(r)
		return
	}
	if misbehave(w, faults) {
		return
	}
	if faults.has(FaultRotate) {
		s.keys.rotate()
	}
	if refused != nil {
		writeError(w, refused)
		return
	}
	q := &tokenRequest{request: r, form: form, faults: faults}
	if q.client, refused = s.authenticate(r, form); refused == nil {
		q.jkt, refused = s.proof(w, r, faults)
	}
	if refused == nil {
		var answer *tokenResponse
		answer, refused = s.exchange(q)
		// A refusal can change the state too: a second use revokes tokens.
		if err := s.save(); err != nil && refused == nil {
			refused = serverError(err)
		}
		if refused == nil {
			writeJSON(w, http.StatusOK, answer)
			return
		}
	}
	if refused.status == http.StatusUnauthorized && r.Header.Get("Authorization") != "" {
		w.Header().Set("WWW-Authenticate", `Basic realm="token endpoint"`)
	}
	writeError(w, refused)
}

// misbehave responds instead of the token endpoint if a fault is active.
func misbehave(w http.ResponseWriter, faults faultSet) bool {
	switch {
	case faults.has(FaultToken500):
		writeError(w, &oauthError{Code: "server_error", Description: "the fault token-500 is active", status: http.StatusInternalServerError})
	case faults.has(FaultToken429):
		w.Header().Set("Retry-After", "1")
		http.Error(w, "slow down", http.StatusTooManyRequests)
	case faults.has(FaultTokenHTML):
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!doctype html><title>Welcome</title><h1>Sign in to the network</h1>\n")
	default:
		return false
	}
	return true
}

func (s *Server) exchange(q *tokenRequest) (*tokenResponse, *oauthError) {
	grantType := q.form.Get("grant_type")
	if grantType == "" {
		return nil, refuse("invalid_request", "grant_type is missing")
	}
	for _, g := range tokenGrants() {
		switch {
		case g.name != grantType:
		case !slices.Contains(q.client.grantTypes, grantType):
			return nil, refuse("unauthorized_client", "the client is not registered for "+grantType)
		default:
			return g.exchange(s, q)
		}
	}
	return nil, refuse("unsupported_grant_type", "the grant types are "+strings.Join(grantTypesSupported(), ", "))
}

// exchangeCode issues tokens for a code (RFC 6749, section 4.1.3; RFC 7636,
// section 4.6).
func (s *Server) exchangeCode(q *tokenRequest) (*tokenResponse, *oauthError) {
	if q.form.Get("code") == "" {
		return nil, refuse("invalid_request", "code is missing")
	}
	verifier := q.form.Get("code_verifier")
	resource := requestedResources(q.form)
	g, refused := s.grants.redeem(q.form.Get("code"), s.now(), func(code *authorizationCode) *oauthError {
		switch {
		case code.grant.clientID != q.client.id:
			return refuse("invalid_grant", "the code was issued to another client")
		case code.redirectURI != q.form.Get("redirect_uri"):
			return refuse("invalid_grant", "redirect_uri is not the one of the authorization request")
		case code.challenge == "" && verifier != "":
			return refuse("invalid_grant", "code_verifier is present, but the authorization request had no code_challenge")
		case code.challenge != "" && !isVerifier(verifier):
			return refuse("invalid_grant", "code_verifier is missing, or not 43 to 128 unreserved characters")
		case code.challenge != "" && subtle.ConstantTimeCompare([]byte(s256(verifier)), []byte(code.challenge)) != 1:
			return refuse("invalid_grant", "the SHA-256 of code_verifier is not the code_challenge of the authorization request")
		case code.jkt != "" && code.jkt != q.jkt:
			return refuse("invalid_grant", "the code is bound to another key (dpop_jkt)")
		}
		return checkNarrower(resource, code.grant.resource, "invalid_target")
	})
	if refused != nil {
		return nil, refused
	}
	g.bind(q)
	answer, refused := s.answer(q, g, g.scope, narrowed(resource, g.resource), g.nonce)
	return s.withRefreshToken(answer, q, g), refused
}

// withRefreshToken adds a refresh token if the login gets one.
func (s *Server) withRefreshToken(answer *tokenResponse, q *tokenRequest, g *grant) *tokenResponse {
	switch {
	case answer == nil || s.config.RefreshTokens == RefreshNever:
	case g.has("offline_access"), s.config.RefreshTokens == RefreshAlways && q.client.uses("refresh_token"):
		answer.RefreshToken = s.newRefreshToken(g)
	}
	return answer
}

// newRefreshToken issues a refresh token of a grant. It is a JWT for clients that
// read it, such as keycloak-js; no API accepts it, because of its type and
// audience.
func (s *Server) newRefreshToken(g *grant) string {
	now, value := s.now(), rand.Text()+rand.Text()
	if s.config.JWTRefreshTokens || s.shape != nil && s.shape.refreshJWT {
		raw, err := s.sign(s.newDraft("refresh+jwt", map[string]any{
			"iss": s.config.Issuer, "sub": g.subject, "aud": s.config.Issuer, "azp": g.clientID, "typ": "Refresh", "jti": rand.Text(),
			"iat": now.Unix(), "exp": now.Add(s.config.RefreshTokenTTL).Unix(),
		}))
		if err == nil {
			value = raw
		}
	}
	s.grants.addRefreshToken(value, g, now, s.config.RefreshTokenTTL)
	return value
}

// isVerifier reports whether text has the form of a code_verifier (RFC 7636,
// section 4.1).
func isVerifier(text string) bool {
	return len(text) >= 43 && len(text) <= 128 && strings.Trim(text, unreserved) == ""
}

func s256(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// exchangeRefreshToken issues new tokens for a refresh token, which is used up
// (RFC 6749, section 6; RFC 9700, section 4.14.2).
func (s *Server) exchangeRefreshToken(q *tokenRequest) (*tokenResponse, *oauthError) {
	value := q.form.Get("refresh_token")
	if value == "" {
		return nil, refuse("invalid_request", "refresh_token is missing")
	}
	if q.faults.has(FaultReusedRefresh) {
		return nil, refuse("invalid_grant", "the refresh token was already used; all tokens of this login are revoked")
	}
	scope, resource := strings.Fields(q.form.Get("scope")), requestedResources(q.form)
	keep := q.faults.has(FaultNoRefreshRotation)
	g, refused := s.grants.rotate(value, s.now(), keep, s.config.RefreshReuseGrace, func(g *grant) *oauthError {
		if g.clientID != q.client.id {
			return refuse("invalid_grant", "the refresh token was issued to another client")
		}
		if g.jkt != "" && g.jkt != q.jkt {
			return refuse("invalid_grant", "the refresh token is bound to a key, but the proof is missing or from another key")
		}
		if err := checkNarrower(scope, g.scope, "invalid_scope"); err != nil {
			return err
		}
		return checkNarrower(resource, g.resource, "invalid_target")
	})
	if refused != nil {
		return nil, refused
	}
	answer, refused := s.answer(q, g, narrowed(scope, g.scope), narrowed(resource, g.resource), "")
	if refused == nil && !keep {
		answer.RefreshToken = s.newRefreshToken(g)
	}
	return answer, refused
}

// exchangeCredentials issues a token to the client itself (RFC 6749, section
// 4.4).
func (s *Server) exchangeCredentials(q *tokenRequest) (*tokenResponse, *oauthError) {
	if q.client.isPublic() {
		return nil, refuse("unauthorized_client", "a public client cannot use client credentials")
	}
	scope, refused := s.readScope(q.form.Get("scope"))
	if refused != nil {
		return nil, refused
	}
	for _, user := range []string{"openid", "offline_access", "profile", "email"} {
		if slices.Contains(scope, user) {
			return nil, refuse("invalid_scope", user+" needs a user, but client credentials have none")
		}
	}
	resource, refused := s.readResource(q.form)
	if refused != nil {
		return nil, refused
	}
	g := &grant{clientID: q.client.id, subject: q.client.id, scope: scope, resource: resource}
	return s.answer(q, g, scope, resource, "")
}

// answer builds the token response of a grant, without the refresh token.
func (s *Server) answer(q *tokenRequest, g *grant, scope, audience []string, nonce string) (*tokenResponse, *oauthError) {
	if q.faults.has(FaultNarrowerScope) && len(scope) > 1 {
		scope = scope[:len(scope)-1]
	}
	access, err := s.issueAccess(g, accessToken{scope: scope, audience: audience, jkt: q.jkt}, 0, q.faults)
	if err != nil {
		return nil, serverError(err)
	}
	answer := &tokenResponse{AccessToken: access, TokenType: "Bearer", ExpiresIn: int64(s.config.AccessTokenTTL.Seconds()), Scope: strings.Join(scope, " ")}
	if q.jkt != "" {
		answer.TokenType = "DPoP"
	}
	if q.faults.has(FaultNoExpiresIn) {
		answer.ExpiresIn = 0
	}
	if slices.Contains(scope, "openid") {
		if answer.IDToken, err = s.issueID(g, scope, access, nonce, q.faults); err != nil {
			return nil, serverError(err)
		}
	}
	return answer, nil
}
