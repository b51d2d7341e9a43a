package session

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// growth is the additional size that a refreshed session may need.
const growth = 4 << 10

// draft is the temporary file that replaces a record's file.
type draft struct {
	f    *os.File
	path string
}

// reserve creates the draft of a record with size bytes, so that a full disk is
// noticed before a refresh token is used. There is one draft for each record,
// because only the holder of the lock writes; a draft of a killed process is
// replaced. The caller holds the lock.
func (s *Store) reserve(at slot, size int) (*draft, error) {
	path := filepath.Join(s.dir, at.draft())
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, unwritable(path, false, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, unwritable(path, false, err)
	}
	d := &draft{f: f, path: path}
	if err := fill(f, size); err != nil {
		d.discard()
		return nil, unwritable(path, false, err)
	}
	return d, nil
}

// fill writes size bytes and syncs them, because some network file systems
// report a full disk or quota only then.
func fill(f *os.File, size int) error {
	if size == 0 {
		return nil
	}
	if _, err := f.Write(make([]byte, size)); err != nil {
		return err
	}
	return f.Sync()
}

// tryDir writes a file to the directory, locks it and removes it. Its name is
// unique, so that several processes can do so at the same time.
func (s *Store) tryDir() error {
	f, err := os.CreateTemp(s.dir, ".probe-*")
	if err != nil {
		return unwritable(s.dir, true, err)
	}
	defer os.Remove(f.Name())
	err = fill(f, growth)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return unwritable(f.Name(), false, err)
	}
	return s.tryLock(f.Name())
}

func (d *draft) discard() {
	_ = d.f.Close()
	_ = os.Remove(d.path)
}

// commit writes the record to the draft and replaces the old file atomically: it
// syncs, renames, and syncs the directory. It starts a new record or continues
// the stored one.
func (s *Store) commit(d *draft, r record, with seal, begins bool) error {
	data, err := encode(r, with)
	if err != nil {
		d.discard()
		return err
	}
	path := s.path(r.slot())
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
		return unwritable(path, false, err)
	}
	s.mark(r.slot(), with, begins)
	if err := syncDir(s.dir); err != nil {
		return unwritable(s.dir, true, err)
	}
	return nil
}

// mark notes next to a record that it is sealed, and removes the note of a new
// plain record. The note helps to notice a file that was copied or restored. It
// is not a protection: a process that can write to the directory can remove it.
func (s *Store) mark(at slot, with seal, begins bool) {
	path := filepath.Join(s.dir, at.marker())
	switch {
	case with.id != "":
		if f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600); err == nil {
			_ = f.Close()
		}
	case begins:
		_ = os.Remove(path)
	}
}

// marked reports whether a record was sealed when it was last saved.
func (s *Store) marked(at slot) bool {
	_, err := os.Lstat(filepath.Join(s.dir, at.marker()))
	return s.memory == nil && err == nil
}

// begin prepares to replace a session before its refresh token is used; current
// is nil if there is none. The returned function stores the next session, or
// gives up if it is nil. A sealed session keeps its key. The caller holds the
// lock.
func (s *Store) begin(ctx context.Context, profile string, current *Session, with seal) (write func(next *Session) error, err error) {
	if s.memory != nil {
		return s.writeMemory, nil
	}
	size, fresh := 0, seal{}
	switch {
	case current != nil:
		old, err := encode(current, with)
		if err != nil {
			return nil, err
		}
		size = len(old) + growth
	case with.id == "":
		if fresh, err = s.newSeal(ctx); err != nil {
			return nil, err
		}
		with = fresh
	}
	d, err := s.reserve(sessionOf(profile), size)
	if err != nil {
		s.forget(fresh)
		return nil, err
	}
	return func(next *Session) error {
		if next != nil {
			return s.commit(d, next, with, current == nil)
		}
		d.discard()
		s.forget(fresh)
		return nil
	}, nil
}

func (s *Store) writeMemory(next *Session) error {
	if next == nil {
		return nil
	}
	return s.memory.write(next)
}
