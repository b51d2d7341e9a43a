package redis

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/oauthctl/oauthctl/pkg/revocation"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// Timing of a follower.
const (
	blockFor   = time.Second     // how long one read waits for new lines
	batch      = 10_000          // lines of one read
	retryMax   = 2 * time.Second // between attempts while Redis is unreachable
	sweepEvery = time.Minute
)

// State is the state of a follower.
type State struct {
	Entries int           // number of stored entries
	Age     time.Duration // time since the last read, or 0
	Loaded  bool          // the stream was read to its end once
	// Lost means that Redis lost revocations: it has another epoch, or its stream
	// ends before the last line that this instance read. This instance continues
	// with its own data. An instance that starts later does not accept tokens
	// until [Store.Confirm].
	Lost     bool
	Failures uint64 // number of failed reads
}

// follower is the position and state of a follower.
type follower struct {
	mu       sync.Mutex
	last     position // the last line that was read
	epoch    string
	loaded   bool
	read     time.Time
	lost     bool // Redis lost data while this instance was running
	empty    bool // another instance reported a loss, and this one has only the data of Redis
	failures uint64
	failed   error
}

var (
	errNotLoaded = errors.New("the revocations have not been read yet")
	errStale     = errors.New("the revocations could not be read for too long")
	errEmpty     = errors.New("the store lost revocations, and an operator has not confirmed it yet")
)

// Run follows the stream until ctx ends. Without [Options.Follow], it returns
// immediately.
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

// step checks for data loss, and reads new lines.
func (s *Store) step(ctx context.Context) error {
	if err := s.lookForLoss(ctx); err != nil {
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
		if f.last, err = parsePosition(lines[len(lines)-1].ID); err != nil {
			return err
		}
	}
	if len(lines) < batch {
		f.loaded = true
		f.read = time.Now()
	}
	f.failed = nil
	return nil
}

// lookForLoss detects that Redis lost data: after a restart without its file,
// with an old copy, or as a replica that was behind its primary.
func (s *Store) lookForLoss(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	redis, err := s.client.connected(ctx)
	if err != nil {
		return err
	}
	b := redis.B()
	replies := redis.DoMulti(ctx, b.Get().Key(s.epoch()).Build(), b.Exists().Key(s.lost()).Build(), b.XinfoStream().Key(s.stream()).Build())
	epoch, err := replies[0].ToString()
	if rueidis.IsRedisNil(err) {
		epoch, err = s.begin(ctx, redis)
	}
	lost, lostErr := replies[1].AsInt64()
	end, streamErr := endOf(replies[2])
	if err = errors.Join(err, lostErr, streamErr); err != nil {
		return err
	}
	f := &s.follower
	if f.lostSomething(epoch, end) {
		// Stored only after the other instances are informed. Until then, each check
		// detects the loss again.
		if err := redis.Do(ctx, b.Set().Key(s.lost()).Value(s.options.Now().UTC().Format(time.RFC3339)).Build()).Error(); err != nil {
			return err
		}
		f.startAgain(epoch)
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.epoch = epoch
	f.lost = f.lost && lost > 0
	f.empty = lost > 0 && !f.lost
	return nil
}

// lostSomething compares Redis with its earlier state.
func (f *follower) lostSomething(epoch string, end position) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.epoch != "" && (f.epoch != epoch || end.before(f.last))
}

// startAgain reads the stream from its beginning and keeps the known entries.
func (f *follower) startAgain(epoch string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.epoch, f.last, f.lost = epoch, position{}, true
}

// begin writes the epoch of a new Redis.
func (s *Store) begin(ctx context.Context, redis rueidis.Client) (string, error) {
	err := redis.Do(ctx, redis.B().Set().Key(s.epoch()).Value(newEpoch()).Nx().Build()).Error()
	if err != nil && !rueidis.IsRedisNil(err) {
		return "", err
	}
	return redis.Do(ctx, redis.B().Get().Key(s.epoch()).Build()).ToString()
}

// position is the id of a line in the stream; the zero value is before the first.
type position struct{ ms, seq uint64 }

func parsePosition(id string) (position, error) {
	var p position
	ms, seq, _ := strings.Cut(id, "-")
	var err, err2 error
	p.ms, err = strconv.ParseUint(ms, 10, 64)
	p.seq, err2 = strconv.ParseUint(seq, 10, 64)
	return p, errors.Join(err, err2)
}

func (p position) before(q position) bool { return p.ms < q.ms || p.ms == q.ms && p.seq < q.seq }

func (p position) String() string { return fmt.Sprintf("%d-%d", p.ms, p.seq) }

// endOf returns the position of the last line that a stream has ever had, or
// zero if the stream does not exist.
func endOf(reply rueidis.RedisResult) (position, error) {
	info, err := reply.AsMap()
	if refused, ok := rueidis.IsRedisErr(err); ok && strings.HasPrefix(refused.Error(), "no such key") {
		return position{}, nil
	}
	if err != nil {
		return position{}, err
	}
	last := info["last-generated-id"]
	id, err := last.ToString()
	if err != nil {
		return position{}, err
	}
	return parsePosition(id)
}

// next reads lines of the stream. At the end, it waits for the first new one.
func (s *Store) next(ctx context.Context) ([]rueidis.XRangeEntry, error) {
	s.follower.mu.Lock()
	last, loaded := s.follower.last, s.follower.loaded
	s.follower.mu.Unlock()
	block := time.Duration(0)
	if loaded {
		block = blockFor
	}
	ctx, cancel := context.WithTimeout(ctx, block+s.options.Timeout+5*time.Second)
	defer cancel()
	redis, err := s.client.connected(ctx)
	if err != nil {
		return nil, err
	}
	read := redis.B().Xread().Count(batch)
	streams := read.Streams
	if loaded {
		streams = read.Block(block.Milliseconds()).Streams
	}
	found, err := redis.Do(ctx, streams().Key(s.stream()).Id(last.String()).Build()).AsXRead()
	if rueidis.IsRedisNil(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return found[s.stream()], nil
}

// apply applies one line. A line that cannot be parsed is from a later version
// and is skipped.
func (s *Store) apply(line rueidis.XRangeEntry) {
	field := func(name string) string { return line.FieldValues[name] }
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

// usable returns why the data cannot be used, or nil.
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
	redis, err := s.client.connected(ctx)
	if err == nil {
		err = redis.Do(ctx, redis.B().Ping().Build()).Error()
	}
	if err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	return nil
}

// State returns the state of the follower.
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

// Confirm confirms that Redis may be used although it lost data: an operator
// has revoked everything again, or it has expired.
func (s *Store) Confirm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	redis, err := s.client.connected(ctx)
	if err == nil {
		err = redis.Do(ctx, redis.B().Del().Key(s.lost()).Build()).Error()
	}
	if err != nil {
		return unknown(err)
	}
	return nil
}

func newEpoch() string { return fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64()) }
