package cmd

import (
	"errors"
	"io/fs"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// storeHint is the part of the table for faults of the store.
func (c hintContext) storeHint() string {
	var file *account.FileError
	found := errors.As(c.Err, &file)
	switch c.ID {
	case diagnosis.StoreLocked:
		return "another run of this program holds the lock; if it does not end, stop it and try again"
	case diagnosis.KeyringUnavailable:
		return "unlock the keychain, or use --store file"
	case diagnosis.StoreNoLocks:
		return "set XDG_STATE_HOME to a directory on another file system, or use --store memory"
	case diagnosis.StoreUnreadable, diagnosis.StoreInsecure, diagnosis.StoreUnwritable:
		if found {
			return c.fileHint(file)
		}
	}
	switch c.ID {
	case diagnosis.StoreUnwritable:
		return "set HOME or XDG_STATE_HOME, or use --store memory"
	case diagnosis.StoreUnreadable, diagnosis.StoreUnsealed:
		return c.run("login")
	}
	return ""
}

// fileHint returns what to do about a file or directory of the store. Only the
// owner can change a mode.
func (c hintContext) fileHint(file *account.FileError) string {
	mode := "600"
	if file.Dir {
		mode = "700"
	}
	path := shellQuote(file.Path)
	switch {
	case file.Mode.IsDir() && !file.Dir:
		return "remove the directory " + path + ", then " + c.run("login")
	case file.Owned && (c.ID == diagnosis.StoreInsecure && file.Mode.Type()&^fs.ModeDir == 0 || errors.Is(file.Err, fs.ErrPermission)):
		return "chmod " + mode + " " + path
	case !file.Dir && !file.Owned && errors.Is(file.Err, fs.ErrPermission):
		return "remove " + path + ", which belongs to another user"
	case file.Dir || c.ID == diagnosis.StoreUnwritable:
		return "set XDG_STATE_HOME to a directory that is yours and can be written, or use --store memory"
	}
	return c.run("login")
}

// placeText describes a place of the store.
func placeText(p account.Place) string {
	switch {
	case p.Kind == account.PlaceMemory:
		return "memory, until this command ends"
	case p.Sealed:
		return "file " + p.Dir + ", encrypted with a key in the keychain"
	case p.Kind == account.PlaceAuto:
		return "file " + p.Dir + ", encrypted if the keychain answers"
	}
	return "file " + p.Dir + ", readable by you only"
}
