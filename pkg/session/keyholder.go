package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// keychainTime bounds each question to the keychain: a Secret Service that has
// died, or waits for a password that no one can type, never answers.
const keychainTime = 3 * time.Second

// ErrNoKey says that a [KeyHolder] has no key of that name.
var ErrNoKey = errors.New("session: no such key")

// KeyHolder keeps the keys that files are sealed with, 32 bytes each, away from
// the files: the system's keychain. It may hang; a store waits for it for at most
// 3 seconds.
type KeyHolder interface {
	// Key returns the key of a name, or ErrNoKey.
	Key(name string) ([]byte, error)
	SetKey(name string, key []byte) error
	DeleteKey(name string) error
}

// ask puts one question to the keychain. One that did not answer is not asked
// again by this process: every further wait would be as long.
func (s *Store) ask(ctx context.Context, question func(KeyHolder) error) error {
	s.mu.Lock()
	dead := s.keychainDead
	s.mu.Unlock()
	if dead {
		return keychainFails(errors.New("it did not answer before"))
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
		return keychainFails(fmt.Errorf("no answer within %s", s.keychainTime))
	}
}

// key completes a seal with its key from the keychain.
func (s *Store) key(ctx context.Context, at slot, with seal) (seal, error) {
	if with.id == "" {
		return with, nil
	}
	// A channel, since the answer may come when nobody waits for it any more.
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

// keep puts the key of a new seal into the keychain.
func (s *Store) keep(ctx context.Context, with seal) error {
	return s.ask(ctx, func(keys KeyHolder) error { return keys.SetKey(with.id, with.key) })
}

// probe asks whether the keychain keeps anything. One that can be read may still
// store nothing, which would show only after the login. The name is one of its
// own, since other processes may probe at the same time.
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

// forget removes the key of a seal that no file has any more. A key that stays
// behind opens nothing, so a failure is of no consequence.
func (s *Store) forget(with seal) {
	if with.id != "" {
		_ = s.ask(context.Background(), func(keys KeyHolder) error { return keys.DeleteKey(with.id) })
	}
}

func keychainFails(err error) error {
	return &diagnosis.Diagnosis{ID: diagnosis.KeyringUnavailable, Err: err}
}
