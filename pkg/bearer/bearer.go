// Package bearer protects an API: middleware that lets a request through only
// with a good access token (RFC 6750), bound to a key where it says so (RFC 9449,
// RFC 8705), and the metadata by which clients find the API's authorization
// server (RFC 9728).
//
// Start with [Require]: it takes a [token.Verifier], which knows issuer, audience
// and keys, and returns func(http.Handler) http.Handler, which fits net/http and
// every router built on it. The handler finds the token with [FromContext].
//
// Each refusal is answered as RFC 6750 says, with a diagnosis id and its fixed
// sentence, never with a value from the token; the full diagnosis goes to
// [OnRefusal] and [Logger]. Keys or a revocation state that cannot be had are a
// 503, never a 401. A request's body is never read. The package fetches nothing
// and keeps nothing; it answers no CORS preflight, which carries no token.
package bearer

import (
	"context"
	"log/slog"
	"net/http"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/dpop"
	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// RevocationChecker says whether a token that is otherwise good was revoked. An
// error means that it cannot be told, which is answered with 503.
type RevocationChecker interface {
	Revoked(ctx context.Context, t *token.Token) (bool, error)
}

// Verifier returns a token if it is valid. The error is a Diagnosis. A
// [token.Verifier] is one; it is used by many goroutines at the same time.
type Verifier interface {
	Verify(ctx context.Context, raw string) (*token.Token, error)
}

// Option is an option of [Require].
type Option func(*gate)

// gate is what one call of Require made. It does not change afterwards.
type gate struct {
	verifier    Verifier
	needs       []policy.Requirement // all of them
	policy      *policy.Policy
	realm       string
	metadata    string
	revocation  RevocationChecker
	dpop        *dpop.Verifier
	baseURL     string
	nonce       func() string
	certificate func(*http.Request) []byte // nil where none is looked for
	boundOnly   bool
	refused     func(*http.Request, *diagnosis.Diagnosis)
	accepted    func(*http.Request)
	log         *slog.Logger
}

// Scopes demands all of these scopes. A text with spaces is several.
func Scopes(scopes ...string) Option {
	return Requirement(policy.Requirement{Scopes: strings.Fields(strings.Join(scopes, " "))})
}

// Requirement demands what need says, beside what other options demand.
func Requirement(need policy.Requirement) Option {
	return func(g *gate) { g.needs = append(g.needs, need) }
}

// Policy demands of each request what p says of its route, and refuses what p
// does not list; a public route needs no token. A path that could be read in two
// ways is answered with 400 (see [policy.CheckPath]).
func Policy(p *policy.Policy) Option {
	mustHave(p != nil, "Policy needs a policy")
	return func(g *gate) { g.policy = p }
}

// ResourceMetadata names the URL of the API's metadata in every challenge (RFC
// 9728, section 5.1), so that a client finds the authorization server by itself.
func ResourceMetadata(url string) Option {
	return func(g *gate) { g.metadata = url }
}

// Realm names the realm in every challenge (RFC 9110, section 11.5); without it
// the realm is "api".
func Realm(realm string) Option {
	return func(g *gate) { g.realm = realm }
}

// Revocation asks checker about each token that is otherwise good.
func Revocation(checker RevocationChecker) Option {
	mustHave(checker != nil, "Revocation needs a checker")
	return func(g *gate) { g.revocation = checker }
}

// DPoP lets tokens through that are bound to a key, with the scheme DPoP and a
// proof that v accepts (RFC 9449). BaseURL is the URL under which clients know
// the API, without the path that a request adds: proofs are held against it,
// since behind a proxy a request does not tell its own host. Tokens that are
// bound to nothing go on as Bearer.
func DPoP(v *dpop.Verifier, baseURL string) Option {
	mustHave(v != nil && v.Replay != nil, "DPoP needs a verifier with a replay store")
	mustHave(baseURL != "", "DPoP needs the API's URL")
	return func(g *gate) { g.dpop, g.baseURL = v, strings.TrimSuffix(baseURL, "/") }
}

// DPoPNonce hands out a nonce with each refusal that asks for one (RFC 9449,
// section 9). It goes with a [dpop.Verifier] whose Nonce demands them.
func DPoPNonce(next func() string) Option {
	return func(g *gate) { g.nonce = next }
}

// MutualTLS lets tokens through that are bound to the client certificate of the
// connection (RFC 8705, section 3): the server itself must end TLS and ask for
// certificates.
func MutualTLS() Option {
	return ClientCertificate(func(r *http.Request) []byte {
		if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
			return nil
		}
		return r.TLS.PeerCertificates[0].Raw
	})
}

// ClientCertificate is [MutualTLS] where another server ends TLS: find returns
// the certificate of a request's client in DER, nil if there is none. It has to
// make sure that the client itself cannot name one (RFC 9440, section 4).
func ClientCertificate(find func(*http.Request) []byte) Option {
	mustHave(find != nil, "ClientCertificate needs a function")
	return func(g *gate) { g.certificate = find }
}

// RequireBound refuses tokens that are bound to no key, by DPoP or a certificate
// (RFC 9449, RFC 8705): one that was stolen is of no use.
func RequireBound() Option {
	return func(g *gate) { g.boundOnly = true }
}

// OnRefusal is called for each request that is refused, with the full diagnosis,
// which may quote claims but never the token. It runs before the answer is sent.
// Where the token is valid and does not allow the request, [FromContext] has it;
// [RouteFromContext] has the route.
func OnRefusal(f func(*http.Request, *diagnosis.Diagnosis)) Option {
	return func(g *gate) { g.refused = f }
}

// OnAccept is called for each request that is accepted, before the handler, with
// the context that [FromContext] and [RouteFromContext] read. It is for metrics
// and traces.
func OnAccept(f func(*http.Request)) Option {
	return func(g *gate) { g.accepted = f }
}

// Logger logs each refusal with the full diagnosis and never with the token, at
// level Info; at level Warn where it could not be told whether the token is good.
func Logger(l *slog.Logger) Option {
	return func(g *gate) { g.log = l }
}

// Require returns middleware that lets a request through only with an access
// token that v accepts and that has what the options demand. It and the options
// panic without what they need, since such a program could protect nothing.
func Require(v Verifier, options ...Option) func(http.Handler) http.Handler {
	g := newGate(v, options)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			v := g.judge(r)
			if v.refusal != nil {
				g.refuse(w, r, v.refusal)
				return
			}
			if v.token != nil || v.pattern != "" {
				r = r.WithContext(&admitted{r.Context(), v.token, g, v.pattern})
			}
			if g.accepted != nil {
				g.accepted(r)
			}
			next.ServeHTTP(w, r)
		})
	}
}

func newGate(v Verifier, options []Option) *gate {
	mustHave(v != nil, "a verifier is needed")
	g := &gate{verifier: v, realm: "api"}
	for _, option := range options {
		option(g)
	}
	return g
}

// RequireScope returns middleware that demands more scopes of some handlers
// inside a [Require]. Without one around it every request is a 500.
func RequireScope(scopes ...string) func(http.Handler) http.Handler {
	need := policy.Requirement{Scopes: strings.Fields(strings.Join(scopes, " "))}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a, ok := r.Context().Value(contextKey{}).(*admitted)
			if !ok || a.token == nil {
				http.Error(w, "the server checks a scope but no token", http.StatusInternalServerError)
				return
			}
			if !need.Allows(a.token) {
				x := refusalFor(need.Decide(a.token).Diagnosis, scopeOf(need))
				x.token, x.pattern = a.token, a.pattern
				a.gate.refuse(w, r, x)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// FromContext returns the token that the request was let through with; false on
// a public route. Its claims cannot be changed.
func FromContext(ctx context.Context) (*token.Token, bool) {
	a, ok := ctx.Value(contextKey{}).(*admitted)
	if !ok || a.token == nil {
		return nil, false
	}
	return a.token, true
}

// RouteFromContext returns the pattern of the route by which a [Policy] accepted
// or refused the request, as a label for metrics and logs; "" without a policy
// and where no route is listed.
func RouteFromContext(ctx context.Context) string {
	a, ok := ctx.Value(contextKey{}).(*admitted)
	if !ok {
		return ""
	}
	return a.pattern
}

type contextKey struct{}

// admitted is the context of a request that was let through: one allocation for
// all that it carries.
type admitted struct {
	context.Context
	token   *token.Token // nil on a public route
	gate    *gate
	pattern string
}

func (a *admitted) Value(key any) any {
	if key == (contextKey{}) {
		return a
	}
	return a.Context.Value(key)
}

func mustHave(ok bool, what string) {
	if !ok {
		panic("bearer: " + what)
	}
}
