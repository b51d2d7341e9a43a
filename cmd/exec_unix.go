//go:build !windows

package cmd

import (
	"os/signal"
	"syscall"
)

// replace puts a command in this process's place, so that signals and exit code
// need not be passed on. It returns only if that failed.
func (env *Env) replace(path string, argv, environ []string) error {
	signal.Reset() // the command is to find signals as they were
	return syscall.Exec(path, argv, environ)
}
