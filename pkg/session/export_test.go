package session

import "time"

// Hasten shortens waits in tests: for a lock, and for a keychain that does not
// respond.
func (s *Store) Hasten(lock, keychain time.Duration) { s.lockWait, s.keychainTime = lock, keychain }

// FailLocks makes every lock of the store fail with err, as on a file system
// without locks.
func (s *Store) FailLocks(err error) {
	s.newLock = func(string) fileLock { return failing{err} }
}

type failing struct{ err error }

func (f failing) TryLock() (bool, error) { return false, f.err }
func (f failing) Unlock() error          { return f.err }
func (f failing) Close() error           { return nil }
