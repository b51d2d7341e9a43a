package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// Kind is where a store holds sessions.
type Kind string

// Kinds of stores.
const (
	Auto    Kind = "auto"    // sealed if the keychain responds, otherwise plain files
	Keyring Kind = "keyring" // sealed only
	File    Kind = "file"    // plain files
	Memory  Kind = "memory"  // in this process only
)

// Kinds returns all kinds, for help and completion.
func Kinds() []Kind { return []Kind{Auto, Keyring, File, Memory} }

// Options configures a store. Dir is required, except for Memory.
type Options struct {
	// Dir is the state directory. It is created with mode 0700 when it is first
	// written to.
	Dir string
	// Kind is where new sessions are stored; "" means Auto. An existing session
	// is read and refreshed where it is.
	Kind Kind
	// Keys stores the keys of sealed sessions. If nil, it is the system's
	// keychain.
	Keys KeyHolder
}

// Store holds one session for each profile. It is safe for concurrent use, also
// by several processes.
type Store struct {
	dir    string
	kind   Kind
	keys   KeyHolder
	memory *memory // not nil for Memory

	lockWait     time.Duration
	keychainTime time.Duration
	newLock      func(path string) fileLock

	mu           sync.Mutex
	keychainDead bool // it has timed out once
	settled      Kind // Keyring or File once Auto is decided, otherwise ""
}

const maxFile = 1 << 20

// New returns a store without accessing anything, see [Store.Prepare].
func New(o Options) (*Store, error) {
	switch {
	case o.Kind == "":
		o.Kind = Auto
	case !slices.Contains(Kinds(), o.Kind):
		return nil, fmt.Errorf("session: expected the store auto, keyring, file or memory, got %.200q", string(o.Kind))
	}
	s := newStore(o.Dir, o.Kind, o.Keys)
	switch {
	case o.Kind == Memory:
		s.memory = newMemory()
	case o.Dir == "":
		return nil, &diagnosis.Diagnosis{ID: diagnosis.StoreUnwritable, Got: diagnosis.Values{"no state directory"}}
	}
	return s, nil
}

// Open returns the store of kind File in dir.
func Open(dir string) *Store { return newStore(dir, File, nil) }

func newStore(dir string, kind Kind, keys KeyHolder) *Store {
	if keys == nil {
		keys = systemKeys()
	}
	return &Store{dir: dir, kind: kind, keys: keys, lockWait: lockWait, keychainTime: keychainTime, newLock: newFileLock}
}

// Prepare checks that new sessions can be stored, before the user logs in: it
// creates the directory, writes and locks a file there, and calls the keychain,
// for at most 3 seconds. The warning, a Diagnosis KEYRING_UNAVAILABLE, means that
// Auto uses plain files; Keyring returns it as the error.
func (s *Store) Prepare(ctx context.Context) (warning, err error) {
	if s.memory != nil {
		return nil, nil
	}
	if err := s.makeDir(); err != nil {
		return nil, err
	}
	if err := s.tryDir(); err != nil {
		return nil, err
	}
	return s.settle(ctx)
}

// settle decides between Keyring and File for Auto.
func (s *Store) settle(ctx context.Context) (warning, err error) {
	if s.kind == File || s.target() != "" {
		return nil, nil
	}
	unable := s.probe(ctx)
	choice := Keyring
	var fault *diagnosis.Diagnosis
	switch {
	case unable == nil:
	case s.kind == Keyring || !errors.As(unable, &fault):
		return nil, unable
	default:
		choice = File
	}
	s.mu.Lock()
	s.settled = choice
	s.mu.Unlock()
	return unable, nil
}

// target returns where new sessions are stored: Keyring, File, or "" if Auto is
// not decided.
func (s *Store) target() Kind {
	if s.kind == File {
		return File
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settled
}

// Place is where a session is stored.
type Place struct {
	// Kind is Keyring, File or Memory, or Auto if the keychain has not been
	// called yet.
	Kind Kind
	// Dir is the state directory, or "" for Memory.
	Dir string
	// Sealed reports whether the file is encrypted with a key in the keychain.
	Sealed bool
}

// Place returns where new sessions are stored.
func (s *Store) Place() Place {
	switch {
	case s.memory != nil:
		return Place{Kind: Memory}
	case s.kind == Keyring || s.target() == Keyring:
		return s.place(true)
	case s.target() == File:
		return s.place(false)
	}
	return Place{Kind: Auto, Dir: s.dir}
}

// PlaceOf returns where the session of a profile is stored, or the result of
// [Store.Place] if there is none.
func (s *Store) PlaceOf(name string) Place {
	if s.memory == nil && profile.CheckName(name) == nil {
		if data, err := s.read(sessionOf(name)); err == nil {
			if with, err := sealOf(data, sessionOf(name)); err == nil {
				return s.place(with.id != "")
			}
		}
	}
	return s.Place()
}

func (s *Store) place(sealed bool) Place {
	if sealed {
		return Place{Kind: Keyring, Dir: s.dir, Sealed: true}
	}
	return Place{Kind: File, Dir: s.dir}
}

func (s *Store) path(at slot) string { return filepath.Join(s.dir, at.file()) }

// Load returns the session of a profile. It takes no lock. Errors are
// [ErrNotFound], or Diagnoses of kind Store.
func (s *Store) Load(profile string) (*Session, error) {
	session, _, err := s.load(context.Background(), profile)
	return session, err
}

func (s *Store) load(ctx context.Context, profile string) (*Session, seal, error) {
	plain, with, err := s.open(ctx, sessionOf(profile))
	if err != nil {
		return nil, seal{}, err
	}
	session, err := decodeSession(plain, sessionOf(profile))
	return session, with, err
}

// open returns the plain text of a record and its seal.
func (s *Store) open(ctx context.Context, at slot) ([]byte, seal, error) {
	if err := profile.CheckName(at.profile); err != nil {
		return nil, seal{}, fmt.Errorf("session: %w", err)
	}
	data, err := s.read(at)
	if err != nil {
		return nil, seal{}, err
	}
	for {
		with, err := sealOf(data, at)
		if err != nil {
			return nil, seal{}, err
		}
		if with.id == "" && s.kind == Keyring {
			return nil, seal{}, &diagnosis.Diagnosis{ID: diagnosis.StoreUnsealed, Err: &FileError{Path: s.path(at), Owned: true}}
		}
		if with, err = s.key(ctx, at, with); err == nil {
			plain, err := unseal(data, at, with)
			return plain, with, err
		}
		// A concurrent login removes the key of the file that it replaces.
		now, gone := s.read(at)
		switch {
		case gone != nil:
			return nil, seal{}, gone
		case bytes.Equal(now, data):
			return nil, seal{}, err
		}
		data = now
	}
}

// read returns a record in its stored form. It checks the directory too,
// because anyone who may write to it may replace the files in it.
func (s *Store) read(at slot) ([]byte, error) {
	if s.memory != nil {
		return s.memory.read(at)
	}
	err := ownDir(s.dir)
	var f *os.File
	if err == nil {
		f, err = openOwn(s.path(at))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrNotFound
	case err != nil:
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, unopened(s.path(at), false, err)
	case len(data) > maxFile:
		return nil, unreadable("a "+at.kind, fmt.Sprintf("more than %d bytes", maxFile))
	}
	return data, nil
}

// Save stores a session under its profile and replaces any earlier one, even a
// damaged one, so that a login always helps.
func (s *Store) Save(ctx context.Context, session *Session) error { return s.save(ctx, session) }

func (s *Store) save(ctx context.Context, r record) error {
	unlock, _, err := s.lock(ctx, r.slot(), s.lockWait, nil)
	if err != nil {
		return err
	}
	defer unlock()
	if s.memory != nil {
		return s.memory.write(r)
	}
	before := s.sealNow(r.slot())
	with, err := s.newSeal(ctx)
	if err != nil {
		return err
	}
	d, err := s.reserve(r.slot(), 0)
	if err == nil {
		err = s.commit(d, r, with, true)
	}
	if err != nil {
		s.forget(with)
		return err
	}
	s.forget(before)
	return nil
}

// sealNow returns the seal of the stored record, without its key. It is that of
// a plain file if the record cannot be read.
func (s *Store) sealNow(at slot) seal {
	data, err := s.read(at)
	if err != nil {
		return seal{}
	}
	with, _ := sealOf(data, at)
	return with
}

// newSeal returns the seal of a new record, with its key already in the
// keychain, or the zero seal for a plain record.
func (s *Store) newSeal(ctx context.Context) (seal, error) {
	if _, err := s.settle(ctx); err != nil {
		return seal{}, err
	}
	if s.target() == File {
		return seal{}, nil
	}
	with := newSeal()
	err := s.keep(ctx, with)
	var fault *diagnosis.Diagnosis
	if err != nil && s.kind == Auto && errors.As(err, &fault) {
		// The keychain can be read but not written, or is no longer available.
		s.mu.Lock()
		s.settled = File
		s.mu.Unlock()
		return seal{}, nil
	}
	return with, err
}

// MarkRevoked notes that the access token of a profile's session was revoked, so
// that the next [Source.Session] replaces it. It does nothing if accessToken is
// not, or no longer, that of the session. It takes the session's lock, so
// Source.Renew must not call it.
func (s *Store) MarkRevoked(ctx context.Context, profile string, accessToken secret.String) error {
	current, _, err := s.load(ctx, profile)
	if errors.Is(err, ErrNotFound) || err == nil && !current.holds(accessToken) {
		return nil
	}
	if err != nil {
		return err
	}
	unlock, _, err := s.lock(ctx, sessionOf(profile), s.lockWait, nil)
	if err != nil {
		return err
	}
	defer unlock()
	return s.markRevoked(ctx, profile, accessToken)
}

// markRevoked is MarkRevoked for a caller that holds the lock.
func (s *Store) markRevoked(ctx context.Context, profile string, accessToken secret.String) error {
	current, with, err := s.load(ctx, profile)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return err
	case !current.holds(accessToken) || current.Revoked:
		return nil
	}
	write, err := s.begin(ctx, profile, current, with)
	if err != nil {
		return err
	}
	next := current.clone()
	next.Revoked = true
	return write(next)
}

// Delete removes the session of a profile, with its key. It is not an error if
// there is none.
func (s *Store) Delete(ctx context.Context, profile string) error {
	return s.delete(ctx, sessionOf(profile))
}

func (s *Store) delete(ctx context.Context, at slot) error {
	if err := profile.CheckName(at.profile); err != nil {
		return fmt.Errorf("session: %w", err)
	}
	if s.memory == nil {
		if _, err := os.Lstat(s.path(at)); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	unlock, _, err := s.lock(ctx, at, s.lockWait, nil)
	if err != nil {
		return err
	}
	defer unlock()
	return s.remove(at)
}

// remove removes a record under its lock.
func (s *Store) remove(at slot) error {
	if s.memory != nil {
		s.memory.remove(at)
		return nil
	}
	before := s.sealNow(at)
	// A process that was killed may have left a draft.
	_ = os.Remove(filepath.Join(s.dir, at.draft()))
	if err := os.Remove(s.path(at)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return unwritable(s.path(at), false, err)
	}
	_ = os.Remove(filepath.Join(s.dir, at.marker()))
	_ = syncDir(s.dir) // a record that returns after a power failure does no harm
	s.forget(before)
	return nil
}

// Profiles returns the profiles that have a session, sorted.
func (s *Store) Profiles() ([]string, error) {
	if s.memory != nil {
		return s.memory.profiles(), nil
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, unopened(s.dir, true, err)
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".json"); ok && profile.CheckName(name) == nil {
			names = append(names, name)
		}
	}
	return names, nil
}
