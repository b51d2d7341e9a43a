package profile

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

const (
	lockWait  = 30 * time.Second
	lockRetry = 5 * time.Millisecond
)

// Update changes the profile file. Under a lock, it reads the file, calls
// change, and writes the file atomically if it differs, so that concurrent
// writers lose no change. If change returns an error, the file is not written.
// Errors are Diagnoses: CONFIG_INVALID, CONFIG_INSECURE or CONFIG_UNWRITABLE.
func Update(ctx context.Context, path string, change func(*File) error) error {
	target, unlock, err := open(ctx, path)
	if err != nil {
		return err
	}
	defer unlock()
	f, err := Load(path)
	if err != nil {
		return err
	}
	before, err := f.text()
	if err != nil {
		return err
	}
	if err := change(f); err != nil {
		return err
	}
	after, err := f.text()
	if err != nil || bytes.Equal(before, after) {
		return err
	}
	return write(target, after)
}

// open locks a profile file, and returns the path of the file that is written: a
// symbolic link remains a link, because configuration files are often stored
// elsewhere.
func open(ctx context.Context, path string) (target string, unlock func(), err error) {
	if path == "" {
		return "", nil, &diagnosis.Diagnosis{ID: diagnosis.ConfigUnwritable, Got: diagnosis.Values{"no home directory"}}
	}
	target = resolved(path)
	unlock, err = lock(ctx, target)
	return target, unlock, err
}

// Writable reports whether [Update] could write the file, so that a login can
// check it in advance. It changes nothing, except that it creates the
// directory. Errors are Diagnoses.
func Writable(ctx context.Context, path string) error {
	target, unlock, err := open(ctx, path)
	if err != nil {
		return err
	}
	defer unlock()
	draft, err := os.CreateTemp(filepath.Dir(target), ".config-*")
	if err == nil {
		draft.Close()
		os.Remove(draft.Name())
		return nil
	}
	// A file that is mounted on its own may be writable in a directory that is
	// not.
	f, err := os.OpenFile(target, os.O_WRONLY, 0)
	if err != nil {
		return unwritable(target, err)
	}
	return f.Close()
}

// resolved follows symbolic links.
func resolved(path string) string {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target
	}
	return path
}

// lock locks a profile file with a separate lock file that is never removed or,
// if the directory is not writable, with the file itself.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, unwritable(path, err)
	}
	l := flock.New(filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".lock"), flock.SetPermissions(0o600))
	waiting, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	ok, err := l.TryLockContext(waiting, lockRetry)
	if err != nil && waiting.Err() == nil && isFile(path) {
		l = flock.New(path, flock.SetFlag(os.O_RDWR))
		ok, err = l.TryLockContext(waiting, lockRetry)
	}
	switch {
	case ok:
		return func() { _ = l.Close() }, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case waiting.Err() != nil:
		return nil, &diagnosis.Diagnosis{ID: diagnosis.ConfigUnwritable, Expected: diagnosis.Values{"the lock within " + lockWait.String()}, Got: diagnosis.Values{"another process holds " + l.Path()}}
	}
	return nil, unwritable(path, err)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// write replaces the file atomically, so that a reader sees the old file or the
// new one. A file that cannot be replaced, because it is mounted on its own, is
// written in place.
func write(path string, data []byte) error {
	mode := os.FileMode(0o600)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".config-*")
	if err != nil {
		return inPlace(path, data, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return unwritable(path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return inPlace(path, data, err)
	}
	return nil
}

// inPlace writes an existing file that cannot be replaced, because of why.
func inPlace(path string, data []byte, why error) error {
	if !isFile(path) {
		return unwritable(path, why)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return unwritable(path, why)
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.Truncate(int64(len(data)))
	}
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return unwritable(path, err)
	}
	return nil
}

func unwritable(path string, err error) error {
	var link *os.LinkError
	var inner *fs.PathError
	switch {
	case errors.As(err, &link):
		err = link.Err
	case errors.As(err, &inner):
		err = inner.Err
	}
	return &diagnosis.Diagnosis{ID: diagnosis.ConfigUnwritable, Got: diagnosis.Values{path}, Err: err}
}
