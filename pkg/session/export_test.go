package session

import "time"

// Hasten shortens what the tests would otherwise wait for: a lock that is held
// and a keychain that never answers.
func (s *Store) Hasten(lock, keychain time.Duration) { s.lockWait, s.keychainTime = lock, keychain }
