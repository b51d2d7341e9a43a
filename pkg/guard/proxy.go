package guard

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"net/http/httputil"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	answer "github.com/oauthctl/oauthctl/pkg/problem"
)

// rewrite changes the request for the API. It runs after the proxy has removed
// the headers listed in Connection, so that a client cannot remove the guard's.
func (h *Handler) rewrite(p *httputil.ProxyRequest) {
	n := noteOf(p.In)
	p.SetURL(h.config.Upstream)
	// The standard library cleaned the query, which would lose parts of it.
	p.Out.URL.RawQuery, p.Out.URL.ForceQuery = p.In.URL.RawQuery, p.In.URL.ForceQuery
	p.Out.Trailer = nil
	if h.config.PassHost {
		p.Out.Host = p.In.Host
	}
	h.removeUpgrade(p, n)
	trusted := h.trusted.trust(p.In)
	for name := range p.Out.Header {
		if h.removes(name, trusted) {
			delete(p.Out.Header, name)
		}
	}
	h.trusted.forward(p.Out.Header, p.In)
	p.Out.Header["X-Request-Id"] = []string{n.id}
	n.who.write(p.Out.Header)
}

// removeUpgrade allows only WebSockets, which begin with a GET that was
// checked. Another protocol (h2c) could send requests that are not checked.
func (h *Handler) removeUpgrade(p *httputil.ProxyRequest, n *note) {
	if p.Out.Method == http.MethodGet && n.decision != "preflight" && strings.EqualFold(p.Out.Header.Get("Upgrade"), "websocket") {
		return
	}
	p.Out.Header.Del("Upgrade")
	p.Out.Header.Del("Connection")
	p.Out.Header.Del("Http2-Settings")
}

// removes reports whether a client's header field must not reach the API.
func (h *Handler) removes(name string, trusted bool) bool {
	switch h.fields.classOf(name) {
	case credential:
		return !h.config.ForwardToken || !isPlain(name)
	case identity, override:
		return true
	case forwarding:
		return !trusted || !isPlain(name)
	}
	return false
}

// answering handles a response of the API. When the token expires, an event
// stream ends normally; another response is aborted, because an incomplete file
// must not look complete.
func (h *Handler) answering(res *http.Response) error {
	res.Header.Del("X-Request-Id")
	n := noteOf(res.Request)
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	switch {
	case res.StatusCode == http.StatusSwitchingProtocols:
		if h.config.Carriers.Subprotocol && res.Header["Sec-Websocket-Protocol"] == nil && n.offered {
			// A browser that offered one expects that one is chosen.
			res.Header["Sec-Websocket-Protocol"] = []string{subprotocol}
		}
		h.opened(n, res.Request, "websocket")
	case kind == "text/event-stream" && res.StatusCode == http.StatusOK:
		h.opened(n, res.Request, kind)
		res.Body = &events{res.Body, res.Request.Context()}
	}
	return nil
}

// unreachable sends the response for an API that cannot be reached.
func (h *Handler) unreachable(w http.ResponseWriter, r *http.Request, err error) {
	n := noteOf(r)
	cause := context.Cause(r.Context())
	var withdrawn *withdrawal
	switch failed := n.body.failed(); {
	case failed != nil && !errors.Is(failed, http.ErrBodyReadAfterClose):
		n.reason = failed
		status := statusOf(failed)
		if status == statusClientGone {
			w.WriteHeader(status)
			return
		}
		n.decision = "refused"
		problem(w, status, "the body of the request could not be read", "")
	case errors.Is(cause, errExpired):
		problem(w, http.StatusGatewayTimeout, "the token expired before the API responded", diagnosis.Timeout)
	case errors.As(cause, &withdrawn):
		n.refuse(withdrawn.why)
		problem(w, http.StatusUnauthorized, withdrawn.why.Summary(), withdrawn.why.ID)
	case errors.Is(cause, errShutdown):
		problem(w, http.StatusServiceUnavailable, "the server is stopping", "")
	case errors.Is(err, context.Canceled):
		n.reason = err
		w.WriteHeader(statusClientGone)
	case isTimeout(err):
		n.err = err
		problem(w, http.StatusGatewayTimeout, "the upstream API did not respond in time", diagnosis.Timeout)
	default:
		n.err = err
		problem(w, http.StatusBadGateway, "the upstream API cannot be reached", diagnosis.Unreachable)
	}
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// statusClientGone is the usual status in proxy logs for a client that closed
// the connection.
const statusClientGone = 499

func problem(w http.ResponseWriter, status int, detail string, id diagnosis.ID) {
	p := answer.New(status, detail)
	p.ID = id
	p.Write(w, &http.Request{}) // the server omits the body of a response to HEAD
}
