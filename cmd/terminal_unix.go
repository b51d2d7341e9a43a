//go:build unix

package cmd

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// neverStop lets a read from the terminal fail, rather than stop the process,
// where the process runs in the background.
func neverStop() { signal.Ignore(syscall.SIGTTIN, syscall.SIGTTOU) }

// wholeLines has a terminal deliver what is typed at once: line by line, it cuts
// a line after 4095 bytes on Linux and 1024 on macOS, which a pasted address may
// exceed. The returned function puts the terminal back. Where the process does
// not have the terminal to itself, nothing changes.
func wholeLines(stream any) (restore func()) {
	restore = func() {}
	f, ok := stream.(*os.File)
	if !ok {
		return restore
	}
	fd := int(f.Fd())
	if group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err != nil || group != unix.Getpgrp() {
		return restore
	}
	before, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return restore
	}
	changed := *before
	changed.Lflag &^= unix.ICANON
	changed.Cc[unix.VMIN], changed.Cc[unix.VTIME] = 1, 0
	if unix.IoctlSetTermios(fd, setTermios, &changed) != nil {
		return restore
	}
	return func() { _ = unix.IoctlSetTermios(fd, setTermios, before) }
}
