package guard

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
)

// endStream lets a stream of events end as events do when its token expires.
// Anything else is broken off: half a file must not look like a whole one.
func endStream(res *http.Response) error {
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if kind == "text/event-stream" && res.StatusCode == http.StatusOK {
		res.Body = &events{res.Body, res.Request.Context()}
	}
	return nil
}

type events struct {
	io.ReadCloser
	ctx context.Context
}

func (e *events) Read(p []byte) (int, error) {
	n, err := e.ReadCloser.Read(p)
	if err != nil && errors.Is(e.ctx.Err(), context.DeadlineExceeded) {
		err = io.EOF
	}
	return n, err
}
