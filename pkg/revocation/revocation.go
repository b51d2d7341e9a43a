// Package revocation reports whether an otherwise valid token was revoked before
// it expired.
//
// Start with [NewMemory] for one process, package revocation/redis for several that
// share revocations, or [Introspection] to ask the authorization server (RFC 7662).
// Each is a bearer.RevocationChecker and documents within how many seconds a
// revoked token is refused. An [Entry] revokes one token by its jti, or everything
// issued to a subject or session up to a time, so that the next login works.
//
// The package does not end a session at an authorization server; for that, see RFC
// 7009 and oauth.Client.Revoke.
package revocation

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"time"

	"github.com/oauthctl/oauthctl/pkg/token"
)

// MaxLifetime is the lifetime of an entry if the expiry of the last token that
// it refuses is not known. If access tokens are valid for longer, set
// [Entry.Until].
const MaxLifetime = 30 * 24 * time.Hour

// Always is the [Entry.Cutoff] of an entry that refuses tokens whenever they
// were issued.
const Always int64 = 1<<53 - 1

// Key identifies an entry. It is a hash, so that its length and form do not
// depend on a token. A collision would need 2^64 attempts and would only revoke
// both.
type Key [16]byte

// Entry is one revocation. Create it with [OfToken], [OfID], [OfSubject] or
// [OfSession].
type Entry struct {
	Key Key
	// Cutoff refuses tokens whose iat is at or before it, in seconds since 1970,
	// and tokens without iat.
	Cutoff int64
	// Until is when the last token that the entry refuses has expired, so that
	// the entry can be removed. Zero means [MaxLifetime] from now.
	Until time.Time
}

// Covering returns the entry with a cut-off that is later by the leeway of the
// verifiers (token.Options.Leeway, 60 seconds by default). If the issuer's clock
// is ahead by less than that, tokens that were accepted before the revocation
// may have a later iat; with Covering they are refused. A login within the
// leeway is refused too, until the leeway is over.
func (e Entry) Covering(leeway time.Duration) Entry {
	if e.Cutoff != Always {
		e.Cutoff += int64((leeway + time.Second - 1) / time.Second)
		e.Until = e.Until.Add(leeway)
	}
	return e
}

// OfToken revokes one token by its jti or, if it has none, by its signed content.
// The signature is not used, because it can have many encodings.
func OfToken(t *token.Token) Entry { return Entry{tokenKey(t), Always, t.Expiry()} }

// OfID revokes the token with that jti (RFC 7519, section 4.1.7). Its expiry may
// be zero if it is not known.
func OfID(issuer, jti string, expiry time.Time) Entry {
	return Entry{newKey('j', issuer, jti), Always, expiry}
}

// OfSubject revokes all tokens that issuer issued for a subject (sub) at or
// before a time of the issuer's clock, see [Entry.Covering].
func OfSubject(issuer, subject string, at time.Time) Entry {
	return Entry{newKey('s', issuer, subject), at.Unix(), at.Add(MaxLifetime)}
}

// OfSession revokes all tokens of a session (sid, OpenID Connect Front-Channel
// Logout 1.0, section 3) that were issued at or before a time of the issuer's
// clock, see [Entry.Covering].
func OfSession(issuer, sid string, at time.Time) Entry {
	return Entry{newKey('i', issuer, sid), at.Unix(), at.Add(MaxLifetime)}
}

// OfSessionless revokes all tokens of a subject that have no session (sid) and were
// issued at or before a time of the issuer's clock, see [Entry.Covering].
func OfSessionless(issuer, subject string, at time.Time) Entry {
	return Entry{newKey('n', issuer, subject), at.Unix(), at.Add(MaxLifetime)}
}

// lives returns the entry with Until set, and whether it is still active.
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
	switch sid := sessionOf(t); {
	case sid != "":
		keys = append(keys, newKey('i', issuer, sid))
	case t.Subject() != "":
		keys = append(keys, newKey('n', issuer, t.Subject()))
	}
	return keys
}

// sessionOf returns the sid of t, or "".
func sessionOf(t *token.Token) string {
	claim, _ := t.Claim("sid")
	sid, _ := claim.(string)
	return sid
}

// IssuedAt returns the iat of t, in seconds since 1970, for the comparison with an
// entry's Cutoff. A token without iat counts as older than every entry.
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

// contentKey returns the key of the signed content. The parts are parsed
// strictly, so each has only one encoding.
func contentKey(t *token.Token) Key {
	return newKey('c', string(t.HeaderJSON()), string(t.ClaimsJSON()))
}

// newKey hashes two strings with the length of the first, so that different
// pairs have different inputs.
func newKey(kind byte, first, second string) Key {
	data := make([]byte, 0, 256)
	data = append(data, kind)
	data = binary.BigEndian.AppendUint64(data, uint64(len(first)))
	data = append(append(data, first...), second...)
	sum := sha256.Sum256(data)
	return Key(sum[:len(Key{})])
}
