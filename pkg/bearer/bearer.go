// Package bearer protects an API: middleware that lets a request through only
// with a good access token (RFC 6750), and the metadata by which clients find
// the API's authorization server (RFC 9728).
//
// Start with [Require]: it takes a [token.Verifier], which knows issuer, audience
// and keys, and returns func(http.Handler) http.Handler, which fits net/http and
// every router built on it. The handler finds the token with [FromContext].
//
// Each refusal is answered as RFC 6750 says, with a diagnosis id and its fixed
// sentence, never with a value from the token. Keys that cannot be had are a 503,
// never a 401. A request's body is never read.
package bearer

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// RevocationChecker says whether a token that is otherwise good was revoked. An
// error means that it cannot be told, which is answered with 503.
type RevocationChecker interface {
	Revoked(ctx context.Context, t *token.Token) (bool, error)
}

// Option is an option of [Require].
type Option func(*guard)

// guard is what one call of Require made.
type guard struct {
	verifier   *token.Verifier
	need       policy.Requirement
	realm      string
	metadata   string
	revocation RevocationChecker
	refused    func(*http.Request, *diagnosis.Diagnosis)
	log        *slog.Logger
}

// Scopes demands all of these scopes.
func Scopes(scopes ...string) Option {
	return func(g *guard) { g.need.Scopes = append(g.need.Scopes, scopes...) }
}

// Requirement demands what a policy asks for.
func Requirement(need policy.Requirement) Option {
	return func(g *guard) { g.need = need }
}

// ResourceMetadata names the URL of the API's metadata in every challenge (RFC
// 9728, section 5.1), so that a client finds the authorization server by itself.
func ResourceMetadata(url string) Option {
	return func(g *guard) { g.metadata = url }
}

// Realm names the realm in every challenge (RFC 9110, section 11.5).
func Realm(realm string) Option {
	return func(g *guard) { g.realm = realm }
}

// Revocation asks checker about each token that is otherwise good.
func Revocation(checker RevocationChecker) Option {
	return func(g *guard) { g.revocation = checker }
}

// OnRefusal is told of each request refused, with the full diagnosis, which may
// quote claims but never the token.
func OnRefusal(f func(*http.Request, *diagnosis.Diagnosis)) Option {
	return func(g *guard) { g.refused = f }
}

// Logger logs each refusal at level Info, with the full diagnosis and never with
// the token.
func Logger(l *slog.Logger) Option {
	return func(g *guard) { g.log = l }
}

// Require returns middleware that lets a request through only with an access
// token that v accepts and that has what the options demand. It panics without
// a verifier, since it could protect nothing.
func Require(v *token.Verifier, options ...Option) func(http.Handler) http.Handler {
	if v == nil {
		panic("bearer: Require needs a verifier")
	}
	g := &guard{verifier: v}
	for _, option := range options {
		option(g)
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			t, refusal := g.judge(r)
			if refusal != nil {
				g.refuse(w, r, refusal)
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, t)))
		})
	}
}

type contextKey struct{}

// FromContext returns the token that the request was let through with. Its
// claims cannot be changed.
func FromContext(ctx context.Context) (*token.Token, bool) {
	t, ok := ctx.Value(contextKey{}).(*token.Token)
	return t, ok
}

// refusal is a request that is not let through: the answer's code, and why.
type refusal struct {
	status int
	code   string // the error of RFC 6750, section 3.1; "" where there was no token
	why    *diagnosis.Diagnosis
}

// judge looks for the token, then at it, then at what it allows.
func (g *guard) judge(r *http.Request) (*token.Token, *refusal) {
	raw, wrong := credentials(r)
	if wrong != nil {
		return nil, wrong
	}
	t, err := g.verifier.Verify(r.Context(), raw)
	if err != nil {
		return nil, refusalOf(err, diagnosis.KeysUnavailable)
	}
	if _, bound := t.Claim("cnf"); bound {
		return nil, refusalOf(&diagnosis.Diagnosis{ID: diagnosis.TokenBound}, "")
	}
	if g.revocation != nil {
		revoked, err := g.revocation.Revoked(r.Context(), t)
		switch {
		case err != nil:
			return nil, refusalOf(&diagnosis.Diagnosis{ID: diagnosis.RevocationUnknown, Err: err}, "")
		case revoked:
			return nil, refusalOf(&diagnosis.Diagnosis{ID: diagnosis.Revoked}, "")
		}
	}
	if decision := g.need.Decide(t); !decision.Allowed {
		return nil, refusalOf(decision.Diagnosis, "")
	}
	return t, nil
}

// refusalOf maps a diagnosis to the answer; an error without one is given the id
// otherwise.
func refusalOf(err error, otherwise diagnosis.ID) *refusal {
	var d *diagnosis.Diagnosis
	if !errors.As(err, &d) {
		d = &diagnosis.Diagnosis{ID: otherwise, Err: err}
	}
	switch d.Kind() {
	case diagnosis.Rejected:
		return &refusal{http.StatusUnauthorized, "invalid_token", d}
	case diagnosis.Denied:
		return &refusal{http.StatusForbidden, "insufficient_scope", d}
	}
	return &refusal{http.StatusServiceUnavailable, "", d}
}

// credentials finds the one token of a request (RFC 6750, section 2). Tokens in
// the query are refused, since URLs are logged everywhere; a body is not read.
func credentials(r *http.Request) (string, *refusal) {
	fields := r.Header.Values("Authorization")
	inQuery := strings.Contains(r.URL.RawQuery, "access_token") && r.URL.Query().Has("access_token")
	switch {
	case len(fields) == 0 && !inQuery:
		return "", &refusal{http.StatusUnauthorized, "", &diagnosis.Diagnosis{ID: diagnosis.CredentialsMissing}}
	case len(fields) > 1:
		return "", badRequest("one Authorization header", "several")
	case inQuery:
		return "", badRequest("the token in the Authorization header", "one in the query")
	}
	scheme, raw, _ := strings.Cut(fields[0], " ")
	raw = strings.TrimLeft(raw, " ")
	switch {
	case !strings.EqualFold(scheme, "Bearer"):
		return "", &refusal{http.StatusUnauthorized, "", &diagnosis.Diagnosis{ID: diagnosis.CredentialsMissing, Expected: "the scheme Bearer", Got: "another scheme"}}
	case raw == "" || strings.ContainsAny(raw, " \t,\""):
		return "", badRequest("Bearer and one token", "something else")
	}
	return raw, nil
}

func badRequest(expected, got string) *refusal {
	return &refusal{http.StatusBadRequest, "invalid_request", &diagnosis.Diagnosis{ID: diagnosis.CredentialsInvalid, Expected: expected, Got: got}}
}
