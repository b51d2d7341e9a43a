//go:build !windows

package cmd

import (
	"os/exec"
	"syscall"
	"time"
)

// ownGroup puts a command into a process group of its own, so that what it
// starts can be ended with it.
func ownGroup(child *exec.Cmd) { child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// endGroup asks the group to end, and ends it if it does not.
func endGroup(child *exec.Cmd, ended <-chan error) {
	_ = syscall.Kill(-child.Process.Pid, syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(childEnds):
	}
	// Those that the command left behind, and the command itself.
	_ = syscall.Kill(-child.Process.Pid, syscall.SIGKILL)
	<-ended
}
