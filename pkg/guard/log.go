package guard

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// Requests selects which requests are logged.
type Requests int

// The choices of [Config.Requests].
const (
	LogAll      Requests = iota // every request
	LogRefusals                 // those that were refused or failed
	LogNone
)

// note is a request in progress: its context, and the values to log.
type note struct {
	context.Context
	cancel    context.CancelCauseFunc
	rules     *rules // by which it is checked
	began     time.Time
	id        string // of the request
	route     string // the pattern, or "" if none is listed
	decision  string
	token     *token.Token
	who       introduction // the caller's identity for the API
	diagnosis *diagnosis.Diagnosis
	reason    error   // for which the client is to blame
	err       error   // of the upstream API
	cut       string  // why it was cut, as a label
	ended     string  // the same as text
	stream    string  // the kind of stream
	gateway   Gateway // that asks, of [Handler.ForwardAuth]
	offered   bool    // the token was sent as a subprotocol
	body      *body
	recorder  recorder
}

type noteKey struct{}

func (n *note) Value(key any) any {
	if key == (noteKey{}) {
		return n
	}
	return n.Context.Value(key)
}

func noteOf(r *http.Request) *note {
	n, _ := r.Context().Value(noteKey{}).(*note)
	return n
}

// begin notes the start of a request.
func (h *Handler) begin(r *http.Request) *note {
	h.metrics.underway.Add(1)
	ctx, cancel := context.WithCancelCause(r.Context())
	n := &note{Context: ctx, cancel: cancel, rules: h.current.Load(), began: time.Now(), id: requestID(r), decision: "allowed"}
	n.offered = h.config.Carriers.Subprotocol && strings.Contains(r.Header.Get("Sec-Websocket-Protocol"), subprotocol)
	return n
}

// end counts and logs a request that has ended.
func (h *Handler) end(r *http.Request, n *note) {
	h.metrics.underway.Add(-1)
	n.cancel(nil)
	n.body.finish()
	took := time.Since(n.began)
	status := n.recorder.status
	if status == 0 {
		status = http.StatusOK
	}
	h.metrics.count(status, n, took)
	h.log(r, n, status, took)
}

func (n *note) knows(t *token.Token) { n.token = t }

func (n *note) refuse(d *diagnosis.Diagnosis) { n.decision, n.diagnosis = "refused", d }

// noteRefusal is the OnRefusal of the middleware.
func noteRefusal(r *http.Request, d *diagnosis.Diagnosis) {
	n := noteOf(r)
	if n == nil {
		return
	}
	n.refuse(d)
	n.route = bearer.RouteFromContext(r.Context())
	if t, ok := bearer.FromContext(r.Context()); ok {
		n.knows(t)
	}
}

// requestID returns the request id of a client or a proxy, or a new one. It is
// only for finding log lines.
func requestID(r *http.Request) string {
	if given := r.Header["X-Request-Id"]; len(given) == 1 && isID(given[0]) {
		return given[0]
	}
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], rand.Uint64())
	binary.BigEndian.PutUint64(raw[8:], rand.Uint64())
	return hex.EncodeToString(raw[:])
}

func isID(text string) bool {
	return text != "" && len(text) <= 128 && !strings.ContainsFunc(text, func(c rune) bool { return !isIDCharacter(c) })
}

func isIDCharacter(c rune) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || strings.ContainsRune("-_.:+/=@", c)
}

// log writes the log line of a request. Queries are not logged, because they
// may contain secrets. The field names are documented in docs/operations.md.
func (h *Handler) log(r *http.Request, n *note, status int, took time.Duration) {
	level := slog.LevelInfo
	if n.err != nil {
		level = slog.LevelWarn
	}
	quiet := n.diagnosis == nil && n.err == nil && n.reason == nil && status < http.StatusInternalServerError
	if h.config.Requests == LogNone || h.config.Requests == LogRefusals && quiet || !h.config.Log.Enabled(n, level) {
		return
	}
	attrs := append(make([]slog.Attr, 0, 24), h.common(r, n)...)
	attrs = append(attrs, slog.Int("status", status), slog.String("decision", n.decision),
		slog.Float64("duration_seconds", took.Seconds()), slog.Int64("bytes", n.recorder.bytes))
	attrs = append(attrs, n.caller()...)
	if n.diagnosis != nil {
		attrs = append(attrs, slog.String("id", string(n.diagnosis.ID)), slog.String("reason", n.diagnosis.Error()))
	}
	if n.reason != nil {
		attrs = append(attrs, slog.String("client_error", n.reason.Error()))
	}
	if n.err != nil {
		attrs = append(attrs, slog.String("upstream", n.err.Error()))
	}
	if n.ended != "" {
		attrs = append(attrs, slog.String("ended", n.ended))
	}
	h.config.Log.LogAttrs(context.WithoutCancel(n), level, "request", attrs...)
}

// opened logs the start of a stream. Its own line follows at the end.
func (h *Handler) opened(n *note, r *http.Request, kind string) {
	n.stream = kind
	if h.config.Requests == LogAll {
		attrs := append(h.common(r, n), slog.String("stream", kind))
		h.config.Log.LogAttrs(context.WithoutCancel(n), slog.LevelInfo, "stream opened", append(attrs, n.caller()...)...)
	}
}

// common are the fields of every line about a request.
func (h *Handler) common(r *http.Request, n *note) []slog.Attr {
	attrs := append(make([]slog.Attr, 0, 12), slog.String("request_id", n.id))
	if h.config.Service != "" {
		attrs = append(attrs, slog.String("service", h.config.Service))
	}
	if id := traceID(r); id != "" {
		attrs = append(attrs, slog.String("trace_id", id))
	}
	attrs = append(attrs, slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.String("route", n.route), slog.String("remote", h.trusted.client(r)))
	if h.trusted.trust(r) {
		attrs = append(attrs, slog.String("peer", r.RemoteAddr))
	}
	return attrs
}

// traceID returns the trace-id of W3C Trace Context, section 3.2.2.3.
func traceID(r *http.Request) string {
	parts := strings.Split(r.Header.Get("Traceparent"), "-")
	if len(parts) < 4 || len(parts[1]) != 32 || strings.Trim(parts[1], "0123456789abcdef") != "" {
		return ""
	}
	return parts[1]
}

// caller returns the fields about the token of a request, to trace its use.
func (n *note) caller() []slog.Attr {
	if n.token == nil {
		return nil
	}
	t := n.token
	sum := sha256.Sum256([]byte(t.Raw().Reveal()))
	attrs := []slog.Attr{
		slog.String("iss", t.Issuer()), slog.String("sub", t.Subject()), slog.String("client_id", t.ClientID()),
		slog.String("scope", strings.Join(n.rules.scopes(t), " ")), slog.String("token_hash", hex.EncodeToString(sum[:8])),
	}
	if id := t.ID(); id != "" {
		attrs = append(attrs, slog.String("jti", id))
	}
	return attrs
}

// recorder notes the status and size of a response.
type recorder struct {
	http.ResponseWriter
	body   *body
	blames bool // a 5xx for a body that failed becomes the client's own status
	status int
	bytes  int64
}

func (w *recorder) WriteHeader(status int) {
	if status >= 200 && w.status == 0 {
		if failed := w.body.failed(); w.blames && failed != nil && status >= http.StatusInternalServerError {
			status = statusOf(failed)
		}
		w.status = status
		w.body.answering(w.Header())
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
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
