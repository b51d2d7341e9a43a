package session

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

const (
	lockWait  = 30 * time.Second
	lockRetry = 10 * time.Millisecond
)

// lock takes the lock of a profile, which is a file of its own that is never
// removed: removing it would let two processes hold two locks of one name. While
// it waits, settled is asked each time the session was replaced; if that is
// enough, the wait ends without the lock and unlock is nil.
func (s *Store) lock(ctx context.Context, profile string, settled func() bool) (unlock func(), err error) {
	if err := checkName(profile); err != nil {
		return nil, err
	}
	if s.memory != nil {
		return s.memory.lock(ctx, profile)
	}
	if err := s.makeDir(); err != nil {
		return nil, err
	}
	l := flock.New(filepath.Join(s.dir, profile+".lock"), flock.SetPermissions(0o600))
	waiting, cancel := context.WithTimeout(ctx, s.lockWait)
	defer cancel()
	before, _ := os.Lstat(s.path(profile))
	for {
		ok, err := l.TryLock()
		switch {
		case ok:
			return func() { _ = l.Unlock() }, nil
		case err != nil:
			_ = l.Close()
			return nil, unwritable(l.Path(), err)
		}
		if after, err := os.Lstat(s.path(profile)); settled != nil && err == nil && !os.SameFile(before, after) {
			if before = after; settled() {
				_ = l.Close()
				return nil, nil
			}
		}
		select {
		case <-time.After(lockRetry):
			continue
		case <-waiting.Done():
		}
		_ = l.Close()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("session: %w", ctx.Err())
		}
		return nil, &diagnosis.Diagnosis{
			ID: diagnosis.StoreLocked, Expected: "the lock within " + s.lockWait.String(), Got: "another process holds " + l.Path(),
			Hint: "look for an oauthctl process that hangs, end it and try again",
		}
	}
}

// makeDir makes the state directory, and refuses one that others may write to:
// they could put any session in the place of this one.
func (s *Store) makeDir() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return unwritable(s.dir, err)
	}
	return ownDir(s.dir)
}
