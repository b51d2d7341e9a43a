//go:build !windows

package cmd

import (
	"os/exec"
	"syscall"
	"time"
)

// ownGroup puts a command into a process group of its own, so that the processes
// that it starts can be ended with it.
func ownGroup(child *exec.Cmd) { child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// endGroup asks the processes of the group to end, and kills them if they do not.
func endGroup(child *exec.Cmd, ended <-chan error) {
	_ = syscall.Kill(-child.Process.Pid, syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(childEnds):
	}
	// This also ends processes that outlive the command.
	_ = syscall.Kill(-child.Process.Pid, syscall.SIGKILL)
	<-ended
}
