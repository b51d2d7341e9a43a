package apicall

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
)

// Body is the body of a request. A nil Body is no body.
type Body struct {
	// Open returns the body from its beginning, each time the request is sent.
	Open func() (io.ReadCloser, error)
	// Length is the number of bytes, negative if it is unknown.
	Length int64
	// Once is true for a body that can be read only once. Open is then called once,
	// and the request is repeated only while nothing of the body has been read.
	Once bool

	touched atomic.Bool // reading of a Once body has begun
	opened  atomic.Bool
}

// ErrBodySpent means that a request was not repeated because its body came from
// a stream.
var ErrBodySpent = errors.New("the body was read from a stream and cannot be sent again")

// Bytes returns a body with the given bytes.
func Bytes(data []byte) *Body {
	return &Body{
		Open:   func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil },
		Length: int64(len(data)),
	}
}

// Text returns a body with the given text.
func Text(text string) *Body { return Bytes([]byte(text)) }

// Stream returns a body of unknown length that can be read once.
func Stream(r io.Reader) *Body {
	return &Body{Open: func() (io.ReadCloser, error) { return io.NopCloser(r), nil }, Length: -1, Once: true}
}

// File returns a body with the content of the file at path. A file that is not
// regular, such as a named pipe, is opened when it is sent and read once.
func File(path string) (*Body, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s is a directory", path)
	case !info.Mode().IsRegular():
		return &Body{Open: func() (io.ReadCloser, error) { return os.Open(path) }, Length: -1, Once: true}, nil
	}
	f, err := os.Open(path) // so that an error is reported before anything is sent
	if err != nil {
		return nil, err
	}
	f.Close()
	return &Body{Open: func() (io.ReadCloser, error) { return os.Open(path) }, Length: info.Size()}, nil
}

// again reports whether the body can be sent once more.
func (b *Body) again() bool { return b == nil || !b.Once || !b.touched.Load() }

// attach sets the body of a request.
func (b *Body) attach(req *http.Request) error {
	if b == nil {
		return nil
	}
	if b.Once {
		req.Body = &untouched{body: b}
	} else {
		body, err := b.Open()
		if err != nil {
			return fmt.Errorf("the body: %w", err)
		}
		req.Body = body
		req.GetBody = b.Open
	}
	switch {
	case b.Length > 0:
		req.ContentLength = b.Length
	case b.Length < 0:
		req.ContentLength = -1
	default:
		req.Body.Close()
		req.Body, req.GetBody, req.ContentLength = nil, nil, 0
	}
	return nil
}

// untouched opens a body that can be read once when it is first read, so that a
// request whose body was not read can be repeated.
type untouched struct {
	body *Body
	r    io.ReadCloser
}

// Read implements [io.Reader].
func (u *untouched) Read(p []byte) (int, error) {
	if u.r == nil {
		u.body.touched.Store(true)
		if u.body.opened.Swap(true) {
			return 0, ErrBodySpent
		}
		r, err := u.body.Open()
		if err != nil {
			return 0, fmt.Errorf("the body: %w", err)
		}
		u.r = r
	}
	return u.r.Read(p)
}

// Close implements [io.Closer].
func (u *untouched) Close() error {
	if u.r == nil {
		return nil
	}
	return u.r.Close()
}
