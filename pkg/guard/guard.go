// Package guard protects an API that checks nothing itself: a reverse proxy that
// lets through what a policy allows (RFC 6750), and says who asks in header
// fields. [Handler.ForwardAuth] is the same check for a proxy of another make.
//
// Start with [New]; the [Handler] serves the API, [Handler.Admin] health and
// metrics for an address of their own, [Handler.Watch] takes over a policy file
// when it changes, and [Server] runs it and stops gracefully.
//
// It forwards the request target byte for byte as it was checked, and removes
// whatever a client could use to look like another one: header fields that name
// an identity in every spelling, fields that change the method or path, and the
// token itself. The API must not be reachable in any other way. The package ends
// no TLS and limits no rates.
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

// Config is what a guard needs to know. Upstream, Policy and Keys are needed;
// the zero value of the rest is the safe choice.
type Config struct {
	// Upstream is the API's own URL; a path in it goes before each request's. Use
	// [ParseUpstream] for it and for the Transport.
	Upstream  *url.URL
	Transport http.RoundTripper // nil means one of the guard's own
	// PassHost sends the client's Host to the API instead of the upstream's own.
	PassHost bool
	Policy   *policy.Policy
	// Getenv returns the variables of a policy file that is read again (see
	// [policyfile.Source.Policy]); nil knows none.
	Getenv func(name string) string
	// Keys verify the tokens of the policy's issuer; KeysOf returns the keys of
	// each issuer of a policy with several, and takes the place of Keys.
	Keys   KeySet
	KeysOf func(policy.Trust) (KeySet, error)
	// Resource is the URL under which clients know the API; with it the guard
	// serves the API's metadata (RFC 9728). "" serves none. Metadata holds its
	// other members.
	Resource   string
	Metadata   bearer.Metadata
	Revocation bearer.RevocationChecker // nil checks none
	// Ready are further conditions of /readyz, by name: what a request needs to be
	// answered with anything but 503.
	Ready map[string]func(context.Context) error
	// Values are further metrics.
	Values []Value
	// Verifier are options for verifying tokens; what the policy says comes first.
	// CacheTokens is used for requests and for open streams.
	Verifier token.Options
	// Opaque verifies the tokens that are not JWTs; nil refuses them.
	Opaque bearer.Verifier
	// Carriers say where else than in Authorization a token may be.
	Carriers Carriers
	// Bearer are further options for the middleware; refusals are logged by Log.
	Bearer []bearer.Option
	// ForwardToken passes the token on to the API.
	ForwardToken bool
	// AllowNoSubject accepts tokens without sub, which the API cannot tell apart.
	AllowNoSubject bool
	ClaimHeaders   []ClaimHeader
	RemoveHeaders  []string // further fields of a client that the API must not see
	// TrustedProxies are the addresses whose forwarding header fields count.
	TrustedProxies []netip.Prefix
	// ProxyHeaders are fields of trusted proxies that [Handler.ForwardAuth] accepts
	// although they could pass for an identity, such as Client-Cert.
	ProxyHeaders []string
	// BodyTimeout is how long a client may leave between two bytes of a body; 0
	// means a minute. MaxBody bounds a body in bytes; 0 does not.
	BodyTimeout time.Duration
	MaxBody     int64
	// Recheck is how often the token of an open stream is checked again; 0 means
	// five seconds.
	Recheck time.Duration
	Log     *slog.Logger // nil logs nothing
	// Requests says which requests Log gets.
	Requests Requests
	// Service is logged with each request, to tell several guards apart.
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

// rules are a policy and what was made of it, exchanged as a whole.
type rules struct {
	policy   *policy.Policy
	keys     map[string]KeySet // by issuer
	verifier bearer.Verifier
	proxied  http.Handler   // checks and forwards
	answered http.Handler   // checks and answers 200, for [Handler.ForwardAuth]
	metadata *http.ServeMux // nil without a Resource
	loaded   time.Time
}

// New returns a guard. It errs on a configuration that could protect nothing.
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

// SetPolicy replaces the policy in use, for requests that come from now on. On
// an error the old one stays. The issuer cannot change, since the keys are the
// issuer's.
func (h *Handler) SetPolicy(p *policy.Policy) error {
	old := h.current.Load()
	if old != nil && !slices.Equal(issuers(old.policy), issuers(p)) {
		return fmt.Errorf("guard: the issuer cannot change from %q to %q without a restart", old.policy.Issuer, p.Issuer)
	}
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
	if h.config.Revocation != nil {
		options = append(options, bearer.Revocation(h.config.Revocation))
	}
	options = append(options, bearer.Policy(p), bearer.OnRefusal(noteRefusal))
	protect := bearer.Require(x.verifier, options...)
	x.proxied = protect(http.HandlerFunc(h.forward))
	x.answered = protect(http.HandlerFunc(h.answer))
	h.metrics.addRoutes(p.Patterns())
	h.current.Store(x)
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

// ServeHTTP checks a request and forwards it, or answers it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := h.begin(r)
	if h.config.MaxBody > 0 && r.ContentLength != 0 {
		copied := *r
		copied.Body = http.MaxBytesReader(w, r.Body, h.config.MaxBody)
		r = &copied
	}
	r, n.body = boundBody(w, r, h.config.BodyTimeout)
	n.recorder = recorder{ResponseWriter: w, body: n.body}
	// Deferred, since a proxy ends a broken answer with a panic.
	defer h.end(r, n)
	r = r.WithContext(n)
	r, carried := h.config.Carriers.find(r)
	w = &n.recorder
	w.Header()["X-Request-Id"] = []string{n.id}
	switch x := n.rules; {
	case !sameTarget(r):
		n.refuse(&diagnosis.Diagnosis{ID: diagnosis.PathAmbiguous})
		problem(w, http.StatusBadRequest, "the request target could be read in more than one way", diagnosis.PathAmbiguous)
	case !carried:
		n.refuse(&diagnosis.Diagnosis{ID: diagnosis.CredentialsInvalid, Expected: diagnosis.Text("a token in one place"), Got: diagnosis.Text("several")})
		problem(w, http.StatusBadRequest, "the request has a token in several places", diagnosis.CredentialsInvalid)
	case h.config.MaxBody > 0 && r.ContentLength > h.config.MaxBody:
		n.decision = "refused"
		problem(w, http.StatusRequestEntityTooLarge, "the body is too large", "")
	case x.metadata != nil && isMetadata(r.URL.Path):
		n.decision = "metadata"
		x.metadata.ServeHTTP(w, r)
	case isPreflight(r) && x.passes(r, n):
		n.decision = "preflight"
		h.proxy.ServeHTTP(w, r)
	default:
		x.proxied.ServeHTTP(w, r)
	}
}

// sameTarget reports whether the target is written as the proxy will write it,
// byte by byte: what a URL cannot hold without being encoded anew has more than
// one reading.
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

// isPreflight recognizes the question that a browser asks before a request from
// another site (Fetch Standard, section 3.2): it never has a token, a body or
// another protocol.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.ContentLength == 0 && len(r.TransferEncoding) == 0 &&
		r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != "" &&
		r.Header["Upgrade"] == nil && r.Header["Http2-Settings"] == nil
}

// passes lets the preflight of a listed route through, unless the policy has a
// route for OPTIONS itself.
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
