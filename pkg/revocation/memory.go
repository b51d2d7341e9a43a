package revocation

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oauthctl/oauthctl/pkg/token"
)

// ErrFull says that a [Memory] holds as many entries as it may. None is
// forgotten for a new one, since that would let its token in again.
var ErrFull = errors.New("revocation: no room for another entry")

const (
	defaultLimit = 1_000_000
	slot         = 60   // seconds: entries that expire together
	batch        = 4096 // entries forgotten in one go, so that no request waits long
)

// Memory holds what is revoked for one process: a revoked token is refused from
// the moment Revoke returns, and again accepted after a restart. Entries are gone
// a minute after they stop to count, as requests come. It is safe for
// concurrent use.
type Memory struct {
	limit int
	now   func() time.Time

	mu      sync.RWMutex
	entries map[Key]record
	slots   map[int64][]Key // by when they expire
	due     atomic.Int64    // the first slot that is not yet swept
}

type record struct{ cutoff, until int64 }

// NewMemory returns a store for limit entries, 0 meaning a million. A nil now
// means the system's clock.
func NewMemory(limit int, now func() time.Time) *Memory {
	if limit <= 0 {
		limit = defaultLimit
	}
	if now == nil {
		now = time.Now
	}
	return &Memory{limit: limit, now: now, entries: map[Key]record{}, slots: map[int64][]Key{}}
}

// Revoke notes what is revoked. A later cut-off takes the place of an earlier
// one and never the other way round. The error is [ErrFull].
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
	// Rounded up: an entry may live a second too long, but not too short.
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

// Len returns how many entries are held, including some that no longer count.
func (m *Memory) Len() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.entries)
}

// tidy forgets a few entries if some are due and nobody else holds the store.
func (m *Memory) tidy(now int64) {
	if m.due.Load() < now/slot && m.mu.TryLock() {
		m.sweep(now, batch)
		m.mu.Unlock()
	}
}

// sweep forgets at most n entries whose slot has passed.
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
		// A map keeps its room; a new one gives back that of a bad day.
		m.entries, m.slots = map[Key]record{}, map[int64][]Key{}
	}
}
