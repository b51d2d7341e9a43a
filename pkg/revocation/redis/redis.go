// Package redis shares revocations between all instances of an API, with a Redis
// server.
//
// Start with [Open]. A store can get the revocations in two ways:
//
//   - It asks Redis for each token. This is the zero value. A token that one
//     instance revokes is refused by every other within [Options.MaxAge], by
//     default one second, because results are cached for that time. While Redis
//     is unreachable, no token is accepted.
//   - It follows a stream of revocations ([Options.Follow], with [Store.Run]). A
//     token that is not revoked then needs no network access, and a revocation
//     reaches every instance within two seconds. While Redis is unreachable, an
//     instance uses the data that it has, for [Options.MaxStale].
//
// If it is unknown whether a token is revoked, the error is REVOCATION_UNKNOWN and
// the API returns 503, unless InsecureAllowWhenAway is set.
//
// If Redis loses an entry, its token is accepted again. Configure an append-only
// file and the eviction policy noeviction, and with replicas min-replicas-to-write.
// Instances that follow the stream detect a Redis that has lost data, see
// [Store.State].
package redis

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/revocation"
	"github.com/oauthctl/oauthctl/pkg/token"
)

const (
	defaultMaxAge  = time.Second
	defaultTimeout = 250 * time.Millisecond
	defaultPrefix  = "oauthctl:"

	defaultMaxStale = 10 * time.Minute
	retryAfter      = 100 * time.Millisecond // between attempts while Redis is unreachable
	maxLocal        = 100_000                // cached keys, in each of two generations
)

// Options are the options of a [Store]. The zero value is safe.
type Options struct {
	// MaxAge is how long a result is cached, and so the time until a revocation
	// by another instance is noticed. 0 means one second.
	MaxAge time.Duration
	// Timeout limits each exchange with Redis. 0 means 250 ms.
	Timeout time.Duration
	// InsecureAllowWhenAway accepts tokens while Redis is unreachable.
	InsecureAllowWhenAway bool
	// Prefix is the prefix of each key; "" means "oauthctl:". In a cluster it
	// becomes a hash tag, such as "{oauthctl}:".
	Prefix string
	Now    func() time.Time // nil means time.Now
	// Follow stores all revocations in memory, about 8 bytes for each token. It
	// needs [Store.Run].
	Follow bool
	// MaxStale is how long the data may be used while the stream cannot be read. 0
	// means 10 minutes.
	MaxStale time.Duration
}

// Store holds revocations in Redis. It is safe for concurrent use.
type Store struct {
	client   *client
	options  Options
	known    *known // nil without Follow
	follower follower

	mu         sync.Mutex
	young, old map[revocation.Key]state
	turned     time.Time // when young began
	failure    error     // the last error of Redis, or nil
	retry      time.Time // when to try again
}

// state is the cached result for a key.
type state struct {
	cutoff int64 // 0 if nothing is revoked
	asked  time.Time
}

// Open returns the store at a URL: redis://[user:password@]host:port/db, rediss://
// over TLS, unix://path, redis+cluster://host:port?addr=host:port, or
// redis+sentinel://host:port/db?master_name=NAME&addr=host:port; the last two also
// with rediss. It sends nothing. Errors contain no password.
func Open(rawURL string, o Options) (*Store, error) {
	if o.MaxAge <= 0 {
		o.MaxAge = defaultMaxAge
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.MaxStale <= 0 {
		o.MaxStale = defaultMaxStale
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	client, cluster, err := connect(rawURL, o.Timeout)
	if err != nil {
		return nil, err
	}
	if o.Prefix = cmp.Or(o.Prefix, defaultPrefix); cluster {
		o.Prefix = inOneSlot(o.Prefix)
	}
	s := &Store{client: client, options: o, young: map[revocation.Key]state{}}
	if o.Follow {
		s.known = newKnown()
	}
	return s, nil
}

// Close closes the connections to Redis. It waits up to a second for a read that
// has begun.
func (s *Store) Close() error {
	s.client.close()
	return nil
}

// Revoked reports whether an entry refuses t.
func (s *Store) Revoked(ctx context.Context, t *token.Token) (bool, error) {
	if s.known != nil {
		return s.revokedByStream(t)
	}
	keys, issued := revocation.Keys(t), revocation.IssuedAt(t)
	var missing []revocation.Key
	for _, key := range keys {
		switch known, ok := s.remembered(key); {
		case !ok:
			missing = append(missing, key)
		case refuses(known, issued):
			return true, nil
		}
	}
	if len(missing) == 0 {
		return false, nil
	}
	found, err := s.ask(ctx, missing)
	if err != nil {
		return s.undecided(err)
	}
	for _, state := range found {
		if refuses(state, issued) {
			return true, nil
		}
	}
	return false, nil
}

// undecided returns the result if the revocation state is unknown.
func (s *Store) undecided(err error) (bool, error) {
	if s.options.InsecureAllowWhenAway {
		return false, nil
	}
	return false, unknown(err)
}

func refuses(s state, issued int64) bool { return s.cutoff != 0 && issued <= s.cutoff }

// ask reads keys from Redis, unless it has just failed: then one request tries,
// and the others do not wait for it.
func (s *Store) ask(ctx context.Context, keys []revocation.Key) (map[revocation.Key]state, error) {
	// Measured before the request, because the result may be that old.
	asked := s.options.Now()
	if err := s.mayAsk(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	found, err := s.read(ctx, keys, asked)
	if s.noteResult(ctx, err); err != nil {
		return nil, err
	}
	s.keep(found)
	return found, nil
}

// read reads keys in one round trip.
func (s *Store) read(ctx context.Context, keys []revocation.Key, asked time.Time) (map[revocation.Key]state, error) {
	redis, err := s.client.connected(ctx)
	if err != nil {
		return nil, err
	}
	commands := make([]rueidis.Completed, len(keys))
	for i, key := range keys {
		commands[i] = redis.B().Get().Key(s.name(key)).Build()
	}
	found := make(map[revocation.Key]state, len(keys))
	for i, reply := range redis.DoMulti(ctx, commands...) {
		cutoff, replyErr := reply.AsInt64()
		if replyErr != nil && !rueidis.IsRedisNil(replyErr) {
			err = errors.Join(err, replyErr)
		}
		found[keys[i]] = state{cutoff, asked}
	}
	return found, err
}

func (s *Store) mayAsk() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.failure == nil {
		return nil
	}
	if now.Before(s.retry) {
		return s.failure
	}
	s.retry = now.Add(s.options.Timeout + retryAfter)
	return nil
}

// noteResult stores the result of an exchange. The end of a caller's context is not
// an error of Redis.
func (s *Store) noteResult(ctx context.Context, err error) {
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure, s.retry = err, time.Now().Add(retryAfter)
}

func (s *Store) remembered(key revocation.Key) (state, bool) {
	now := s.options.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.young[key]
	if !ok {
		known, ok = s.old[key]
	}
	return known, ok && now.Sub(known.asked) < s.options.MaxAge
}

// keep limits the cache by dropping the older generation.
func (s *Store) keep(found map[revocation.Key]state) {
	now := s.options.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.young) >= maxLocal || now.Sub(s.turned) >= s.options.MaxAge {
		s.young, s.old, s.turned = make(map[revocation.Key]state, len(found)), s.young, now
	}
	for key, state := range found {
		// A read that began before a local revocation must not hide it.
		if newer, ok := s.young[key]; !ok || !newer.asked.After(state.asked) {
			s.young[key] = state
		}
	}
}

// Use stores for all instances that a DPoP proof was used, and returns false if
// it was used before. It implements the replay store of a dpop.Verifier (RFC
// 9449, section 11.1).
func (s *Store) Use(ctx context.Context, id string, until time.Time) (bool, error) {
	ttl := until.Sub(s.options.Now())
	if ttl <= 0 {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	redis, err := s.client.connected(ctx)
	if err != nil {
		return false, fmt.Errorf("redis: %w", err)
	}
	// Redis does not accept an expiry of 0 ms.
	ms := max(ttl.Milliseconds(), 1)
	err = redis.Do(ctx, redis.B().Set().Key(s.options.Prefix+"proof:"+id).Value("1").Nx().PxMilliseconds(ms).Build()).Error()
	switch {
	case rueidis.IsRedisNil(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("redis: %w", err)
	}
	return true, nil
}

func (s *Store) name(key revocation.Key) string {
	return s.options.Prefix + "revoked:" + base64.RawURLEncoding.EncodeToString(key[:])
}

func unknown(err error) error {
	return fmt.Errorf("redis: %w", &diagnosis.Diagnosis{ID: diagnosis.RevocationUnknown, Err: err})
}
