//go:build unix

package session

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// openOwn opens a file of the store. It must be a regular file of this user that
// others cannot read. The checks apply to the opened file.
func openOwn(path string) (*os.File, error) {
	// Without blocking, so that a named pipe does not hang.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fs.ErrNotExist
	case errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.EMLINK):
		info, _ := os.Lstat(path)
		return nil, insecure(path, false, "a file", "a symbolic link", info)
	case err != nil:
		return nil, unopened(path, false, err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, unopened(path, false, err)
	}
	switch {
	case !info.Mode().IsRegular():
		err = insecure(path, false, "a file", "something else", info)
	case !own(info):
		err = insecure(path, false, "a file that you own", "a file of another user", info)
	case info.Mode().Perm()&0o077 != 0:
		err = insecure(path, false, "mode 0600", fmt.Sprintf("mode %04o", info.Mode().Perm()), info)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// ownDir refuses a state directory that others may write to, or a link that
// others may change. It returns fs.ErrNotExist if there is none.
func ownDir(dir string) error {
	link, err := os.Lstat(dir)
	if err == nil && link.Mode()&fs.ModeSymlink != 0 && !own(link) && !ofRoot(link) {
		return insecure(dir, true, "a directory that you own", "a symbolic link of another user", link)
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fs.ErrNotExist
	case err != nil:
		return unopened(dir, true, err)
	case !info.IsDir():
		return unopened(dir, true, syscall.ENOTDIR)
	case !own(info):
		return insecure(dir, true, "a directory that you own", "a directory of another user", info)
	case info.Mode().Perm()&0o022 != 0:
		return insecure(dir, true, "mode 0700", fmt.Sprintf("mode %04o", info.Mode().Perm()), info)
	}
	return nil
}

func own(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int64(stat.Uid) == int64(os.Geteuid())
}

func ofRoot(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Uid == 0
}

// replace renames a file to an existing name.
func replace(from, to string) error { return os.Rename(from, to) }

// syncDir makes a rename survive a power failure.
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
