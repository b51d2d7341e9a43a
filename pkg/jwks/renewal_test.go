package jwks

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// The instances of an API that all fetched the key set at the same moment, as
// they do after a rotation, do not all fetch it again at the same moment. The
// simulation has its own clock; every renewal after the first moment is counted
// by the tenth of a second.
func TestRenewalsSpread(t *testing.T) {
	const (
		instances = 20_000
		fresh     = time.Minute
		bin       = 100 * time.Millisecond
		periods   = 10
	)
	source := rand.New(rand.NewPCG(1, 2)) // the same numbers in every run
	random := func(n time.Duration) time.Duration { return time.Duration(source.Int64N(int64(n))) }
	fullest := func(after func() time.Duration) (ratio float64, fetches int) {
		counts := make([]int, periods*fresh/bin)
		for range instances {
			for at := after(); at < periods*fresh; at += after() {
				counts[at/bin]++
				fetches++
			}
		}
		return float64(slices.Max(counts)) / (float64(fetches) / float64(len(counts))), fetches
	}
	if ratio, fetches := fullest(func() time.Duration { return renewAfter(fresh, random) }); ratio > 3 {
		t.Errorf("the fullest tenth of a second has %.1f times the mean of %d fetches, want at most 3", ratio, fetches)
	} else {
		t.Logf("the fullest tenth of a second has %.1f times the mean; %.2f fetches per instance and period", ratio, float64(fetches)/instances/periods)
	}
	// The positive control: all at the same moment, as with a fixed fraction of
	// the time.
	if ratio, _ := fullest(func() time.Duration { return fresh * 8 / 10 }); ratio < 100 {
		t.Errorf("the simulation does not see instances in step: %.1f times the mean", ratio)
	}
}

func TestRenewAfter(t *testing.T) {
	for _, fresh := range []time.Duration{minFresh, defaultFresh, maxFresh} {
		if got := renewAfter(fresh, func(time.Duration) time.Duration { return 0 }); got != fresh/2 {
			t.Errorf("%s: at the earliest after %s", fresh, got)
		}
		if got := renewAfter(fresh, func(n time.Duration) time.Duration { return n - 1 }); got >= fresh*9/10 || got < fresh*9/10-time.Second {
			t.Errorf("%s: at the latest after %s", fresh, got)
		}
	}
}
