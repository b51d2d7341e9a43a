package redis_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/revocation"
	"github.com/oauthctl/oauthctl/pkg/revocation/redis"
)

// follow opens a store that follows the stream until the test ends.
func follow(t testing.TB, url string, o redis.Options) *redis.Store {
	t.Helper()
	o.Follow = true
	s := open(t, url, o)
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { s.Run(ctx) })
	t.Cleanup(func() { cancel(); _ = s.Close(); group.Wait() })
	return s
}

func loaded(t *testing.T, s *redis.Store) {
	t.Helper()
	eventually(t, 10*time.Second, func() bool { return s.State().Loaded })
}

// durable is a Redis with an append-only file in dir.
func durable(t testing.TB, port, dir string) *server {
	t.Helper()
	return startRedis(t, port, "--appendonly", "yes", "--appendfsync", "always", "--dir", dir)
}

// The other followers refuse a revoked token within two seconds, and accept it
// again after Undo. A follower that starts later knows all entries.
func TestFollow(t *testing.T) {
	s := startRedis(t, "")
	key := newKey(t)
	one, two := follow(t, s.url(), redis.Options{}), follow(t, s.url(), redis.Options{})
	loaded(t, one)
	loaded(t, two)
	tok, other := signed(t, key, nil), signed(t, key, map[string]any{"jti": "2", "sub": "bob", "sid": "s2"})
	is := func(store *redis.Store, want bool) func() bool {
		return func() bool {
			got, err := store.Revoked(t.Context(), tok)
			return err == nil && got == want
		}
	}
	for name, e := range map[string]revocation.Entry{
		"token": revocation.OfToken(tok), "subject": revocation.OfSubject(issuer, "alice", time.Now()), "session": revocation.OfSession(issuer, "s1", time.Now()),
	} {
		if !is(two, false)() {
			t.Fatalf("%s, positive control: refused", name)
		}
		if err := one.Revoke(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if !is(one, true)() {
			t.Errorf("%s: the instance that revokes accepts it", name)
		}
		t.Logf("%s: refused elsewhere after %s", name, eventually(t, 2*time.Second, is(two, true)))
		late := follow(t, s.url(), redis.Options{})
		loaded(t, late)
		if !is(late, true)() {
			t.Errorf("%s: an instance that started later accepts it", name)
		}
		if got, err := late.Revoked(t.Context(), other); err != nil || got {
			t.Errorf("%s: another token: %v, %v", name, got, err)
		}
		if err := one.Undo(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		eventually(t, 2*time.Second, is(two, false))
		eventually(t, 2*time.Second, is(one, false))
	}
}

// A store that asks Redis and one that follows the stream have the same
// entries.
func TestFollowersAndAskers(t *testing.T) {
	s := startRedis(t, "")
	follower, asker := follow(t, s.url(), redis.Options{}), open(t, s.url(), redis.Options{MaxAge: time.Millisecond})
	loaded(t, follower)
	tok := signed(t, newKey(t), nil)
	if err := asker.Revoke(t.Context(), revocation.OfToken(tok)); err != nil {
		t.Fatal(err)
	}
	eventually(t, 2*time.Second, func() bool { got, err := follower.Revoked(t.Context(), tok); return err == nil && got })
	if got, err := asker.Revoked(t.Context(), tok); err != nil || !got {
		t.Errorf("asking: %v, %v", got, err)
	}
}

// While Redis is down, followers use their data for MaxStale. A Redis with an
// append-only file restores all entries.
func TestFollowRestart(t *testing.T) {
	dir := t.TempDir()
	s := durable(t, "", dir)
	key := newKey(t)
	store, impatient := follow(t, s.url(), redis.Options{}), follow(t, s.url(), redis.Options{MaxStale: 2 * time.Second})
	open := follow(t, s.url(), redis.Options{MaxStale: 2 * time.Second, InsecureAllowWhenAway: true})
	for _, x := range []*redis.Store{store, impatient, open} {
		loaded(t, x)
	}
	bad, good := signed(t, key, nil), signed(t, key, map[string]any{"jti": "2", "sub": "bob", "sid": "s2"})
	if err := store.Revoke(t.Context(), revocation.OfToken(bad)); err != nil {
		t.Fatal(err)
	}
	s.kill()
	eventually(t, 10*time.Second, func() bool {
		_, err := impatient.Revoked(t.Context(), good)
		return idOf(err) == diagnosis.RevocationUnknown && impatient.Ready(t.Context()) != nil
	})
	for name, x := range map[string]*redis.Store{"patient": store, "open by name": open} {
		if got, err := x.Revoked(t.Context(), good); got || err != nil {
			t.Errorf("%s, Redis away, a good token: %v, %v", name, got, err)
		}
		if got, err := x.Revoked(t.Context(), bad); !got && name == "patient" || err != nil {
			t.Errorf("%s, Redis away, a revoked token: %v, %v", name, got, err)
		}
	}
	durable(t, s.port, dir)
	eventually(t, 10*time.Second, func() bool { _, err := impatient.Revoked(t.Context(), good); return err == nil })
	late := follow(t, s.url(), redis.Options{})
	loaded(t, late)
	if got, err := late.Revoked(t.Context(), bad); !got || err != nil {
		t.Errorf("after a restart: %v, %v", got, err)
	}
	if store.State().Lost {
		t.Error("a Redis that lost nothing is reported")
	}
}

// A Redis that restarts empty is detected. A follower that has the data
// continues; one without it answers 503 until an operator confirms.
func TestFollowLost(t *testing.T) {
	s := startRedis(t, "")
	key := newKey(t)
	bad, good := signed(t, key, nil), signed(t, key, map[string]any{"jti": "2", "sub": "bob", "sid": "s2"})
	old := follow(t, s.url(), redis.Options{})
	loaded(t, old)
	if err := old.Revoke(t.Context(), revocation.OfToken(bad)); err != nil {
		t.Fatal(err)
	}
	s.kill()
	startRedis(t, s.port)
	eventually(t, 10*time.Second, func() bool { return old.State().Lost })
	if got, err := old.Revoked(t.Context(), bad); !got || err != nil {
		t.Errorf("the instance that knows better: %v, %v", got, err)
	}
	if got, err := old.Revoked(t.Context(), good); got || err != nil {
		t.Errorf("a good token: %v, %v", got, err)
	}
	fresh := follow(t, s.url(), redis.Options{})
	loaded(t, fresh)
	eventually(t, 5*time.Second, func() bool {
		_, err := fresh.Revoked(t.Context(), good)
		return idOf(err) == diagnosis.RevocationUnknown
	})
	if err := old.Confirm(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, func() bool { got, err := fresh.Revoked(t.Context(), good); return !got && err == nil })
	if got, err := old.Revoked(t.Context(), bad); !got || err != nil {
		t.Errorf("afterwards: %v, %v", got, err)
	}
	eventually(t, 5*time.Second, func() bool { return !old.State().Lost })
}

// The list has the revocations and when they end, without those that were
// undone or have ended.
func TestList(t *testing.T) {
	s := startRedis(t, "")
	store := open(t, s.url(), redis.Options{})
	revoke := func(sub string, until time.Duration) revocation.Entry {
		e := revocation.OfSubject(issuer, sub, time.Now())
		e.Until = time.Now().Add(until)
		if err := store.RevokeAs(t.Context(), e, redis.Description{Issuer: issuer, Kind: "sub", Value: sub}); err != nil {
			t.Fatal(err)
		}
		return e
	}
	revoke("alice", time.Hour)
	undone := revoke("bob", time.Hour)
	revoke("carol", 50*time.Millisecond)
	if err := store.Undo(t.Context(), undone); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, func() bool {
		all, err := store.List(t.Context())
		return err == nil && len(all) == 1 && all[0].Value == "alice" && all[0].Issuer == issuer
	})
}

// A thousand instances that follow one Redis see a revocation within two seconds.
func TestManyFollowers(t *testing.T) {
	n := 200
	if os.Getenv("OAUTHCTL_TEST_LONG") != "" {
		n = 1000
	}
	s := startRedis(t, "")
	tok := signed(t, newKey(t), nil)
	all := make([]*redis.Store, n)
	for i := range all {
		all[i] = follow(t, s.url(), redis.Options{Timeout: 5 * time.Second})
	}
	t.Cleanup(func() { // each waits for its current read
		var group sync.WaitGroup
		for _, x := range all {
			group.Go(func() { _ = x.Close() })
		}
		group.Wait()
	})
	each := func(holds func(*redis.Store) bool) func() bool {
		return func() bool {
			for _, x := range all {
				if !holds(x) {
					return false
				}
			}
			return true
		}
	}
	eventually(t, 60*time.Second, each(func(x *redis.Store) bool { return x.State().Loaded }))
	if err := all[0].Revoke(t.Context(), revocation.OfToken(tok)); err != nil {
		t.Fatal(err)
	}
	took := eventually(t, 10*time.Second, each(func(x *redis.Store) bool { got, err := x.Revoked(t.Context(), tok); return got && err == nil }))
	t.Logf("%d followers refused it after %s", n, took)
	if took > 2*time.Second {
		t.Errorf("refused after %s", took)
	}
}

// A million revoked tokens take less than 10 MB in each instance.
func TestFollowMillion(t *testing.T) {
	n := 1_000_000
	if os.Getenv("OAUTHCTL_TEST_LONG") == "" {
		n /= 20
	}
	s := startRedis(t, "")
	writer := open(t, s.url(), redis.Options{Timeout: 10 * time.Second})
	if err := writer.Fill(t.Context(), n, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	store := follow(t, s.url(), redis.Options{Timeout: 10 * time.Second})
	eventually(t, time.Minute, func() bool { return store.State().Loaded })
	took := time.Since(began)
	runtime.GC()
	runtime.ReadMemStats(&after)
	held := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%d entries: %d, loaded in %s, %d KB", n, store.State().Entries, took, held>>10)
	if store.State().Entries != n || held > int64(n)*10+2<<20 {
		t.Errorf("%d entries take %d bytes", store.State().Entries, held)
	}
}

func TestURLs(t *testing.T) {
	for _, good := range []string{
		"redis://127.0.0.1:1/0", "rediss://127.0.0.1:1", "unix:///run/redis.sock", "redis+cluster://127.0.0.1:1?addr=127.0.0.1:2",
		"rediss+cluster://u:p@127.0.0.1:1", "redis+sentinel://127.0.0.1:1/0?master_name=main&addr=127.0.0.1:2",
	} {
		if _, err := redis.Open(good, redis.Options{}); err != nil {
			t.Errorf("Open(%q): %v", good, err)
		}
	}
	for _, wrong := range []string{"redis+sentinel://u:canary@127.0.0.1:1/0", "redis+other://u:canary@x", "http+cluster://u:canary@x"} {
		if _, err := redis.Open(wrong, redis.Options{}); err == nil || fmt.Sprint(err) != "redis: expected a URL such as redis://localhost:6379/0" {
			t.Errorf("Open(%q): %v", wrong, err)
		}
	}
	for _, parameter := range []string{"read_only=true", "pool_size=5", "canary=1", "Addr=127.0.0.1:2"} {
		_, err := redis.Open("redis+cluster://u:canary@127.0.0.1:1?"+parameter, redis.Options{})
		if err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "master_name") {
			t.Errorf("with %s: %v", parameter, err)
		}
	}
}
