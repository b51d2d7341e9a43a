// Package revocation tells whether a token that is otherwise good was revoked
// before its expiry: the state that an API checks beside what the token says.
//
// Start with [NewMemory] for one process, package revocation/redis for many that
// share what is revoked, or [Introspection] to ask the authorization server (RFC
// 7662). Each is a bearer.RevocationChecker and states its bound: within how many
// seconds a revoked token is refused. What is revoked is an [Entry]: one token by
// its jti, or everything issued to a subject or session up to a moment, so that
// the next login works.
//
// The package does not end a session at an authorization server; that is RFC
// 7009 and oauth.Client.Revoke.
package revocation

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"time"

	"github.com/oauthctl/oauthctl/pkg/token"
)

// MaxLifetime is how long an entry counts where nothing says when the last
// token that it refuses expires. Where access tokens live longer than that, set
// [Entry.Until].
const MaxLifetime = 30 * 24 * time.Hour

// Always is the [Entry.Cutoff] of an entry that refuses tokens whenever they
// were issued.
const Always int64 = 1<<53 - 1

// Key names what an entry is about: a hash, so that what a token holds has no
// say in its length or form. Two things of one key would take 2^64 trials to
// find, and would only be revoked together.
type Key [16]byte

// Entry is one thing revoked. Make one with [Token], [ID], [Subject] or
// [Session].
type Entry struct {
	Key Key
	// Cutoff refuses tokens whose iat is at or before it, in seconds since 1970,
	// and tokens without one.
	Cutoff int64
	// Until is when the last token that the entry refuses has expired, so that
	// the entry may be forgotten; zero means [MaxLifetime] from now.
	Until time.Time
}

// Covering returns the entry with a cut-off that is later by the leeway of the
// verifiers (token.Options.Leeway, 60 seconds unless set). An issuer whose clock
// is ahead by less than that issues tokens that were accepted before the entry
// and have an iat after it: with it they are refused. A login within the leeway
// is refused too, until it is over.
func (e Entry) Covering(leeway time.Duration) Entry {
	if e.Cutoff != Always {
		e.Cutoff += int64((leeway + time.Second - 1) / time.Second)
		e.Until = e.Until.Add(leeway)
	}
	return e
}

// Token revokes one token, by its jti or, if it has none, by what was signed:
// never by the signature, of which one token can have many spellings.
func Token(t *token.Token) Entry { return Entry{tokenKey(t), Always, t.Expiry()} }

// ID revokes the token with that jti (RFC 7519, section 4.1.7), whose expiry may
// be zero if it is not known.
func ID(issuer, jti string, expiry time.Time) Entry {
	return Entry{newKey('j', issuer, jti), Always, expiry}
}

// Subject revokes all tokens that issuer issued about a subject (sub) at or
// before a moment of the issuer's clock; see [Entry.Covering].
func Subject(issuer, subject string, at time.Time) Entry {
	return Entry{newKey('s', issuer, subject), at.Unix(), at.Add(MaxLifetime)}
}

// Session revokes all tokens of a session (sid, OpenID Connect Front-Channel
// Logout 1.0, section 3) that were issued at or before a moment of the issuer's
// clock; see [Entry.Covering].
func Session(issuer, sid string, at time.Time) Entry {
	return Entry{newKey('i', issuer, sid), at.Unix(), at.Add(MaxLifetime)}
}

// lives returns the entry with Until set, and whether it still counts.
func (e Entry) lives(now time.Time) (Entry, bool) {
	if e.Until.IsZero() {
		e.Until = now.Add(MaxLifetime)
	}
	return e, e.Until.After(now)
}

// Keys returns the keys of the entries that would refuse t.
func Keys(t *token.Token) []Key {
	keys := append(make([]Key, 0, 3), tokenKey(t))
	issuer := t.Issuer()
	if subject := t.Subject(); subject != "" {
		keys = append(keys, newKey('s', issuer, subject))
	}
	if claim, ok := t.Claim("sid"); ok {
		if sid, ok := claim.(string); ok && sid != "" {
			keys = append(keys, newKey('i', issuer, sid))
		}
	}
	return keys
}

// IssuedAt returns the iat of t as an entry's Cutoff compares it; a token
// without one counts as issued long ago.
func IssuedAt(t *token.Token) int64 {
	at := t.IssuedAt()
	if at.IsZero() {
		return math.MinInt64
	}
	return at.Unix()
}

func tokenKey(t *token.Token) Key {
	if id := t.ID(); id != "" {
		return newKey('j', t.Issuer(), id)
	}
	return contentKey(t)
}

// contentKey is the key of what was signed. The parts are read strictly, so
// they have one spelling, and their bytes tell as much.
func contentKey(t *token.Token) Key {
	return newKey('c', string(t.HeaderJSON()), string(t.ClaimsJSON()))
}

// newKey hashes two texts with the length of the first, so that no other pair
// runs together to the same bytes.
func newKey(kind byte, first, second string) Key {
	data := make([]byte, 0, 256)
	data = append(data, kind)
	data = binary.BigEndian.AppendUint64(data, uint64(len(first)))
	data = append(append(data, first...), second...)
	sum := sha256.Sum256(data)
	return Key(sum[:len(Key{})])
}
