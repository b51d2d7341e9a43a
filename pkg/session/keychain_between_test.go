package session_test

import (
	"errors"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/session"
)

// between is a keychain that runs a function before its next call returns.
type between struct {
	*ring
	before func()
}

func (b *between) Key(name string) ([]byte, error) {
	if happens := b.before; happens != nil {
		b.before = nil
		happens()
	}
	return b.ring.Key(name)
}

// readOnly is a keychain that cannot store keys.
type readOnly struct{ *ring }

func (readOnly) SetKey(string, []byte) error { return errors.New("locked for writing") }

// A reader takes no lock, so the file it has read may be replaced, and its key
// removed, before the reader requests the key.
func TestLoadDuringLoginAndLogout(t *testing.T) {
	keys := &ring{}
	writer, dir := openSealed(t, session.Keyring, keys)
	slow := &between{ring: keys}
	reader, err := session.New(session.Options{Dir: dir, Keys: slow})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		happens func() error
		want    error
	}{
		"nothing": {func() error { return nil }, nil},
		"login":   {func() error { return writer.Save(t.Context(), example()) }, nil},
		"logout":  {func() error { return writer.Delete(t.Context(), "default") }, session.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			save(t, writer, example())
			slow.before = func() {
				if err := tt.happens(); err != nil {
					t.Error(err)
				}
			}
			if _, err := reader.Load("default"); !errors.Is(err, tt.want) {
				t.Errorf("Load = %v, want %v", err, tt.want)
			}
		})
	}
}

// A keychain that cannot store keys is reported before the login.
func TestPrepareNeedsAKeychainThatStores(t *testing.T) {
	keys := &ring{}
	good, dir := openSealed(t, session.Auto, keys)
	if warning, err := good.Prepare(t.Context()); warning != nil || err != nil || keys.len() != 0 {
		t.Errorf("positive control: %v, %v, %d keys left", warning, err, keys.len())
	}
	for kind, falls := range map[session.Kind]bool{session.Auto: true, session.Keyring: false} {
		store, err := session.New(session.Options{Dir: dir, Kind: kind, Keys: readOnly{keys}})
		if err != nil {
			t.Fatal(err)
		}
		warning, err := store.Prepare(t.Context())
		if falls && (err != nil || idOf(warning) != diagnosis.KeyringUnavailable || store.Place().Sealed) {
			t.Errorf("%s: %v, %v, %v", kind, warning, err, store.Place())
		}
		if !falls && idOf(err) != diagnosis.KeyringUnavailable {
			t.Errorf("%s: %v, %v", kind, warning, err)
		}
	}
}
