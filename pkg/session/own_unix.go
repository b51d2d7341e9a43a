//go:build !windows

package session

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// openOwn opens a session file if it is one: no link, of this user, readable by
// nobody else. What was opened is what is looked at.
func openOwn(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	switch {
	case os.IsNotExist(err):
		return nil, fs.ErrNotExist
	case isLink(err):
		return nil, insecure(path, "a file", "a symbolic link")
	case err != nil:
		return nil, &diagnosis.Diagnosis{ID: diagnosis.StoreUnreadable, Got: path, Err: err.(*fs.PathError).Err}
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, &diagnosis.Diagnosis{ID: diagnosis.StoreUnreadable, Got: path, Err: err}
	}
	owner, _ := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		err = insecure(path, "a file", "something else")
	case info.Mode().Perm()&0o077 != 0:
		err = insecure(path, "mode 0600", fmt.Sprintf("mode %04o", info.Mode().Perm()))
	case owner != nil && int(owner.Uid) != os.Geteuid():
		err = insecure(path, "a file of yours", "one of another user")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func isLink(err error) bool {
	var inner *fs.PathError
	inner, _ = err.(*fs.PathError)
	return inner != nil && (inner.Err == syscall.ELOOP || inner.Err == syscall.EMLINK)
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
