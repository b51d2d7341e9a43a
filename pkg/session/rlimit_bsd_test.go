//go:build freebsd || dragonfly

package session_test

import "syscall"

func setLimit(r *syscall.Rlimit, n uint64) { r.Cur = int64(n) }
