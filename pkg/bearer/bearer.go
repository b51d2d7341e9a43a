// Package bearer protects an API. It provides middleware that accepts a request
// only with a valid access token (RFC 6750), with a proof if the token is bound to
// a key (RFC 9449, RFC 8705), and the metadata with which clients find the API's
// authorization server (RFC 9728).
//
// Start with [Require]. It needs a [token.Verifier] with issuer, audience and
// keys, and returns a func(http.Handler) http.Handler for net/http and every router
// based on it. The handler gets the token with [FromContext].
//
// Each refusal has a response according to RFC 6750, with a diagnosis id and its
// summary, never with a value from the token. The full diagnosis is passed to
// [OnRefusal] and [Logger]. If the keys or the revocation state are unavailable,
// the response is 503, never 401. The package never reads a request's body, sends
// no requests and stores nothing. It does not answer CORS preflight requests,
// which have no token.
package bearer

import (
	"context"
	"log/slog"
	"net/http"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/dpop"
	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/problem"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// RevocationChecker reports whether an otherwise valid token was revoked. An
// error means that this could not be checked; the response is 503.
type RevocationChecker interface {
	Revoked(ctx context.Context, t *token.Token) (bool, error)
}

// Verifier returns a token if it is valid. The error is a Diagnosis. A
// [token.Verifier] is a Verifier. It must be safe for concurrent use.
type Verifier interface {
	Verify(ctx context.Context, raw string) (*token.Token, error)
}

// Option is an option of [Require].
type Option func(*gate)

// gate holds the options of one call of Require. It is immutable.
type gate struct {
	verifier    Verifier
	needs       []policy.Requirement // all of them must be met
	policy      *policy.Policy
	realm       string
	metadata    string
	revocation  RevocationChecker
	dpop        *dpop.Verifier
	baseURL     string
	nonce       func() string
	certificate func(*http.Request) []byte // nil if client certificates are not used
	boundOnly   bool
	refused     func(*http.Request, *diagnosis.Diagnosis)
	body        func(*http.Request, problem.Problem) (string, []byte) // nil writes the problem
	accepted    func(*http.Request)
	log         *slog.Logger
}

// Scopes requires all of these scopes. A string with spaces contains several.
func Scopes(scopes ...string) Option {
	return Requirement(policy.Requirement{Scopes: strings.Fields(strings.Join(scopes, " "))})
}

// Requirement adds a requirement to those of other options.
func Requirement(need policy.Requirement) Option {
	return func(g *gate) { g.needs = append(g.needs, need) }
}

// Policy requires what p lists for the route of each request, and refuses
// requests without a route. A public route needs no token. A path that can be
// interpreted in more than one way is answered with 400, see [policy.CheckPath].
func Policy(p *policy.Policy) Option {
	mustHave(p != nil, "Policy needs a policy")
	return func(g *gate) { g.policy = p }
}

// ResourceMetadata adds the URL of the API's metadata to every challenge (RFC
// 9728, section 5.1), so that clients can find the authorization server.
func ResourceMetadata(url string) Option {
	return func(g *gate) { g.metadata = url }
}

// Realm sets the realm of every challenge (RFC 9110, section 11.5). The default
// is "api".
func Realm(realm string) Option {
	return func(g *gate) { g.realm = realm }
}

// Revocation checks each otherwise valid token with checker.
func Revocation(checker RevocationChecker) Option {
	mustHave(checker != nil, "Revocation needs a checker")
	return func(g *gate) { g.revocation = checker }
}

// DPoP accepts tokens that are bound to a key, with the scheme DPoP and a proof
// that v accepts (RFC 9449). BaseURL is the public URL of the API without the
// path of a request. It is needed to verify proofs, because behind a proxy a
// request does not have the public host. Tokens that are not bound are still
// accepted as Bearer.
func DPoP(v *dpop.Verifier, baseURL string) Option {
	mustHave(v != nil && v.Replay != nil, "DPoP needs a verifier with a replay store")
	mustHave(baseURL != "", "DPoP needs the API's URL")
	return func(g *gate) { g.dpop, g.baseURL = v, strings.TrimSuffix(baseURL, "/") }
}

// DPoPNonce sends a nonce with each refusal that requires one (RFC 9449,
// section 9). Use it with a [dpop.Verifier] whose Nonce requires it.
func DPoPNonce(next func() string) Option {
	return func(g *gate) { g.nonce = next }
}

// MutualTLS accepts tokens that are bound to the client certificate of the
// connection (RFC 8705, section 3). The server itself must terminate TLS and
// request certificates.
func MutualTLS() Option {
	return ClientCertificate(func(r *http.Request) []byte {
		if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
			return nil
		}
		return r.TLS.PeerCertificates[0].Raw
	})
}

// ClientCertificate is like [MutualTLS] if another server terminates TLS. Find
// returns the certificate of a request's client in DER, or nil. It must ensure
// that clients cannot set it themselves (RFC 9440, section 4).
func ClientCertificate(find func(*http.Request) []byte) Option {
	mustHave(find != nil, "ClientCertificate needs a function")
	return func(g *gate) { g.certificate = find }
}

// RequireBound refuses tokens that are not bound to a key with DPoP or a
// certificate (RFC 9449, RFC 8705), so that a stolen token cannot be used.
func RequireBound() Option {
	return func(g *gate) { g.boundOnly = true }
}

// OnRefusal is called for each refused request with the full diagnosis, which
// may contain claims but never the token. It is called before the response is
// sent. If the token is valid but does not allow the request, [FromContext]
// returns it; [RouteFromContext] returns the route.
func OnRefusal(f func(*http.Request, *diagnosis.Diagnosis)) Option {
	return func(g *gate) { g.refused = f }
}

// RefusalBody creates the body of refusals, for an API whose errors have a different
// format. It does not change the status and the headers.
func RefusalBody(encode func(*http.Request, problem.Problem) (contentType string, body []byte)) Option {
	mustHave(encode != nil, "RefusalBody needs a function")
	return func(g *gate) { g.body = encode }
}

// OnAccept is called for each accepted request, before the handler, with the
// context for [FromContext] and [RouteFromContext]. It is for metrics and
// traces.
func OnAccept(f func(*http.Request)) Option {
	return func(g *gate) { g.accepted = f }
}

// Logger logs each refusal with the full diagnosis and never with the token, at
// level Info, or at level Warn if the token could not be checked.
func Logger(l *slog.Logger) Option {
	return func(g *gate) { g.log = l }
}

// Require returns middleware that accepts a request only if it has an access
// token that v accepts and that meets the options. Require and the options
// panic if a required argument is missing, because such a program would protect
// nothing.
func Require(v Verifier, options ...Option) func(http.Handler) http.Handler {
	g := newGate(v, options)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			v := g.check(r)
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

// RequireScope returns middleware that requires additional scopes for some
// handlers inside a [Require]. Without a surrounding Require, every response is
// a 500.
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

// FromContext returns the token of the accepted request, or false on a public
// route. Its claims cannot be changed.
func FromContext(ctx context.Context) (*token.Token, bool) {
	a, ok := ctx.Value(contextKey{}).(*admitted)
	if !ok || a.token == nil {
		return nil, false
	}
	return a.token, true
}

// RouteFromContext returns the pattern of the route with which a [Policy]
// accepted or refused the request, as a label for metrics and logs. It is ""
// without a policy and for an unlisted route.
func RouteFromContext(ctx context.Context) string {
	a, ok := ctx.Value(contextKey{}).(*admitted)
	if !ok {
		return ""
	}
	return a.pattern
}

type contextKey struct{}

// admitted is the context of an accepted request. It holds all its values in
// one allocation.
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
