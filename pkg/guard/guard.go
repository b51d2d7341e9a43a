// Package guard protects an API that does not check requests itself. It is a
// reverse proxy that accepts what a policy allows (RFC 6750) and passes the
// caller's identity in headers. [Handler.ForwardAuth] performs the same check for
// another proxy.
//
// Start with [New]. The [Handler] serves the API, [Handler.Admin] serves health and
// metrics at a separate address, [Handler.Watch] reloads a policy file when it
// changes, and [Server] runs it and stops gracefully.
//
// It forwards the request target unchanged, exactly as it was checked, and removes
// everything that a client could use to impersonate another: headers with an
// identity in any spelling, headers that change the method or path, and the token
// itself. The API must not be reachable in any other way. The package does not
// terminate TLS or limit rates.
package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// Config configures a guard. Upstream, Policy and Keys are required; the zero
// value of the other fields is safe.
type Config struct {
	// Upstream is the API's own URL. Its path is prepended to that of each
	// request. Use [ParseUpstream] for it and for the Transport.
	Upstream  *url.URL
	Transport http.RoundTripper // nil means a transport of the guard
	// PassHost sends the client's Host to the API instead of the upstream's own.
	PassHost bool
	Policy   *policy.Policy
	// OnPolicy is called with each policy before it is used, the first one too, for
	// what else depends on it, such as the verifier in Opaque. After an error the
	// old policy remains in use. Nil calls nothing.
	OnPolicy func(*policy.Policy) error
	// Getenv returns the variables of a policy file that is read again, see
	// [policyfile.Source.Policy]. If nil, there are none.
	Getenv func(name string) string
	// Keys verifies the tokens of the policy's issuer. KeysOf returns the keys
	// of each issuer of a policy with several, and replaces Keys.
	Keys   KeySet
	KeysOf func(policy.Trust) (KeySet, error)
	// Resource is the public URL of the API. With it, the guard serves the
	// API's metadata (RFC 9728), with the other members from Metadata. ""
	// disables it.
	Resource   string
	Metadata   bearer.Metadata
	Revocation bearer.RevocationChecker // nil checks none
	Logout     *Logout                  // nil receives no logout tokens
	// Ready lists additional conditions of /readyz by name: what is needed so that
	// requests do not get 503.
	Ready map[string]func(context.Context) error
	// Values are further metrics.
	Values []Value
	// Verifier holds options for verifying tokens. The policy overrides them.
	// CacheTokens applies to requests and to open streams.
	Verifier token.Options
	// Opaque verifies the tokens that are not JWTs; nil refuses them.
	Opaque bearer.Verifier
	// Carriers lists where a token may be, other than in Authorization.
	Carriers Carriers
	// Bearer are further options for the middleware; refusals are logged by Log.
	Bearer []bearer.Option
	// ForwardToken passes the token on to the API.
	ForwardToken bool
	// AllowNoSubject accepts tokens without sub, whose callers the API cannot
	// distinguish.
	AllowNoSubject bool
	ClaimHeaders   []ClaimHeader
	RemoveHeaders  []string // additional headers that the API must not receive
	// TrustedProxies are the addresses whose forwarding header fields count.
	TrustedProxies []netip.Prefix
	// ProxyHeaders are fields of trusted proxies that [Handler.ForwardAuth] accepts
	// although they could pass for an identity, such as Client-Cert.
	ProxyHeaders []string
	// BodyTimeout is the maximum time between two bytes of a body; 0 means a
	// minute. MaxBody is the size limit of a body in bytes; 0 means none.
	BodyTimeout time.Duration
	MaxBody     int64
	// Recheck is the interval at which the token of an open stream is checked; 0
	// means five seconds.
	Recheck time.Duration
	Log     *slog.Logger // nil logs nothing
	// Requests selects the requests to log.
	Requests Requests
	// Service is logged with each request, to distinguish several guards.
	Service string
}

// Handler is the guard. It is safe for concurrent use.
type Handler struct {
	config   Config
	fields   fields
	trusted  proxies
	proxy    *httputil.ReverseProxy
	current  atomic.Pointer[rules]
	draining atomic.Bool
	metrics  metrics
}

// rules are a policy and its derived values. They are replaced as a whole.
type rules struct {
	policy   *policy.Policy
	keys     map[string]KeySet // by issuer
	verifier bearer.Verifier
	proxied  http.Handler   // checks and forwards
	answered http.Handler   // checks and returns 200, for [Handler.ForwardAuth]
	metadata *http.ServeMux // nil without a Resource
	logout   http.Handler   // nil without a Logout
	loaded   time.Time
}

// New returns a guard, or an error if the configuration would protect nothing.
func New(c Config) (*Handler, error) {
	switch {
	case c.Upstream != nil && (c.Upstream.Host == "" || c.Upstream.Scheme != "http" && c.Upstream.Scheme != "https"):
		return nil, errors.New("guard: expected an http or https URL of the API")
	case c.Upstream != nil && c.Upstream.User != nil:
		return nil, errors.New("guard: the URL of the API has a user or a password, which would not be sent")
	case c.Policy == nil || c.Keys == nil && c.KeysOf == nil:
		return nil, errors.New("guard: a policy and keys are needed")
	}
	c.setDefaults()
	own := slices.Clone(c.RemoveHeaders)
	for _, ch := range c.ClaimHeaders {
		if err := ch.check(); err != nil {
			return nil, err
		}
		own = append(own, ch.Header)
	}
	h := &Handler{config: c, fields: newFields(own), trusted: c.TrustedProxies}
	h.metrics.init()
	h.proxy = &httputil.ReverseProxy{
		Rewrite: h.rewrite, Transport: c.Transport, ModifyResponse: h.answering, ErrorHandler: h.unreachable, BufferPool: &buffers{},
		ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
	}
	if err := h.SetPolicy(c.Policy); err != nil {
		return nil, err
	}
	return h, nil
}

func (c *Config) setDefaults() {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Verifier.Now == nil {
		c.Verifier.Now = time.Now
	}
	if c.Transport == nil {
		c.Transport = newTransport(TransportOptions{})
	}
	if c.Recheck <= 0 {
		c.Recheck = 5 * time.Second
	}
}

// SetPolicy replaces the policy for new requests. After an error, the old one
// remains in use. Issuers and their key sets cannot change, because the keys are
// those of the first policy.
func (h *Handler) SetPolicy(p *policy.Policy) error {
	old := h.current.Load()
	if old != nil {
		if err := sameKeys(old.policy, p); err != nil {
			return err
		}
	}
	p = p.WithClock(h.config.Verifier.Now)
	sources := map[string]KeySet{}
	verifier, err := p.VerifierOf(func(one policy.Trust) (token.KeySet, error) {
		set, err := h.keysOf(old, one)
		sources[one.Issuer] = set
		return set, err
	}, h.config.Verifier)
	if err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	x := &rules{policy: p, keys: sources, verifier: either{verifier, h.config.Opaque}, loaded: h.config.Verifier.Now()}
	options := slices.Clone(h.config.Bearer)
	if h.config.Resource != "" {
		place, err := x.makeMetadata(h.config)
		if err != nil {
			return err
		}
		options = append(options, bearer.ResourceMetadata(place))
	}
	if h.config.Logout != nil {
		if x.logout, err = x.makeLogout(*h.config.Logout, h.config.Verifier); err != nil {
			return err
		}
	}
	if h.config.Revocation != nil {
		options = append(options, bearer.Revocation(h.config.Revocation))
	}
	options = append(options, bearer.Policy(p), bearer.OnRefusal(noteRefusal))
	protect := bearer.Require(x.verifier, options...)
	x.proxied = protect(http.HandlerFunc(h.forward))
	x.answered = protect(http.HandlerFunc(h.answer))
	if h.config.OnPolicy != nil {
		if err := h.config.OnPolicy(p); err != nil {
			return fmt.Errorf("guard: %w", err)
		}
	}
	h.metrics.addRoutes(p.Patterns())
	h.current.Store(x)
	return nil
}

// sameKeys returns an error if a new policy needs other keys.
func sameKeys(old, p *policy.Policy) error {
	if !slices.Equal(issuers(old), issuers(p)) {
		return fmt.Errorf("guard: the issuer cannot change from %q to %q without a restart", strings.Join(issuers(old), ", "), strings.Join(issuers(p), ", "))
	}
	for i, one := range p.Trusted {
		if one.JWKS != old.Trusted[i].JWKS { // not shown: a variable in it may be a secret
			return fmt.Errorf("guard: jwks of the issuer %q cannot change without a restart", one.Issuer)
		}
	}
	return nil
}

func issuers(p *policy.Policy) []string {
	var all []string
	for _, one := range p.Trusted {
		all = append(all, one.Issuer)
	}
	return all
}

// keysOf returns the keys of an issuer; those in use stay.
func (h *Handler) keysOf(old *rules, one policy.Trust) (KeySet, error) {
	if old != nil {
		return old.keys[one.Issuer], nil
	}
	if h.config.KeysOf != nil {
		return h.config.KeysOf(one)
	}
	return h.config.Keys, nil
}

func (x *rules) makeMetadata(c Config) (string, error) {
	m := c.Metadata
	m.Resource, m.AuthorizationServers = c.Resource, issuers(x.policy)
	if m.ScopesSupported == nil {
		m.ScopesSupported = x.policy.Scopes()
	}
	if m.AuthorizationDetailsTypesSupported == nil {
		m.AuthorizationDetailsTypesSupported = x.policy.DetailTypes()
	}
	place, err := m.URL()
	if err != nil {
		return "", fmt.Errorf("guard: %w", err)
	}
	x.metadata = http.NewServeMux()
	if err := m.Handle(x.metadata); err != nil {
		return "", fmt.Errorf("guard: %w", err)
	}
	return place, nil
}

// ServeHTTP checks a request and forwards or refuses it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := h.begin(r)
	if h.config.MaxBody > 0 && r.ContentLength != 0 {
		copied := *r
		copied.Body = http.MaxBytesReader(w, r.Body, h.config.MaxBody)
		r = &copied
	}
	r, n.body = boundBody(w, r, h.config.BodyTimeout)
	n.recorder = recorder{ResponseWriter: w, body: n.body}
	// Deferred, because a proxy ends an incomplete response with a panic.
	defer h.end(r, n)
	r = r.WithContext(n)
	r, carried := h.config.Carriers.find(r)
	w = &n.recorder
	w.Header()["X-Request-Id"] = []string{n.id}
	switch x := n.rules; {
	case !sameTarget(r):
		n.refuse(&diagnosis.Diagnosis{ID: diagnosis.PathAmbiguous})
		problem(w, http.StatusBadRequest, "the request target can be interpreted in more than one way", diagnosis.PathAmbiguous)
	case !carried:
		n.refuse(&diagnosis.Diagnosis{ID: diagnosis.CredentialsInvalid, Expected: diagnosis.Text("a token in one place"), Got: diagnosis.Text("several")})
		problem(w, http.StatusBadRequest, "the request has a token in several places", diagnosis.CredentialsInvalid)
	case h.config.MaxBody > 0 && r.ContentLength > h.config.MaxBody:
		n.decision = "refused"
		problem(w, http.StatusRequestEntityTooLarge, "the body is too large", "")
	case x.metadata != nil && isMetadata(r.URL.Path):
		n.decision = "metadata"
		x.metadata.ServeHTTP(w, r)
	case h.isLogout(r):
		x.logout.ServeHTTP(w, r)
	case isPreflight(r) && x.passes(r, n):
		n.decision = "preflight"
		h.proxy.ServeHTTP(w, r)
	default:
		x.proxied.ServeHTTP(w, r)
	}
}

// sameTarget reports whether the proxy will write the target without changes.
// Characters that must be encoded again can be interpreted in more than one
// way.
func sameTarget(r *http.Request) bool {
	target := r.RequestURI
	if target == "" {
		return true
	}
	if r.URL.Host != "" { // the absolute form (RFC 9112, section 3.2.2)
		_, rest, _ := strings.Cut(target, "://")
		i := strings.IndexAny(rest, "/?")
		if i < 0 || rest[i] == '?' {
			return false
		}
		target = rest[i:]
	}
	path, query, has := strings.Cut(target, "?")
	return path == r.URL.EscapedPath() && query == r.URL.RawQuery && has == (r.URL.ForceQuery || r.URL.RawQuery != "")
}

func isMetadata(path string) bool {
	rest, ok := strings.CutPrefix(path, "/.well-known/oauth-protected-resource")
	return ok && (rest == "" || rest[0] == '/')
}

// isPreflight recognises the preflight request of a browser (Fetch Standard,
// section 3.2). It never has a token, a body or another protocol.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.ContentLength == 0 && len(r.TransferEncoding) == 0 &&
		r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != "" &&
		r.Header["Upgrade"] == nil && r.Header["Http2-Settings"] == nil
}

// passes reports whether to accept the preflight request of a listed route. A
// route for OPTIONS in the policy takes precedence.
func (x *rules) passes(r *http.Request, n *note) bool {
	if m, err := x.policy.Match(http.MethodOptions, r.URL); err != nil || m.Listed {
		return false
	}
	m, err := x.policy.Match(r.Header.Get("Access-Control-Request-Method"), r.URL)
	n.route = m.Pattern
	return err == nil && m.Listed
}

// forward passes a request that was allowed on to the API.
func (h *Handler) forward(w http.ResponseWriter, r *http.Request) {
	n := noteOf(r)
	n.route = bearer.RouteFromContext(r.Context())
	t, known := bearer.FromContext(r.Context())
	if !known {
		n.decision = "public"
		t = nil
	} else if !h.introduce(w, n, t) {
		return
	}
	life := h.supervise(r, t, n.cancel)
	defer func() {
		life.end()
		n.cut, n.ended = endOf(n)
	}()
	h.proxy.ServeHTTP(w, r)
}
