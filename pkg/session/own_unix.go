//go:build unix

package session

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// openOwn opens a session file if it is one: no link, of this user, readable by
// nobody else. What was opened is what is looked at.
func openOwn(path, profile string) (*os.File, error) {
	// Without blocking, so that a pipe in its place does not hang.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fs.ErrNotExist
	case errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.EMLINK):
		return nil, insecure(path, profile, "a file", "a symbolic link", "")
	case err != nil:
		return nil, unopened(path, profile, err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, unopened(path, profile, err)
	}
	switch {
	case !info.Mode().IsRegular():
		err = insecure(path, profile, "a file", "something else", "rm -r")
	case !own(info):
		err = insecure(path, profile, "a file of yours", "one of another user", "")
	case info.Mode().Perm()&0o077 != 0:
		err = insecure(path, profile, "mode 0600", fmt.Sprintf("mode %04o", info.Mode().Perm()), "chmod 600")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// ownDir refuses a state directory in which others may write.
func ownDir(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return unwritable(dir, err)
	case !own(info):
		return insecure(dir, "", "a directory of yours", "one of another user", "sudo chown -R $USER")
	case info.Mode().Perm()&0o022 != 0:
		return insecure(dir, "", "mode 0700", fmt.Sprintf("mode %04o", info.Mode().Perm()), "chmod 700")
	}
	return nil
}

func own(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int64(stat.Uid) == int64(os.Geteuid())
}

// replace lets a file take another's place.
func replace(from, to string) error { return os.Rename(from, to) }

// syncDir makes a rename outlive a power cut.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return err // some network file systems cannot sync a directory
	}
	return nil
}
