package audit

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
)

// InProcess returns a transport that calls a handler in the same process, without a
// network. If the handler panics, the request fails, as if the server had closed the
// connection.
func InProcess(h http.Handler) http.RoundTripper { return inProcess{h} }

type inProcess struct{ handler http.Handler }

// RoundTrip calls the handler.
func (t inProcess) RoundTrip(r *http.Request) (res *http.Response, err error) {
	defer func() {
		if wrong := recover(); wrong != nil {
			res, err = nil, fmt.Errorf("the handler panicked: %v", wrong)
		}
	}()
	served := r.Clone(r.Context())
	served.RequestURI, served.RemoteAddr = r.URL.RequestURI(), "127.0.0.1:1"
	if served.Host == "" {
		served.Host = r.URL.Host
	}
	if served.Body == nil {
		served.Body = http.NoBody
	}
	w := &recorder{header: http.Header{}}
	t.handler.ServeHTTP(w, served)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if w.sent == nil {
		w.WriteHeader(http.StatusOK)
	}
	if r.Method == http.MethodHead {
		w.body.Reset()
	}
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r,
	}, nil
}

// recorder is an [http.ResponseWriter] that stores the response of a handler.
type recorder struct {
	header, sent http.Header
	status       int
	body         bytes.Buffer
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.sent == nil && status >= http.StatusOK {
		w.status, w.sent = status, w.header.Clone()
	}
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.sent == nil {
		w.WriteHeader(http.StatusOK)
		if w.sent.Get("Content-Type") == "" {
			w.sent.Set("Content-Type", http.DetectContentType(p))
		}
	}
	return w.body.Write(p)
}
