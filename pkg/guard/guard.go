// Package guard protects an API that checks nothing itself: a reverse proxy that
// lets through what a policy allows (RFC 6750), and tells the API who asks.
//
// Start with [New]; the [Handler] serves the API, [Handler.Admin] health and
// metrics for an address of their own, [Handler.Watch] takes over a policy file
// when it changes, and [Serve] runs a server that stops gracefully.
//
// It forwards exactly the path that it judged, and takes away whatever a client
// could use to look like another one: X-Auth headers in every spelling, headers
// that change the method or path, and the token itself. The API must not be
// reachable in any other way. The package ends no TLS and limits no rates.
package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// Config is what a guard needs to know. Upstream, Policy and Keys are needed;
// the zero value of the rest is the safe choice.
type Config struct {
	// Upstream is the API's own URL; a path in it goes before each request's.
	Upstream *url.URL
	Policy   *policy.Policy
	Keys     KeySet
	// Resource is the URL under which clients know the API; with it the guard
	// serves the API's metadata (RFC 9728). "" serves none.
	Resource   string
	Revocation bearer.RevocationChecker // nil checks none
	// Verifier are options for judging tokens; the policy has its say first.
	Verifier token.Options
	// Bearer are further options for the middleware; what it refuses is told by
	// Log.
	Bearer []bearer.Option
	// ForwardToken hands the token on to the API.
	ForwardToken bool
	Log          *slog.Logger      // nil logs nothing
	Transport    http.RoundTripper // to the API; nil means one of the guard's own
}

// KeySet is a key set whose readiness and state the guard reports. [jwks.Set] and
// [jwks.Remote] are key sets.
type KeySet interface {
	token.KeySet
	// Ready returns nil once there are keys to verify tokens with; it fetches
	// them if necessary, within ctx.
	Ready(ctx context.Context) error
	State() jwks.State
}

// Handler is the guard. It is safe for concurrent use.
type Handler struct {
	config   Config
	proxy    *httputil.ReverseProxy
	current  atomic.Pointer[rules]
	metadata *http.ServeMux // nil without a Resource
	metrics  metrics
}

// rules are a policy and what was made of it, exchanged as a whole.
type rules struct {
	policy  *policy.Policy
	guarded http.Handler
	loaded  time.Time
}

// New returns a guard. It errs on a configuration that could protect nothing.
func New(c Config) (*Handler, error) {
	switch {
	case c.Upstream == nil || c.Upstream.Host == "" || c.Upstream.Scheme != "http" && c.Upstream.Scheme != "https":
		return nil, errors.New("guard: expected an http or https URL of the API")
	case c.Policy == nil || c.Keys == nil:
		return nil, errors.New("guard: a policy and keys are needed")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Verifier.Now == nil {
		c.Verifier.Now = time.Now
	}
	if c.Transport == nil {
		c.Transport = newTransport()
	}
	h := &Handler{config: c}
	h.proxy = &httputil.ReverseProxy{
		Rewrite: h.rewrite, Transport: c.Transport, ModifyResponse: endStream, ErrorHandler: h.unreachable,
		ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
	}
	if err := h.SetPolicy(c.Policy); err != nil {
		return nil, err
	}
	return h, nil
}

// newTransport hands on what it gets as it is, and waits as long as the API
// takes: an answer may be a stream.
func newTransport() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy, t.DisableCompression, t.MaxIdleConnsPerHost = nil, true, 256
	return t
}

// SetPolicy puts p in the place of the policy in use, for requests that come
// from now on. On an error the old one stays. The issuer cannot change, since
// the keys are the issuer's.
func (h *Handler) SetPolicy(p *policy.Policy) error {
	if old := h.current.Load(); old != nil && old.policy.Issuer != p.Issuer {
		return fmt.Errorf("guard: the issuer cannot change from %q to %q without a restart", old.policy.Issuer, p.Issuer)
	}
	verifier, err := p.Verifier(h.config.Keys, h.config.Verifier)
	if err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	options := slices.Clone(h.config.Bearer)
	if h.config.Resource != "" {
		place, err := h.serveMetadata(p)
		if err != nil {
			return err
		}
		options = append(options, bearer.ResourceMetadata(place))
	}
	if h.config.Revocation != nil {
		options = append(options, bearer.Revocation(h.config.Revocation))
	}
	options = append(options, bearer.Policy(p), bearer.OnRefusal(noteRefusal))
	guarded := bearer.Require(verifier, options...)(http.HandlerFunc(h.forward))
	h.current.Store(&rules{p, guarded, h.config.Verifier.Now()})
	return nil
}

// serveMetadata makes the API's metadata once; the scopes of a later policy are
// told after a restart.
func (h *Handler) serveMetadata(p *policy.Policy) (string, error) {
	m := bearer.Metadata{Resource: h.config.Resource, AuthorizationServers: []string{p.Issuer}, ScopesSupported: p.Scopes()}
	place, err := m.URL()
	if err != nil {
		return "", fmt.Errorf("guard: %w", err)
	}
	if h.metadata == nil {
		mux := http.NewServeMux()
		if err := m.Handle(mux); err != nil {
			return "", fmt.Errorf("guard: %w", err)
		}
		h.metadata = mux
	}
	return place, nil
}

// ServeHTTP judges a request and forwards it, or answers it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	n := &note{rules: h.current.Load(), decision: "allowed"}
	recorder := &recorder{ResponseWriter: w}
	h.metrics.underway.Add(1)
	// Deferred, since a proxy ends a broken answer with a panic.
	defer func() {
		h.metrics.underway.Add(-1)
		h.tell(r, recorder, n, time.Since(began))
	}()
	r = r.WithContext(context.WithValue(r.Context(), noteKey{}, n))
	switch {
	case h.metadata != nil && isMetadata(r.URL.Path):
		n.decision = "metadata"
		h.metadata.ServeHTTP(recorder, r)
	case isPreflight(r) && n.rules.passes(r):
		n.decision = "preflight"
		h.proxy.ServeHTTP(recorder, r)
	default:
		n.rules.guarded.ServeHTTP(recorder, r)
	}
}

func isMetadata(path string) bool {
	rest, ok := strings.CutPrefix(path, "/.well-known/oauth-protected-resource")
	return ok && (rest == "" || rest[0] == '/')
}

// isPreflight tells the question that a browser asks before a request from
// another site (Fetch Standard, section 3.2): it never carries a token or a body.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.ContentLength == 0 && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// passes lets the preflight of a listed route through, unless the policy has a
// route for OPTIONS itself.
func (x *rules) passes(r *http.Request) bool {
	if _, _, own := x.policy.Route(http.MethodOptions, r.URL); own {
		return false
	}
	_, _, listed := x.policy.Route(r.Header.Get("Access-Control-Request-Method"), r.URL)
	return listed
}

// forward hands a request that was let through to the API, until its token
// expires.
func (h *Handler) forward(w http.ResponseWriter, r *http.Request) {
	n, _ := r.Context().Value(noteKey{}).(*note)
	t, ok := bearer.FromContext(r.Context())
	if !ok {
		n.decision = "public"
		h.proxy.ServeHTTP(w, r)
		return
	}
	n.knows(t)
	if !fitsHeader(t.Subject()) {
		// The API would read another subject than the token's, or none.
		n.refuse(&diagnosis.Diagnosis{ID: diagnosis.ClaimInvalid, Expected: diagnosis.Values{"a sub that a header field can hold"}, Got: diagnosis.Values{t.Subject()}})
		problem(w, http.StatusForbidden, "the subject of the token cannot be told to the API", diagnosis.ClaimInvalid)
		return
	}
	left := t.Expiry().Add(h.config.Verifier.Leeway).Sub(h.config.Verifier.Now())
	ctx, cancel := context.WithTimeout(r.Context(), left)
	defer cancel()
	h.proxy.ServeHTTP(w, r.WithContext(ctx))
}

// fitsHeader reports whether a text arrives as it is in a header field (RFC
// 9110, section 5.5).
func fitsHeader(text string) bool {
	return strings.TrimSpace(text) == text && !strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == '\x7f' })
}

// rewrite makes the request that the API sees. It runs after the proxy took away
// the headers that Connection names, so that no client can name ours.
func (h *Handler) rewrite(p *httputil.ProxyRequest) {
	p.SetURL(h.config.Upstream)
	p.Out.Trailer = nil
	// Any other protocol (h2c) would carry requests that nobody judged.
	if !strings.EqualFold(p.Out.Header.Get("Upgrade"), "websocket") {
		p.Out.Header.Del("Upgrade")
		p.Out.Header.Del("Connection")
		p.Out.Header.Del("Http2-Settings")
	}
	for name := range p.Out.Header {
		if h.takesAway(name) {
			delete(p.Out.Header, name)
		}
	}
	p.SetXForwarded()
	if t, ok := bearer.FromContext(p.In.Context()); ok {
		n, _ := p.In.Context().Value(noteKey{}).(*note)
		p.Out.Header.Set("X-Auth-Subject", t.Subject())
		p.Out.Header.Set("X-Auth-Scope", strings.Join(n.rules.scopes(t), " "))
	}
}

// scopes are those that a header field can hold, which is all that RFC 6749,
// section 3.3, allows.
func (x *rules) scopes(t *token.Token) []string {
	return slices.DeleteFunc(t.Scopes(x.policy.ScopeClaims...), func(scope string) bool {
		return !fitsHeader(scope) || strings.Contains(scope, " ")
	})
}

// takesAway reports whether a client's header must not reach the API: it could
// pass for what the guard says, or make another request of the one that was
// judged. Many servers read an underscore as a dash.
func (h *Handler) takesAway(name string) bool {
	name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
	switch name {
	case "authorization", "dpop":
		return !h.config.ForwardToken
	case "x-auth", "forwarded", "x-real-ip", "remote-user", "x-remote-user",
		"x-http-method-override", "x-http-method", "x-method-override", "x-original-url", "x-original-uri", "x-rewrite-url":
		return true
	}
	return strings.HasPrefix(name, "x-auth-") || strings.HasPrefix(name, "x-forwarded-")
}

// unreachable answers for an API that does not.
func (h *Handler) unreachable(w http.ResponseWriter, r *http.Request, err error) {
	n, _ := r.Context().Value(noteKey{}).(*note)
	n.err = err
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		problem(w, http.StatusGatewayTimeout, "the token expired before the API answered", diagnosis.Timeout)
	case errors.Is(err, context.Canceled):
		w.WriteHeader(statusClientGone)
	default:
		problem(w, http.StatusBadGateway, "the API behind cannot be reached", diagnosis.Unreachable)
	}
}

// statusClientGone is what logs of proxies show for a client that did not wait.
const statusClientGone = 499

func problem(w http.ResponseWriter, status int, detail string, id diagnosis.ID) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	fmt.Fprintf(w, "{\"title\":%q,\"status\":%d,\"detail\":%q,\"id\":%q}\n", http.StatusText(status), status, detail, id)
}
