package redis

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/redis/rueidis"

	"github.com/oauthctl/oauthctl/pkg/revocation"
)

// write adds an entry atomically, in two forms. For instances that ask Redis, it is a
// key with an expiry; its cut-off and expiry are never reduced. For instances that
// follow, it is a line of the stream. Lines remain in the stream for the longest
// lifetime of all entries. A cut-off of "undo" removes the entry.
//
// KEYS are the entry, the stream, the longest lifetime, the epoch and the
// descriptions; ARGV are the cut-off, the lifetime in ms, the entry's name, a new
// epoch and the description. Running the script twice has the same result.
var write = rueidis.NewLuaScriptRetryable(`
redis.call('SET', KEYS[4], ARGV[4], 'NX')
local cutoff, ttl = ARGV[1], tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if cutoff == 'undo' then
  redis.call('DEL', KEYS[1])
  redis.call('HDEL', KEYS[5], ARGV[3])
else
  local old = redis.call('GET', KEYS[1])
  if old then
    if tonumber(old) > tonumber(cutoff) then cutoff = old end
    ttl = math.max(ttl, redis.call('PTTL', KEYS[1]))
  end
  redis.call('SET', KEYS[1], cutoff, 'PX', ttl)
  if ARGV[5] ~= '' then redis.call('HSET', KEYS[5], ARGV[3], ARGV[5]) end
end
local span = math.max(tonumber(redis.call('GET', KEYS[3]) or '0'), ttl)
redis.call('SET', KEYS[3], string.format('%.0f', span))
redis.call('XADD', KEYS[2], 'MINID', '~', string.format('%.0f', now - span), '*', 'k', ARGV[3], 'c', cutoff, 'u', string.format('%.0f', now + ttl))
if cutoff == 'undo' then return 0 end
return cutoff
`)

// Revoke adds an entry for all instances. If it returns no error, Redis has
// stored it.
func (s *Store) Revoke(ctx context.Context, e revocation.Entry) error {
	return s.RevokeAs(ctx, e, Description{})
}

// Description describes an entry, for [Store.List].
type Description struct {
	Issuer  string    `json:"issuer"`
	Kind    string    `json:"kind"` // the claim: jti, sub or sid
	Value   string    `json:"value"`
	Cutoff  time.Time `json:"issued_at_or_before,omitzero"`
	Revoked time.Time `json:"revoked_at"`
	Until   time.Time `json:"until"`
}

// RevokeAs is like Revoke, with a description for [Store.List]. Redis stores
// the description as plain text, unlike the entry, which is a hash.
func (s *Store) RevokeAs(ctx context.Context, e revocation.Entry, d Description) error {
	now := s.options.Now()
	if e.Until.IsZero() {
		e.Until = now.Add(revocation.MaxLifetime)
	}
	ttl := e.Until.Sub(now)
	if ttl <= 0 {
		return nil
	}
	about := ""
	if d.Kind != "" {
		d.Revoked, d.Until = now.UTC(), e.Until.UTC()
		text, err := json.Marshal(d)
		if err != nil {
			return fmt.Errorf("redis: %w", err)
		}
		about = string(text)
	}
	cutoff, err := s.run(ctx, e.Key, fmt.Sprint(e.Cutoff), ttl, about)
	if err != nil {
		return err
	}
	s.keep(map[revocation.Key]state{e.Key: {cutoff, now}})
	if s.known != nil {
		s.known.set(e.Key, cutoff, e.Until)
	}
	return nil
}

// Undo removes an entry: tokens that only it refused are accepted again.
func (s *Store) Undo(ctx context.Context, e revocation.Entry) error {
	if _, err := s.run(ctx, e.Key, "undo", revocation.MaxLifetime, ""); err != nil {
		return err
	}
	s.keep(map[revocation.Key]state{e.Key: {0, s.options.Now()}})
	if s.known != nil {
		s.known.remove(e.Key)
	}
	return nil
}

func (s *Store) run(ctx context.Context, key revocation.Key, cutoff string, ttl time.Duration, about string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	keys := []string{s.name(key), s.stream(), s.options.Prefix + "life", s.epoch(), s.options.Prefix + "descriptions"}
	redis, err := s.client.connected(ctx)
	if err != nil {
		return 0, unknown(err)
	}
	args := []string{cutoff, strconv.FormatInt(ttl.Milliseconds()+1, 10), text(key), newEpoch(), about}
	result, err := write.Exec(ctx, redis, keys, args).AsInt64()
	if err != nil {
		return 0, unknown(err)
	}
	return result, nil
}

// List returns the descriptions of the active entries, ordered by time. It
// omits entries without one.
func (s *Store) List(ctx context.Context) ([]Description, error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	redis, err := s.client.connected(ctx)
	if err != nil {
		return nil, unknown(err)
	}
	found, err := redis.Do(ctx, redis.B().Hgetall().Key(s.options.Prefix+"descriptions").Build()).AsStrMap()
	if err != nil {
		return nil, unknown(err)
	}
	all := []Description{}
	var gone []string
	for name, text := range found {
		var d Description
		if json.Unmarshal([]byte(text), &d) != nil || !d.Until.After(s.options.Now()) {
			gone = append(gone, name)
			continue
		}
		all = append(all, d)
	}
	if len(gone) > 0 {
		// Expired descriptions do no harm, so an error is ignored.
		_ = redis.Do(ctx, redis.B().Hdel().Key(s.options.Prefix+"descriptions").Field(gone...).Build()).Error()
	}
	sort.Slice(all, func(i, j int) bool {
		a, b := all[i], all[j]
		return cmp.Or(a.Revoked.Compare(b.Revoked), strings.Compare(a.Value, b.Value)) < 0
	})
	return all, nil
}

// Time returns the clock of Redis, which all instances share.
func (s *Store) Time(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	redis, err := s.client.connected(ctx)
	if err != nil {
		return time.Time{}, unknown(err)
	}
	at, err := redis.Do(ctx, redis.B().Time().Build()).AsIntSlice()
	if err != nil || len(at) != 2 {
		return time.Time{}, unknown(err)
	}
	return time.Unix(at[0], at[1]*int64(time.Microsecond)), nil
}

func (s *Store) stream() string { return s.options.Prefix + "stream" }
func (s *Store) epoch() string  { return s.options.Prefix + "epoch" }
func (s *Store) lost() string   { return s.options.Prefix + "lost" }

// text returns a key as it is stored in Redis.
func text(key revocation.Key) string { return base64.RawURLEncoding.EncodeToString(key[:]) }
