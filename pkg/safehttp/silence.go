package safehttp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

var errSilent = errors.New("no byte was sent or received in time")

// silence measures how long no byte of an exchange is sent or received while
// waiting for the server. After the limit it calls a function.
type silence struct {
	mu    sync.Mutex
	timer *time.Timer
	limit time.Duration
	done  bool // stopped permanently
	// The header has arrived, and only reads of the response body count.
	reading bool
}

func newSilence(limit time.Duration, over func()) *silence {
	return &silence{timer: time.AfterFunc(limit, over), limit: limit}
}

func (s *silence) pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer.Stop()
}

func (s *silence) restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.done {
		s.timer.Reset(s.limit)
	}
}

// writing runs wait, which waits for the caller's input, with the clock
// stopped.
func (s *silence) writing(wait func()) {
	s.mu.Lock()
	counts := !s.reading
	if counts {
		s.timer.Stop()
	}
	s.mu.Unlock()
	wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if counts && !s.reading && !s.done {
		s.timer.Reset(s.limit)
	}
}

// answered is called when the response header has arrived. It stops the clock of
// a patient client permanently.
func (s *silence) answered(patient bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading, s.done = true, patient
	s.timer.Stop()
}

func (s *silence) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = true
	s.timer.Stop()
}

// timed makes the clock follow the body of a request.
func timed(req *http.Request, clock *silence) *http.Request {
	if req.Body == nil || req.Body == http.NoBody {
		return req
	}
	req.Body = &timedRequest{req.Body, clock}
	if again := req.GetBody; again != nil {
		req.GetBody = func() (io.ReadCloser, error) {
			body, err := again()
			return &timedRequest{body, clock}, err
		}
	}
	return req
}

// timedRequest is the body of a request. If the transport reads more of it,
// everything before was sent.
type timedRequest struct {
	io.ReadCloser
	clock *silence
}

// Read implements [io.Reader].
func (b *timedRequest) Read(p []byte) (n int, err error) {
	b.clock.writing(func() { n, err = b.ReadCloser.Read(p) })
	return n, err
}

// timedBody is the body of a response. The clock runs only during a read,
// because a pause of the reader is not the server's fault.
type timedBody struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	clock  *silence
	req    *http.Request
}

// Read implements [io.Reader].
func (b *timedBody) Read(p []byte) (int, error) {
	b.clock.restart()
	n, err := b.ReadCloser.Read(p)
	b.clock.pause()
	if err != nil && err != io.EOF {
		err = explainBody(b.ctx, b.req, err, b.clock.limit)
	}
	return n, err
}

// Close implements [io.Closer].
func (b *timedBody) Close() error {
	b.clock.stop()
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}

// timedDuplex is the connection after a protocol upgrade.
type timedDuplex struct {
	*timedBody
	duplex io.ReadWriteCloser
}

// Write implements [io.Writer].
func (d *timedDuplex) Write(p []byte) (int, error) { return d.duplex.Write(p) }
