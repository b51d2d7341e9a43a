package main

import (
	"math/rand/v2"
	"slices"
	"syscall"
	"time"
)

// contender is one implementation that verifies the token.
type contender struct {
	name  string
	judge func()
}

// bare is the name of the reference contender.
const bare = "the bare signature check"

// result is the result of a contender: the medians of the ratios and of the CPU
// times of one verification.
type result struct {
	ratio float64
	each  time.Duration
}

func measure(all []contender, rounds int, turn time.Duration) map[string]result {
	times, count := make([][]float64, len(all)), make([]int, len(all))
	for i, c := range all {
		count[i] = calibrate(c, turn)
	}
	order := rand.Perm(len(all))
	for range rounds {
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, i := range order {
			times[i] = append(times[i], cost(all[i], count[i]))
		}
	}
	base := slices.IndexFunc(all, func(c contender) bool { return c.name == bare })
	results := map[string]result{}
	for i, c := range all {
		ratios := make([]float64, rounds)
		for r := range rounds {
			ratios[r] = times[i][r] / times[base][r]
		}
		results[c.name] = result{median(ratios), time.Duration(median(times[i]))}
	}
	return results
}

// calibrate returns the number of verifications in a turn.
func calibrate(c contender, turn time.Duration) int {
	n := 1
	for {
		if each := cost(c, n); each*float64(n) > float64(turn)/4 {
			return max(1, int(float64(turn)/each))
		}
		n *= 2
	}
}

// cost returns the CPU time of one verification in nanoseconds, measured over
// n.
func cost(c contender, n int) float64 {
	before := cpuTime()
	for range n {
		c.judge()
	}
	return float64(cpuTime()-before) / float64(n)
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
