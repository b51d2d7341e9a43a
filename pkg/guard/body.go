package guard

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Limits of a request's body.
const (
	bodyTimeout = time.Minute // between two bytes
	bodyRate    = 128         // bytes a second, in the long run
	lingering   = time.Second // for the rest of a body that is not read
)

// body is a request's body with a read deadline that each byte extends. It
// notes how reading ended.
type body struct {
	io.ReadCloser
	control *http.ResponseController
	timeout time.Duration
	began   time.Time
	duplex  bool // HTTP/2, where body and response can be sent at the same time

	mu       sync.Mutex
	read     int64
	err      error
	answered bool
}

// boundBody sets a deadline for the body of a request and returns the body, or
// nil if there is none. The returned request is a copy, because the server
// reads its own.
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
		// From here on, the server itself waits for the client to close the
		// connection.
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

// failed returns why the body could not be read completely, or nil while it is
// being read.
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

// answering is called before the response header is sent. A body that was not
// read completely would delay the response and block the connection, so the
// connection is closed (RFC 9112, section 9.6).
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

// finish is called after the response.
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

// statusOf returns the status for a body that could not be read, for the client
// or the log.
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

// bounded limits the bodies of requests to any handler.
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
