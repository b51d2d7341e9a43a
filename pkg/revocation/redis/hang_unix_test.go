//go:build unix

package redis_test

import (
	"context"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/revocation/redis"
)

// If Redis hangs, only one request at a time waits for it.
func TestHang(t *testing.T) {
	s := startRedis(t, "")
	key := newKey(t)
	store := open(t, s.url(), redis.Options{MaxAge: time.Nanosecond, Timeout: 50 * time.Millisecond})
	tok := signed(t, key, nil)
	if got, err := store.Revoked(t.Context(), tok); err != nil || got {
		t.Fatalf("positive control: %v, %v", got, err)
	}
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Revoked(t.Context(), tok); idOf(err) != diagnosis.RevocationUnknown {
		t.Errorf("hanging: %v", err)
	}
	var group sync.WaitGroup
	var refused atomic.Int64
	began := time.Now()
	for range 200 {
		group.Go(func() {
			if _, err := store.Revoked(context.Background(), tok); idOf(err) == diagnosis.RevocationUnknown {
				refused.Add(1)
			}
		})
	}
	group.Wait()
	t.Logf("200 requests were refused in %s", time.Since(began))
	if refused.Load() != 200 {
		t.Errorf("%d of 200 were refused", refused.Load())
	}
	if err := s.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, func() bool { _, err := store.Revoked(t.Context(), tok); return err == nil })
}
