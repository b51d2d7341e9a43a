package session

import "time"

// Hasten shortens what the tests would otherwise wait for: a lock that is held
// and a keychain that never answers.
func (s *Store) Hasten(lock, keychain time.Duration) { s.lockWait, s.keychainTime = lock, keychain }

// FailLocks lets every lock of the store fail with err, as on a file system that
// has none.
func (s *Store) FailLocks(err error) {
	s.newLock = func(string) fileLock { return failing{err} }
}

type failing struct{ err error }

func (f failing) TryLock() (bool, error) { return false, f.err }
func (f failing) Unlock() error          { return f.err }
func (f failing) Close() error           { return nil }
