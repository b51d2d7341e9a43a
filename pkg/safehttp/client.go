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

// Client sends requests. The zero value is ready to use; a Client is safe for
// concurrent use and must not be changed after its first request.
//
// Its errors are Diagnoses: INSECURE_URL, UNREACHABLE, TIMEOUT, TLS_UNTRUSTED,
// RESPONSE_TOO_LARGE, REDIRECT_REFUSED; or the context's error when the caller
// gave up.
type Client struct {
	// Transport carries the requests; nil means one that all such clients share.
	Transport http.RoundTripper
	// Timeout bounds the time in which no byte is written or read, not the whole
	// exchange; 0 means 30 seconds. Waiting for the caller, who provides the
	// request's body or reads the response's, does not count.
	Timeout time.Duration
	// Patient lets a response body be silent for any time, as a stream of events may
	// be; Timeout then applies until the response's header has arrived.
	Patient bool
	// Trace receives each exchange; nil means none is reported.
	Trace *Trace
	// Secrets collects the credentials of each request, so that text made from the
	// answers can be scrubbed before it is shown; nil collects none.
	Secrets *secret.Scrubber
	// InsecureHTTP lists the origins, as [Origin] writes them, to which requests
	// and their credentials may go over plain http. Anyone on the way can read them.
	InsecureHTTP []string
}

// Response is a response read to its end.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
	URL    *url.URL // where the body came from, after redirects
}

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

// Allows refuses a URL to which this client sends nothing: see [CheckURL]. Plain
// http to the origins of InsecureHTTP is allowed.
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
