package cmd

import (
	"errors"
	"io/fs"
)

// plainPathError is an error of a file without the system call that failed.
func plainPathError(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
