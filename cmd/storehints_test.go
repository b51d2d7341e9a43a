package cmd

import (
	"io/fs"
	"syscall"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/session"
)

// A hint about a file or directory of the store is a command that can succeed: only the owner can change a mode.
func TestStoreHints(t *testing.T) {
	const (
		file, dir = "/home/ada/.local/state/oauthctl/default.json", "/home/ada/.local/state/oauthctl"
		elsewhere = "set XDG_STATE_HOME to a directory that is yours and can be written, or use --store memory"
	)
	for name, tt := range map[string]struct {
		id   diagnosis.ID
		file *session.FileError
		want string
	}{
		"a file that others may read":            {diagnosis.StoreInsecure, &session.FileError{Path: file, Owned: true, Mode: 0o644}, "chmod 600 " + file},
		"another user's file":                    {diagnosis.StoreInsecure, &session.FileError{Path: file, Mode: 0o600}, "oauthctl login -p ci"},
		"a link":                                 {diagnosis.StoreInsecure, &session.FileError{Path: file, Owned: true, Mode: fs.ModeSymlink | 0o777}, "oauthctl login -p ci"},
		"a directory for a file":                 {diagnosis.StoreInsecure, &session.FileError{Path: file, Owned: true, Mode: fs.ModeDir | 0o700}, "remove the directory " + file + ", then oauthctl login -p ci"},
		"a directory that others may write to":   {diagnosis.StoreInsecure, &session.FileError{Path: dir, Dir: true, Owned: true, Mode: fs.ModeDir | 0o777}, "chmod 700 " + dir},
		"another user's directory":               {diagnosis.StoreInsecure, &session.FileError{Path: dir, Dir: true, Mode: fs.ModeDir | fs.ModeSetgid | 0o770}, elsewhere},
		"another user's link":                    {diagnosis.StoreInsecure, &session.FileError{Path: dir, Dir: true, Mode: fs.ModeSymlink | 0o777}, elsewhere},
		"a directory without the right to write": {diagnosis.StoreUnwritable, &session.FileError{Path: dir, Dir: true, Owned: true, Mode: fs.ModeDir | 0o500, Err: syscall.EACCES}, "chmod 700 " + dir},
		"a path that needs quotes":               {diagnosis.StoreUnwritable, &session.FileError{Path: "/tmp/a b", Dir: true, Owned: true, Mode: fs.ModeDir | 0o500, Err: syscall.EACCES}, "chmod 700 '/tmp/a b'"},
		"root's directory above":                 {diagnosis.StoreUnwritable, &session.FileError{Path: "/", Dir: true, Mode: fs.ModeDir | 0o755, Err: syscall.EACCES}, elsewhere},
		"root's lock file":                       {diagnosis.StoreUnwritable, &session.FileError{Path: dir + "/default.lock", Mode: 0o600, Err: syscall.EACCES}, "remove " + dir + "/default.lock, which belongs to another user"},
		"a full disk":                            {diagnosis.StoreUnwritable, &session.FileError{Path: dir, Dir: true, Owned: true, Mode: fs.ModeDir | 0o700, Err: syscall.ENOSPC}, elsewhere},
		"read-only":                              {diagnosis.StoreUnwritable, &session.FileError{Path: dir, Dir: true, Owned: true, Mode: fs.ModeDir | 0o700, Err: syscall.EROFS}, elsewhere},
		"a file without the right to read":       {diagnosis.StoreUnreadable, &session.FileError{Path: file, Owned: true, Mode: 0o200, Err: syscall.EACCES}, "chmod 600 " + file},
		"a damaged disk":                         {diagnosis.StoreUnreadable, &session.FileError{Path: file, Owned: true, Mode: 0o600, Err: syscall.EIO}, "oauthctl login -p ci"},
		"not sealed":                             {diagnosis.StoreUnsealed, &session.FileError{Path: file, Owned: true}, "oauthctl login -p ci"},
		"damaged":                                {diagnosis.StoreUnreadable, nil, "oauthctl login -p ci"},
		"no directory":                           {diagnosis.StoreUnwritable, nil, "set HOME or XDG_STATE_HOME, or use --store memory"},
		"no locks":                               {diagnosis.StoreNoLocks, &session.FileError{Path: dir, Dir: true, Owned: true, Err: syscall.ENOLCK}, "set XDG_STATE_HOME to a directory on another file system, or use --store memory"},
	} {
		d := &diagnosis.Diagnosis{ID: tt.id}
		if tt.file != nil {
			d.Err = tt.file
		}
		if got, _ := (&Env{global: globalFlags{profile: "ci"}, Getenv: func(string) string { return "" }}).hintFor(d); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}
