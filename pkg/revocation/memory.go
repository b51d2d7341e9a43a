package revocation

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oauthctl/oauthctl/pkg/token"
)

// ErrFull means that a [Memory] has reached its limit. No entry is dropped,
// because its token would be accepted again.
var ErrFull = errors.New("revocation: the maximum number of entries is reached")

const (
	defaultLimit = 1_000_000
	slot         = 60   // seconds; entries that expire together
	batch        = 4096 // maximum number of entries to remove at once
)

// Memory stores revocations for one process. A revoked token is refused as soon
// as Revoke returns, and accepted again after a restart. Entries are removed a
// minute after they expire. It is safe for concurrent use.
type Memory struct {
	limit int
	now   func() time.Time

	mu      sync.RWMutex
	entries map[Key]record
	slots   map[int64][]Key // by expiry
	due     atomic.Int64    // the first slot that has not been swept
}

type record struct{ cutoff, until int64 }

// MemoryOptions are the options of a [Memory].
type MemoryOptions struct {
	Limit int              // of entries; 0 means a million
	Now   func() time.Time // nil means time.Now
}

// NewMemory returns an empty store.
func NewMemory(o MemoryOptions) *Memory {
	if o.Limit <= 0 {
		o.Limit = defaultLimit
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Memory{limit: o.Limit, now: o.Now, entries: map[Key]record{}, slots: map[int64][]Key{}}
}

// Revoke adds an entry. A later cut-off replaces an earlier one, but not the
// reverse. The error is [ErrFull].
func (m *Memory) Revoke(_ context.Context, e Entry) error {
	now := m.now()
	e, lives := e.lives(now)
	if !lives {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sweep(now.Unix(), batch)
	old, there := m.entries[e.Key]
	if !there && len(m.entries) >= m.limit {
		if m.sweep(now.Unix(), m.limit); len(m.entries) >= m.limit {
			return ErrFull
		}
	}
	// Rounded up: an entry may be stored a second too long, but not too short.
	r := record{max(e.Cutoff, old.cutoff), max(e.Until.Unix()+1, old.until)}
	m.entries[e.Key] = r
	if id := r.until / slot; r.until != old.until {
		m.slots[id] = append(m.slots[id], e.Key)
		if len(m.slots) == 1 || id < m.due.Load() {
			m.due.Store(id)
		}
	}
	return nil
}

// Revoked reports whether an entry refuses t. There is no error.
func (m *Memory) Revoked(_ context.Context, t *token.Token) (bool, error) {
	now := m.now().Unix()
	m.tidy(now)
	m.mu.RLock()
	empty := len(m.entries) == 0
	m.mu.RUnlock()
	if empty {
		return false, nil
	}
	keys, issued := Keys(t), IssuedAt(t)
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, key := range keys {
		if r, ok := m.entries[key]; ok && issued <= r.cutoff && now < r.until {
			return true, nil
		}
	}
	return false, nil
}

// Len returns the number of entries, including some that have expired.
func (m *Memory) Len() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.entries)
}

// tidy removes a few expired entries, unless another goroutine uses the store.
func (m *Memory) tidy(now int64) {
	if m.due.Load() < now/slot && m.mu.TryLock() {
		m.sweep(now, batch)
		m.mu.Unlock()
	}
}

// sweep removes at most n expired entries.
func (m *Memory) sweep(now int64, n int) {
	id := m.due.Load()
	for ; id < now/slot && len(m.slots) > 0; id++ {
		keys := m.slots[id]
		for ; len(keys) > 0 && n > 0; n-- {
			key := keys[len(keys)-1]
			keys = keys[:len(keys)-1]
			if m.entries[key].until <= now {
				delete(m.entries, key)
			}
		}
		if len(keys) > 0 {
			m.slots[id] = keys
			break
		}
		delete(m.slots, id)
	}
	m.due.Store(id)
	if len(m.entries) == 0 && len(m.slots) == 0 {
		// A map does not shrink; a new one releases the memory.
		m.entries, m.slots = map[Key]record{}, map[int64][]Key{}
	}
}
