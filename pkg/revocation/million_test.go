package revocation_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/revocation"
)

// TestMillion reports the cost of a million revoked tokens, and checks that
// their memory is released. It uses a tenth of them unless OAUTHCTL_TEST_LONG
// is set.
func TestMillion(t *testing.T) {
	n := 1_000_000
	if os.Getenv("OAUTHCTL_TEST_LONG") == "" {
		n /= 10
	}
	c := &clock{at: start}
	m := revocation.NewMemory(revocation.MemoryOptions{Limit: n, Now: c.now})
	before := heap()
	for i := range n {
		expiry := start.Add(time.Duration(i%900+1) * time.Second)
		if err := m.Revoke(t.Context(), revocation.OfID(issuer, fmt.Sprint("token-", i), expiry)); err != nil {
			t.Fatal(err)
		}
	}
	full := heap()
	good := signed(t, newKey(t, "EdDSA"), nil)
	bad := signed(t, newKey(t, "EdDSA"), map[string]any{"jti": "token-899"})
	took := make([]time.Duration, 20_000)
	for i := range took {
		began := time.Now()
		one, _ := m.Revoked(t.Context(), good)
		other, _ := m.Revoked(t.Context(), bad)
		if took[i] = time.Since(began) / 2; one || !other {
			t.Fatal("a wrong answer")
		}
	}
	slices.Sort(took)
	c.move(17 * time.Minute)
	for range n/1000 + 20 {
		_, _ = m.Revoked(t.Context(), good)
	}
	t.Logf("%d entries: %d MB, lookup p50 %s p99 %s; %d entries and %d MB after expiry", n, (full-before)>>20, took[len(took)/2], took[len(took)*99/100], m.Len(), (heap()-before)>>20)
	if m.Len() != 0 {
		t.Errorf("%d entries after expiry", m.Len())
	}
	runtime.KeepAlive(m)
}

func heap() int64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}
