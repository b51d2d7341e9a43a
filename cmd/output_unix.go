//go:build !windows

package cmd

import (
	"io/fs"
	"os"
	"syscall"
)

// otherNames reports whether a file has more than one name.
func otherNames(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink > 1
}

// keepOwner gives a new file the owner and the mode of an old one.
func keepOwner(f *os.File, old fs.FileInfo) error {
	was, ok := old.Sys().(*syscall.Stat_t)
	info, err := f.Stat()
	if err != nil {
		return err
	}
	is, same := info.Sys().(*syscall.Stat_t)
	if ok && same && (is.Uid != was.Uid || is.Gid != was.Gid) {
		if err := f.Chown(int(was.Uid), int(was.Gid)); err != nil {
			return err
		}
	}
	// After the owner, whose change may clear bits.
	return f.Chmod(old.Mode().Perm())
}
