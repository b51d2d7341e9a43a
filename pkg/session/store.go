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
)

// Kind says where a store keeps sessions.
type Kind string

// The kinds of stores.
const (
	Auto    Kind = "auto"    // sealed, if the keychain answers; else plain files
	Keyring Kind = "keyring" // sealed, or not at all
	File    Kind = "file"    // plain files
	Memory  Kind = "memory"  // for this process only
)

// Kinds returns all kinds, for a flag's help and completion.
func Kinds() []Kind { return []Kind{Auto, Keyring, File, Memory} }

// Options are what a store is made of. Dir is needed, except for Memory.
type Options struct {
	// Dir is the state directory. It is made with mode 0700 when it is first
	// written to.
	Dir string
	// Kind says where new sessions go; "" means Auto. A session that is already
	// kept is read, and renewed, where it is.
	Kind Kind
	// Keys holds the keys of sealed sessions; nil means the system's keychain.
	Keys KeyHolder
}

// Store keeps sessions, one a profile. It is safe for concurrent use, by any
// number of processes too.
type Store struct {
	dir    string
	kind   Kind
	keys   KeyHolder
	memory *memory // not nil for Memory

	lockWait     time.Duration
	keychainTime time.Duration

	mu           sync.Mutex
	keychainDead bool // it did not answer once
	settled      Kind // what Auto came to: Keyring or File, "" before
}

const maxFile = 1 << 20

// New returns a store. Nothing is touched yet; see [Store.Prepare].
func New(o Options) (*Store, error) {
	switch {
	case o.Kind == "":
		o.Kind = Auto
	case !slices.Contains(Kinds(), o.Kind):
		return nil, fmt.Errorf("session: expected the store auto, keyring, file or memory, got %.200q", string(o.Kind))
	}
	s := &Store{dir: o.Dir, kind: o.Kind, keys: o.Keys, lockWait: lockWait, keychainTime: keychainTime}
	switch {
	case o.Kind == Memory:
		s.memory = newMemory()
		return s, nil
	case o.Dir == "":
		return nil, &diagnosis.Diagnosis{ID: diagnosis.StoreUnwritable, Got: "there is no state directory", Hint: "set HOME or XDG_STATE_HOME, or use --store memory"}
	case s.keys == nil:
		s.keys = systemKeys()
	}
	return s, nil
}

// Open returns the store of kind File in dir.
func Open(dir string) *Store {
	return &Store{dir: dir, kind: File, keys: systemKeys(), lockWait: lockWait, keychainTime: keychainTime}
}

// Prepare settles where new sessions go, before somebody spends time on a login
// that could not be kept: the keychain is asked, for 3 seconds at most, and the
// directory is made. The warning, a Diagnosis KEYRING_UNAVAILABLE, says that
// Auto falls back to plain files; Keyring errs instead.
func (s *Store) Prepare(ctx context.Context) (warning, err error) {
	if s.memory != nil {
		return nil, nil
	}
	if err := s.makeDir(); err != nil {
		return nil, err
	}
	d, err := s.reserve(".prepare", 0)
	if err != nil {
		return nil, err
	}
	d.discard()
	return s.settle(ctx)
}

// settle decides what Auto comes to.
func (s *Store) settle(ctx context.Context) (warning, err error) {
	if s.kind == File || s.target() != "" {
		return nil, nil
	}
	_, unable := newCipher(make([]byte, keySize))
	if unable == nil {
		// One that can be read may still keep nothing, which would show only after
		// the login.
		unable = s.ask(ctx, func(keys KeyHolder) error {
			if err := keys.SetKey("probe", make([]byte, keySize)); err != nil {
				return err
			}
			return keys.DeleteKey("probe")
		})
	} else {
		unable = keychainFails(unable)
	}
	choice := Keyring
	var fault *diagnosis.Diagnosis
	switch {
	case unable == nil || errors.Is(unable, ErrNoKey):
		unable = nil
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

// target is where new sessions go: Keyring, File, or "" if Auto is not settled.
func (s *Store) target() Kind {
	if s.kind == File {
		return File
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settled
}

// Place tells in words where new sessions are kept.
func (s *Store) Place() string {
	switch {
	case s.memory != nil:
		return "memory, until this command ends"
	case s.kind == Keyring || s.target() == Keyring:
		return s.place(seal{id: "any"})
	case s.target() == File:
		return s.place(seal{})
	}
	return "file " + s.dir + ", sealed if the keychain answers"
}

// PlaceOf tells in words where the session of a profile is kept now; where there
// is none, what [Store.Place] tells.
func (s *Store) PlaceOf(profile string) string {
	if s.memory == nil && checkName(profile) == nil {
		if data, err := s.readFile(profile); err == nil {
			if with, err := sealOf(data, profile); err == nil {
				return s.place(with)
			}
		}
	}
	return s.Place()
}

func (s *Store) place(with seal) string {
	if with.id != "" {
		return "file " + s.dir + ", sealed with a key in the keychain"
	}
	return "file " + s.dir + ", readable by you only"
}

func (s *Store) path(profile string) string { return filepath.Join(s.dir, profile+".json") }

// Load returns the session of a profile. It takes no lock. Errors are
// [ErrNotFound], or Diagnoses of kind Store whose hint names the command that
// mends it.
func (s *Store) Load(profile string) (*Session, error) {
	session, _, err := s.load(context.Background(), profile)
	return session, err
}

func (s *Store) load(ctx context.Context, profile string) (*Session, seal, error) {
	if err := checkName(profile); err != nil {
		return nil, seal{}, err
	}
	if s.memory != nil {
		session, err := s.memory.load(profile)
		return session, seal{}, err
	}
	data, err := s.readFile(profile)
	if err != nil {
		return nil, seal{}, err
	}
	for {
		with, err := sealOf(data, profile)
		if err != nil {
			return nil, seal{}, err
		}
		if with, err = s.key(ctx, profile, with); err == nil {
			session, err := decode(data, profile, with)
			return session, with, err
		}
		// A login that comes between takes away the key of the file it replaces.
		now, gone := s.readFile(profile)
		switch {
		case gone != nil:
			return nil, seal{}, gone
		case bytes.Equal(now, data):
			return nil, seal{}, err
		}
		data = now
	}
}

func (s *Store) readFile(profile string) ([]byte, error) {
	path := s.path(profile)
	f, err := openOwn(path, profile)
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
		return nil, unopened(path, profile, err)
	case len(data) > maxFile:
		return nil, unreadable(profile, "a session", fmt.Sprintf("more than %d bytes", maxFile))
	}
	return data, nil
}

// Save keeps a session under its profile, in place of the one before, whatever
// state that is in: a login always recovers.
func (s *Store) Save(ctx context.Context, session *Session) error {
	unlock, err := s.lock(ctx, session.Profile, nil)
	if err != nil {
		return err
	}
	defer unlock()
	if s.memory != nil {
		return s.memory.save(session)
	}
	var before seal
	if data, err := s.readFile(session.Profile); err == nil {
		before, _ = sealOf(data, session.Profile)
	}
	with, err := s.newSeal(ctx)
	if err != nil {
		return err
	}
	d, err := s.reserve(session.Profile, 0)
	if err == nil {
		err = s.commit(d, session, with)
	}
	if err != nil {
		s.forget(with)
		return err
	}
	s.forget(before)
	return nil
}

// newSeal returns the seal of a new session, its key already in the keychain, or
// the zero seal where sessions are plain.
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
		// It can be read but not written, or has gone since it was asked.
		s.mu.Lock()
		s.settled = File
		s.mu.Unlock()
		return seal{}, nil
	}
	return with, err
}

// Delete forgets the session of a profile, with its key; that there is none is
// no error.
func (s *Store) Delete(ctx context.Context, profile string) error {
	if err := checkName(profile); err != nil {
		return err
	}
	if s.memory == nil {
		if _, err := os.Lstat(s.path(profile)); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	unlock, err := s.lock(ctx, profile, nil)
	if err != nil {
		return err
	}
	defer unlock()
	return s.remove(profile)
}

// remove forgets a session under its lock.
func (s *Store) remove(profile string) error {
	if s.memory != nil {
		s.memory.remove(profile)
		return nil
	}
	var before seal
	if data, err := s.readFile(profile); err == nil {
		before, _ = sealOf(data, profile)
	}
	// A process that was killed may have left it behind.
	_ = os.Remove(s.temporary(profile))
	if err := os.Remove(s.path(profile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return unwritable(s.path(profile), err)
	}
	_ = syncDir(s.dir) // a session that comes back after a power cut is no worse than before
	s.forget(before)
	return nil
}

// Profiles returns the profiles that have a session, in order.
func (s *Store) Profiles() ([]string, error) {
	if s.memory != nil {
		return s.memory.profiles(), nil
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, unopened(s.dir, "", err)
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".json"); ok && checkName(name) == nil {
			names = append(names, name)
		}
	}
	return names, nil
}
