package cmd

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
)

// secretVariables are the variables of oauthctl that can hold a secret. Programs
// that it starts do not inherit them.
func secretVariables() []string {
	return []string{"OAUTHCTL_TOKEN", "OAUTHCTL_CLIENT_SECRET", "OAUTHCTL_CLIENT_ASSERTION", "OAUTHCTL_SIGNING_KEY"}
}

// withoutSecrets returns an environment without the secrets of oauthctl, and
// without the variables that others names.
func withoutSecrets(environ []string, others ...string) []string {
	names := append(secretVariables(), others...)
	return slices.DeleteFunc(slices.Clone(environ), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return slices.ContainsFunc(names, func(secret string) bool { return strings.EqualFold(name, secret) })
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
