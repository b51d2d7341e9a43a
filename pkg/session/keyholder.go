package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// keychainTime limits each call to the keychain. A Secret Service that has
// crashed, or waits for a password that cannot be entered, never responds.
const keychainTime = 3 * time.Second

// ErrNoKey means that a [KeyHolder] has no key with that name.
var ErrNoKey = errors.New("session: no such key")

// KeyHolder stores the keys that encrypt files, 32 bytes each, separately from
// the files: the system's keychain. It may hang; a store waits at most 3 seconds
// for it.
type KeyHolder interface {
	// Key returns the key with that name, or ErrNoKey.
	Key(name string) ([]byte, error)
	SetKey(name string, key []byte) error
	DeleteKey(name string) error
}

// ask makes one call to the keychain. After a timeout, this process does not
// call it again, because every further call would take as long.
func (s *Store) ask(ctx context.Context, question func(KeyHolder) error) error {
	s.mu.Lock()
	dead := s.keychainDead
	s.mu.Unlock()
	if dead {
		return keychainFails(errors.New("it did not respond earlier"))
	}
	answer := make(chan error, 1)
	go func() { answer <- question(s.keys) }()
	timer := time.NewTimer(s.keychainTime)
	defer timer.Stop()
	select {
	case err := <-answer:
		if err != nil && !errors.Is(err, ErrNoKey) {
			return keychainFails(err)
		}
		return err
	case <-ctx.Done():
		return fmt.Errorf("session: %w", ctx.Err())
	case <-timer.C:
		s.mu.Lock()
		s.keychainDead = true
		s.mu.Unlock()
		return keychainFails(fmt.Errorf("no response within %s", s.keychainTime))
	}
}

// key adds the key from the keychain to a seal.
func (s *Store) key(ctx context.Context, at slot, with seal) (seal, error) {
	if with.id == "" {
		return with, nil
	}
	// A buffered channel, because the call may return after the timeout.
	found := make(chan []byte, 1)
	err := s.ask(ctx, func(keys KeyHolder) error {
		key, err := keys.Key(with.id)
		found <- key
		return err
	})
	if errors.Is(err, ErrNoKey) {
		return with, unreadable("the key of the "+at.kind+" in the keychain", "none")
	}
	if err != nil {
		return with, err
	}
	if with.key = <-found; len(with.key) != keySize {
		return with, unreadable(fmt.Sprintf("a key of %d bytes in the keychain", keySize), "another")
	}
	return with, nil
}

// keep stores the key of a new seal in the keychain.
func (s *Store) keep(ctx context.Context, with seal) error {
	return s.ask(ctx, func(keys KeyHolder) error { return keys.SetKey(with.id, with.key) })
}

// probe checks whether the keychain can store a key. One that can be read may be
// unable to store, which would be noticed only after the login. The name is
// unique, because other processes may probe at the same time.
func (s *Store) probe(ctx context.Context) error {
	if _, err := newCipher(make([]byte, keySize)); err != nil {
		return keychainFails(err)
	}
	one := newSeal()
	name := "probe-" + one.id
	err := s.ask(ctx, func(keys KeyHolder) error {
		if err := keys.SetKey(name, one.key); err != nil {
			return err
		}
		return keys.DeleteKey(name)
	})
	if errors.Is(err, ErrNoKey) {
		return nil
	}
	return err
}

// forget removes the key of a seal that no file uses any more. The key is
// useless without its file, so a failure does not matter.
func (s *Store) forget(with seal) {
	if with.id != "" {
		_ = s.ask(context.Background(), func(keys KeyHolder) error { return keys.DeleteKey(with.id) })
	}
}

func keychainFails(err error) error {
	return &diagnosis.Diagnosis{ID: diagnosis.KeyringUnavailable, Err: err}
}
