//go:build !windows

package cmd

// shell returns the system's shell and its flag for a command line.
func shell() (name, flag string) { return "/bin/sh", "-c" }
