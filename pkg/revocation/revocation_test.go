package revocation_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/revocation"
	"github.com/oauthctl/oauthctl/pkg/token"
)

const issuer = "https://auth.example.com"

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// clock is a clock that a test sets.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func newKey(t testing.TB, alg string) *jwks.PrivateKey {
	t.Helper()
	key, err := jwks.Generate(alg)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// signed returns a token issued at start for five minutes, with changed claims;
// nil removes a claim.
func signed(t testing.TB, key *jwks.PrivateKey, change map[string]any) *token.Token {
	t.Helper()
	claims := map[string]any{"iss": issuer, "aud": "api", "sub": "alice", "sid": "s1", "jti": "1", "iat": start.Unix(), "exp": start.Unix() + 300}
	for name, value := range change {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	raw, err := token.Sign(key, "at+jwt", claims)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := token.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// TestEntries checks which tokens each kind of entry refuses, and which it does
// not.
func TestEntries(t *testing.T) {
	key := newKey(t, "ES256")
	good := signed(t, key, nil)
	plain := signed(t, key, map[string]any{"jti": nil})
	tests := map[string]struct {
		entry revocation.Entry
		token *token.Token
		want  bool
	}{
		"the token":                      {revocation.OfToken(good), good, true},
		"the same token signed again":    {revocation.OfToken(good), signed(t, key, nil), true},
		"another jti":                    {revocation.OfToken(good), signed(t, key, map[string]any{"jti": "2"}), false},
		"the jti of another issuer":      {revocation.OfToken(good), signed(t, key, map[string]any{"iss": "x"}), false},
		"a jti by name":                  {revocation.OfID(issuer, "1", time.Time{}), good, true},
		"another jti by name":            {revocation.OfID(issuer, "2", time.Time{}), good, false},
		"no jti":                         {revocation.OfToken(plain), plain, true},
		"no jti, signed again":           {revocation.OfToken(plain), signed(t, key, map[string]any{"jti": nil}), true},
		"no jti, another claim":          {revocation.OfToken(plain), signed(t, key, map[string]any{"jti": nil, "x": 1}), false},
		"a jti that is no text":          {revocation.OfID(issuer, "1", time.Time{}), signed(t, key, map[string]any{"jti": 1}), false},
		"subject, issued before":         {revocation.OfSubject(issuer, "alice", start.Add(time.Minute)), good, true},
		"subject, issued in that second": {revocation.OfSubject(issuer, "alice", start), good, true},
		"subject, issued afterwards":     {revocation.OfSubject(issuer, "alice", start.Add(-time.Second)), good, false},
		"subject, no iat":                {revocation.OfSubject(issuer, "alice", start.Add(-time.Hour)), signed(t, key, map[string]any{"iat": nil}), true},
		"another subject":                {revocation.OfSubject(issuer, "bob", start.Add(time.Minute)), good, false},
		"subject of another issuer":      {revocation.OfSubject("x", "alice", start.Add(time.Minute)), good, false},
		"session":                        {revocation.OfSession(issuer, "s1", start.Add(time.Minute)), good, true},
		"another session":                {revocation.OfSession(issuer, "s2", start.Add(time.Minute)), good, false},
		"session, no sid":                {revocation.OfSession(issuer, "s1", start.Add(time.Minute)), signed(t, key, map[string]any{"sid": nil}), false},
		"a subject is no session":        {revocation.OfSession(issuer, "alice", start.Add(time.Minute)), good, false},
		"texts that run together":        {revocation.OfID(issuer+"1", "", time.Time{}), good, false},
	}
	for name, tt := range tests {
		m := revocation.NewMemory(revocation.MemoryOptions{Now: (&clock{at: start}).now})
		if err := m.Revoke(t.Context(), tt.entry); err != nil {
			t.Fatal(err)
		}
		if got, err := m.Revoked(t.Context(), tt.token); err != nil || got != tt.want {
			t.Errorf("%s: Revoked = %v, %v, want %v", name, got, err, tt.want)
		}
	}
}

// Another spelling of the signature does not change the result.
func TestOtherSignature(t *testing.T) {
	key := newKey(t, "ES256")
	tok := signed(t, key, map[string]any{"jti": nil})
	m := revocation.NewMemory(revocation.MemoryOptions{Now: (&clock{at: start}).now})
	if err := m.Revoke(t.Context(), revocation.OfToken(tok)); err != nil {
		t.Fatal(err)
	}
	raw := tok.Raw().Reveal()
	other, err := token.Decode(raw[:strings.LastIndex(raw, ".")+1] + strings.Repeat("A", 86))
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := m.Revoked(t.Context(), other); !got {
		t.Error("another signature lets a revoked token in")
	}
}

func TestCutoffsNeverMoveBack(t *testing.T) {
	tok := signed(t, newKey(t, "EdDSA"), nil)
	m := revocation.NewMemory(revocation.MemoryOptions{Now: (&clock{at: start}).now})
	for _, at := range []time.Time{start.Add(time.Minute), start.Add(-time.Minute)} {
		if err := m.Revoke(t.Context(), revocation.OfSubject(issuer, "alice", at)); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := m.Revoked(t.Context(), tok); !got {
		t.Error("an earlier cut-off took the place of a later one")
	}
}

func TestMemoryForgets(t *testing.T) {
	c := &clock{at: start}
	key := newKey(t, "EdDSA")
	m := revocation.NewMemory(revocation.MemoryOptions{Limit: 10, Now: c.now})
	tok := signed(t, key, nil)
	for i := range 10 {
		if err := m.Revoke(t.Context(), revocation.OfID(issuer, fmt.Sprint(i), start.Add(5*time.Minute))); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Revoke(t.Context(), revocation.OfID(issuer, "x", start.Add(time.Hour))); !errors.Is(err, revocation.ErrFull) {
		t.Errorf("one more: %v, want ErrFull", err)
	}
	if err := m.Revoke(t.Context(), revocation.OfID(issuer, "1", start.Add(5*time.Minute))); err != nil {
		t.Errorf("one that is there: %v", err)
	}
	if err := m.Revoke(t.Context(), revocation.OfID(issuer, "past", start.Add(-time.Minute))); err != nil || m.Len() != 10 {
		t.Errorf("an expired token needs no room: %v, %d entries", err, m.Len())
	}
	c.move(5*time.Minute - time.Second)
	if got, _ := m.Revoked(t.Context(), tok); !got || m.Len() != 10 {
		t.Errorf("before expiry: %v, %d entries", got, m.Len())
	}
	c.move(2 * time.Minute)
	if got, _ := m.Revoked(t.Context(), tok); got || m.Len() != 0 {
		t.Errorf("after expiry: %v, %d entries", got, m.Len())
	}
	if err := m.Revoke(t.Context(), revocation.OfID(issuer, "x", time.Time{})); err != nil || m.Len() != 1 {
		t.Errorf("there is room again: %v, %d entries", err, m.Len())
	}
}

// With concurrent calls, a revoked token is refused from then on.
func TestMemoryAtOnce(t *testing.T) {
	key := newKey(t, "EdDSA")
	m := revocation.NewMemory(revocation.MemoryOptions{Now: (&clock{at: start}).now})
	var group sync.WaitGroup
	for i := range 8 {
		mine := signed(t, key, map[string]any{"jti": fmt.Sprint("mine-", i)})
		group.Go(func() {
			for k := range 200 {
				err := m.Revoke(context.Background(), revocation.OfID(issuer, fmt.Sprint(i, k), start.Add(time.Minute)))
				got, _ := m.Revoked(context.Background(), mine)
				if err != nil || got != (k > 100) {
					t.Errorf("%d: Revoked = %v, %v", k, got, err)
				}
				if k == 100 {
					_ = m.Revoke(context.Background(), revocation.OfToken(mine))
				}
			}
		})
	}
	group.Wait()
}

func ExampleMemory() {
	key, _ := jwks.Generate("ES256")
	raw, _ := token.Sign(key, "at+jwt", map[string]any{"iss": issuer, "sub": "alice", "iat": time.Now().Unix() - 5, "exp": time.Now().Unix() + 300})
	t, _ := token.Decode(raw) // an API has it from bearer.FromContext

	revoked := revocation.NewMemory(revocation.MemoryOptions{}) // for bearer.Revocation
	before, _ := revoked.Revoked(context.Background(), t)
	_ = revoked.Revoke(context.Background(), revocation.OfSubject(issuer, "alice", time.Now()))
	after, _ := revoked.Revoked(context.Background(), t)
	fmt.Println(before, after)
	// Output: false true
}
