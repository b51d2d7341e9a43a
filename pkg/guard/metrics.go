package guard

import (
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
	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// metrics holds the counters of a guard. Labels are from fixed sets, so that
// clients cannot create new ones. A counter with known labels starts at 0,
// because an increase of a counter that appears later is not visible.
type metrics struct {
	underway atomic.Int64

	mu       sync.Mutex
	requests map[request]uint64
	routes   map[routed]uint64
	refused  map[string]uint64 // by route
	refusals map[diagnosis.ID]uint64
	reloads  map[string]uint64
	cut      map[string]uint64
	buckets  [len(bounds) + 1]uint64
	sum      time.Duration
}

type request struct {
	status   int
	decision string
}

type routed struct {
	route  string
	status int
}

// bounds are the upper limits of the buckets for a request's duration, in
// seconds.
var bounds = [...]float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

func (m *metrics) init() {
	m.requests = map[request]uint64{
		{http.StatusOK, "allowed"}: 0, {http.StatusOK, "public"}: 0, {http.StatusOK, "preflight"}: 0, {http.StatusOK, "logout"}: 0, {http.StatusBadRequest, "refused"}: 0,
		{http.StatusUnauthorized, "refused"}: 0, {http.StatusForbidden, "refused"}: 0, {http.StatusServiceUnavailable, "refused"}: 0,
		{http.StatusBadGateway, "allowed"}: 0, {http.StatusGatewayTimeout, "allowed"}: 0,
	}
	m.routes, m.refused, m.refusals = map[routed]uint64{}, map[string]uint64{"": 0}, map[diagnosis.ID]uint64{}
	m.reloads, m.cut = map[string]uint64{"ok": 0, "refused": 0}, map[string]uint64{"expired": 0, "withdrawn": 0, "stopped": 0}
	for _, e := range diagnosis.All() {
		if e.Kind == diagnosis.Rejected || e.Kind == diagnosis.Denied || e.Kind == diagnosis.Unavailable {
			m.refusals[e.ID] = 0
		}
	}
}

// addRoutes starts the counters of new routes at 0.
func (m *metrics) addRoutes(patterns []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range patterns {
		m.refused[p] += 0
		m.routes[routed{p, http.StatusOK}] += 0
	}
}

func (m *metrics) count(status int, n *note, took time.Duration) {
	i, _ := slices.BinarySearch(bounds[:], took.Seconds())
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests[request{status, n.decision}]++
	m.routes[routed{n.route, status}]++
	m.buckets[i]++
	m.sum += took
	if n.decision == "refused" {
		m.refused[n.route]++
	}
	if n.cut != "" {
		m.cut[n.cut]++
	}
	if n.diagnosis != nil {
		m.refusals[n.diagnosis.ID]++
	}
}

func (m *metrics) countReload(result string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reloads[result]++
}

// Value is an additional metric. Its name follows oauthctl_guard_; that of a
// counter ends in _total.
type Value struct {
	Name, Help string
	Counter    bool
	Get        func() float64
}

// exposition writes the text format of Prometheus.
type exposition struct{ w io.Writer }

const prefix = "oauthctl_guard_"

func (x exposition) family(name, kind, help string) {
	fmt.Fprintf(x.w, "# HELP %s%s %s\n# TYPE %s%s %s\n", prefix, name, help, prefix, name, kind)
}

func (x exposition) gauge(name, help string, value any) {
	x.family(name, "gauge", help)
	fmt.Fprintf(x.w, "%s%s %v\n", prefix, name, value)
}

// sorted writes the samples of a family in a fixed order.
func (x exposition) sorted(lines []string) {
	slices.Sort(lines)
	for _, line := range lines {
		io.WriteString(x.w, line)
	}
}

func (h *Handler) writeMetrics(w io.Writer) {
	m, x := &h.metrics, exposition{w}
	m.mu.Lock()
	defer m.mu.Unlock()
	x.family("requests_total", "counter", "Requests by status and decision.")
	lines := make([]string, 0, len(m.requests))
	for k, n := range m.requests {
		lines = append(lines, fmt.Sprintf("oauthctl_guard_requests_total{code=\"%d\",decision=%q} %d\n", k.status, k.decision, n))
	}
	x.sorted(lines)
	x.family("route_requests_total", "counter", "Requests by route and status; the route is empty if none is listed.")
	lines = lines[:0]
	for k, n := range m.routes {
		lines = append(lines, fmt.Sprintf("oauthctl_guard_route_requests_total{route=%q,code=\"%d\"} %d\n", k.route, k.status, n))
	}
	x.sorted(lines)
	counters(x, "route_refusals_total", "Requests refused, by route.", "route", m.refused)
	counters(x, "refusals_total", "Requests refused, by diagnosis.", "id", m.refusals)
	counters(x, "requests_cut_total", "Requests that were accepted but ended before the API had responded, by reason.", "reason", m.cut)
	counters(x, "policy_reloads_total", "Policies read after the first, by result.", "result", m.reloads)
	x.gauge("policy_loaded_timestamp_seconds", "When the current policy was loaded.", h.current.Load().loaded.Unix())
	x.gauge("requests_underway", "Requests in progress.", m.underway.Load())
	x.family("request_duration_seconds", "histogram", "Time from a request's header to the end of its response.")
	m.writeBuckets(w)
	h.writeKeys(x)
	for _, v := range h.config.Values {
		kind := "gauge"
		if v.Counter {
			kind = "counter"
		}
		x.family(v.Name, kind, v.Help)
		fmt.Fprintf(w, "%s%s %g\n", prefix, v.Name, v.Get())
	}
}

func counters[K ~string](x exposition, name, help, label string, values map[K]uint64) {
	x.family(name, "counter", help)
	for _, k := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(x.w, "%s%s{%s=%q} %d\n", prefix, name, label, k, values[k])
	}
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

func (h *Handler) writeKeys(x exposition) {
	var s jwks.State
	for _, keys := range h.current.Load().keys {
		one := keys.State()
		s.Keys, s.Fetches, s.Failures = s.Keys+one.Keys, s.Fetches+one.Fetches, s.Failures+one.Failures
		if s.FetchedAt.IsZero() || one.FetchedAt.Before(s.FetchedAt) {
			s.FetchedAt = one.FetchedAt
		}
	}
	x.gauge("keys", "Usable keys of the issuer.", s.Keys)
	x.family("keys_fetches_total", "counter", "Requests for the key set, by result.")
	fmt.Fprintf(x.w, "oauthctl_guard_keys_fetches_total{result=\"ok\"} %d\noauthctl_guard_keys_fetches_total{result=\"failed\"} %d\n", s.Fetches-s.Failures, s.Failures)
	if !s.FetchedAt.IsZero() {
		x.gauge("keys_fetched_timestamp_seconds", "When the keys in use were fetched.", s.FetchedAt.Unix())
	}
}
