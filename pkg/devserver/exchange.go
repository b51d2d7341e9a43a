package devserver

import (
	"crypto/rand"
	"strings"
	"time"

	"github.com/oauthctl/oauthctl/pkg/token"
)

const (
	grantTokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	grantJWTBearer     = "urn:ietf:params:oauth:grant-type:jwt-bearer"

	typeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
	typeIDToken     = "urn:ietf:params:oauth:token-type:id_token"
	typeJWT         = "urn:ietf:params:oauth:token-type:jwt"
	typeIDJAG       = "urn:ietf:params:oauth:token-type:id-jag"

	// typOfIDJAG is the typ of an identity assertion.
	typOfIDJAG = "oauth-id-jag+jwt"
	idJAGTTL   = 5 * time.Minute
)

// party is the subject of a presented token.
type party struct {
	subject  string
	clientID string // "" if the token was not issued to a client of this server
	scope    []string
	audience []string
	authTime time.Time
	foreign  bool
}

// exchangeToken issues a token for another one: for another audience, with less
// scope, or for a party that acts for the subject (RFC 8693). It accepts access
// tokens and ID tokens of this server and JWTs of trusted issuers. A public client
// can exchange only its own tokens.
func (s *Server) exchangeToken(q *tokenRequest) (*tokenResponse, *oauthError) {
	subject, refused := s.presented(q, "subject_token")
	if refused != nil {
		return nil, refused
	}
	switch {
	case subject == nil:
		return nil, refuse("invalid_request", "subject_token is missing")
	case q.client.isPublic() && !subject.foreign && subject.clientID != q.client.id:
		return nil, refuse("invalid_grant", "the subject token was issued to another client")
	}
	actor, refused := s.presented(q, "actor_token")
	if refused != nil {
		return nil, refused
	}
	switch kind := q.form.Get("requested_token_type"); kind {
	case "", typeAccessToken, typeJWT:
		return s.exchangeForAccess(q, subject, actor)
	case typeIDJAG:
		return s.exchangeForIDJAG(q, subject)
	default:
		return nil, refuse("invalid_request", "requested_token_type "+quoted(kind)+" is not one of "+strings.Join([]string{typeAccessToken, typeJWT, typeIDJAG}, " "))
	}
}

func (s *Server) exchangeForAccess(q *tokenRequest, subject, actor *party) (*tokenResponse, *oauthError) {
	scope := strings.Fields(q.form.Get("scope"))
	if subject.scope == nil {
		var refused *oauthError
		if subject.scope, refused = s.readScope(q.form.Get("scope")); refused != nil {
			return nil, refused
		}
	}
	if refused := checkNarrower(scope, subject.scope, "invalid_scope"); refused != nil {
		return nil, refused
	}
	audience, refused := s.readResource(q.form)
	if refused != nil {
		return nil, refused
	}
	if requestedResources(q.form) == nil && subject.audience != nil {
		audience = subject.audience
	}
	g := &grant{clientID: q.client.id, subject: subject.subject, scope: narrowed(scope, withoutUser(subject.scope)), resource: audience, authTime: subject.authTime}
	if actor != nil {
		g.actor = actor.subject
	}
	answer, refused := s.answer(q, g, withoutUser(g.scope), g.resource, "")
	if refused == nil {
		answer.IssuedTokenType = typeAccessToken
	}
	return answer, refused
}

// exchangeForIDJAG issues an identity assertion, with which the client can
// request tokens from the authorization server of another application without
// the user (draft-ietf-oauth-identity-assertion-authz-grant, section 4).
func (s *Server) exchangeForIDJAG(q *tokenRequest, subject *party) (*tokenResponse, *oauthError) {
	audience := q.form["audience"]
	if len(audience) != 1 {
		return nil, refuse("invalid_request", "an identity assertion needs one audience: the issuer of the other authorization server")
	}
	now := s.now()
	claims := map[string]any{
		"iss": s.config.Issuer, "sub": subject.subject, "aud": audience[0], "client_id": q.client.id, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(idJAGTTL).Unix(),
	}
	if who, known := s.user(subject.subject); known && who.Email != "" {
		claims["email"] = who.Email
	}
	if !subject.authTime.IsZero() {
		claims["auth_time"] = subject.authTime.Unix()
	}
	if scope := q.form.Get("scope"); scope != "" {
		claims["scope"] = scope
	}
	switch resource := q.form["resource"]; len(resource) {
	case 0:
	case 1:
		claims["resource"] = resource[0]
	default:
		claims["resource"] = resource
	}
	raw, err := s.sign(s.newDraft(typOfIDJAG, claims))
	if err != nil {
		return nil, serverError(err)
	}
	return &tokenResponse{AccessToken: raw, TokenType: "N_A", IssuedTokenType: typeIDJAG, ExpiresIn: int64(idJAGTTL.Seconds()), Scope: q.form.Get("scope")}, nil
}

// presented returns the subject of the token in a parameter, or nil without a
// token.
func (s *Server) presented(q *tokenRequest, name string) (*party, *oauthError) {
	value, kind := q.form.Get(name), q.form.Get(name+"_type")
	if value == "" && kind == "" {
		return nil, nil
	}
	switch kind {
	case typeAccessToken, typeJWT:
		if t := s.grants.activeAccess(value, s.now()); t != nil {
			return &party{subject: t.grant.subject, clientID: t.grant.clientID, scope: t.scope, audience: t.audience, authTime: t.grant.authTime}, nil
		}
		if kind == typeAccessToken {
			return nil, refuse("invalid_grant", name+" is not a valid access token of this server")
		}
	case typeIDToken:
		if t := s.ownIDToken(q.request.Context(), value, false); t != nil {
			return &party{subject: t.Subject(), clientID: t.Audience()[0], authTime: authTime(t)}, nil
		}
	default:
		return nil, refuse("invalid_request", name+"_type must be one of "+strings.Join([]string{typeAccessToken, typeIDToken, typeJWT}, " "))
	}
	t, err := s.foreign(q.request.Context(), value, s.tokenAudience(), nil)
	if err != nil {
		return nil, refuse("invalid_grant", name+" cannot be accepted: "+err.Error())
	}
	return &party{subject: t.Subject(), foreign: true}, nil
}

func authTime(t *token.Token) time.Time {
	value, _ := t.Claim("auth_time")
	seconds, ok := value.(float64)
	if !ok {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0)
}

// exchangeAssertion issues a token for a JWT about the user for whom the client
// acts (RFC 7523, section 2.1): signed by the client with its registered key, by a
// trusted issuer, or an identity assertion of either.
func (s *Server) exchangeAssertion(q *tokenRequest) (*tokenResponse, *oauthError) {
	raw := q.form.Get("assertion")
	if raw == "" {
		return nil, refuse("invalid_request", "assertion is missing")
	}
	decoded, err := token.Decode(raw)
	if err != nil {
		return nil, refuse("invalid_grant", "assertion is not a JWT")
	}
	subject, wanted, refused := s.asserter(q, decoded, raw)
	if refused != nil {
		return nil, refused
	}
	form := q.form
	if wanted != nil { // the resource of an identity assertion
		for _, name := range []string{"scope", "resource"} {
			if !form.Has(name) && wanted[name] != nil {
				form[name] = wanted[name]
			}
		}
	}
	scope, refused := s.readScope(form.Get("scope"))
	if refused != nil {
		return nil, refused
	}
	if wanted != nil && wanted["scope"] != nil {
		if refused := checkNarrower(scope, strings.Fields(wanted["scope"][0]), "invalid_scope"); refused != nil {
			return nil, refused
		}
	}
	resource, refused := s.readResource(form)
	if refused != nil {
		return nil, refused
	}
	scope = withoutUser(scope)
	return s.answer(q, &grant{clientID: q.client.id, subject: subject, scope: scope, resource: resource}, scope, resource, "")
}

// asserter verifies an assertion and returns its subject, and the scope and
// resource of an identity assertion.
func (s *Server) asserter(q *tokenRequest, decoded *token.Token, raw string) (string, map[string][]string, *oauthError) {
	ctx := q.request.Context()
	switch {
	case decoded.Type() == typOfIDJAG:
		t, err := s.foreign(ctx, raw, []string{s.config.Issuer}, []string{typOfIDJAG})
		if err != nil {
			return "", nil, refuse("invalid_grant", "the identity assertion cannot be accepted: "+err.Error())
		}
		if t.ClientID() != q.client.id {
			return "", nil, refuse("invalid_grant", "the identity assertion was issued to the client "+quoted(t.ClientID()))
		}
		wanted := map[string][]string{}
		if scope := t.Scopes("scope"); len(scope) > 0 {
			wanted["scope"] = []string{strings.Join(scope, " ")}
		}
		value, _ := t.Claim("resource")
		if one, ok := value.(string); ok {
			wanted["resource"] = []string{one}
		}
		return t.Subject(), wanted, nil
	case s.issuerOf(decoded.Issuer()) != nil:
		t, err := s.foreign(ctx, raw, s.tokenAudience(), nil)
		if err != nil {
			return "", nil, refuse("invalid_grant", "the assertion cannot be accepted: "+err.Error())
		}
		return t.Subject(), nil, nil
	case !q.client.signs():
		return "", nil, refuse("unauthorized_client", "the client has no key to sign assertions with, and the issuer "+quoted(decoded.Issuer())+" is not trusted")
	}
	t := s.assertion(q.request, q.client, raw)
	if t == nil {
		return "", nil, refuse("invalid_grant", "the assertion is not a JWT that the client signed for this server, with jti, exp and sub, used for the first time")
	}
	who, known := s.user(t.Subject())
	if !known {
		return "", nil, refuse("invalid_grant", "the sub of the assertion is not a user")
	}
	return who.Name, nil, nil
}
