package devserver

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// authMethods lists the supported methods of client authentication.
func authMethods() []string {
	return []string{"none", "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"}
}

// authenticate returns the client of a request (RFC 6749, section 2.3). It
// authenticates with a secret in the header or in the form, or with an assertion
// (RFC 7523, section 2.2); a public client has only a client_id.
func (s *Server) authenticate(r *http.Request, form url.Values) (*client, *oauthError) {
	refused := &oauthError{Code: "invalid_client", Description: "the client is unknown, or its secret is wrong", status: http.StatusUnauthorized}
	id, password := form.Get("client_id"), form.Get("client_secret")
	fields := r.Header.Values("Authorization")
	if assertion := form.Get("client_assertion"); assertion != "" {
		if password != "" || len(fields) > 0 {
			return nil, refuse("invalid_request", "the client uses two authentication methods")
		}
		return s.asserted(r, id, assertion, form.Get("client_assertion_type"), refused)
	}
	if len(fields) > 0 {
		name, basic, ok := r.BasicAuth()
		unescaped, err := url.QueryUnescape(name)
		secretText, secretErr := url.QueryUnescape(basic)
		switch {
		case !ok || len(fields) > 1 || err != nil || secretErr != nil:
			return nil, refused
		case password != "" || id != "" && id != unescaped:
			return nil, refuse("invalid_request", "duplicate client_id or client_secret")
		}
		id, password = unescaped, secretText
	}
	found := s.clientOf(r.Context(), id)
	if found == nil || found.signs() || !found.secret.Equal(secret.New(password)) {
		return nil, refused
	}
	return found, nil
}

// signs reports whether the client authenticates with an assertion, and with no
// weaker method.
func (c *client) signs() bool {
	return c.authMethod == "private_key_jwt" || c.authMethod == "client_secret_jwt"
}

func (s *Server) asserted(r *http.Request, id, assertion, kind string, refused *oauthError) (*client, *oauthError) {
	unverified, err := token.Decode(assertion)
	if err != nil || kind != assertionType || id != "" && id != unverified.Issuer() {
		return nil, refused
	}
	c := s.clientOf(r.Context(), unverified.Issuer())
	if c == nil || !c.signs() {
		return nil, refused
	}
	if t := s.assertion(r, c, assertion); t == nil || t.Subject() != c.id {
		return nil, refused
	}
	return c, nil
}

// assertion verifies a client assertion: issued by the client, for this server,
// not used before (RFC 7523, section 3). It returns nil if it is not valid.
func (s *Server) assertion(r *http.Request, c *client, raw string) *token.Token {
	keys := c.keys
	if keys == nil {
		key, err := jwks.SecretKey([]byte(c.secret.Reveal()))
		if err != nil {
			return nil
		}
		keys = jwks.NewSet(key)
	}
	audience := []string{s.config.Issuer, s.base + "/token"}
	v, err := token.NewVerifier(c.id, audience, keys, token.Options{
		Now: s.now, Require: []string{"jti", "exp", "sub"}, Types: []string{"", "JWT", "client-authentication+jwt"},
	})
	if err != nil {
		return nil
	}
	t, err := v.Verify(r.Context(), raw)
	if err != nil {
		return nil
	}
	if fresh, err := s.used.Use(r.Context(), "assertion "+c.id+" "+t.ID(), t.Expiry()); err != nil || !fresh {
		return nil
	}
	return t
}

// readKeys parses the keys in a registration.
func readKeys(data []byte) (*jwks.Set, *oauthError) {
	set, err := jwks.Parse(data)
	if err != nil || len(set.All()) == 0 || slices.ContainsFunc(set.All(), func(k *jwks.Key) bool { return k.Secret() != nil }) {
		return nil, refuse("invalid_client_metadata", "private_key_jwt needs jwks with at least one public key")
	}
	return set, nil
}
