//go:build !unix

package session

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

// openOwn opens a file of the store. On Windows, an access control list
// protects the user's profile directory; there are no mode bits to check.
func openOwn(path string) (*os.File, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fs.ErrNotExist
	case err != nil:
		return nil, unopened(path, false, err)
	case !info.Mode().IsRegular():
		return nil, insecure(path, false, "a file", "something else", info)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unopened(path, false, err)
	}
	return f, nil
}

func ownDir(string) error { return nil }

func own(fs.FileInfo) bool { return true }

// replace renames a file to an existing name. On Windows this fails while
// another process has the existing file open. Readers take no lock, but finish
// quickly.
func replace(from, to string) error {
	err := os.Rename(from, to)
	for range 100 {
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			break
		}
		time.Sleep(10 * time.Millisecond)
		err = os.Rename(from, to)
	}
	return err
}

// syncDir does nothing: Windows writes renames to the disk.
func syncDir(string) error { return nil }
