package devserver

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	codeTTL = time.Minute

	// sweepAt is the number of entries from which expired ones are removed.
	sweepAt = 4096
)

// digest identifies a code or a token, so that the server stores no plain
// values.
type digest [sha256.Size]byte

func digestOf(value string) digest { return sha256.Sum256([]byte(value)) }

// grant is the consent of a user, or a client's own grant. Everything that was
// issued from it refers to it and is revoked with it.
type grant struct {
	clientID string
	subject  string
	scope    []string
	resource []string // the audience of access tokens
	nonce    string
	authTime time.Time // zero if no user logged in
	jkt      string    // the key of a public client's refresh tokens (RFC 9449, section 5)
	actor    string    // who acts for the subject (RFC 8693, section 4.1), or ""
	claims   map[string]any
	revoked  bool // guarded by grants.mu
}

// bind binds the refresh tokens of a public client to its first key.
// Confidential clients authenticate instead.
func (g *grant) bind(q *tokenRequest) {
	if q.client.isPublic() {
		g.jkt = q.jkt
	}
}

func (g *grant) has(scope string) bool { return slices.Contains(g.scope, scope) }

type authorizationCode struct {
	grant       *grant
	redirectURI string
	challenge   string
	jkt         string // dpop_jkt (RFC 9449, section 10)
	expires     time.Time
	used        bool
}

type refreshToken struct {
	grant   *grant
	expires time.Time
	used    bool
	usedAt  time.Time // zero after a restart, which ends the grace period
}

// inGrace reports whether a used token may be used again. Without a grace period
// it never may, even if now is before the first use: requests read the clock
// before they wait for the lock, and a clock can be set back.
func (t *refreshToken) inGrace(now time.Time, grace time.Duration) bool {
	return grace > 0 && !t.usedAt.IsZero() && now.Sub(t.usedAt) < grace
}

type accessToken struct {
	grant    *grant
	id       string // jti
	scope    []string
	audience []string
	jkt      string
	issued   time.Time
	expires  time.Time
	revoked  bool
}

// grants stores what was issued. One lock protects all of it, so that a code or
// a refresh token can be used only once.
type grants struct {
	mu      sync.Mutex
	codes   map[digest]*authorizationCode
	refresh map[digest]*refreshToken
	access  map[digest]*accessToken
	ids     map[string]*accessToken // by jti
	devices map[digest]*deviceCode
	entered map[string]*deviceCode // by user code
	pushed  map[string]*pushedRequest
}

func newGrants() grants {
	return grants{
		codes: map[digest]*authorizationCode{}, refresh: map[digest]*refreshToken{},
		access: map[digest]*accessToken{}, ids: map[string]*accessToken{},
		devices: map[digest]*deviceCode{}, entered: map[string]*deviceCode{}, pushed: map[string]*pushedRequest{},
	}
}

// newCode creates and stores a code.
func (g *grants) newCode(c *authorizationCode, now time.Time) string {
	value := rand.Text()
	c.expires = now.Add(codeTTL)
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.codes) >= sweepAt {
		for d, old := range g.codes {
			// A used code is stored longer, to detect a second use.
			if now.After(old.expires.Add(10 * time.Minute)) {
				delete(g.codes, d)
			}
		}
	}
	g.codes[digestOf(value)] = c
	return value
}

// redeem uses up a code if fits returns no error. A second use revokes the
// tokens of the first (RFC 6749, section 4.1.2).
func (g *grants) redeem(value string, now time.Time, fits func(*authorizationCode) *oauthError) (*grant, *oauthError) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.codes[digestOf(value)]
	if c == nil {
		return nil, refuse("invalid_grant", "the code is unknown")
	}
	if err := fits(c); err != nil {
		return nil, err
	}
	switch {
	case c.used:
		c.grant.revoked = true
		return nil, refuse("invalid_grant", "the code was already used; its tokens are revoked")
	case !now.Before(c.expires):
		return nil, refuse("invalid_grant", "the code has expired")
	}
	c.used = true
	return c.grant, nil
}

// addRefreshToken stores a refresh token of a grant.
func (g *grants) addRefreshToken(value string, of *grant, now time.Time, ttl time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.refresh) >= sweepAt {
		for d, old := range g.refresh {
			if now.After(old.expires) {
				delete(g.refresh, d)
			}
		}
	}
	g.refresh[digestOf(value)] = &refreshToken{grant: of, expires: now.Add(ttl)}
}

// rotate uses up a refresh token if fits returns no error, unless keep is true. A
// second use after the grace period revokes the whole grant: one of the two may
// be a thief, and the server cannot know which (RFC 9700, section 4.14.2).
func (g *grants) rotate(value string, now time.Time, keep bool, grace time.Duration, fits func(*grant) *oauthError) (*grant, *oauthError) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.refresh[digestOf(value)]
	if t == nil {
		return nil, refuse("invalid_grant", "the refresh token is unknown")
	}
	if err := fits(t.grant); err != nil {
		return nil, err
	}
	switch {
	case t.used && !t.inGrace(now, grace):
		t.grant.revoked = true
		return nil, refuse("invalid_grant", "the refresh token was already used; all tokens of this login are revoked")
	case t.grant.revoked:
		return nil, refuse("invalid_grant", "the refresh token is revoked")
	case !now.Before(t.expires):
		return nil, refuse("invalid_grant", "the refresh token has expired")
	}
	if !keep && !t.used {
		t.used, t.usedAt = true, now
	}
	return t.grant, nil
}

// addAccess stores an access token until it expires.
func (g *grants) addAccess(value string, t *accessToken, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.access) >= sweepAt {
		for d, old := range g.access {
			if now.After(old.expires) {
				delete(g.access, d)
				delete(g.ids, old.id)
			}
		}
	}
	g.access[digestOf(value)] = t
	g.ids[t.id] = t
}

// activeAccess returns a valid access token of this server, or nil.
func (g *grants) activeAccess(value string, now time.Time) *accessToken {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.access[digestOf(value)]
	if t == nil || t.revoked || t.grant.revoked || !now.Before(t.expires) {
		return nil
	}
	return t
}

// activeRefresh returns the grant of a valid refresh token, or nil.
func (g *grants) activeRefresh(value string, now time.Time) (*grant, time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.refresh[digestOf(value)]
	if t == nil || t.used || t.grant.revoked || !now.Before(t.expires) {
		return nil, time.Time{}
	}
	return t.grant, t.expires
}

// sessions returns the grants with a valid refresh token, in the order of their
// logins.
func (g *grants) sessions(now time.Time) []*grant {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []*grant
	for _, t := range g.refresh {
		if !t.used && !t.grant.revoked && now.Before(t.expires) && !slices.Contains(list, t.grant) {
			list = append(list, t.grant)
		}
	}
	slices.SortFunc(list, func(a, b *grant) int {
		return cmp.Or(a.authTime.Compare(b.authTime), strings.Compare(a.clientID, b.clientID))
	})
	return list
}

// revoke revokes a token of that client: an access token alone, or a refresh
// token with everything from its login (RFC 7009, section 2.1).
func (g *grants) revoke(value, clientID string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t := g.access[digestOf(value)]; t != nil && t.grant.clientID == clientID {
		t.revoked = true
	}
	if t := g.refresh[digestOf(value)]; t != nil && t.grant.clientID == clientID {
		t.grant.revoked = true
	}
}

// isRevoked reports whether the access token with that jti was revoked.
func (g *grants) isRevoked(id string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.ids[id]
	return t != nil && (t.revoked || t.grant.revoked)
}
