package redis_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/revocation"
	"github.com/oauthctl/oauthctl/pkg/revocation/redis"
)

// TestMillion reports the cost of a million revoked tokens in Redis and for a
// lookup. It uses a fiftieth of them unless OAUTHCTL_TEST_LONG is set.
func TestMillion(t *testing.T) {
	s := startRedis(t, "")
	n := 1_000_000
	if os.Getenv("OAUTHCTL_TEST_LONG") == "" {
		n /= 50
	}
	store := open(t, s.url(), redis.Options{Timeout: 5 * time.Second})
	expiry := time.Now().Add(time.Hour)
	var group sync.WaitGroup
	const writers = 16
	for w := range writers {
		group.Go(func() {
			for i := w; i < n; i += writers {
				if err := store.Revoke(context.Background(), revocation.OfID(issuer, fmt.Sprint("token-", i), expiry)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	reader := open(t, s.url(), redis.Options{MaxAge: time.Nanosecond, Timeout: 5 * time.Second})
	key := newKey(t)
	good, bad := signed(t, key, nil), signed(t, key, map[string]any{"jti": "token-7"})
	took := make([]time.Duration, 5000)
	for i := range took {
		tok := good
		if i%2 == 1 {
			tok = bad
		}
		began := time.Now()
		got, err := reader.Revoked(t.Context(), tok)
		if took[i] = time.Since(began); err != nil || got != (i%2 == 1) {
			t.Fatal("a wrong answer: ", got, err)
		}
	}
	slices.Sort(took)
	t.Logf("%d entries: %s, lookup past the cache p50 %s p99 %s", n, s.memory(t), took[len(took)/2], took[len(took)*99/100])
}

// memory returns the memory that Redis reports as used.
func (s *server) memory(t *testing.T) string {
	t.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:"+s.port)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprint(conn, "INFO memory\r\nQUIT\r\n")
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if used, ok := strings.CutPrefix(lines.Text(), "used_memory_human:"); ok {
			return used
		}
	}
	return "unknown"
}
