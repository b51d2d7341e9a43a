//go:build unix

package profile

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// checkOwner refuses a file that a user other than root can change, through its
// own mode or that of its directory. Such a user could run commands and have
// secrets sent elsewhere.
func checkOwner(f *os.File, path string) error {
	info, err := f.Stat()
	if err != nil {
		return invalid(path, bare(err))
	}
	if info.IsDir() {
		return invalid(path, "is a directory")
	}
	if err := safe(info, path, false); err != nil || !info.Mode().IsRegular() {
		return err
	}
	dir := filepath.Dir(resolved(path))
	info, err = os.Stat(dir)
	if err != nil {
		return invalid(dir, bare(err))
	}
	return safe(info, dir, info.Mode()&os.ModeSticky != 0)
}

// inherited lists the directories of what a process was given by the one that
// started it, such as standard input or a pipe of the shell.
var inherited = []string{"/dev", "/dev/fd", "/dev/pts", "/proc/self/fd"}

// checkFile refuses a file that a user other than root can change or owns, and a
// named pipe like it. A pipe without a name belongs to the process that made it,
// which can be another user's: with sudo, for example.
func checkFile(f *os.File, path string) error {
	info, err := f.Stat()
	switch {
	case err != nil || info.IsDir():
		return err
	case !info.Mode().IsRegular() && slices.Contains(inherited, filepath.Dir(path)):
		return nil
	}
	return safe(info, path, false)
}

// safe checks one file or directory. In a sticky directory, users cannot
// replace each other's files.
func safe(info os.FileInfo, path string, sticky bool) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	d := &diagnosis.Diagnosis{ID: diagnosis.ConfigInsecure}
	switch mode := info.Mode().Perm(); {
	case int64(stat.Uid) != int64(os.Geteuid()) && stat.Uid != 0:
		d.Expected, d.Got, d.Err = diagnosis.Values{"a file that you or root own"}, diagnosis.Values{path}, ErrOtherOwner
	case mode&0o022 != 0 && !sticky:
		d.Expected, d.Got = diagnosis.Values{"write access for you only"}, diagnosis.Values{path, fmt.Sprintf("mode %04o", mode)}
	default:
		return nil
	}
	return d
}
