package guard

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// The bounds of a request's body.
const (
	bodyTimeout = time.Minute // between two bytes
	bodyRate    = 128         // bytes a second, in the long run
	lingering   = time.Second // for the rest of a body that nobody reads
)

// body is a request's body with a read deadline, which each byte moves on. It
// remembers how reading ended.
type body struct {
	io.ReadCloser
	control *http.ResponseController
	timeout time.Duration
	began   time.Time
	duplex  bool // HTTP/2, where an answer and the body may flow at one time

	mu       sync.Mutex
	read     int64
	err      error
	answered bool
}

// boundBody gives a request with a body a deadline for it and returns the body,
// or nil if the request has none. The request that is returned is a copy, since
// the server looks at its own.
func boundBody(w http.ResponseWriter, r *http.Request, timeout time.Duration) (*http.Request, *body) {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return r, nil
	}
	if timeout <= 0 {
		timeout = bodyTimeout
	}
	b := &body{ReadCloser: r.Body, control: http.NewResponseController(w), timeout: timeout, began: time.Now(), duplex: r.ProtoMajor > 1}
	copied := *r
	copied.Body = b
	return &copied, b
}

func (b *body) Read(p []byte) (int, error) {
	_ = b.control.SetReadDeadline(b.deadline())
	n, err := b.ReadCloser.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read += int64(n)
	if err != nil && b.err == nil {
		b.err = err
	}
	if errors.Is(err, io.EOF) {
		// From here on the server itself waits for the client to go away.
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// deadline is when the next byte has to be there: after the timeout, and sooner
// for a body that trickles.
func (b *body) deadline() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.duplex && b.answered {
		return time.Time{}
	}
	next := time.Now().Add(b.timeout)
	if slowest := b.began.Add(b.timeout + time.Duration(b.read)*time.Second/bodyRate); slowest.Before(next) {
		return slowest
	}
	return next
}

// failed returns why the body could not be read to its end; nil while that may
// still come.
func (b *body) failed() error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if errors.Is(b.err, io.EOF) {
		return nil
	}
	return b.err
}

// answering is called before the header of the answer is sent. A body that was
// not read to its end holds up the answer, and then the connection: so the
// connection ends with it (RFC 9112, section 9.6).
func (b *body) answering(h http.Header) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answered = true
	if b.duplex {
		_ = b.control.SetReadDeadline(time.Time{})
	} else if !errors.Is(b.err, io.EOF) {
		h.Set("Connection", "close")
	}
}

// finish is called when the request was answered.
func (b *body) finish() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !errors.Is(b.err, io.EOF) {
		_ = b.control.SetReadDeadline(time.Now().Add(lingering))
	}
}

// statusOf returns what a client gets, or the log shows, for a body that could
// not be read.
func statusOf(err error) int {
	var timeout net.Error
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return http.StatusRequestEntityTooLarge
	case errors.As(err, &timeout) && timeout.Timeout():
		return http.StatusRequestTimeout
	case errors.As(err, &timeout), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, http.ErrBodyReadAfterClose):
		return statusClientGone
	}
	return http.StatusBadRequest
}

// bounded bounds the bodies of requests to any handler.
func bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, b := boundBody(w, r, 0)
		if b == nil {
			next.ServeHTTP(w, r)
			return
		}
		defer b.finish()
		next.ServeHTTP(&recorder{ResponseWriter: w, body: b, blames: true}, r)
	})
}
