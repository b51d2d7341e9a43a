package session

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// FileError is the evidence of a Diagnosis about a file or a directory of a
// store, as data, so that a program can say what to do about it. Find it with
// errors.As.
type FileError struct {
	// Path is the file or directory to change: where Err is about a file that does
	// not exist, the directory that exists and is nearest to it.
	Path string
	// Dir says that a directory belongs at Path, rather than a file.
	Dir bool
	// Owned says that the user owns Path, and so may change its mode.
	Owned bool
	// Mode is what was found at Path, 0 if it could not be looked at.
	Mode fs.FileMode
	// Err is the system's error; nil where a file is refused for its owner, its
	// mode or its type.
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

// unwritable is a Diagnosis about the file or directory at path, which cannot be
// written.
func unwritable(path string, dir bool, err error) error {
	return &diagnosis.Diagnosis{ID: diagnosis.StoreUnwritable, Err: fileError(path, dir, err)}
}

// unopened is a Diagnosis about the file or directory at path, which cannot be
// read.
func unopened(path string, dir bool, err error) error {
	return &diagnosis.Diagnosis{ID: diagnosis.StoreUnreadable, Err: fileError(path, dir, err)}
}

// unreadable is a Diagnosis about a record that is not what it should be.
func unreadable(expected, got string) error {
	return &diagnosis.Diagnosis{ID: diagnosis.StoreUnreadable, Expected: diagnosis.Text(expected), Got: diagnosis.Text(got)}
}

// insecure is a Diagnosis about a file or directory that other users have to do
// with.
func insecure(path string, dir bool, expected, got string, info fs.FileInfo) error {
	found := &FileError{Path: path, Dir: dir}
	if info != nil {
		found.Owned, found.Mode = own(info), info.Mode()
	}
	return &diagnosis.Diagnosis{ID: diagnosis.StoreInsecure, Expected: diagnosis.Text(expected), Got: diagnosis.Text(got), Err: found}
}

// fileError looks for what is there at path, or at the nearest directory above it
// that exists.
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
