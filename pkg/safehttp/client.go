// Package safehttp is HTTP as this toolkit speaks it with servers it does not
// trust: bounded in size and time, over TLS unless the host is loopback,
// following redirects only within an origin, and traceable with the secrets
// removed.
//
// Start with a [Client]; its zero value is ready. It knows nothing of OAuth
// beyond the names of the parameters that are secret. Which status is good is
// for the caller to say.
package safehttp

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

const (
	defaultTimeout = 30 * time.Second
	maxRedirects   = 5
	maxHeaderBytes = 256 << 10
	userAgent      = "oauthctl"
)

// Client sends requests. The zero value is ready to use; a Client is safe for
// concurrent use and must not be changed after its first request.
//
// Its errors are Diagnoses: INSECURE_URL, UNREACHABLE, TIMEOUT, TLS_UNTRUSTED,
// RESPONSE_TOO_LARGE, REDIRECT_REFUSED; or the context's error when the caller
// gave up.
type Client struct {
	// Transport carries the requests; nil means one that all such clients share.
	Transport http.RoundTripper
	// Timeout bounds the wait for the response's header and then for each next
	// byte, not the whole; 0 means 30 seconds.
	Timeout time.Duration
	// Patient lets a body be silent for as long as it likes, as a stream of events
	// may be; Timeout then bounds the wait for the header only.
	Patient bool
	// Trace is told of each exchange; nil means nobody is.
	Trace *Trace
}

// Response is a response read to its end.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
	URL    *url.URL // where the body came from, after redirects
}

// NewTransport returns a transport for [Client.Transport]. It honours
// HTTPS_PROXY and its kin, but never for a loopback address. A nil config means
// the system's certificates.
func NewTransport(config *tls.Config) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = config
	t.MaxResponseHeaderBytes = maxHeaderBytes
	return t
}

var shared = sync.OnceValue(func() http.RoundTripper { return NewTransport(nil) })

// Get fetches rawURL, following up to 5 redirects within its origin, and reads
// at most limit bytes. An empty accept sends no Accept header.
func (c *Client) Get(ctx context.Context, rawURL, accept string, limit int64) (*Response, error) {
	for range maxRedirects + 1 {
		req, err := newRequest(ctx, http.MethodGet, rawURL, nil)
		if err != nil {
			return nil, err
		}
		if accept != "" {
			req.Header.Set("Accept", accept)
		}
		res, err := c.Do(req, limit)
		if err != nil || !isRedirect(res.Status) {
			return res, err
		}
		next, err := req.URL.Parse(res.Header.Get("Location"))
		if err != nil || Origin(next) != Origin(req.URL) {
			return nil, redirectRefused(req, res)
		}
		rawURL = next.String()
	}
	return nil, &diagnosis.Diagnosis{ID: diagnosis.RedirectRefused, Expected: diagnosis.Values{fmt.Sprintf("at most %d redirects", maxRedirects)}, Got: diagnosis.Values{"more from " + place(rawURL)}}
}

// PostForm posts form, with header added, and reads at most limit bytes of the
// answer. It asks for JSON. A redirect is refused, since it would send the
// form's secrets elsewhere.
func (c *Client) PostForm(ctx context.Context, rawURL string, form url.Values, header http.Header, limit int64) (*Response, error) {
	return c.post(ctx, rawURL, "application/x-www-form-urlencoded", []byte(form.Encode()), header, limit)
}

// PostJSON posts a JSON body as [Client.PostForm] posts a form.
func (c *Client) PostJSON(ctx context.Context, rawURL string, body []byte, header http.Header, limit int64) (*Response, error) {
	return c.post(ctx, rawURL, "application/json", body, header, limit)
}

func (c *Client) post(ctx context.Context, rawURL, contentType string, body []byte, header http.Header, limit int64) (*Response, error) {
	req, err := newRequest(ctx, http.MethodPost, rawURL, body)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Accept", "application/json")
	res, err := c.Do(req, limit)
	if err == nil && isRedirect(res.Status) {
		return nil, redirectRefused(req, res)
	}
	return res, err
}

// Do sends req and reads at most limit bytes of the answer. A redirect is not
// followed but handed back.
func (c *Client) Do(req *http.Request, limit int64) (*Response, error) {
	start := time.Now()
	sent := c.Trace.requestBody(req)
	res, err := c.send(req)
	if err != nil {
		c.Trace.failed(req, sent, err, time.Since(start))
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = &diagnosis.Diagnosis{ID: diagnosis.ResponseTooLarge, Expected: diagnosis.Values{fmt.Sprintf("at most %d bytes", limit)}, Got: diagnosis.Values{"more from " + place(req.URL.String())}}
	}
	if err != nil {
		c.Trace.failed(req, sent, err, time.Since(start))
		return nil, err
	}
	c.Trace.done(req, sent, res, body, time.Since(start))
	return &Response{res.StatusCode, res.Header, body, req.URL}, nil
}

// Stream sends req and hands back the response with its body unread, for the
// caller to read and close. A redirect is not followed. The trace shows no body.
func (c *Client) Stream(req *http.Request) (*http.Response, error) {
	start := time.Now()
	res, err := c.send(req)
	if err != nil {
		c.Trace.failed(req, nil, err, time.Since(start))
		return nil, err
	}
	c.Trace.done(req, nil, res, nil, time.Since(start))
	return res, nil
}

// send is the one way out: the URL's rule and the time limits are applied here.
func (c *Client) send(req *http.Request) (*http.Response, error) {
	if _, err := CheckURL(req.URL.String()); err != nil {
		return nil, err
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", userAgent)
	}
	limit := c.Timeout
	if limit == 0 {
		limit = defaultTimeout
	}
	caller := req.Context()
	ctx, cancel := context.WithCancelCause(caller)
	idle := time.AfterFunc(limit, func() { cancel(errIdle) })
	transport := c.Transport
	if transport == nil {
		transport = shared()
	}
	res, err := transport.RoundTrip(req.WithContext(ctx))
	if err != nil {
		idle.Stop()
		err = explain(ctx, req, err, limit)
		cancel(nil)
		return nil, err
	}
	if c.Patient {
		idle.Stop()
		limit = 0
	} else {
		idle.Reset(limit)
	}
	res.Body = &timedBody{res.Body, ctx, cancel, idle, limit, req}
	return res, nil
}

var errIdle = errors.New("no byte came in time")

// timedBody ends the request when no byte comes for the limit.
type timedBody struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	idle   *time.Timer
	limit  time.Duration // 0: none
	req    *http.Request
}

func (b *timedBody) Read(p []byte) (int, error) {
	// The clock runs only while somebody waits for the server: a reader that
	// pauses is not the server's fault.
	if b.limit > 0 {
		b.idle.Reset(b.limit)
	}
	n, err := b.ReadCloser.Read(p)
	b.idle.Stop()
	if err != nil && err != io.EOF {
		err = explain(b.ctx, b.req, err, b.limit)
	}
	return n, err
}

func (b *timedBody) Close() error {
	b.idle.Stop()
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}

// explain turns a transport's error into a Diagnosis that names the place but
// no query, which may hold secrets.
func explain(ctx context.Context, req *http.Request, err error, limit time.Duration) error {
	var urlError *url.Error
	if errors.As(err, &urlError) {
		err = urlError.Err
	}
	where := place(req.URL.String())
	var (
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    *tls.CertificateVerificationError
	)
	switch {
	case context.Cause(ctx) == errIdle:
		return &diagnosis.Diagnosis{ID: diagnosis.Timeout, Expected: diagnosis.Values{fmt.Sprintf("an answer from %s within %s", where, limit)}, Got: diagnosis.None}
	case req.Context().Err() != nil:
		return fmt.Errorf("safehttp: %w", req.Context().Err())
	case errors.As(err, &record), errors.As(err, &authority), errors.As(err, &hostname), errors.As(err, &invalid):
		return &diagnosis.Diagnosis{ID: diagnosis.TLSUntrusted, Got: diagnosis.Values{where}, Err: err}
	}
	return &diagnosis.Diagnosis{ID: diagnosis.Unreachable, Got: diagnosis.Values{where}, Err: err}
}

func newRequest(ctx context.Context, method, rawURL string, body []byte) (*http.Request, error) {
	if _, err := CheckURL(rawURL); err != nil {
		return nil, err
	}
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, rawURL, reader)
	if err != nil {
		return nil, fmt.Errorf("safehttp: %w", err)
	}
	return req, nil
}

func isRedirect(status int) bool {
	switch status {
	case 301, 302, 303, 307, 308:
		return true
	}
	return false
}

func redirectRefused(req *http.Request, res *Response) error {
	return &diagnosis.Diagnosis{
		ID:       diagnosis.RedirectRefused,
		Expected: diagnosis.Values{"an answer from " + place(req.URL.String())},
		Got:      diagnosis.Values{fmt.Sprintf("a redirect (%d) to %q", res.Status, place(res.Header.Get("Location")))},
	}
}

// place is the part of a URL that may be shown: scheme, host and path.
func place(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "an unreadable URL"
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	if text := shown.String(); len(text) <= 200 {
		return text
	}
	return strings.ToValidUTF8(shown.String()[:200], "") + "…"
}
