package session

import (
	"errors"
	"io/fs"
	"os"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// openOwn opens a session file. The user's profile directory is protected by its
// access control list; there are no mode bits to look at.
func openOwn(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, &diagnosis.Diagnosis{ID: diagnosis.StoreUnreadable, Got: path, Err: err}
	}
	return f, err
}

// syncDir does nothing: Windows writes a rename through.
func syncDir(string) error { return nil }
