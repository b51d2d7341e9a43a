package bearer

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/dpop"
	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// refusal is a request that is not let through.
type refusal struct {
	status int
	code   string // the error of RFC 6750, section 3.1; "" where there was no token
	scheme string // of the credentials: Bearer, DPoP, or "" where there were none
	scope  string // what a token needs, where a client can act on it
	why    *diagnosis.Diagnosis
	token  *token.Token // where it is good and does not allow this
}

// judge looks for the token, then at it, then at what it allows. Both results
// are nil on a public route.
func (g *gate) judge(r *http.Request) (*token.Token, *refusal) {
	var route policy.Requirement
	var unlisted bool
	if g.policy != nil {
		if err := policy.CheckPath(r.URL); err != nil {
			return nil, badRequest(&diagnosis.Diagnosis{ID: diagnosis.PathAmbiguous, Err: err})
		}
		need, _, listed := g.policy.Route(r.Method, r.URL)
		if need.Public {
			return nil, nil
		}
		route, unlisted = need, !listed
	}
	c, x := g.credentials(r)
	if x != nil {
		if x.code == "" {
			x.scope = g.scope(route)
		}
		return nil, x
	}
	t, x := g.judgeToken(r, c)
	switch {
	case x != nil:
		x.scheme = c.scheme
	case unlisted:
		x = denied(&diagnosis.Diagnosis{ID: diagnosis.OperationUnlisted}, policy.Requirement{})
	default:
		x = g.judgeNeeds(t, route)
	}
	if x != nil {
		x.token = t
		return nil, x
	}
	return t, nil
}

func (g *gate) judgeToken(r *http.Request, c credentials) (*token.Token, *refusal) {
	t, err := g.verifier.Verify(r.Context(), c.token)
	if err != nil {
		// Asked only now: what is no token68 is never a good token either.
		if !isToken68(c.token) {
			return nil, badRequest(&diagnosis.Diagnosis{ID: diagnosis.CredentialsInvalid, Expected: diagnosis.Values{"one token after the scheme"}, Got: diagnosis.Values{"something else"}})
		}
		return nil, refusalOf(err, diagnosis.KeysUnavailable)
	}
	if err := g.judgeBinding(r, c, t); err != nil {
		return nil, refusalOf(err, diagnosis.TokenBound)
	}
	if g.revocation == nil {
		return t, nil
	}
	switch revoked, err := g.revocation.Revoked(r.Context(), t); {
	case err != nil:
		return nil, &refusal{status: http.StatusServiceUnavailable, why: unknown(err)}
	case revoked:
		return nil, refusalOf(&diagnosis.Diagnosis{ID: diagnosis.Revoked}, "")
	}
	return t, nil
}

// unknown keeps the checker's own diagnosis if it has one.
func unknown(err error) *diagnosis.Diagnosis {
	var d *diagnosis.Diagnosis
	if errors.As(err, &d) && d.ID == diagnosis.RevocationUnknown {
		return d
	}
	return &diagnosis.Diagnosis{ID: diagnosis.RevocationUnknown, Err: err}
}

func (g *gate) judgeNeeds(t *token.Token, route policy.Requirement) *refusal {
	if !route.Allows(t) {
		return denied(route.Decide(t).Diagnosis, route)
	}
	for _, need := range g.needs {
		if !need.Allows(t) {
			return denied(need.Decide(t).Diagnosis, need)
		}
	}
	return nil
}

// judgeBinding holds a token against the key that its cnf claim names (RFC 7800):
// sent without proof of that key it may be stolen.
func (g *gate) judgeBinding(r *http.Request, c credentials, t *token.Token) error {
	claim, bound := t.Claim("cnf")
	if !bound && c.scheme == schemeBearer {
		return nil
	}
	cnf, ok := claim.(map[string]any)
	if bound && (!ok || len(cnf) == 0) {
		return unproven("a key in cnf", "something else")
	}
	for method := range cnf {
		switch {
		case method == "jkt" && c.scheme == schemeDPoP:
		case method == "x5t#S256" && g.mutualTLS:
			if !hasCertificate(r, cnf[method]) {
				return unproven("the client certificate that the token is bound to", "another, or none")
			}
		case method == "jkt":
			return unproven("the scheme DPoP and a proof", "the scheme Bearer")
		default:
			return unproven("a binding that can be checked here", "another")
		}
	}
	if c.scheme != schemeDPoP {
		return nil
	}
	thumbprint, _ := cnf["jkt"].(string)
	_, err := g.dpop.Verify(r.Context(), dpop.Request{
		Method: r.Method, URL: g.baseURL + r.URL.EscapedPath(), Proofs: r.Header["Dpop"],
		AccessToken: secret.New(c.token), Thumbprint: thumbprint,
	})
	return err
}

func unproven(expected, got string) error {
	return &diagnosis.Diagnosis{ID: diagnosis.TokenBound, Expected: diagnosis.Text(expected), Got: diagnosis.Text(got)}
}

// hasCertificate compares the client certificate of the connection with its
// SHA-256 in the token (RFC 8705, section 3.1).
func hasCertificate(r *http.Request, want any) bool {
	text, ok := want.(string)
	if !ok || r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return false
	}
	sum := sha256.Sum256(r.TLS.PeerCertificates[0].Raw)
	return subtle.ConstantTimeCompare([]byte(text), []byte(base64.RawURLEncoding.EncodeToString(sum[:]))) == 1
}

// refusalOf maps a diagnosis to the answer; an error without one is given the id
// otherwise.
func refusalOf(err error, otherwise diagnosis.ID) *refusal {
	var d *diagnosis.Diagnosis
	if !errors.As(err, &d) {
		d = &diagnosis.Diagnosis{ID: otherwise, Err: err}
	}
	if d.Kind() != diagnosis.Rejected {
		return &refusal{status: http.StatusServiceUnavailable, why: d}
	}
	x := &refusal{status: http.StatusUnauthorized, code: "invalid_token", why: d}
	switch d.ID {
	case diagnosis.DPoPMissing, diagnosis.DPoPInvalid, diagnosis.DPoPReplayed:
		x.code = "invalid_dpop_proof"
	case diagnosis.DPoPNonce:
		x.code = "use_dpop_nonce"
	}
	return x
}

// denied is the answer to a good token that does not allow this. The scopes are
// told only where more of them would help.
func denied(why *diagnosis.Diagnosis, need policy.Requirement) *refusal {
	x := &refusal{status: http.StatusForbidden, code: "insufficient_scope", why: why}
	if why.ID == diagnosis.ScopeMissing || why.ID == diagnosis.ScopeClaimName {
		x.scope = scopeOf(need)
	}
	return x
}

func badRequest(why *diagnosis.Diagnosis) *refusal {
	return &refusal{status: http.StatusBadRequest, code: "invalid_request", why: why}
}

// scope is all that a token needs for a route.
func (g *gate) scope(route policy.Requirement) string {
	all := []string{scopeOf(route)}
	for _, need := range g.needs {
		all = append(all, scopeOf(need))
	}
	return strings.Join(strings.Fields(strings.Join(all, " ")), " ")
}

// scopeOf names of several scopes that would do only the first, so that a client
// does not ask for all.
func scopeOf(need policy.Requirement) string {
	return strings.Join(append(need.Scopes[:len(need.Scopes):len(need.Scopes)], need.AnyScopes[:min(1, len(need.AnyScopes))]...), " ")
}

// credentials are what a request carries in its Authorization header.
type credentials struct{ scheme, token string }

const (
	schemeBearer = "Bearer"
	schemeDPoP   = "DPoP"
)

// credentials finds the one token of a request (RFC 6750, section 2). A token in
// the query is refused, since URLs are logged everywhere; the body is not read.
func (g *gate) credentials(r *http.Request) (credentials, *refusal) {
	invalid := func(expected, got string) (credentials, *refusal) {
		return credentials{}, badRequest(&diagnosis.Diagnosis{ID: diagnosis.CredentialsInvalid, Expected: diagnosis.Text(expected), Got: diagnosis.Text(got)})
	}
	fields := r.Header["Authorization"]
	switch {
	case len(fields) > 1:
		return invalid("one Authorization header", "several")
	case r.URL.RawQuery != "" && tokenInQuery(r.URL.RawQuery):
		return invalid("the token in the Authorization header", "one in the query")
	case len(fields) == 0:
		return credentials{}, &refusal{status: http.StatusUnauthorized, why: &diagnosis.Diagnosis{ID: diagnosis.CredentialsMissing}}
	}
	scheme, rest, spaced := strings.Cut(fields[0], " ")
	known := ""
	switch {
	case strings.EqualFold(scheme, schemeBearer):
		known = schemeBearer
	case strings.EqualFold(scheme, schemeDPoP) && g.dpop != nil:
		known = schemeDPoP
	case !isName(scheme):
		return invalid("a scheme, a space and a token", "something else")
	default:
		return credentials{}, &refusal{status: http.StatusUnauthorized, why: &diagnosis.Diagnosis{
			ID: diagnosis.CredentialsMissing, Expected: diagnosis.Values{"the scheme " + schemeBearer}, Got: diagnosis.Values{"another scheme"},
		}}
	}
	rest = strings.TrimLeft(rest, " ")
	if !spaced || rest == "" {
		return invalid("a token after the scheme", "none")
	}
	return credentials{known, rest}, nil
}

// tokenInQuery looks for the parameter as any server behind might read it: with
// either separator, and however it is encoded.
func tokenInQuery(rawQuery string) bool {
	for pair := range strings.FieldsFuncSeq(rawQuery, func(c rune) bool { return c == '&' || c == ';' }) {
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		if name == "access_token" {
			return true
		}
	}
	return false
}

// isToken68 holds a text against the grammar of RFC 9110, section 11.2.
func isToken68(text string) bool {
	text = strings.TrimRight(text, "=")
	return text != "" && !strings.ContainsFunc(text, func(c rune) bool { return !isAlphanumeric(c) && !strings.ContainsRune("-._~+/", c) })
}

// isName holds a text against the grammar of a scheme (RFC 9110, section 5.6.2).
func isName(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(c rune) bool { return !isAlphanumeric(c) && !strings.ContainsRune("!#$%&'*+-.^_`|~", c) })
}

func isAlphanumeric(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
