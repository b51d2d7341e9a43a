package bearer

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/dpop"
	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/problem"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// refusal is a refused request.
type refusal struct {
	problem.Problem
	scheme  string // Bearer, DPoP, or "" without credentials
	why     *diagnosis.Diagnosis
	token   *token.Token // if it is valid but does not allow the request
	pattern string       // of the route, or "" if none is listed
	acr     string       // the login that is required, and its maximum age
	maxAge  time.Duration
}

// refusalFor returns the refusal for d. Scope is the scope that the operation
// needs.
func refusalFor(d *diagnosis.Diagnosis, scope string) *refusal {
	x := &refusal{Problem: problem.Of(d), why: d}
	if x.Code == "insufficient_scope" || d.ID == diagnosis.CredentialsMissing {
		x.Scope = scope
	}
	return x
}

// stepUp returns which login is required, if a stronger or newer one is missing
// (RFC 9470, section 3).
func (x *refusal) stepUp(need policy.Requirement) *refusal {
	if x.why.ID == diagnosis.StepUpRequired {
		x.acr, x.maxAge = strings.Join(need.ACR, " "), need.MaxAge
	}
	return x
}

// outcome is the result of checking a request: a token, or neither on a public
// route, or a refusal.
type outcome struct {
	token   *token.Token
	refusal *refusal
	pattern string
}

// check checks the credentials, then the token, then what it allows.
func (g *gate) check(r *http.Request) outcome {
	var match policy.Match
	if g.policy != nil {
		var err error
		if match, err = g.policy.Match(r.Method, r.URL); err != nil {
			return outcome{refusal: refusalFor(&diagnosis.Diagnosis{ID: diagnosis.PathAmbiguous, Err: err}, "")}
		}
		if match.Requirement.Public {
			return outcome{pattern: match.Pattern}
		}
	}
	if match.Requirement.Optional && r.Header["Authorization"] == nil && !tokenInQuery(r.URL.RawQuery) {
		return outcome{pattern: match.Pattern}
	}
	t, x := g.checkRequest(r, &match)
	if x != nil {
		x.token, x.pattern, t = t, match.Pattern, nil
	}
	return outcome{t, x, match.Pattern}
}

// checkRequest also returns a token that is valid but does not allow the
// request.
func (g *gate) checkRequest(r *http.Request, match *policy.Match) (*token.Token, *refusal) {
	c, d := g.credentials(r)
	if d != nil {
		return nil, refusalFor(d, g.scope(match.Requirement))
	}
	t, d := g.checkToken(r, c)
	if d != nil {
		x := refusalFor(d, "")
		x.scheme = c.scheme
		return nil, x
	}
	if g.policy != nil {
		if !match.Listed {
			return t, refusalFor(&diagnosis.Diagnosis{ID: diagnosis.OperationUnlisted}, "")
		}
		if x := checkRequirement(t, &match.Requirement); x != nil {
			return t, x
		}
	}
	for i := range g.needs {
		if x := checkRequirement(t, &g.needs[i]); x != nil {
			return t, x
		}
	}
	return t, nil
}

func (g *gate) checkToken(r *http.Request, c credentials) (*token.Token, *diagnosis.Diagnosis) {
	t, err := g.verifier.Verify(r.Context(), c.token)
	if err != nil {
		// Checked only now, because text that is not a token68 is never a valid
		// token either.
		if !isToken68(c.token) {
			return nil, &diagnosis.Diagnosis{ID: diagnosis.CredentialsInvalid, Expected: diagnosis.Values{"one token after the scheme"}, Got: diagnosis.Values{"something else"}}
		}
		return nil, diagnosisOf(err, diagnosis.KeysUnavailable)
	}
	// Before the binding: a verified proof uses space in the replay store, which
	// a revoked token must not fill.
	if g.revocation != nil {
		switch revoked, err := g.revocation.Revoked(r.Context(), t); {
		case err != nil:
			return nil, unknown(err)
		case revoked:
			return nil, &diagnosis.Diagnosis{ID: diagnosis.Revoked}
		}
	}
	if err := g.checkBinding(r, c, t); err != nil {
		return nil, diagnosisOf(err, diagnosis.TokenBound)
	}
	return t, nil
}

// unknown returns the checker's own diagnosis if it has one.
func unknown(err error) *diagnosis.Diagnosis {
	var d *diagnosis.Diagnosis
	if errors.As(err, &d) && d.ID == diagnosis.RevocationUnknown {
		return d
	}
	return &diagnosis.Diagnosis{ID: diagnosis.RevocationUnknown, Err: err}
}

func checkRequirement(t *token.Token, need *policy.Requirement) *refusal {
	if need.Allows(t) {
		return nil
	}
	return refusalFor(need.Decide(t).Diagnosis, scopeOf(*need)).stepUp(*need)
}

// checkBinding checks the key in the token's cnf claim (RFC 7800). A token
// without proof of that key may be stolen.
func (g *gate) checkBinding(r *http.Request, c credentials, t *token.Token) error {
	claim, bound := t.Claim("cnf")
	if !bound && c.scheme == schemeBearer {
		if g.boundOnly {
			return unproven("a token that is bound to a key (cnf)", "one that is not")
		}
		return nil
	}
	cnf, ok := claim.(map[string]any)
	if bound && (!ok || len(cnf) == 0) {
		return unproven("a key in cnf", "something else")
	}
	for method := range cnf {
		switch {
		case method == "jkt" && c.scheme == schemeDPoP:
		case method == "x5t#S256" && g.certificate != nil:
			if !isCertificate(g.certificate(r), cnf[method]) {
				return unproven("the client certificate that the token is bound to", "a different one, or none")
			}
		case method == "jkt":
			return unproven("the scheme DPoP and a proof", "the scheme Bearer")
		default:
			return unproven("a supported binding", "another")
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

// isCertificate compares a client's certificate (DER) with its SHA-256 in the
// token (RFC 8705, section 3.1).
func isCertificate(der []byte, want any) bool {
	text, ok := want.(string)
	if !ok || len(der) == 0 {
		return false
	}
	sum := sha256.Sum256(der)
	return subtle.ConstantTimeCompare([]byte(text), []byte(base64.RawURLEncoding.EncodeToString(sum[:]))) == 1
}

// diagnosisOf returns the diagnosis in err, or one with the given id.
func diagnosisOf(err error, otherwise diagnosis.ID) *diagnosis.Diagnosis {
	var d *diagnosis.Diagnosis
	if !errors.As(err, &d) {
		d = &diagnosis.Diagnosis{ID: otherwise, Err: err}
	}
	return d
}

// scope returns everything that a token needs for a route.
func (g *gate) scope(route policy.Requirement) string {
	all := []string{scopeOf(route)}
	for _, need := range g.needs {
		all = append(all, scopeOf(need))
	}
	return strings.Join(strings.Fields(strings.Join(all, " ")), " ")
}

// scopeOf returns only the first of several alternative scopes, so that a client
// does not request all of them.
func scopeOf(need policy.Requirement) string {
	return strings.Join(append(need.Scopes[:len(need.Scopes):len(need.Scopes)], need.AnyScopes[:min(1, len(need.AnyScopes))]...), " ")
}

// credentials are the credentials in a request's Authorization header.
type credentials struct{ scheme, token string }

const (
	schemeBearer = "Bearer"
	schemeDPoP   = "DPoP"
)

// credentials returns the token of a request (RFC 6750, section 2). A token in
// the query is refused, because URLs are logged. The body is not read.
func (g *gate) credentials(r *http.Request) (credentials, *diagnosis.Diagnosis) {
	invalid := func(expected, got string) (credentials, *diagnosis.Diagnosis) {
		return credentials{}, &diagnosis.Diagnosis{ID: diagnosis.CredentialsInvalid, Expected: diagnosis.Text(expected), Got: diagnosis.Text(got)}
	}
	fields := r.Header["Authorization"]
	switch {
	case len(fields) > 1:
		return invalid("one Authorization header", "several")
	case r.URL.RawQuery != "" && tokenInQuery(r.URL.RawQuery):
		return invalid("the token in the Authorization header", "one in the query")
	case len(fields) == 0:
		return credentials{}, &diagnosis.Diagnosis{ID: diagnosis.CredentialsMissing}
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
		return credentials{}, &diagnosis.Diagnosis{
			ID: diagnosis.CredentialsMissing, Expected: diagnosis.Values{"the scheme " + schemeBearer}, Got: diagnosis.Values{"another scheme"},
		}
	}
	rest = strings.TrimLeft(rest, " ")
	if !spaced || rest == "" {
		return invalid("a token after the scheme", "none")
	}
	return credentials{known, rest}, nil
}

// tokenInQuery looks for the parameter in every form that an upstream server
// may accept: with either separator and any encoding.
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

// isToken68 checks the grammar of token68 (RFC 9110, section 11.2).
func isToken68(text string) bool {
	text = strings.TrimRight(text, "=")
	return text != "" && !strings.ContainsFunc(text, func(c rune) bool { return !isAlphanumeric(c) && !strings.ContainsRune("-._~+/", c) })
}

// isName checks the grammar of a scheme (RFC 9110, section 5.6.2).
func isName(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(c rune) bool { return !isAlphanumeric(c) && !strings.ContainsRune("!#$%&'*+-.^_`|~", c) })
}

func isAlphanumeric(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
