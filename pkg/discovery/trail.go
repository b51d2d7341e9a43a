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

// Step is one place that was looked at.
type Step struct {
	Method  string // "GET", or "POST" for the request that [Options.Post] allows
	URL     string
	Found   string // what is there, such as "401 with a challenge"
	Verdict string // what follows from it, such as "issuer is identical"
	Err     error  // why it cannot be used; nil where it can, or where nothing is there
}

// Trail is the way a search went, in order, fit to be shown: it shows where a
// server has to put what is missing.
type Trail []Step

const (
	documentLimit = 1 << 20
	// documentTime bounds one document as a whole; safehttp bounds only the
	// waiting for the next byte.
	documentTime = 10 * time.Second
	// impatience bounds the documents after one that did not come.
	impatience = 2 * time.Second
)

// finder collects the trail and the most severe reason why nothing was found.
type finder struct {
	client *safehttp.Client
	login  bool // the server has to be one that somebody can log in at
	post   bool
	trail  Trail
	worst  error
	gone   bool // the host does not answer at all, so its other places are not tried
	slow   bool // a place did not answer in time
}

func (f *finder) http() *safehttp.Client {
	if f.client == nil {
		return &safehttp.Client{}
	}
	return f.client
}

// fetch reads the document at rawURL, and whether there is one.
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
		f.pass(statusText(res.Status), "nothing here")
		return nil, false
	}
	// Many sites answer every path with their front page.
	if kind := jsontext.Value(bytes.TrimPrefix(res.Body, byteOrderMark)).Kind(); kind != '{' {
		f.pass(fmt.Sprintf("200, %s", mediaType(res.Header)), "no JSON object, so no metadata")
		return nil, false
	}
	return res.Body, true
}

func (f *finder) step() *Step { return &f.trail[len(f.trail)-1] }

func (f *finder) pass(found, verdict string) { f.step().Found, f.step().Verdict = found, verdict }

func (f *finder) accept(found, verdict string) { f.pass(found, verdict) }

// refuse notes why the place cannot be used and remembers the most severe such
// reason: a failed check says more than a server that is down.
func (f *finder) refuse(found string, err error) {
	f.step().Found, f.step().Verdict, f.step().Err = found, "refused: "+reason(err), err
	if f.worst == nil || severe(err) && !severe(f.worst) {
		f.worst = err
	}
}

func severe(err error) bool {
	var d *diagnosis.Diagnosis
	return errors.As(err, &d) && d.Kind() == diagnosis.Unsafe
}

// limit is the time for one document: 10 seconds, or the client's Timeout where
// that is longer, and less once another place did not answer in time.
func (f *finder) limit() time.Duration {
	switch {
	case f.slow:
		return impatience
	case f.client != nil:
		return max(documentTime, f.client.Timeout)
	}
	return documentTime
}

// limited bounds the time for one place, less where another place did not answer
// in time. Connected reports whether there was a connection at all.
func (f *finder) limited(ctx context.Context) (limited context.Context, connected func() bool, cancel func()) {
	limit := f.limit()
	var got atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { got.Store(true) }})
	limited, cancel = context.WithTimeout(ctx, limit)
	return limited, got.Load, cancel
}

// lost notes a request that was not answered. Without a connection the host's
// other places are not tried; a path that hangs or breaks off is only one place.
func (f *finder) lost(err error, connected bool) {
	var d *diagnosis.Diagnosis
	if errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &d) {
		limit := f.limit()
		err = &diagnosis.Diagnosis{ID: diagnosis.Timeout, Expected: diagnosis.Values{fmt.Sprintf("the whole document within %s", limit)}, Got: diagnosis.Values{"less"}, Err: err}
	}
	f.refuse("no answer", err)
	if !errors.As(err, &d) {
		f.gone = true // the caller gave up
		return
	}
	switch d.ID {
	case diagnosis.Unreachable, diagnosis.TLSUntrusted, diagnosis.TLSMissing, diagnosis.ProxyRefused, diagnosis.ProxyInvalid:
		f.gone = !connected
	case diagnosis.Timeout:
		f.gone, f.slow = !connected, true
	}
}

// reason names in a few words why a place cannot be used.
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
		return "the connection broke off"
	case errors.As(err, &d) && d.ID == diagnosis.Timeout:
		return "no answer in time"
	case errors.As(err, &d):
		return d.Error()
	}
	return err.Error()
}

// failure is the error of a search that found nothing.
func (f *finder) failure(what string) error {
	if f.worst != nil {
		return fmt.Errorf("discovery: %w", f.worst)
	}
	return fmt.Errorf("discovery: %w", &diagnosis.Diagnosis{
		ID: diagnosis.MetadataNotFound, Got: diagnosis.Values{fmt.Sprintf("%s at %d places", what, len(f.trail))},
	})
}

// statusError is the Diagnosis of a status that says "not now".
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
