package devserver

import (
	"net/url"
	"strings"
)

const (
	grantTokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	grantJWTBearer     = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	typeAccessToken    = "urn:ietf:params:oauth:token-type:access_token"
)

// exchangeToken gives a token for another: for another audience, for less, or in
// the name of somebody who acts for the subject (RFC 8693). It takes access
// tokens of this server; a public client exchanges those that are its own.
func (s *Server) exchangeToken(q *tokenRequest) (*tokenResponse, *oauthError) {
	subject, refused := s.presented(q, "subject_token")
	if refused != nil {
		return nil, refused
	}
	switch {
	case subject == nil:
		return nil, refuse("invalid_request", "subject_token is missing")
	case q.client.isPublic() && subject.grant.clientID != q.client.id:
		return nil, refuse("invalid_grant", "the subject token was given to another client")
	}
	if kind := q.form.Get("requested_token_type"); kind != "" && kind != typeAccessToken {
		return nil, refuse("invalid_request", "this server gives "+typeAccessToken)
	}
	actor, refused := s.presented(q, "actor_token")
	if refused != nil {
		return nil, refused
	}
	scope := strings.Fields(q.form.Get("scope"))
	if refused := checkNarrower(scope, subject.scope, "invalid_scope"); refused != nil {
		return nil, refused
	}
	audience, refused := targets(q.form)
	if refused != nil {
		return nil, refused
	}
	g := &grant{clientID: q.client.id, subject: subject.grant.subject, scope: narrowed(scope, withoutUser(subject.scope)), resource: narrowed(audience, subject.audience), authTime: subject.grant.authTime}
	if actor != nil {
		g.actor = actor.grant.subject
	}
	answer, refused := s.answer(q, g, g.scope, g.resource, "")
	if refused == nil {
		answer.IssuedTokenType = typeAccessToken
	}
	return answer, refused
}

// presented returns the access token that a parameter holds, nil where there is
// none.
func (s *Server) presented(q *tokenRequest, name string) (*accessToken, *oauthError) {
	value, kind := q.form.Get(name), q.form.Get(name+"_type")
	switch {
	case value == "" && kind == "":
		return nil, nil
	case kind != typeAccessToken:
		return nil, refuse("invalid_request", name+"_type has to be "+typeAccessToken)
	}
	t := s.grants.activeAccess(value, s.now())
	if t == nil {
		return nil, refuse("invalid_grant", name+" is no access token of this server that is good now")
	}
	return t, nil
}

// targets are whom a token is exchanged for: any name, since other APIs than the
// one here are only thought of (RFC 8693, section 2.1).
func targets(form url.Values) ([]string, *oauthError) {
	audience := form["resource"]
	for _, one := range audience {
		if u, err := url.Parse(one); err != nil || !u.IsAbs() || u.Fragment != "" {
			return nil, refuse("invalid_target", "resource has to be an absolute URI without a fragment")
		}
	}
	if one := form.Get("audience"); one != "" {
		audience = append(audience, one)
	}
	return audience, nil
}

// withoutUser leaves out what only a login gives.
func withoutUser(scope []string) []string {
	var kept []string
	for _, one := range scope {
		if one != "openid" && one != "offline_access" {
			kept = append(kept, one)
		}
	}
	return kept
}

// exchangeAssertion gives tokens for a JWT that the client signed with its
// registered key, in which it says for which user it acts (RFC 7523, section
// 2.1).
func (s *Server) exchangeAssertion(q *tokenRequest) (*tokenResponse, *oauthError) {
	refused := refuse("invalid_grant", "assertion is no JWT that the client signed for this server, with jti, exp and a sub that is one of its users")
	if q.form.Get("assertion") == "" {
		return nil, refuse("invalid_request", "assertion is missing")
	}
	if !q.client.signs() {
		return nil, refuse("unauthorized_client", "the client has no keys to sign assertions with")
	}
	t := s.assertion(q.request, q.client, q.form.Get("assertion"))
	if t == nil {
		return nil, refused
	}
	who, known := s.user(t.Subject())
	if !known {
		return nil, refused
	}
	scope, bad := readScope(q.form.Get("scope"))
	if bad != nil {
		return nil, bad
	}
	resource, bad := s.readResource(q.form["resource"])
	if bad != nil {
		return nil, bad
	}
	scope = withoutUser(scope)
	return s.answer(q, &grant{clientID: q.client.id, subject: who.Name, scope: scope, resource: resource}, scope, resource, "")
}
