package cmd

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
)

// withoutSecrets returns an environment without the variables of oauthctl that can
// hold a secret.
func withoutSecrets(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return strings.EqualFold(name, "OAUTHCTL_TOKEN") || strings.EqualFold(name, "OAUTHCTL_CLIENT_SECRET")
	})
}

// plainPathError is an error of a file without the system call that failed.
func plainPathError(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
