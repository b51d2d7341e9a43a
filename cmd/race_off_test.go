//go:build !race

package cmd_test

// raceEnabled: the race detector multiplies time and memory.
const raceEnabled = false
