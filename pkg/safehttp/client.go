// Package safehttp is an HTTP client for servers that are not trusted. It
// limits the size and the time of responses, requires TLS except on loopback
// addresses, follows redirects only within an origin, and traces exchanges with
// secrets removed.
//
// Start with a [Client]; its zero value is ready to use. Of OAuth, the package
// knows only the names of secret parameters. It does not interpret the status
// of a response.
package safehttp

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

const (
	defaultTimeout = 30 * time.Second
	maxRedirects   = 5
	maxHeaderBytes = 256 << 10
	userAgent      = "oauthctl"
)

// Client sends requests. The zero value is ready to use. A Client is safe for
// concurrent use and must not be changed after its first request.
//
// Its errors are Diagnoses: INSECURE_URL, UNREACHABLE, TIMEOUT, TLS_UNTRUSTED,
// RESPONSE_TOO_LARGE or REDIRECT_REFUSED; or the error of the context, if it
// ended.
type Client struct {
	// Transport sends the requests. If nil, all such clients share one
	// transport.
	Transport http.RoundTripper
	// Timeout limits the time in which no byte is sent or received, not the
	// whole exchange. 0 means 30 seconds. Time that the caller needs to provide
	// the request body or to read the response body does not count.
	Timeout time.Duration
	// Patient disables the idle timeout for response bodies, for event streams.
	// Timeout then applies until the response header has arrived.
	Patient bool
	// Trace receives each exchange, unless it is nil.
	Trace *Trace
	// Secrets collects the credentials of each request, so that they can be
	// removed from text of the response. If nil, none are collected.
	Secrets *secret.Scrubber
	// InsecureHTTP lists origins, in the form of [Origin], for which plain http is
	// allowed. Anyone on the network can read such requests and their credentials.
	InsecureHTTP []string
}

// Response is a response with its complete body.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
	URL    *url.URL // of the body, after redirects
}

// Get requests rawURL, following up to 5 redirects within its origin, and reads
// at most limit bytes. If accept is empty, no Accept header is sent.
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

// PostForm posts form with the additional header, accepts JSON, and reads at
// most limit bytes of the response. A redirect is an error, because the secrets
// of the form would be sent elsewhere.
func (c *Client) PostForm(ctx context.Context, rawURL string, form url.Values, header http.Header, limit int64) (*Response, error) {
	return c.post(ctx, rawURL, "application/x-www-form-urlencoded", []byte(form.Encode()), header, limit)
}

// PostJSON posts a JSON body. Otherwise it is like [Client.PostForm].
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

// Do sends req and reads at most limit bytes of the response. Redirects are
// returned, not followed.
func (c *Client) Do(req *http.Request, limit int64) (*Response, error) {
	start := time.Now()
	var sent []byte
	if c.Trace != nil || c.Secrets != nil {
		sent = bodyOf(req)
		c.Secrets.Add(inForm(req, sent)...)
	}
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

// Stream sends req and returns the response with its body unread. The caller
// reads and closes it. Redirects are not followed. The trace has no body.
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

// send sends every request. It checks the URL and applies the time limits.
func (c *Client) send(req *http.Request) (*http.Response, error) {
	if err := c.Allows(req.URL); err != nil {
		return nil, err
	}
	if _, set := req.Header["User-Agent"]; !set {
		req.Header.Set("User-Agent", userAgent)
	}
	c.Secrets.Add(Credentials(req)...)
	ctx, cancel := context.WithCancelCause(req.Context())
	clock := newSilence(c.limit(), func() { cancel(errSilent) })
	var connected reached
	out := timed(req.WithContext(connected.watch(ctx)), clock)
	transport := c.Transport
	if transport == nil {
		transport = shared()
	}
	res, err := transport.RoundTrip(out)
	if err != nil {
		clock.stop()
		err = explain(ctx, req, err, c.limit(), connected.Load())
		cancel(nil)
		return nil, err
	}
	res.Request = req
	clock.answered(c.Patient || res.StatusCode == http.StatusSwitchingProtocols)
	body := &timedBody{res.Body, ctx, cancel, clock, req}
	if duplex, ok := res.Body.(io.ReadWriteCloser); ok {
		res.Body = &timedDuplex{body, duplex}
	} else {
		res.Body = body
	}
	return res, nil
}

func (c *Client) limit() time.Duration {
	if c.Timeout == 0 {
		return defaultTimeout
	}
	return c.Timeout
}

// Allows returns an error if this client must not send to u, see [CheckURL]. The
// origins in InsecureHTTP may use plain http.
func (c *Client) Allows(u *url.URL) error {
	if c != nil && u.Scheme == "http" && u.User == nil && slices.Contains(c.InsecureHTTP, Origin(u)) {
		return nil
	}
	return checkURL(u)
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
		Expected: diagnosis.Values{"a response from " + place(req.URL.String())},
		Got:      diagnosis.Values{fmt.Sprintf("a redirect (%d) to %q", res.Status, place(res.Header.Get("Location")))},
	}
}

// place returns the part of a URL that may be shown: scheme, host and path.
func place(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "an invalid URL"
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	if text := shown.String(); len(text) <= 200 {
		return text
	}
	return strings.ToValidUTF8(shown.String()[:200], "") + "…"
}
