package apicall

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/problem"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// Proxy is an http.Handler that adds the token of a [Client] to the requests of
// programs on this machine and forwards them to the API. Server-sent events and
// WebSockets are supported.
//
// Use it only on a loopback address. A web page cannot use it: a request with
// another Host, with the Origin of a page, or with a Sec-Fetch-Site other than none
// or same-origin gets a 403. A request whose path does not begin with the proxy's
// secret gets a 404.
type Proxy struct {
	base    *url.URL
	hosts   []string
	secret  secret.String
	page    string // the origin of the page that may use it
	explain func(error) string
	relay   *httputil.ReverseProxy
}

// ProxyOptions are the options of a proxy.
type ProxyOptions struct {
	// Open leaves the secret out of the proxy's URL: every program on this machine
	// can use it.
	Open bool
	// PageOrigin is the origin of the only web page that may use the proxy from
	// a browser, such as http://localhost:5173. It receives CORS headers.
	PageOrigin string
	// Explain returns the text of the response to a request that could not be
	// sent. If nil, it is the error's summary.
	Explain func(error) string
}

// NewProxy returns a proxy to the client's API that listens at address, an IP
// address with a port. The client's Source is called for each request, see
// [Recent].
func NewProxy(c *Client, address string, o ProxyOptions) (*Proxy, error) {
	base, err := c.base()
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || !safehttp.IsLoopback(host) {
		return nil, fmt.Errorf("a proxy listens on a loopback address, not on %.200q", address)
	}
	p := &Proxy{
		base: base, explain: o.Explain,
		hosts: []string{strings.ToLower(address), "127.0.0.1:" + port, "[::1]:" + port, "localhost:" + port},
	}
	if o.PageOrigin != "" {
		if p.page, err = pageOrigin(o.PageOrigin); err != nil {
			return nil, err
		}
	}
	if !o.Open {
		p.secret = secret.New(rand.Text())
	}
	connection := *c.HTTP
	connection.Patient = true // a stream lasts as long as it likes
	client := &Client{HTTP: &connection, Source: c.Source, API: c.API, AllowOrigins: c.AllowOrigins, NotRepeated: c.NotRepeated}
	p.relay = &httputil.ReverseProxy{
		Rewrite:        p.rewrite,
		Transport:      &attaching{c: client, owned: true},
		ModifyResponse: p.back,
		ErrorHandler:   p.fail,
		BufferPool:     &buffers{},
		ErrorLog:       slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	return p, nil
}

// pageOrigin reads an origin as a browser writes it.
func pageOrigin(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return "", fmt.Errorf("expected the origin of a web page such as http://localhost:5173, got %.200q", text)
	}
	return safehttp.Origin(u), nil
}

// buffers holds buffers for copying responses.
type buffers struct{ pool sync.Pool }

// Get implements [httputil.BufferPool].
func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[]byte); ok {
		return *buffer
	}
	return make([]byte, 32<<10)
}

// Put implements [httputil.BufferPool].
func (b *buffers) Put(buffer []byte) { b.pool.Put(&buffer) }

// URL returns the API's URL for a program that uses the proxy. It contains the
// secret.
func (p *Proxy) URL() string { return "http://" + p.hosts[0] + p.prefix() }

func (p *Proxy) prefix() string {
	if p.secret.IsZero() {
		return ""
	}
	return "/" + p.secret.Reveal()
}

// ServeHTTP passes one request on.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !slices.Contains(p.hosts, strings.ToLower(r.Host)) || !p.mayUse(r) {
		problem.New(http.StatusForbidden, "only for programs on this machine").Write(w, r)
		return
	}
	rest, ok := p.inside(r.URL)
	if !ok {
		problem.New(http.StatusNotFound, "not below the address that the proxy printed").Write(w, r)
		return
	}
	if climbs(rest) {
		problem.New(http.StatusBadRequest, "the path has the segment . or ..").Write(w, r)
		return
	}
	page := p.fromPage(r)
	if page && r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
		p.preflight(w, r)
		return
	}
	p.relay.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), inward{}, passed{rest, page, r.Header.Get("Origin")})))
}

// inward is the context key for values that ServeHTTP passes on.
type inward struct{}

type passed struct {
	rest   *url.URL // the path after the secret
	page   bool     // from the page that may use the proxy
	origin string
}

// mayUse reports whether a request is from a program, or from a page that may
// use the proxy. A program that always sends Origin sends the proxy's origin.
func (p *Proxy) mayUse(r *http.Request) bool {
	if p.fromPage(r) {
		return true
	}
	site := r.Header.Get("Sec-Fetch-Site")
	if site != "" && site != "none" && site != "same-origin" {
		return false
	}
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return true
	}
	scheme, host, _ := strings.Cut(strings.ToLower(origins[0]), "://")
	return len(origins) == 1 && !p.secret.IsZero() && (scheme == "http" || scheme == "ws") && slices.Contains(p.hosts, host)
}

// fromPage reports whether a request is from the page that may use the proxy.
func (p *Proxy) fromPage(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	if p.page == "" || len(origins) != 1 {
		return false
	}
	origin, err := pageOrigin(origins[0])
	return err == nil && origin == p.page
}

// preflight answers the preflight request of a page.
func (p *Proxy) preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	h.Set("Access-Control-Allow-Methods", r.Header.Get("Access-Control-Request-Method"))
	if fields := r.Header.Get("Access-Control-Request-Headers"); fields != "" {
		h.Set("Access-Control-Allow-Headers", fields)
	}
	if r.Header.Get("Access-Control-Request-Private-Network") == "true" {
		h.Set("Access-Control-Allow-Private-Network", "true")
	}
	h.Set("Access-Control-Max-Age", "600")
	h.Add("Vary", "Origin")
	w.WriteHeader(http.StatusNoContent)
}

// inside returns the path after the secret. The proxy's URL corresponds to the
// API's URL, without a slash at the end.
func (p *Proxy) inside(u *url.URL) (*url.URL, bool) {
	escaped := u.EscapedPath()
	if p.secret.IsZero() {
		if escaped == "/" {
			escaped = ""
		}
	} else {
		first, rest, slash := strings.Cut(strings.TrimPrefix(escaped, "/"), "/")
		if !secret.New(first).Equal(p.secret) {
			return nil, false
		}
		escaped = rest
		if slash {
			escaped = "/" + rest
		}
	}
	decoded, err := url.PathUnescape(escaped)
	if err != nil || escaped != "" && escaped[0] != '/' {
		return nil, false
	}
	return &url.URL{Path: decoded, RawPath: escaped, RawQuery: Encode("?" + u.RawQuery)[1:], ForceQuery: u.ForceQuery}, true
}

func (p *Proxy) rewrite(r *httputil.ProxyRequest) {
	in, _ := r.In.Context().Value(inward{}).(passed)
	r.Out.URL = under(p.base, in.rest)
	r.Out.Host = p.base.Host
	// An Authorization of the caller would be a different token, Referer could
	// contain the secret, and Origin is that of this proxy.
	for _, name := range []string{"Authorization", "Proxy-Authorization", "Dpop", "Referer", "Origin"} {
		r.Out.Header.Del(name)
	}
}

// back changes a response so that the caller can follow its links through the
// proxy, and that no other web page can read it.
func (p *Proxy) back(res *http.Response) error {
	for name := range res.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			res.Header.Del(name)
		}
	}
	in, _ := res.Request.Context().Value(inward{}).(passed)
	if in.page {
		res.Header.Set("Access-Control-Allow-Origin", in.origin)
		res.Header.Set("Access-Control-Expose-Headers", "*")
		res.Header.Add("Vary", "Origin")
	}
	p.rewriteLinks(res)
	return nil
}

// fail sends a response of the proxy itself.
func (p *Proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	d, ok := errors.AsType[*diagnosis.Diagnosis](err)
	if !ok {
		d = &diagnosis.Diagnosis{ID: diagnosis.Unreachable}
	}
	answer := problem.Gateway(d)
	if p.explain != nil {
		answer.Detail = p.explain(err)
	}
	answer.Write(w, r)
}
