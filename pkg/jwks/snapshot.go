package jwks

import (
	"slices"
	"time"
)

// snapshot is a set with its times.
type snapshot struct {
	set        *Set
	fetched    time.Time
	renew      time.Time // when to refresh in the background
	expires    time.Time // when to refresh before returning keys
	former     map[string]*Key
	generation uint64
}

// renewAfter returns when to refresh a set: after 50 to 90 % of its fresh time,
// depending on a random number below its argument.
func renewAfter(fresh time.Duration, random func(time.Duration) time.Duration) time.Duration {
	return fresh/2 + random(fresh*4/10)
}

// sameKeys reports whether two sets have the same keys with the same kids and
// certificates.
func sameKeys(a, b *Set) bool {
	if len(a.keys) != len(b.keys) {
		return false
	}
	for i, k := range a.keys {
		other := b.keys[i]
		if k.id != other.id || k.algorithm != other.algorithm || k.Thumbprint() != other.Thumbprint() || !slices.Equal(k.certificates, other.certificates) {
			return false
		}
	}
	return true
}

// formerKeys returns the previous keys of the kids in set.
func formerKeys(before *snapshot, set *Set) map[string]*Key {
	if before == nil {
		return nil
	}
	former := map[string]*Key{}
	for _, k := range set.keys {
		if k.id == "" {
			continue
		}
		if old := before.former[k.id]; old != nil {
			former[k.id] = old
		}
		for _, old := range before.set.keys {
			if old.id == k.id && old.Thumbprint() != k.Thumbprint() {
				former[k.id] = old
			}
		}
	}
	return former
}
