package session

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// draft is the file that will take the place of a session's file.
type draft struct {
	f    *os.File
	path string
}

// temporary is the draft's name. There is one a profile, since only the holder
// of the lock writes; what a killed process left is replaced by the next one.
func (s *Store) temporary(profile string) string { return filepath.Join(s.dir, "."+profile+".new") }

// reserve makes the draft of a profile and room for size bytes, so that a full
// disk shows before a refresh token is spent. The caller holds the lock.
func (s *Store) reserve(profile string, size int) (*draft, error) {
	path := s.temporary(profile)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, unwritable(path, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, unwritable(path, err)
	}
	d := &draft{f, path}
	if _, err := f.Write(make([]byte, size)); err != nil {
		d.discard()
		return nil, unwritable(path, err)
	}
	return d, nil
}

func (d *draft) discard() {
	_ = d.f.Close()
	_ = os.Remove(d.path)
}

// commit writes the session into the draft and lets it take the old file's
// place in one step: synced, renamed, and the directory synced.
func (s *Store) commit(d *draft, session *Session, with seal) error {
	data, err := encode(session, with)
	if err != nil {
		d.discard()
		return err
	}
	path := s.path(session.Profile)
	_, err = d.f.WriteAt(data, 0)
	if err == nil {
		err = d.f.Truncate(int64(len(data)))
	}
	if err == nil {
		err = d.f.Sync()
	}
	if closed := d.f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = replace(d.path, path)
	}
	if err != nil {
		_ = os.Remove(d.path)
		return unwritable(path, err)
	}
	if err := syncDir(s.dir); err != nil {
		return unwritable(s.dir, err)
	}
	return nil
}

func unwritable(path string, err error) error {
	d := &diagnosis.Diagnosis{ID: diagnosis.StoreUnwritable, Got: path, Err: bare(err)}
	switch {
	case errors.Is(err, fs.ErrPermission):
		d.Hint = "make " + filepath.Dir(path) + " writable for you: chmod u+rwx " + quote(filepath.Dir(path))
	case isDir(path):
		d.Hint = "remove the directory " + quote(path) + ", then oauthctl login"
	}
	return d
}

func unopened(path, profile string, err error) error {
	d := &diagnosis.Diagnosis{ID: diagnosis.StoreUnreadable, Got: path, Err: bare(err), Hint: login(profile)}
	if errors.Is(err, fs.ErrPermission) {
		d.Hint = "chmod 600 " + quote(path) + ", or " + d.Hint
	}
	return d
}

func insecure(path, profile, expected, got, command string) error {
	hint := login(profile)
	if command != "" {
		hint = command + " " + quote(path) + ", or " + hint
	}
	return &diagnosis.Diagnosis{ID: diagnosis.StoreInsecure, Expected: expected, Got: got + ": " + path, Hint: hint}
}

// bare is the error below one that repeats the path.
func bare(err error) error {
	var inner *fs.PathError
	if errors.As(err, &inner) {
		return inner.Err
	}
	var link *os.LinkError
	if errors.As(err, &link) {
		return link.Err
	}
	return err
}

func isDir(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.IsDir()
}

// quote makes a path fit to be pasted into a shell.
func quote(path string) string {
	for _, r := range path {
		if r <= ' ' || r > '~' || r == '\'' || r == '"' || r == '\\' || r == '$' || r == '`' || r == '&' || r == ';' || r == '(' || r == ')' || r == '*' || r == '?' {
			return fmt.Sprintf("%q", path)
		}
	}
	return path
}

// begin prepares to replace a session before its refresh token is spent. The
// function it returns keeps the next session, sealed as the one before, or gives
// up if that is nil. The caller holds the lock.
func (s *Store) begin(ctx context.Context, profile string, current *Session, with seal) (write func(next *Session) error, err error) {
	if s.memory != nil {
		return s.memory.keep, nil
	}
	size := 0
	if current == nil {
		with, err = s.newSeal(ctx)
	} else {
		var old []byte
		old, err = encode(current, with)
		size = len(old) + room
	}
	if err != nil {
		return nil, err
	}
	d, err := s.reserve(profile, size)
	if err != nil {
		if current == nil {
			s.forget(with)
		}
		return nil, err
	}
	return func(next *Session) error {
		if next != nil {
			return s.commit(d, next, with)
		}
		d.discard()
		if current == nil {
			s.forget(with)
		}
		return nil
	}, nil
}
