package cmd

import (
	"os/exec"
	"strconv"
)

// ownGroup does nothing: endGroup finds the processes by their parent.
func ownGroup(*exec.Cmd) {}

// endGroup ends the command and the processes that it started.
func endGroup(child *exec.Cmd, ended <-chan error) {
	_ = exec.Command("taskkill", "/T", "/F", "/PID", strconv.Itoa(child.Process.Pid)).Run()
	_ = child.Process.Kill()
	<-ended
}
