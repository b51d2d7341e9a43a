package session

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// FileError describes a fault of a file or a directory of a store, so that a
// program can suggest a fix. Find it with errors.As.
type FileError struct {
	// Path is the file or directory to change. If Err is about a file that does
	// not exist, it is the nearest directory that exists.
	Path string
	// Dir reports whether Path should be a directory.
	Dir bool
	// Owned reports whether the user owns Path, and so may change its mode.
	Owned bool
	// Mode is the mode of Path, or 0 if it is not known.
	Mode fs.FileMode
	// Err is the system's error. It is nil if a file is refused for its owner,
	// its mode or its type.
	Err error
}

// Error returns the path and the system's error.
func (e *FileError) Error() string {
	if e.Err == nil {
		return e.Path
	}
	return e.Path + ": " + e.Err.Error()
}

// Unwrap returns the system's error.
func (e *FileError) Unwrap() error { return e.Err }

// unwritable returns a Diagnosis about the file or directory at path, which
// cannot be written.
func unwritable(path string, dir bool, err error) error {
	return &diagnosis.Diagnosis{ID: diagnosis.StoreUnwritable, Err: fileError(path, dir, err)}
}

// unopened returns a Diagnosis about the file or directory at path, which
// cannot be read.
func unopened(path string, dir bool, err error) error {
	return &diagnosis.Diagnosis{ID: diagnosis.StoreUnreadable, Err: fileError(path, dir, err)}
}

// unreadable returns a Diagnosis about a record that is not valid.
func unreadable(expected, got string) error {
	return &diagnosis.Diagnosis{ID: diagnosis.StoreUnreadable, Expected: diagnosis.Text(expected), Got: diagnosis.Text(got)}
}

// insecure returns a Diagnosis about a file or directory that other users can
// access.
func insecure(path string, dir bool, expected, got string, info fs.FileInfo) error {
	found := &FileError{Path: path, Dir: dir}
	if info != nil {
		found.Owned, found.Mode = own(info), info.Mode()
	}
	return &diagnosis.Diagnosis{ID: diagnosis.StoreInsecure, Expected: diagnosis.Text(expected), Got: diagnosis.Text(got), Err: found}
}

// fileError describes what exists at path, or the nearest directory above it that
// exists.
func fileError(path string, dir bool, err error) *FileError {
	found := &FileError{Path: path, Dir: dir, Err: bare(err)}
	for at := path; ; at = filepath.Dir(at) {
		if info, err := os.Lstat(at); err == nil {
			found.Path, found.Mode, found.Owned = at, info.Mode(), own(info)
			found.Dir = dir || at != path
			return found
		}
		if filepath.Dir(at) == at {
			return found
		}
	}
}

// bare returns an error without its path.
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
