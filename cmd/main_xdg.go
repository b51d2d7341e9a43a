//go:build !windows && !darwin

package cmd

// runtimeHasXDG is true where programs keep their state below ~/.local/state.
const runtimeHasXDG = true
