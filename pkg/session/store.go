package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

const (
	lockWait  = 30 * time.Second
	lockRetry = 10 * time.Millisecond
	maxFile   = 1 << 20
)

// Store keeps sessions as one file a profile in a directory that only its owner
// can read.
type Store struct{ dir string }

// Open returns the store in dir, which is made with mode 0700 when the first
// session is saved.
func Open(dir string) *Store { return &Store{dir} }

// Place tells in words where sessions are kept.
func (s *Store) Place() string { return "file " + s.dir + ", readable by you only" }

func (s *Store) path(profile string) string { return filepath.Join(s.dir, profile+".json") }

// Load returns the session of a profile. It takes no lock. Errors are
// [ErrNotFound], or Diagnoses of kind Store.
func (s *Store) Load(profile string) (*Session, error) {
	if !validName(profile) {
		return nil, fmt.Errorf("session: %q cannot be a profile's name", profile)
	}
	path := s.path(profile)
	f, err := openOwn(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrNotFound
	case err != nil:
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, &diagnosis.Diagnosis{ID: diagnosis.StoreUnreadable, Got: path, Err: err}
	}
	session, err := decode(data)
	if err == nil && session.Profile != profile {
		err = unreadable("a session of profile "+profile, "one of another profile")
	}
	return session, err
}

// Save keeps a session under its profile, in place of the one before.
func (s *Store) Save(ctx context.Context, session *Session) error {
	unlock, err := s.lock(ctx, session.Profile)
	if err != nil {
		return err
	}
	defer unlock()
	return s.write(session)
}

// Delete forgets the session of a profile; that there is none is no error.
func (s *Store) Delete(ctx context.Context, profile string) error {
	if !validName(profile) {
		return fmt.Errorf("session: %q cannot be a profile's name", profile)
	}
	if _, err := os.Lstat(s.path(profile)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	unlock, err := s.lock(ctx, profile)
	if err != nil {
		return err
	}
	defer unlock()
	return s.remove(profile)
}

func (s *Store) remove(profile string) error {
	if err := os.Remove(s.path(profile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return unwritable(s.path(profile), err)
	}
	return nil
}

// Profiles returns the profiles that have a session, in order.
func (s *Store) Profiles() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, &diagnosis.Diagnosis{ID: diagnosis.StoreUnreadable, Got: s.dir, Err: err}
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".json"); ok && validName(name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// lock takes the lock of a profile, which is a file of its own that is never
// removed: removing it would let two processes hold two locks of one name.
func (s *Store) lock(ctx context.Context, profile string) (unlock func(), err error) {
	if !validName(profile) {
		return nil, fmt.Errorf("session: %q cannot be a profile's name", profile)
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, unwritable(s.dir, err)
	}
	l := flock.New(filepath.Join(s.dir, profile+".lock"), flock.SetPermissions(0o600))
	waiting, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	ok, err := l.TryLockContext(waiting, lockRetry)
	switch {
	case ok:
		return func() { _ = l.Unlock() }, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("session: %w", ctx.Err())
	case errors.Is(err, context.DeadlineExceeded):
		return nil, &diagnosis.Diagnosis{ID: diagnosis.StoreLocked, Expected: "the lock within " + lockWait.String(), Got: "none: " + l.Path()}
	}
	return nil, unwritable(l.Path(), err)
}

// write replaces the file in one step: a temporary file, synced, renamed, and
// the directory synced. The caller holds the lock.
func (s *Store) write(session *Session) error {
	data, err := encode(session)
	if err != nil {
		return err
	}
	path := s.path(session.Profile)
	f, err := os.CreateTemp(s.dir, ".session-*")
	if err != nil {
		return unwritable(path, err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = syncDir(s.dir)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return unwritable(path, err)
	}
	return nil
}

func unwritable(path string, err error) error {
	var inner *fs.PathError
	if errors.As(err, &inner) {
		err = inner.Err
	}
	return &diagnosis.Diagnosis{ID: diagnosis.StoreUnwritable, Got: path, Err: err}
}

// validName reports whether a profile's name is fit to be a file's.
func validName(name string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
	return name != "" && len(name) <= 64 && strings.Trim(name, letters+".-") == "" && strings.IndexByte(letters, name[0]) >= 0
}

func insecure(path, expected, got string) error {
	return &diagnosis.Diagnosis{
		ID: diagnosis.StoreInsecure, Expected: expected, Got: got + ": " + path,
		Hint: "chmod 600 " + path + ", or remove it and run oauthctl login",
	}
}
