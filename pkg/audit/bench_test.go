package audit_test

import (
	"fmt"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/audit"
)

// benchmark repeats an audit, and reports the number of requests of one audit
// and the time for 300 requests.
//
//	go test ./pkg/audit -run '^$' -bench .
func benchmark(b *testing.B, c audit.Config) {
	b.Helper()
	b.ReportAllocs()
	c.Rotation, c.Revocation = 0, false
	requests := 0
	for b.Loop() {
		requests += run(b, c).Requests
	}
	b.ReportMetric(b.Elapsed().Seconds()*300/float64(requests), "s/300-requests")
	b.ReportMetric(float64(requests)/float64(b.N), "requests")
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

// Requests to an API in a separate process.
func BenchmarkProcess(b *testing.B) { benchmark(b, process(b)) }

// A hundred operations over HTTP.
func BenchmarkHundredOperations(b *testing.B) {
	p, c := setup(b)
	overHTTP(b, &c, p)
	c.Operations = nil
	for i := range 100 {
		id := fmt.Sprintf("id%d", i)
		c.Operations = append(c.Operations, audit.Operation{
			Method: "GET", Path: "/items/{" + id + "}", Scopes: []string{"items:read"},
			Params: []audit.Param{{Name: id, In: "path", Value: "1", Required: true}},
		})
	}
	benchmark(b, c)
}
