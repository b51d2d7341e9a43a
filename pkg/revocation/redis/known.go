package redis

import (
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/oauthctl/oauthctl/pkg/revocation"
)

// known holds all revocations in memory: a sorted list of 8-byte hashes for
// each day of expiry, and a table of cut-offs. In one of ten million sets, two
// of a million tokens have the same hash.
type known struct {
	mu      sync.RWMutex
	days    map[int64]*hashes
	cutoffs map[uint64]cutoff
}

type cutoff struct{ at, until int64 }

func newKnown() *known { return &known{days: map[int64]*hashes{}, cutoffs: map[uint64]cutoff{}} }

const day = 24 * 60 * 60

func short(key revocation.Key) uint64 { return binary.BigEndian.Uint64(key[:]) }

// set adds an entry. Neither cut-off nor expiry is ever reduced.
func (k *known) set(key revocation.Key, at int64, until time.Time) {
	h, end := short(key), until.Unix()+1
	k.mu.Lock()
	defer k.mu.Unlock()
	if at == revocation.Always {
		d := k.days[end/day]
		if d == nil {
			d = &hashes{}
			k.days[end/day] = d
		}
		d.add(h)
		return
	}
	old := k.cutoffs[h]
	k.cutoffs[h] = cutoff{max(at, old.at), max(end, old.until)}
}

func (k *known) remove(key revocation.Key) {
	h := short(key)
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.cutoffs, h)
	for _, d := range k.days {
		d.remove(h)
	}
}

// refuses reports whether an entry for one of keys refuses a token that was
// issued at that time.
func (k *known) refuses(keys []revocation.Key, issued int64) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, key := range keys {
		h := short(key)
		if c, ok := k.cutoffs[h]; ok && issued <= c.at {
			return true
		}
		for _, d := range k.days {
			if d.has(h) {
				return true
			}
		}
	}
	return false
}

// sweep removes expired entries.
func (k *known) sweep(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id := range k.days {
		if id < now.Unix()/day {
			delete(k.days, id)
		}
	}
	for h, c := range k.cutoffs {
		if c.until < now.Unix() {
			delete(k.cutoffs, h)
		}
	}
}

func (k *known) len() int {
	k.mu.RLock()
	defer k.mu.RUnlock()
	n := len(k.cutoffs)
	for _, d := range k.days {
		n += len(d.sorted) + len(d.fresh)
	}
	return n
}

// hashes is a set of 8-byte hashes: a sorted list, and a small table of new
// ones.
type hashes struct {
	sorted []uint64
	fresh  map[uint64]struct{}
}

func (s *hashes) has(h uint64) bool {
	if _, ok := s.fresh[h]; ok {
		return true
	}
	_, ok := slices.BinarySearch(s.sorted, h)
	return ok
}

func (s *hashes) add(h uint64) {
	if s.has(h) {
		return
	}
	if s.fresh == nil {
		s.fresh = map[uint64]struct{}{}
	}
	s.fresh[h] = struct{}{}
	if len(s.fresh) > 512+len(s.sorted)/64 {
		s.merge()
	}
}

// merge moves the new hashes to the list.
func (s *hashes) merge() {
	added := make([]uint64, 0, len(s.fresh))
	for h := range s.fresh {
		added = append(added, h)
	}
	slices.Sort(added)
	merged := make([]uint64, 0, len(s.sorted)+len(added))
	i := 0
	for _, h := range added {
		for i < len(s.sorted) && s.sorted[i] < h {
			merged = append(merged, s.sorted[i])
			i++
		}
		merged = append(merged, h)
	}
	s.sorted, s.fresh = append(merged, s.sorted[i:]...), nil
}

func (s *hashes) remove(h uint64) {
	delete(s.fresh, h)
	if i, ok := slices.BinarySearch(s.sorted, h); ok {
		s.sorted = slices.Delete(slices.Clone(s.sorted), i, i+1)
	}
}
