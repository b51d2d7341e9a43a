package dpop_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/dpop"
)

// One key can use a tenth of the store. Other keys are not affected, and
// expired proofs are removed.
func TestMemoryByKey(t *testing.T) {
	now := time.Now()
	m := dpop.NewMemory(dpop.MemoryOptions{Limit: 100, Now: func() time.Time { return now }})
	use := func(key string, i int) error {
		_, err := m.Use(t.Context(), fmt.Sprintf("%s.%d", key, i), now.Add(time.Minute))
		return err
	}
	for i := range 10 {
		if err := use("flood", i); err != nil {
			t.Fatalf("positive control: %v", err)
		}
	}
	if err := use("flood", 10); err == nil {
		t.Error("one key uses the whole store")
	}
	if err := use("other", 1); err != nil {
		t.Errorf("another key: %v", err)
	}
	if fresh, err := m.Use(t.Context(), "flood.3", now.Add(time.Minute)); fresh || err != nil {
		t.Errorf("a proof that was used: %v, %v", fresh, err)
	}
	now = now.Add(2 * time.Minute)
	if err := use("flood", 11); err != nil {
		t.Errorf("after expiry: %v", err)
	}
}
