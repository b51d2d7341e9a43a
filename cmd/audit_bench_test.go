package cmd_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/cmd"
)

// The complete command with an API in FastAPI, from its start to its last line. The metric is the time for 300
// requests: `go test ./cmd -run '^$' -bench AuditFastAPI`.
func BenchmarkAuditFastAPI(b *testing.B) {
	issuer := freeAddress(b)
	audience := ""
	api := startFastAPI(b, "planted", func(address string) []string {
		audience = address
		return []string{"OAUTH_ISSUER=http://" + issuer, "OAUTH_AUDIENCE=" + address}
	})
	args := []string{
		"audit", "--json", "-q", api, "--issuer-listen", issuer, "--audience", audience, "--unsafe", "dry",
		"--operation", "GET /api/items=items:read", "--operation", "POST /api/items=items:write",
	}
	var requests int
	var spent time.Duration
	for b.Loop() {
		var stdout bytes.Buffer
		env := &cmd.Env{
			Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: io.Discard, Getenv: func(string) string { return "" }, Now: time.Now,
			ConfigDir: b.TempDir(), StateDir: b.TempDir(), IsTerminal: func(any) bool { return false },
		}
		start := time.Now()
		if code := cmd.Run(context.Background(), env, args); code != 0 {
			b.Fatalf("exit code %d\n%s", code, &stdout)
		}
		spent += time.Since(start)
		var report audited
		if err := json.Unmarshal(stdout.Bytes(), &report, json.MatchCaseInsensitiveNames(true)); err != nil {
			b.Fatal(err)
		}
		requests += report.Requests
	}
	b.ReportMetric(spent.Seconds()*300/float64(requests), "s/300-requests")
	b.ReportMetric(float64(requests)/float64(b.N), "requests")
}
