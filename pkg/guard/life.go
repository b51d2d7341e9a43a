package guard

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// Reasons for ending an accepted request before the API has responded
// completely.
var (
	errExpired  = errors.New("the token expired")
	errShutdown = errors.New("the server is stopping")
)

// withdrawal is the end of a request whose token would no longer be accepted.
type withdrawal struct{ why *diagnosis.Diagnosis }

func (w *withdrawal) Error() string { return "no longer allowed: " + w.why.Error() }

// life ends a request when its token expires, and checks every few seconds
// whether it would still be accepted.
type life struct {
	handler *Handler
	request *http.Request
	token   *token.Token // nil on a public route
	rules   *rules
	expires time.Time
	cancel  context.CancelCauseFunc

	mu    sync.Mutex
	timer *time.Timer
	ended bool
}

func (h *Handler) supervise(r *http.Request, t *token.Token, cancel context.CancelCauseFunc) *life {
	l := &life{handler: h, request: r, token: t, rules: noteOf(r).rules, cancel: cancel}
	if t != nil {
		l.expires = t.Expiry().Add(h.config.Verifier.Leeway)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = time.AfterFunc(l.next(), l.look)
	return l
}

// next is how long to wait for the next look.
func (l *life) next() time.Duration {
	wait := l.handler.config.Recheck
	if l.token != nil {
		wait = min(wait, l.expires.Sub(l.handler.config.Verifier.Now()))
	}
	return wait
}

func (l *life) look() {
	if l.token != nil && !l.handler.config.Verifier.Now().Before(l.expires) {
		l.cancel(errExpired)
		return
	}
	if why := l.withdrawn(); why != nil {
		l.cancel(&withdrawal{why})
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.timer.Reset(l.next())
	}
}

func (l *life) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.timer.Stop()
}

// withdrawn returns why the request would be refused now. A temporary failure,
// such as an unreachable revocation store, does not end it.
func (l *life) withdrawn() *diagnosis.Diagnosis {
	ctx, cancel := context.WithTimeout(l.request.Context(), 2*time.Second)
	defer cancel()
	h, x := l.handler, l.handler.current.Load()
	m, err := x.policy.Match(l.request.Method, l.request.URL)
	switch {
	case err != nil || !m.Listed:
		return &diagnosis.Diagnosis{ID: diagnosis.OperationUnlisted}
	case m.Requirement.Public:
		return nil
	case l.token == nil:
		return &diagnosis.Diagnosis{ID: diagnosis.CredentialsMissing}
	}
	if _, err := x.verifier.Verify(ctx, l.token.Raw().Reveal()); err != nil {
		var d *diagnosis.Diagnosis
		if errors.As(err, &d) && d.Kind() == diagnosis.Rejected && d.ID != diagnosis.Expired {
			return d
		}
	}
	if !m.Requirement.Allows(l.token) {
		return m.Requirement.Decide(l.token).Diagnosis
	}
	if h.config.Revocation == nil {
		return nil
	}
	if revoked, err := h.config.Revocation.Revoked(ctx, l.token); err == nil && revoked {
		return &diagnosis.Diagnosis{ID: diagnosis.Revoked}
	}
	return nil
}

// events is a stream of events that ends in order.
type events struct {
	io.ReadCloser
	ctx context.Context
}

func (e *events) Read(p []byte) (int, error) {
	n, err := e.ReadCloser.Read(p)
	if err != nil && err != io.EOF && endedHere(context.Cause(e.ctx)) {
		err = io.EOF
	}
	return n, err
}

// endedHere reports whether the guard ended a request, and not the client.
func endedHere(cause error) bool {
	var withdrawn *withdrawal
	return errors.Is(cause, errExpired) || errors.Is(cause, errShutdown) || errors.As(cause, &withdrawn)
}

// endOf returns why a request was ended, as a label and as text, or "".
func endOf(ctx context.Context) (label, text string) {
	cause := context.Cause(ctx)
	var withdrawn *withdrawal
	switch {
	case errors.As(cause, &withdrawn):
		return "withdrawn", "no longer allowed: " + string(withdrawn.why.ID)
	case errors.Is(cause, errExpired):
		return "expired", "token expired"
	case errors.Is(cause, errShutdown):
		return "stopped", "server stopping"
	}
	return "", ""
}
