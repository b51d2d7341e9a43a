package guard

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"
)

// Admin serves /healthz (the process is running), /readyz (requests with a valid
// token can be served) and /metrics in the Prometheus text format. It requires
// no token: use an address that the API's clients cannot reach.
func (h *Handler) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", h.ready)
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		h.writeMetrics(w)
	})
	return mux
}

// Drain makes /readyz return 503 from now on, so that a load balancer sends no
// more requests.
func (h *Handler) Drain() { h.draining.Store(true) }

// ready returns 503 while requests would get 503, and while the server is
// stopping.
func (h *Handler) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if why := h.notReady(ctx); why != "" {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, why+"\n")
		return
	}
	_, _ = io.WriteString(w, "ready\n")
}

func (h *Handler) notReady(ctx context.Context) string {
	if h.draining.Load() {
		return "stopping"
	}
	for _, keys := range h.current.Load().keys {
		if err := keys.Ready(ctx); err != nil {
			return "the keys of the issuer are unavailable"
		}
	}
	for _, name := range slices.Sorted(maps.Keys(h.config.Ready)) {
		if err := h.config.Ready[name](ctx); err != nil {
			return fmt.Sprintf("%s: unavailable", name)
		}
	}
	return ""
}
