package guard

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// metrics are what a guard counts. The labels come from fixed sets, so that no
// client can make them grow.
type metrics struct {
	underway atomic.Int64

	mu       sync.Mutex
	requests map[request]uint64
	refusals map[diagnosis.ID]uint64
	reloads  map[string]uint64
	buckets  [len(bounds) + 1]uint64
	sum      time.Duration
}

type request struct {
	status   int
	decision string
}

// bounds are the upper ends of the buckets for a request's time, in seconds.
var bounds = [...]float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

func (m *metrics) count(status int, n *note, took time.Duration) {
	i, _ := slices.BinarySearch(bounds[:], took.Seconds())
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.requests == nil {
		m.requests, m.refusals = map[request]uint64{}, map[diagnosis.ID]uint64{}
	}
	m.requests[request{status, n.decision}]++
	m.buckets[i]++
	m.sum += took
	if n.diagnosis != nil {
		m.refusals[n.diagnosis.ID]++
	}
}

func (m *metrics) countReload(result string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.reloads == nil {
		m.reloads = map[string]uint64{}
	}
	m.reloads[result]++
}

// Admin serves /healthz (the process lives), /readyz (keys are at hand) and
// /metrics in the text format of Prometheus. It asks for no token: give it an
// address that clients of the API do not reach.
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

// ready fetches the keys if that was not done yet.
func (h *Handler) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := h.config.Keys.Ready(ctx); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "the issuer's keys are unavailable\n")
		return
	}
	_, _ = io.WriteString(w, "ready\n")
}

func (h *Handler) writeMetrics(w io.Writer) {
	m := &h.metrics
	family := func(name, kind, help string) {
		fmt.Fprintf(w, "# HELP oauthctl_guard_%s %s\n# TYPE oauthctl_guard_%s %s\n", name, help, name, kind)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	family("requests_total", "counter", "Requests by status and decision.")
	for _, k := range slices.SortedFunc(maps.Keys(m.requests), func(a, b request) int {
		return cmp.Or(cmp.Compare(a.status, b.status), cmp.Compare(a.decision, b.decision))
	}) {
		fmt.Fprintf(w, "oauthctl_guard_requests_total{code=\"%d\",decision=%q} %d\n", k.status, k.decision, m.requests[k])
	}
	family("refusals_total", "counter", "Requests refused, by diagnosis.")
	for _, id := range slices.Sorted(maps.Keys(m.refusals)) {
		fmt.Fprintf(w, "oauthctl_guard_refusals_total{id=%q} %d\n", id, m.refusals[id])
	}
	family("policy_reloads_total", "counter", "Policies read after the first, by result.")
	for _, result := range slices.Sorted(maps.Keys(m.reloads)) {
		fmt.Fprintf(w, "oauthctl_guard_policy_reloads_total{result=%q} %d\n", result, m.reloads[result])
	}
	family("policy_loaded_timestamp_seconds", "gauge", "When the policy in use was taken over.")
	fmt.Fprintf(w, "oauthctl_guard_policy_loaded_timestamp_seconds %d\n", h.current.Load().loaded.Unix())
	family("requests_underway", "gauge", "Requests that are not answered yet.")
	fmt.Fprintf(w, "oauthctl_guard_requests_underway %d\n", m.underway.Load())
	family("request_duration_seconds", "histogram", "Time from a request's header to the end of its answer.")
	m.writeBuckets(w)
	h.writeKeys(w, family)
}

func (m *metrics) writeBuckets(w io.Writer) {
	var total uint64
	for i, n := range m.buckets {
		total += n
		end := "+Inf"
		if i < len(bounds) {
			end = strconv.FormatFloat(bounds[i], 'g', -1, 64)
		}
		fmt.Fprintf(w, "oauthctl_guard_request_duration_seconds_bucket{le=%q} %d\n", end, total)
	}
	fmt.Fprintf(w, "oauthctl_guard_request_duration_seconds_sum %g\noauthctl_guard_request_duration_seconds_count %d\n", m.sum.Seconds(), total)
}

func (h *Handler) writeKeys(w io.Writer, family func(name, kind, help string)) {
	s := h.config.Keys.State()
	family("keys", "gauge", "Usable keys of the issuer.")
	fmt.Fprintf(w, "oauthctl_guard_keys %d\n", s.Keys)
	family("keys_fetches_total", "counter", "Requests for the key set, by result.")
	fmt.Fprintf(w, "oauthctl_guard_keys_fetches_total{result=\"ok\"} %d\noauthctl_guard_keys_fetches_total{result=\"failed\"} %d\n", s.Fetches-s.Failures, s.Failures)
	if !s.FetchedAt.IsZero() {
		family("keys_fetched_timestamp_seconds", "gauge", "When the keys in use were fetched.")
		fmt.Fprintf(w, "oauthctl_guard_keys_fetched_timestamp_seconds %d\n", s.FetchedAt.Unix())
	}
}
