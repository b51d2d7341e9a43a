package discovery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// Step is one request of a search.
type Step struct {
	Method string // "GET", or "POST" for the request that [Options.Post] allows
	URL    string
	Found  string // the response, such as "401 with a challenge"
	Result string // its result, such as "issuer is identical"
	Err    error  // why the response cannot be used, or nil
}

// Trail lists the steps of a search in order, for display. It shows where a
// server has to publish missing metadata.
type Trail []Step

const (
	documentLimit = 1 << 20
	// documentTime limits the time for one document; safehttp limits only the
	// wait for the next byte.
	documentTime = 10 * time.Second
	// impatience limits the time for documents after a timeout.
	impatience = 2 * time.Second
)

// finder collects the trail and the most severe error.
type finder struct {
	client *safehttp.Client
	login  bool // the metadata must allow a login
	post   bool
	trail  Trail
	err    error
	gone   bool // the host does not respond, so its other paths are not tried
	slow   bool // a request has timed out
}

func (f *finder) http() *safehttp.Client {
	if f.client == nil {
		return &safehttp.Client{}
	}
	return f.client
}

// fetch reads the document at rawURL, and reports whether it exists.
func (f *finder) fetch(ctx context.Context, rawURL string) ([]byte, bool) {
	f.trail = append(f.trail, Step{Method: http.MethodGet, URL: rawURL})
	ctx, connected, cancel := f.limited(ctx)
	defer cancel()
	res, err := f.http().Get(ctx, rawURL, "application/json", documentLimit)
	if err != nil {
		f.lost(err, connected())
		return nil, false
	}
	if status := statusError(res.Status); status != nil {
		f.refuse(statusText(res.Status), status)
		return nil, false
	}
	if res.Status != http.StatusOK {
		f.pass(statusText(res.Status), "not found")
		return nil, false
	}
	// Many sites return their front page for every path.
	if kind := jsontext.Value(bytes.TrimPrefix(res.Body, byteOrderMark)).Kind(); kind != '{' {
		f.pass(fmt.Sprintf("200, %s", mediaType(res.Header)), "not a JSON object, so not metadata")
		return nil, false
	}
	return res.Body, true
}

func (f *finder) step() *Step { return &f.trail[len(f.trail)-1] }

func (f *finder) pass(found, result string) { f.step().Found, f.step().Result = found, result }

// refuse notes why the document cannot be used.
func (f *finder) refuse(found string, err error) {
	f.pass(found, "refused: "+reason(err))
	f.keep(err)
}

// keep notes the error of the step, and keeps the most severe one of all steps: a
// failed check is more severe than a server that is down.
func (f *finder) keep(err error) {
	f.step().Err = err
	if f.err == nil || severe(err) && !severe(f.err) {
		f.err = err
	}
}

func severe(err error) bool {
	var d *diagnosis.Diagnosis
	return errors.As(err, &d) && d.Kind() == diagnosis.Unsafe
}

// limit returns the time limit for one document: 10 seconds or the client's
// Timeout if that is longer, and less after another request has timed out.
func (f *finder) limit() time.Duration {
	switch {
	case f.slow:
		return impatience
	case f.client != nil:
		return max(documentTime, f.client.Timeout)
	}
	return documentTime
}

// limited limits the time for one document. Connected reports whether a
// connection was established.
func (f *finder) limited(ctx context.Context) (limited context.Context, connected func() bool, cancel func()) {
	limit := f.limit()
	var got atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { got.Store(true) }})
	limited, cancel = context.WithTimeout(ctx, limit)
	return limited, got.Load, cancel
}

// lost notes a request without a response. Without a connection, the host's
// other paths are not tried; a path that hangs or is cut off affects only
// itself.
func (f *finder) lost(err error, connected bool) {
	var d *diagnosis.Diagnosis
	if errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &d) {
		limit := f.limit()
		err = &diagnosis.Diagnosis{ID: diagnosis.Timeout, Expected: diagnosis.Values{fmt.Sprintf("the whole document within %s", limit)}, Got: diagnosis.Values{"less"}, Err: err}
	}
	f.pass("no response", reason(err))
	f.keep(err)
	if !errors.As(err, &d) {
		f.gone = true // the caller's context has ended
		return
	}
	switch d.ID {
	case diagnosis.Unreachable, diagnosis.TLSUntrusted, diagnosis.TLSMissing, diagnosis.ProxyRefused, diagnosis.ProxyInvalid:
		f.gone = !connected
	case diagnosis.Timeout:
		f.gone, f.slow = !connected, true
	}
}

// reason summarises why a document cannot be used.
func reason(err error) string {
	var (
		d    *diagnosis.Diagnosis
		name *net.DNSError
	)
	switch {
	case errors.As(err, &name) && name.IsNotFound:
		return "no such host"
	case errors.As(err, &d) && d.ID == diagnosis.TLSMissing:
		return "not a TLS server; try http://"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF):
		return "connection closed"
	case errors.As(err, &d) && d.ID == diagnosis.Timeout:
		return "timed out"
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.As(err, &d):
		return d.Error()
	}
	return err.Error()
}

// failure returns the error of a search without a result.
func (f *finder) failure(what string) error {
	if f.err != nil {
		return fmt.Errorf("discovery: %w", f.err)
	}
	return fmt.Errorf("discovery: %w", &diagnosis.Diagnosis{
		ID: diagnosis.MetadataNotFound, Got: diagnosis.Values{fmt.Sprintf("%s at %d places", what, len(f.trail))},
	})
}

// statusError returns the Diagnosis for a status that means "not now".
func statusError(status int) error {
	switch {
	case status == http.StatusTooManyRequests:
		return &diagnosis.Diagnosis{ID: diagnosis.RateLimited, Got: diagnosis.Text(statusText(status))}
	case status >= 500:
		return &diagnosis.Diagnosis{ID: diagnosis.ServerError, Got: diagnosis.Text(statusText(status))}
	}
	return nil
}

func statusText(status int) string {
	if text := http.StatusText(status); text != "" {
		return fmt.Sprintf("%d %s", status, text)
	}
	return fmt.Sprint(status)
}

func mediaType(h http.Header) string {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return "of no known kind"
	}
	return diagnosis.Quote(kind)
}
