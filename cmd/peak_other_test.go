//go:build !linux

package cmd_test

func notePeak() {}
