package account

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/session"
)

// What a caller sees of sessions and of the store without package session.
type (
	// Session is a stored session.
	Session = session.Session
	// Place is where a session is kept.
	Place = session.Place
	// FileError is the file that the store could not use.
	FileError = session.FileError
)

// The kinds of places.
const (
	PlaceAuto   = session.Auto
	PlaceMemory = session.Memory
)

// StoreMemory is the value of the setting store for sessions that end with the
// process.
const StoreMemory = string(session.Memory)

// StoreKinds returns the values of the setting store.
func StoreKinds() []string {
	var kinds []string
	for _, kind := range session.Kinds() {
		kinds = append(kinds, string(kind))
	}
	return kinds
}

// NewStore returns the store that a profile names, in the state directory dir;
// nothing is touched yet. Errors are Diagnoses, CONFIG_INVALID and those of the
// store.
func NewStore(p *profile.Profile, dir string) (*session.Store, error) {
	kind := session.Kind(p.Get(profile.StoreKind))
	if kind != "" && !slices.Contains(session.Kinds(), kind) {
		return nil, &diagnosis.Diagnosis{ID: diagnosis.ConfigInvalid, Expected: diagnosis.Values{string(profile.StoreKind) + " to be " + strings.Join(StoreKinds(), ", ")}, Got: diagnosis.Values{fmt.Sprintf("%.200q", string(kind))}}
	}
	return session.New(session.Options{Dir: dir, Kind: kind})
}
