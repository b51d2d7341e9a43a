package session

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// room is how much longer than the old one a renewed session is expected to be.
const room = 4 << 10

// draft is the file that will take the place of a record's file.
type draft struct {
	f    *os.File
	path string
}

// reserve makes the draft of a record and room for size bytes, so that a full
// disk shows before a refresh token is spent. There is one draft per record,
// since only the holder of the lock writes; what a killed process left is
// replaced by the next one. The caller holds the lock.
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

// fill writes size bytes. It syncs them, since some network file systems report
// a full disk or quota only then.
func fill(f *os.File, size int) error {
	if size == 0 {
		return nil
	}
	if _, err := f.Write(make([]byte, size)); err != nil {
		return err
	}
	return f.Sync()
}

// tryDir writes a file to the directory, locks it and removes it. The file has
// a name of its own, so that any number of processes can do so at once.
func (s *Store) tryDir() error {
	f, err := os.CreateTemp(s.dir, ".probe-*")
	if err != nil {
		return unwritable(s.dir, true, err)
	}
	defer os.Remove(f.Name())
	err = fill(f, room)
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

// commit writes the record into the draft and lets it take the old file's place
// in one step: synced, renamed, and the directory synced. It begins a new record
// or continues the one that is stored.
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

// mark notes next to a record that it is sealed, and removes the note of one that
// is plain from its beginning. A process that can write to the directory can
// remove the note as well: it is there to notice a file that was copied or
// restored, and is no protection.
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

// begin prepares to replace a session before its refresh token is spent; current
// is nil where there is none. The function it returns stores the next session,
// or gives up if that is nil. A session stays sealed with the key it has. The
// caller holds the lock.
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
		size = len(old) + room
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
