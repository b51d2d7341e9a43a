package devserver

import (
	"io"
	"net/http"
	"time"
)

// bodyWait is how long a client may take to send a body.
const bodyWait = 30 * time.Second

// withBodyLimit closes the connection of a client that announces a body and
// does not send it. Otherwise the connection would stay open without a limit,
// since a server reads the rest of a body before it answers.
func (s *Server) withBodyLimit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 && r.Body != nil {
			control := http.NewResponseController(w)
			if control.SetReadDeadline(time.Now().Add(s.bodyWait)) == nil {
				r.Body = &timedBody{r.Body, control}
			}
		}
		next.ServeHTTP(w, r)
	})
}

// timedBody lifts the deadline once the body has been read, so that a handler can
// then take its time.
type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
}

// Read reads from the body.
func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}
