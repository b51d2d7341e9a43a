package account

import (
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/session"
)

// Types of package session for callers.
type (
	// Session is a stored session.
	Session = session.Session
	// Place is where a session is stored.
	Place = session.Place
	// FileError describes a file of the store that could not be used.
	FileError = session.FileError
)

// Kinds of stores.
const (
	PlaceAuto   = session.Auto
	PlaceMemory = session.Memory
)

// StoreMemory is the value of the setting store for sessions that end with the
// process.
const StoreMemory = string(session.Memory)

// StoreKinds returns the allowed values of the setting store.
func StoreKinds() []string {
	var kinds []string
	for _, kind := range session.Kinds() {
		kinds = append(kinds, string(kind))
	}
	return kinds
}

// NewStore returns the store that is configured in a profile, in the state
// directory dir, without accessing it. Errors are Diagnoses: CONFIG_INVALID and
// those of the store.
func NewStore(p *profile.Profile, dir string) (*session.Store, error) {
	if err := checkChoice(p, profile.StoreKind); err != nil {
		return nil, err
	}
	return session.New(session.Options{Dir: dir, Kind: session.Kind(p.Get(profile.StoreKind))})
}
