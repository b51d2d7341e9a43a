package token_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// keySet is a set that can change, like one at a URL.
type keySet struct {
	mu         sync.Mutex
	set        *jwks.Set
	generation atomic.Uint64
	err        error
	asked      atomic.Int64
}

func (s *keySet) Keys(ctx context.Context, q jwks.Query) (jwks.Candidates, error) {
	s.asked.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return jwks.Candidates{}, s.err
	}
	return s.set.Keys(ctx, q)
}

func (s *keySet) Generation() uint64 { return s.generation.Load() }

func (s *keySet) Former(string) *jwks.Key { return nil }

func (s *keySet) change(set *jwks.Set, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set, s.err = set, err
	s.generation.Add(1)
}

// A cached token is verified with the same result as without the cache, after
// any change of the time, the keys and its text.
func TestCache(t *testing.T) {
	key, other := newKey(t, "ES256"), newKey(t, "ES256")
	sameKid := named(t, newKey(t, "ES256"), key.ID())
	raw := sign(t, key, "at+jwt", claims(nil))
	tests := map[string]struct {
		then func(clock *time.Time, keys *keySet) string // the token to ask about
		want diagnosis.ID
	}{
		"again": {func(*time.Time, *keySet) string { return raw }, ""},
		"another set, key in it": {func(_ *time.Time, k *keySet) string {
			k.change(jwks.NewSet(other.Public(), key.Public()), nil)
			return raw
		}, ""},
		"expired":            {func(c *time.Time, _ *keySet) string { *c = c.Add(time.Hour); return raw }, diagnosis.Expired},
		"the clock set back": {func(c *time.Time, _ *keySet) string { *c = c.Add(-time.Hour); return raw }, diagnosis.IatInFuture},
		"the key removed": {func(_ *time.Time, k *keySet) string {
			k.change(jwks.NewSet(other.Public()), nil)
			return raw
		}, diagnosis.KidUnknown},
		"another key of that kid": {func(_ *time.Time, k *keySet) string {
			k.change(jwks.NewSet(sameKid.Public()), nil)
			return raw
		}, diagnosis.SignatureInvalid},
		"no keys to be had": {func(_ *time.Time, k *keySet) string {
			k.change(nil, &diagnosis.Diagnosis{ID: diagnosis.KeysUnavailable})
			return raw
		}, diagnosis.KeysUnavailable},
		"one letter of the signature": {func(*time.Time, *keySet) string {
			last := map[bool]string{true: "A", false: "Q"}[raw[len(raw)-5] != 'A']
			return raw[:len(raw)-5] + last + raw[len(raw)-4:]
		}, diagnosis.SignatureInvalid},
		"no signature": {func(*time.Time, *keySet) string { return raw[:strings.LastIndex(raw, ".")+1] }, diagnosis.SignatureInvalid},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			clock := now
			keys := &keySet{set: jwks.NewSet(key.Public())}
			v, err := token.NewVerifier(issuer, []string{audience}, keys, token.Options{CacheTokens: 10, Now: func() time.Time { return clock }})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := v.Verify(t.Context(), raw); err != nil {
				t.Fatal(err)
			}
			got, err := v.Verify(t.Context(), tt.then(&clock, keys))
			if idOf(err) != tt.want || (got == nil) != (tt.want != "") {
				t.Errorf("Verify = %v, %v, want %q", got, err, tt.want)
			}
		})
	}
}

// counting wraps a key set, like a program that counts the lookups.
type counting struct {
	token.KeySet
	lookups atomic.Int64
}

func (c *counting) Keys(ctx context.Context, q jwks.Query) (jwks.Candidates, error) {
	c.lookups.Add(1)
	return c.KeySet.Keys(ctx, q)
}

// both asks one key set and then another.
type both struct{ first, second token.KeySet }

func (b both) Keys(ctx context.Context, q jwks.Query) (jwks.Candidates, error) {
	if keys, err := b.first.Keys(ctx, q); err == nil {
		return keys, nil
	}
	return b.second.Keys(ctx, q)
}

func (b both) Generation() uint64 { return b.first.Generation() + b.second.Generation() }

func (b both) Former(kid string) *jwks.Key {
	if k := b.first.Former(kid); k != nil {
		return k
	}
	return b.second.Former(kid)
}

// The issuer gives a kid to another key: a verifier with a cache then refuses
// the tokens of the former key and explains why, also if the key set is wrapped
// in another one. As long as nothing changes, the same verifier accepts them.
func TestCacheOfWrappedSet(t *testing.T) {
	first := newKey(t, "ES256")
	second, fixed := named(t, newKey(t, "ES256"), first.ID()), newKey(t, "ES256")
	wrappers := map[string]func(*jwks.Remote) token.KeySet{
		"not wrapped": func(r *jwks.Remote) token.KeySet { return r },
		"embedded":    func(r *jwks.Remote) token.KeySet { return struct{ *jwks.Remote }{r} },
		"counting":    func(r *jwks.Remote) token.KeySet { return &counting{KeySet: r} },
		"combined":    func(r *jwks.Remote) token.KeySet { return both{jwks.NewSet(fixed.Public()), r} },
		"twice":       func(r *jwks.Remote) token.KeySet { return &counting{KeySet: both{r, jwks.NewSet(fixed.Public())}} },
	}
	raw := sign(t, first, "at+jwt", claims(nil))
	for name, wrap := range wrappers {
		t.Run(name, func(t *testing.T) {
			var served atomic.Pointer[jwks.Set]
			served.Store(jwks.NewSet(first.Public()))
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				data, err := served.Load().MarshalJSON()
				if err != nil {
					t.Error(err)
				}
				w.Header().Set("Cache-Control", "max-age=10")
				_, _ = w.Write(data)
			}))
			defer server.Close()
			clock := now
			remote := jwks.NewRemote(server.URL, jwks.RemoteOptions{Now: func() time.Time { return clock }})
			defer remote.Close()
			v, err := token.NewVerifier(issuer, []string{audience}, wrap(remote), token.Options{CacheTokens: 10, Now: func() time.Time { return clock }})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if _, err := v.Verify(t.Context(), raw); err != nil {
					t.Fatal(err)
				}
			}
			served.Store(jwks.NewSet(second.Public()))
			clock = clock.Add(20 * time.Second) // past the time of the key set
			if _, err := remote.Set(t.Context()); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if got, err := v.Verify(t.Context(), raw); idOf(err) != diagnosis.KidSameKeyChanged {
					t.Errorf("Verify = %v, %v, want %s", got, err, diagnosis.KidSameKeyChanged)
				}
			}
		})
	}
}

// named returns the key with another kid.
func named(t *testing.T, key *jwks.PrivateKey, kid string) *jwks.PrivateKey {
	t.Helper()
	data, err := key.MarshalJWK()
	if err != nil {
		t.Fatal(err)
	}
	renamed, err := jwks.ParsePrivate([]byte(strings.ReplaceAll(string(data), key.ID(), kid)))
	if err != nil || renamed.ID() != kid {
		t.Fatalf("%v, %v", renamed, err)
	}
	return renamed
}

// A token from the cache needs no signature check but still asks the key set,
// which renews itself when it is asked; a refused token is verified again each
// time.
func TestCacheHits(t *testing.T) {
	key := newKey(t, "ES256")
	keys := &keySet{set: jwks.NewSet(key.Public())}
	v, err := token.NewVerifier(issuer, []string{audience}, keys, token.Options{CacheTokens: 4, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	raw := sign(t, key, "at+jwt", claims(nil))
	first, err := v.Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	again, err := v.Verify(t.Context(), raw)
	if err != nil || again != first || keys.asked.Load() != 2 {
		t.Errorf("the second time: the same token %v, %v, the set was asked %d times", again == first, err, keys.asked.Load())
	}
	for i := range 20 {
		if _, err := v.Verify(t.Context(), sign(t, key, "at+jwt", claims(map[string]any{"jti": fmt.Sprint(i)}))); err != nil {
			t.Fatal(err)
		}
	}
	if later, err := v.Verify(t.Context(), raw); err != nil || later == first {
		t.Errorf("after many others it is judged anew: %v, %v", later != first, err)
	}
	if _, err := v.Verify(t.Context(), "x."+strings.Repeat("y", token.MaxBytes)); idOf(err) != diagnosis.TokenTooLarge {
		t.Errorf("too large: %v", err)
	}
}

// With many calls at the same time, no token gets the result of another.
func TestCacheAtOnce(t *testing.T) {
	key := newKey(t, "EdDSA")
	keys := &keySet{set: jwks.NewSet(key.Public())}
	v, err := token.NewVerifier(issuer, []string{audience}, keys, token.Options{CacheTokens: 8, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range 8 {
		subject := fmt.Sprint("subject-", i)
		raw := sign(t, key, "at+jwt", claims(map[string]any{"sub": subject}))
		bad := raw[:len(raw)-20] + "AAAAAAAAAAAAAAAAAAAA"
		group.Go(func() {
			for range 200 {
				got, err := v.Verify(context.Background(), raw)
				if err != nil || got.Subject() != subject {
					t.Errorf("Verify = %v, %v", got, err)
				}
				if got, err := v.Verify(context.Background(), bad); err == nil {
					t.Errorf("a wrong signature: %v", got)
				}
			}
		})
	}
	for range 50 {
		keys.change(jwks.NewSet(key.Public()), nil)
	}
	group.Wait()
	keys.change(nil, errors.New("away"))
	if _, err := v.Verify(t.Context(), "a.b.c"); err == nil {
		t.Error("positive control failed")
	}
}

func BenchmarkVerifyAgain(b *testing.B) {
	key, err := jwks.Generate("ES256")
	if err != nil {
		b.Fatal(err)
	}
	raw, err := token.Sign(key, "at+jwt", claims(map[string]any{"email": "a@example.com", "tenant": "acme", "nbf": 1, "auth_time": 1}))
	if err != nil {
		b.Fatal(err)
	}
	v, err := token.NewVerifier(issuer, []string{audience}, jwks.NewSet(key.Public()), token.Options{CacheTokens: 100, Now: func() time.Time { return now }})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), raw); err != nil {
			b.Fatal(err)
		}
	}
}
