package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/profile"
)

const (
	lockWait  = 30 * time.Second
	lockRetry = 10 * time.Millisecond
)

// fileLock is a lock that one process can hold at a time; flock.Flock
// implements it.
type fileLock interface {
	TryLock() (bool, error)
	Unlock() error
	Close() error
}

func newFileLock(path string) fileLock { return flock.New(path, flock.SetPermissions(0o600)) }

// lock locks a record. The lock file is separate and never removed, because
// otherwise two processes could hold two locks with the same name. It waits at
// most for patience. Whenever the record is replaced meanwhile, enough is called;
// if it returns a session, lock returns it without the lock, and unlock is nil.
func (s *Store) lock(ctx context.Context, at slot, patience time.Duration, enough func() *Session) (unlock func(), found *Session, err error) {
	if err := profile.CheckName(at.profile); err != nil {
		return nil, nil, fmt.Errorf("session: %w", err)
	}
	if s.memory != nil {
		unlock, err := s.memory.lock(ctx, at)
		return unlock, nil, err
	}
	if err := s.makeDir(); err != nil {
		return nil, nil, err
	}
	path := filepath.Join(s.dir, at.lockFile())
	l := s.newLock(path)
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	before, _ := os.Lstat(s.path(at))
	for {
		ok, err := l.TryLock()
		switch {
		case ok:
			return func() { _ = l.Unlock() }, nil, nil
		case err != nil:
			_ = l.Close()
			return nil, nil, unlockable(path, err)
		}
		if after, err := os.Lstat(s.path(at)); enough != nil && err == nil && !os.SameFile(before, after) {
			before = after
			if found := enough(); found != nil {
				_ = l.Close()
				return nil, found, nil
			}
		}
		select {
		case <-time.After(lockRetry):
			continue
		case <-waiting.Done():
		}
		_ = l.Close()
		if ctx.Err() != nil {
			return nil, nil, fmt.Errorf("session: %w", ctx.Err())
		}
		return nil, nil, &diagnosis.Diagnosis{
			ID: diagnosis.StoreLocked, Expected: diagnosis.Values{"the lock within " + patience.String()}, Got: diagnosis.Values{"another process holds it"}, Err: &FileError{Path: path, Owned: true},
		}
	}
}

// unlockable returns a Diagnosis about a lock that cannot be taken, however
// long a process waits.
func unlockable(path string, err error) error {
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.ENOLCK) {
		return &diagnosis.Diagnosis{ID: diagnosis.StoreNoLocks, Err: fileError(filepath.Dir(path), true, err)}
	}
	return unwritable(path, false, err)
}

// tryLock locks and unlocks a new file, to check that the file system supports
// locks.
func (s *Store) tryLock(path string) error {
	l := s.newLock(path)
	defer l.Close()
	if _, err := l.TryLock(); err != nil {
		return unlockable(path, err)
	}
	if err := l.Unlock(); err != nil {
		return unlockable(path, err)
	}
	return nil
}

// makeDir creates the state directory. It refuses one that others may write to,
// because they could replace the session.
func (s *Store) makeDir() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return unwritable(s.dir, true, err)
	}
	return ownDir(s.dir)
}

// ofStore reports whether err is an error of the store and not the end of the
// context.
func ofStore(err error) bool {
	var d *diagnosis.Diagnosis
	return errors.As(err, &d) && d.Kind() == diagnosis.Store
}
