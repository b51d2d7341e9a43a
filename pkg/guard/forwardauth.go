package guard

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// Gateway is how a gateway describes the request to check. The zero value
// accepts the headers of nginx and Traefik.
type Gateway string

// Gateways that [Handler.ForwardAuth] supports.
const (
	AnyGateway Gateway = ""
	Nginx      Gateway = "nginx"   // X-Original-Method and X-Original-URI, as configured for auth_request
	Traefik    Gateway = "traefik" // X-Forwarded-Method and X-Forwarded-Uri
	Caddy      Gateway = "caddy"   // as Traefik; identity headers are empty where there is no caller
	Envoy      Gateway = "envoy"   // the method and path of the request itself (ext_authz over HTTP)
)

// ForwardAuth is a handler for a proxy that sends a subrequest before it forwards
// a request. The response is 200 with the caller's identity in headers, or the
// refusal. Only trusted proxies may use it. The proxy must replace headers of the
// client that have these names. A request with headers that an API could accept
// as an identity, in any spelling, is refused, because they cannot be removed
// here.
func (h *Handler) ForwardAuth(g Gateway) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.isLogout(r) && r.Method == http.MethodPost && !h.isCheck(g, r) {
			h.ServeHTTP(w, r) // it was sent to the guard itself
			return
		}
		asked, err := h.asked(g, r)
		asked, carried := h.config.Carriers.find(asked)
		if err == nil && !carried {
			err = errTwoTokens
		}
		n := h.begin(asked)
		n.gateway = g
		n.recorder = recorder{ResponseWriter: w}
		defer h.end(asked, n)
		w = &n.recorder
		w.Header()["X-Request-Id"] = []string{n.id}
		switch {
		case err != nil:
			n.refuse(&diagnosis.Diagnosis{ID: diagnosis.PathAmbiguous, Err: err})
			problem(w, http.StatusForbidden, err.Error(), diagnosis.PathAmbiguous)
		case isPreflight(asked) && n.rules.passes(asked, n):
			n.decision = "preflight"
			h.allow(w, n)
		default:
			n.rules.answered.ServeHTTP(w, asked.WithContext(n))
		}
	})
}

// answer allows a request, with the caller's identity.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request) {
	n := noteOf(r)
	n.route = bearer.RouteFromContext(r.Context())
	if t, known := bearer.FromContext(r.Context()); !known {
		n.decision = "public"
	} else if !h.introduce(w, n, t) {
		return
	}
	h.allow(w, n)
}

// allow answers with the caller's identity. Caddy 2.6 copies a header that is
// missing as the text of its placeholder, and the API would read that as a caller.
func (h *Handler) allow(w http.ResponseWriter, n *note) {
	if n.gateway == Caddy {
		for _, name := range []string{headerSubject, headerScope, headerIssuer, headerClientID} {
			w.Header()[name] = []string{""}
		}
		for _, ch := range h.config.ClaimHeaders {
			w.Header()[http.CanonicalHeaderKey(ch.Header)] = []string{""}
		}
	}
	n.who.write(w.Header())
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}

var (
	errTwoTokens  = errors.New("the request has a token in several places")
	errNotTrusted = errors.New("only a trusted proxy may use this endpoint")
	errNoTarget   = errors.New("the proxy sent no method or no request target")
	errTwoTargets = errors.New("the request has two different targets")
	errTarget     = errors.New("the request target can be interpreted in more than one way")
	errImpostor   = errors.New("the request has a header field that could pass for an identity or another request")
)

// isCheck reports whether a request is about another request. Envoy sends the
// method and the path of a client's request as those of its own, so that each
// request from a trusted proxy is a check; the others send them in headers. A check
// without a usable target, such as one with a header twice, is refused later.
func (h *Handler) isCheck(g Gateway, r *http.Request) bool {
	sent := func(name string) bool { return len(r.Header[name]) > 0 }
	return h.trusted.trust(r) && (g == Envoy || slices.ContainsFunc(targetHeaders, sent))
}

// targetHeaders are the headers in which proxies send the method and the target of
// a request.
var targetHeaders = []string{"X-Original-Method", "X-Original-Uri", "X-Original-Url", "X-Forwarded-Method", "X-Forwarded-Uri"}

// asked returns the request that a proxy wants to have checked.
func (h *Handler) asked(g Gateway, r *http.Request) (*http.Request, error) {
	copied := *r
	copied.Body, copied.ContentLength, copied.TransferEncoding = http.NoBody, 0, nil
	if !h.trusted.trust(r) {
		return &copied, errNotTrusted
	}
	method, target, err := target(g, r)
	if err != nil {
		return &copied, err
	}
	u, err := url.ParseRequestURI(target)
	if err != nil || u.Host != "" || !strings.HasPrefix(target, "/") {
		return &copied, errNoTarget
	}
	copied.Method, copied.URL, copied.RequestURI = method, u, target
	if !sameTarget(&copied) {
		return &copied, errTarget
	}
	for name := range r.Header {
		if h.impersonates(g, name) {
			return &copied, errImpostor
		}
	}
	return &copied, nil
}

// target returns the method and the target in the headers of a proxy. Both must
// be from the same pair of headers. Two different pairs are refused, because a
// client could have sent one of them.
func target(g Gateway, r *http.Request) (method, target string, err error) {
	if g == Envoy {
		return r.Method, r.RequestURI, nil
	}
	original, forwarded := pair(r, "X-Original-Method", "X-Original-Uri", "X-Original-Url"), pair(r, "X-Forwarded-Method", "X-Forwarded-Uri", "")
	switch g {
	case Nginx:
		forwarded = [2]string{}
	case Traefik, Caddy:
		original = [2]string{}
	}
	switch {
	case original[1] != "" && forwarded[1] != "" && original != forwarded:
		return "", "", errTwoTargets
	case original[1] != "":
		forwarded = original
	}
	if forwarded[0] == "" || forwarded[1] == "" {
		return "", "", errNoTarget
	}
	return forwarded[0], forwarded[1], nil
}

func pair(r *http.Request, method, uri, other string) [2]string {
	one := func(name string) string {
		if values := r.Header[name]; len(values) == 1 {
			return values[0]
		}
		return ""
	}
	found := [2]string{one(method), one(uri)}
	if found[1] == "" && other != "" {
		found[1] = one(other)
	}
	return found
}

// impersonates reports whether the API could accept a header as an identity.
// The headers that the proxy itself sends are excepted.
func (h *Handler) impersonates(g Gateway, name string) bool {
	if slices.Contains(h.config.ProxyHeaders, name) {
		return false
	}
	switch h.fields.classOf(name) {
	case identity:
		return true
	case override:
		byNginx := (g == Nginx || g == AnyGateway) && strings.HasPrefix(name, "X-Original-")
		byEnvoy := g == Envoy && strings.HasPrefix(name, "X-Envoy-")
		return !isPlain(name) || !byNginx && !byEnvoy
	case forwarding, credential:
		return !isPlain(name)
	}
	return false
}
