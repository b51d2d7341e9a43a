package apicall

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// Proxy lends the token of a [Client] to programs on this machine that have none:
// an http.Handler that passes each request on to the API with a token of its own.
// Server-sent events and WebSockets pass too.
//
// It is for a loopback address. A web page cannot use it: a request with a
// foreign Host, with any Origin, or with a Sec-Fetch-Site other than none or
// same-origin is answered 403. Whoever does not know the secret that is the
// path's first segment gets a 404.
type Proxy struct {
	client *Client
	base   *url.URL
	hosts  []string
	secret secret.String
	relay  *httputil.ReverseProxy
}

// maxReplay is up to which size a body is held, to be sent again with another
// token.
const maxReplay = 1 << 20

// NewProxy returns a proxy to the client's API that listens on address, an IP
// address with its port. Open leaves the secret out.
func NewProxy(c *Client, address string, open bool) (*Proxy, error) {
	base, err := safehttp.CheckURL(c.API)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || !safehttp.IsLoopback(host) {
		return nil, fmt.Errorf("apicall: a proxy listens on a loopback address, not on %.200q", address)
	}
	p := &Proxy{client: c, base: base, hosts: []string{strings.ToLower(address), "127.0.0.1:" + port, "[::1]:" + port, "localhost:" + port}}
	if !open {
		p.secret = secret.New(rand.Text())
	}
	transport := c.HTTP.Transport
	if transport == nil {
		transport = safehttp.NewTransport(nil)
	}
	p.relay = &httputil.ReverseProxy{
		Rewrite:        p.rewrite,
		Transport:      &attaching{c, transport},
		ModifyResponse: p.back,
		ErrorHandler:   fail,
		ErrorLog:       slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	return p, nil
}

// URL is where the API begins for a program that uses the proxy. It holds the
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
	site := r.Header.Get("Sec-Fetch-Site")
	switch {
	case !slices.Contains(p.hosts, strings.ToLower(r.Host)), len(r.Header.Values("Origin")) > 0, site != "" && site != "none" && site != "same-origin":
		http.Error(w, "only for programs on this machine", http.StatusForbidden)
		return
	}
	rest, ok := p.inside(r.URL)
	if !ok {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	if climbs(rest) {
		http.Error(w, "the path climbs", http.StatusBadRequest)
		return
	}
	p.relay.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), restKey{}, rest)))
}

type restKey struct{}

// inside returns what stands behind the secret.
func (p *Proxy) inside(u *url.URL) (*url.URL, bool) {
	escaped := u.EscapedPath()
	if !p.secret.IsZero() {
		first, rest, _ := strings.Cut(strings.TrimPrefix(escaped, "/"), "/")
		if !secret.New(first).Equal(p.secret) {
			return nil, false
		}
		escaped = "/" + rest
	}
	decoded, err := url.PathUnescape(escaped)
	if err != nil || !strings.HasPrefix(escaped, "/") {
		return nil, false
	}
	return &url.URL{Path: decoded, RawPath: escaped, RawQuery: u.RawQuery}, true
}

func (p *Proxy) rewrite(r *httputil.ProxyRequest) {
	rest, _ := r.In.Context().Value(restKey{}).(*url.URL)
	r.Out.URL = under(p.base, rest)
	r.Out.Host = p.base.Host
	// The caller has no token; its own would be another one. A Referer could tell
	// the secret.
	for _, name := range []string{"Authorization", "Proxy-Authorization", "Dpop", "Referer"} {
		r.Out.Header.Del(name)
	}
}

// back lets redirects within the API lead through the proxy again, and no web
// page read an answer.
func (p *Proxy) back(res *http.Response) error {
	for name := range res.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			res.Header.Del(name)
		}
	}
	location := res.Header.Get("Location")
	if location == "" {
		return nil
	}
	u, err := res.Request.URL.Parse(location)
	if err != nil || safehttp.Origin(u) != safehttp.Origin(p.base) {
		return nil
	}
	root := strings.TrimSuffix(p.base.EscapedPath(), "/")
	if rest, ok := strings.CutPrefix(u.EscapedPath(), root); ok && (rest == "" || rest[0] == '/') {
		inner := p.prefix() + rest
		if u.RawQuery != "" {
			inner += "?" + u.RawQuery
		}
		res.Header.Set("Location", inner)
	}
	return nil
}

// fail answers in the proxy's own name.
func fail(w http.ResponseWriter, _ *http.Request, err error) {
	status := http.StatusBadGateway
	var d *diagnosis.Diagnosis
	if errors.As(err, &d) && d.ID == diagnosis.Timeout {
		status = http.StatusGatewayTimeout
	}
	message := "oauthctl: the API did not answer"
	if d != nil {
		message = fmt.Sprintf("oauthctl: %s (%s)", d.Summary(), d.ID)
		if d.Hint != "" {
			message += "; " + d.Hint
		}
	}
	http.Error(w, message, status)
}

// attaching sends one request with a token, and once more with another if the
// API says that this one is no good. It follows no redirect, and neither does
// what it is part of.
type attaching struct {
	c    *Client
	next http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (a *attaching) RoundTrip(req *http.Request) (*http.Response, error) {
	body, held, err := hold(req)
	if err != nil {
		return nil, err
	}
	token, err := a.c.token(req.Context(), secret.String{})
	if err != nil {
		return nil, err
	}
	res, err := a.send(req, token, body)
	if err != nil || token.Value.IsZero() || !held {
		return res, err
	}
	switch {
	case wantsNonce(res) && token.Prover != nil:
	case invalidToken(res):
		next, err := a.c.token(req.Context(), token.Value)
		if err != nil || next.Value.Equal(token.Value) {
			return res, nil
		}
		token = next
	default:
		return res, nil
	}
	res.Body.Close()
	return a.send(req, token, body)
}

// hold reads a body that is small enough to be sent twice.
func hold(req *http.Request) (body []byte, held bool, err error) {
	switch {
	case req.Body == nil || req.Body == http.NoBody:
		return nil, true, nil
	case req.ContentLength < 0 || req.ContentLength > maxReplay:
		return nil, false, nil
	}
	defer req.Body.Close()
	body, err = io.ReadAll(io.LimitReader(req.Body, maxReplay))
	return body, true, err
}

var errNoHeader = errors.New("no answer in time")

func (a *attaching) send(in *http.Request, token AccessToken, body []byte) (*http.Response, error) {
	// No deadline for the whole: a stream lasts as long as it likes.
	ctx, cancel := context.WithCancelCause(in.Context())
	limit := a.c.HTTP.Timeout
	if limit == 0 {
		limit = 30 * time.Second
	}
	timer := time.AfterFunc(limit, func() { cancel(errNoHeader) })
	defer timer.Stop()
	req := in.Clone(ctx)
	if body != nil {
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	if err := token.authorize(req); err != nil {
		return nil, err
	}
	res, err := a.next.RoundTrip(req)
	switch {
	case context.Cause(ctx) == errNoHeader:
		return nil, &diagnosis.Diagnosis{ID: diagnosis.Timeout, Expected: diagnosis.Values{fmt.Sprintf("an answer from %s within %s", safehttp.Origin(req.URL), limit)}, Got: diagnosis.None}
	case err != nil && in.Context().Err() == nil:
		return nil, &diagnosis.Diagnosis{ID: diagnosis.Unreachable, Got: diagnosis.Values{safehttp.Origin(req.URL)}, Err: err}
	}
	if err == nil && token.Prover != nil {
		token.Prover.Learn(req.URL.String(), res.Header)
	}
	return res, err
}
