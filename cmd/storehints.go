package cmd

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/session"
)

// storeHint returns the next step after a failure of the store, "" if err is
// none.
func (env *Env) storeHint(err error) string {
	var d *diagnosis.Diagnosis
	if !errors.As(err, &d) || d.Kind() != diagnosis.Store && d.ID != diagnosis.EndpointMoved && d.ID != diagnosis.LoginRequired || d.Hint != "" {
		return ""
	}
	login := "oauthctl login"
	if c, err := env.openConfig(); err == nil {
		if name, err := env.profileName(c); err == nil && name != "default" {
			login += " -p " + name
		}
	}
	const elsewhere = "set XDG_STATE_HOME to a directory of yours, or use --store memory"
	var file *session.FileError
	found := errors.As(err, &file)
	switch {
	case d.ID == diagnosis.StoreLocked:
		return "find the oauthctl process that does not end, stop it and try again"
	case d.ID == diagnosis.KeyringUnavailable:
		return "unlock the keychain, or store sessions in files: " + login + " --store file"
	case d.ID == diagnosis.StoreNoLocks:
		return "set XDG_STATE_HOME to a directory on another file system, or use --store memory"
	case d.ID == diagnosis.StoreUnwritable && !found:
		return "set HOME or XDG_STATE_HOME, or use --store memory"
	case d.ID == diagnosis.StoreUnwritable && errors.Is(file.Err, fs.ErrPermission) && file.Owned && file.Dir:
		return "chmod u+rwx " + quoted(file.Path)
	case d.ID == diagnosis.StoreUnwritable && file.Dir && filepath.Ext(file.Path) == ".json":
		return "remove the directory " + quoted(file.Path) + ", then " + login
	case d.ID == diagnosis.StoreUnwritable:
		return elsewhere
	case d.ID == diagnosis.StoreUnreadable && found && errors.Is(file.Err, fs.ErrPermission) && file.Owned && !file.Dir:
		return "chmod 600 " + quoted(file.Path) + ", or " + login
	case d.ID == diagnosis.StoreInsecure && file.Dir && !file.Owned:
		return elsewhere
	case d.ID == diagnosis.StoreInsecure && file.Dir:
		return "chmod 700 " + quoted(file.Path)
	case d.ID == diagnosis.StoreInsecure && file.Owned && file.Mode.IsRegular():
		return "chmod 600 " + quoted(file.Path) + ", or " + login
	case d.ID == diagnosis.StoreInsecure && file.Mode.IsDir():
		return "remove the directory " + quoted(file.Path) + ", then " + login
	}
	return login
}

// placeText describes a place of the store.
func placeText(p session.Place) string {
	switch {
	case p.Kind == session.Memory:
		return "memory, until this command ends"
	case p.Sealed:
		return "file " + p.Dir + ", sealed with a key in the keychain"
	case p.Kind == session.Auto:
		return "file " + p.Dir + ", sealed if the keychain answers"
	}
	return "file " + p.Dir + ", readable by you only"
}

// quoted makes a path fit to be pasted into a shell.
func quoted(path string) string {
	if path != "" && !strings.ContainsFunc(path, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("/._-+:,@%", r)
	}) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
