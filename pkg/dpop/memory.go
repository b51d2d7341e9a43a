package dpop

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"
)

// Memory is a [ReplayStore] for one process. Its size is limited, and one key
// may use at most a tenth of it. A full store returns an error, because a proof
// that is dropped could be used again.
type Memory struct {
	limit int
	now   func() time.Time

	mu    sync.Mutex
	used  map[string]time.Time
	keys  map[string]int // number of stored proofs by key
	sweep time.Time      // when the next sweep is useful
}

// MemoryOptions are the options of a [Memory].
type MemoryOptions struct {
	Limit int              // of proofs that are valid at the same time; 0 means 100,000
	Now   func() time.Time // nil means time.Now
}

// NewMemory returns an empty store.
func NewMemory(o MemoryOptions) *Memory {
	if o.Limit <= 0 {
		o.Limit = 100_000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Memory{limit: o.Limit, now: o.Now, used: map[string]time.Time{}, keys: map[string]int{}}
}

var (
	errFull    = errors.New("too many proofs at the same time")
	errKeyFull = errors.New("too many proofs with one key at the same time")
)

// sweepInterval limits the cost of sweeping.
const sweepInterval = 10 * time.Second

// Use implements [ReplayStore]. It returns an error if the store is full.
func (m *Memory) Use(_ context.Context, id string, until time.Time) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if now.After(m.sweep) {
		for other, end := range m.used {
			if now.After(end) {
				m.forget(other)
			}
		}
		m.sweep = now.Add(sweepInterval)
	}
	if end, there := m.used[id]; there && !now.After(end) {
		return false, nil
	}
	key, _, named := strings.Cut(id, ".")
	switch _, again := m.used[id]; {
	case again:
		m.forget(id)
	case len(m.used) >= m.limit:
		return false, errFull
	case named && m.keys[key] >= max(1, m.limit/10):
		return false, errKeyFull
	}
	m.used[id] = until
	if named {
		m.keys[key]++
	}
	return true, nil
}

func (m *Memory) forget(id string) {
	delete(m.used, id)
	key, _, named := strings.Cut(id, ".")
	if !named {
		return
	}
	if m.keys[key]--; m.keys[key] <= 0 {
		delete(m.keys, key)
	}
}
