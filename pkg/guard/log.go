package guard

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// note is what the log will say of one request.
type note struct {
	rules           *rules // by which it is judged
	decision        string
	subject, client string
	diagnosis       *diagnosis.Diagnosis
	err             error // of the API behind
}

type noteKey struct{}

func (n *note) knows(t *token.Token) { n.subject, n.client = t.Subject(), t.ClientID() }

func (n *note) refuse(d *diagnosis.Diagnosis) { n.decision, n.diagnosis = "refused", d }

// noteRefusal is what the middleware calls.
func noteRefusal(r *http.Request, d *diagnosis.Diagnosis) {
	n, ok := r.Context().Value(noteKey{}).(*note)
	if !ok {
		return
	}
	n.refuse(d)
	if t, ok := bearer.FromContext(r.Context()); ok {
		n.knows(t)
	}
}

// tell writes the access log and counts. A query is not logged: it may hold
// anything.
func (h *Handler) tell(r *http.Request, w *recorder, n *note, took time.Duration) {
	status := w.status
	if status == 0 {
		status = http.StatusOK
	}
	h.metrics.count(status, n, took)
	attrs := []slog.Attr{
		slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Int("status", status), slog.String("decision", n.decision),
		slog.Duration("took", took), slog.Int64("bytes", w.bytes), slog.String("remote", r.RemoteAddr),
	}
	if n.subject != "" || n.client != "" {
		attrs = append(attrs, slog.String("sub", n.subject), slog.String("client_id", n.client))
	}
	if n.diagnosis != nil {
		attrs = append(attrs, slog.String("id", string(n.diagnosis.ID)), slog.String("reason", n.diagnosis.Error()))
	}
	level := slog.LevelInfo
	if n.err != nil && !errors.Is(n.err, context.Canceled) {
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("upstream", n.err.Error()))
	}
	h.config.Log.LogAttrs(context.WithoutCancel(r.Context()), level, "request", attrs...)
}

// recorder notes how an answer went.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *recorder) WriteHeader(status int) {
	if status >= 200 && w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets the proxy flush.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack is how a WebSocket begins.
func (w *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.status = http.StatusSwitchingProtocols
	}
	return conn, buffered, err
}
