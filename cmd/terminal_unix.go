//go:build !windows

package cmd

import (
	"os/signal"
	"syscall"
)

// neverStop lets a read from the terminal fail, rather than stop the process,
// where the process runs in the background.
func neverStop() { signal.Ignore(syscall.SIGTTIN) }
