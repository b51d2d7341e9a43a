package redis

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/oauthctl/oauthctl/pkg/revocation"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// The rhythm of a follower.
const (
	blockFor   = time.Second     // one read of the stream waits so long for a new line
	batch      = 10_000          // lines of one read
	retryMax   = 2 * time.Second // between trials while Redis is away
	sweepEvery = time.Minute
)

// State is what a follower knows.
type State struct {
	Entries int           // that are held
	Age     time.Duration // since the stream was read last; 0 where it never was
	Loaded  bool          // the stream was read to its end once
	// Lost says that Redis lost what was revoked: it came back with another epoch.
	// This instance goes on with what it knows. One that starts afterwards does
	// not accept tokens until [Store.Confirm].
	Lost     bool
	Failures uint64 // reads that failed
}

// follower is where a follower is.
type follower struct {
	mu       sync.Mutex
	last     string // the id of the last line that was read
	epoch    string
	loaded   bool
	read     time.Time
	lost     bool // the epoch changed while this instance ran
	empty    bool // others say that Redis lost something, and this instance knows no more than Redis
	failures uint64
	failed   error
}

var (
	errNotLoaded = errors.New("what is revoked was not read yet")
	errStale     = errors.New("what is revoked could not be read for too long")
	errEmpty     = errors.New("the store lost what was revoked, and an operator has not confirmed that it may be used")
)

// Run follows the stream until ctx ends. Without [Options.Follow] it returns at
// once.
func (s *Store) Run(ctx context.Context) {
	if s.known == nil {
		return
	}
	wait := time.Duration(0)
	swept := time.Now()
	for ctx.Err() == nil {
		if err := s.step(ctx); err != nil && ctx.Err() == nil {
			s.follower.fail(err)
			wait = min(max(2*wait, 50*time.Millisecond), retryMax)
			sleep(ctx, wait/2+rand.N(wait/2+1))
			continue
		}
		wait = 0
		if time.Since(swept) > sweepEvery {
			s.known.sweep(s.options.Now())
			swept = time.Now()
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// step looks whether Redis is the one of before, and reads what is new.
func (s *Store) step(ctx context.Context) error {
	if err := s.lookAtEpoch(ctx); err != nil {
		return err
	}
	lines, err := s.next(ctx)
	if err != nil {
		return err
	}
	for _, line := range lines {
		s.apply(line)
	}
	f := &s.follower
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(lines) > 0 {
		f.last = lines[len(lines)-1].ID
	}
	if len(lines) < batch {
		f.loaded = true
		f.read = time.Now()
	}
	f.failed = nil
	return nil
}

// lookAtEpoch notices a Redis that lost what it held.
func (s *Store) lookAtEpoch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	pipe := s.client.Pipeline()
	current, lost := pipe.Get(ctx, s.epoch()), pipe.Exists(ctx, s.lost())
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, goredis.Nil) {
		return err
	}
	epoch, reported := current.Val(), lost.Val()
	if epoch == "" {
		if err := s.client.SetNX(ctx, s.epoch(), newEpoch(), 0).Err(); err != nil {
			return err
		}
		var err error
		if epoch, err = s.client.Get(ctx, s.epoch()).Result(); err != nil {
			return err
		}
	}
	f := &s.follower
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.epoch == "":
		f.epoch = epoch
	case f.epoch != epoch:
		f.epoch, f.last, f.lost = epoch, "", true
		if err := s.client.Set(ctx, s.lost(), time.Now().UTC().Format(time.RFC3339), 0).Err(); err != nil {
			f.epoch = "another" // so that it is reported next time
			return err
		}
		return nil
	}
	if reported == 0 {
		f.lost = false
	}
	f.empty = reported > 0 && !f.lost
	return nil
}

// next reads lines of the stream; it waits for the first of them once it has
// reached the end.
func (s *Store) next(ctx context.Context) ([]goredis.XMessage, error) {
	s.follower.mu.Lock()
	last, loaded := s.follower.last, s.follower.loaded
	s.follower.mu.Unlock()
	block := time.Duration(-1)
	if loaded {
		block = blockFor
	}
	if last == "" {
		last = "0"
	}
	ctx, cancel := context.WithTimeout(ctx, max(block, 0)+s.options.Timeout+5*time.Second)
	defer cancel()
	found, err := s.client.XRead(ctx, &goredis.XReadArgs{Streams: []string{s.stream(), last}, Count: batch, Block: block}).Result()
	if errors.Is(err, goredis.Nil) || err == nil && len(found) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return found[0].Messages, nil
}

// apply takes one line over. A line that cannot be read is of a later version
// and is skipped.
func (s *Store) apply(line goredis.XMessage) {
	field := func(name string) string {
		text, _ := line.Values[name].(string)
		return text
	}
	raw, err := base64.RawURLEncoding.DecodeString(field("k"))
	var key revocation.Key
	if err != nil || len(raw) != len(key) {
		return
	}
	copy(key[:], raw)
	if field("c") == "undo" {
		s.known.remove(key)
		return
	}
	at, err := strconv.ParseInt(field("c"), 10, 64)
	until, err2 := strconv.ParseInt(field("u"), 10, 64)
	if err != nil || err2 != nil || until < s.options.Now().UnixMilli() {
		return
	}
	s.known.set(key, at, time.UnixMilli(until))
}

func (f *follower) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures++
	f.failed = err
}

// usable returns why what is known cannot be relied on.
func (s *Store) usable() error {
	f := &s.follower
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.empty:
		return errEmpty
	case !f.loaded && f.failed != nil:
		return f.failed
	case !f.loaded:
		return errNotLoaded
	case time.Since(f.read) > s.options.MaxStale:
		return errStale
	}
	return nil
}

func (s *Store) revokedByStream(t *token.Token) (bool, error) {
	if s.known.refuses(revocation.Keys(t), revocation.IssuedAt(t)) {
		return true, nil
	}
	if err := s.usable(); err != nil {
		return s.undecided(err)
	}
	return false, nil
}

// Ready returns an error while tokens cannot be checked.
func (s *Store) Ready(ctx context.Context) error {
	if s.known != nil {
		return s.usable()
	}
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	if err := s.client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	return nil
}

// State returns what a follower knows.
func (s *Store) State() State {
	if s.known == nil {
		return State{}
	}
	f := &s.follower
	f.mu.Lock()
	defer f.mu.Unlock()
	state := State{Entries: s.known.len(), Loaded: f.loaded, Lost: f.lost || f.empty, Failures: f.failures}
	if f.loaded {
		state.Age = time.Since(f.read)
	}
	return state
}

// Confirm says that Redis may be used although it lost what was revoked: an
// operator revoked it again, or it has expired.
func (s *Store) Confirm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	if err := s.client.Del(ctx, s.lost()).Err(); err != nil {
		return unknown(err)
	}
	return nil
}

func newEpoch() string { return fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64()) }
