//go:build unix && !freebsd && !dragonfly

package session_test

import "syscall"

func setLimit(r *syscall.Rlimit, n uint64) { r.Cur = n }
