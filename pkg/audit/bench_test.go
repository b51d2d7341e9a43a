package audit_test

import (
	"fmt"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/audit"
)

// benchmark repeats an audit and reports how many requests one sends.
func benchmark(b *testing.B, c audit.Config) {
	b.Helper()
	c.Rotation, c.Revocation = 0, false
	requests := 0
	for b.Loop() {
		requests = run(b, c).Requests
	}
	b.ReportMetric(float64(requests), "requests")
}

// Requests to an API in process.
func BenchmarkInProcess(b *testing.B) {
	_, c := setup(b)
	benchmark(b, c)
}

// Requests to an API over HTTP on loopback.
func BenchmarkLoopback(b *testing.B) {
	p, c := setup(b)
	overHTTP(b, &c, p)
	benchmark(b, c)
}

// Requests to an API that is a process of its own.
func BenchmarkProcess(b *testing.B) { benchmark(b, process(b)) }

// A hundred operations over HTTP.
func BenchmarkHundredOperations(b *testing.B) {
	p, c := setup(b)
	overHTTP(b, &c, p)
	c.Operations = nil
	for i := range 100 {
		c.Operations = append(c.Operations, audit.Operation{Method: "GET", Path: fmt.Sprintf("/items/%d", i), Scopes: []string{"items:read"}})
	}
	benchmark(b, c)
}
