package redis_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/revocation"
	"github.com/oauthctl/oauthctl/pkg/revocation/redis"
)

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// ask sends one command to Redis.
func (s *server) ask(t testing.TB, words ...any) rueidis.RedisResult {
	t.Helper()
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:" + s.port}, ForceSingleClient: true, DisableCache: true, AlwaysRESP2: true})
	if err != nil {
		t.Fatalf("%v: %v", words, err)
	}
	defer c.Close()
	text := make([]string, len(words))
	for i, word := range words {
		text[i] = fmt.Sprint(word)
	}
	return c.Do(context.Background(), c.B().Arbitrary(text...).Build())
}

// do sends one command and returns the reply as text.
func (s *server) do(t testing.TB, words ...any) string {
	t.Helper()
	reply, err := s.ask(t, words...).ToAny()
	if err != nil {
		t.Fatalf("%v: %v", words, err)
	}
	return fmt.Sprint(reply)
}

// replicated waits until the replica of s has all data.
func (s *server) replicated(t testing.TB) {
	t.Helper()
	if n := s.do(t, "WAIT", 1, 10_000); n != "1" {
		t.Fatalf("%s replicas have what was written, want 1", n)
	}
}

// startCluster runs three primaries, and a replica of the one that holds the
// keys with a prefix. It returns them with that primary first.
func startCluster(t *testing.T, prefix string) []*server {
	t.Helper()
	nodes := make([]*server, 4)
	bus := make([]string, len(nodes))
	for i := range nodes {
		bus[i] = freePort(t)
		nodes[i] = startRedis(t, "", "--cluster-enabled", "yes", "--cluster-port", bus[i], "--cluster-node-timeout", "1000",
			"--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0")
	}
	for i := range nodes[1:] {
		nodes[0].do(t, "CLUSTER", "MEET", "127.0.0.1", nodes[i+1].port, bus[i+1])
	}
	const slots = 16384
	for i := range 3 {
		nodes[i].do(t, "CLUSTER", "ADDSLOTSRANGE", i*slots/3, (i+1)*slots/3-1)
	}
	slot, err := strconv.Atoi(nodes[0].do(t, "CLUSTER", "KEYSLOT", prefix))
	if err != nil {
		t.Fatal(err)
	}
	owner := slot * 3 / slots
	nodes[0], nodes[owner] = nodes[owner], nodes[0]
	id := nodes[0].do(t, "CLUSTER", "MYID")
	for _, node := range nodes {
		eventually(t, 30*time.Second, func() bool { return len(strings.Split(strings.TrimSpace(node.do(t, "CLUSTER", "NODES")), "\n")) == 4 })
	}
	eventually(t, 30*time.Second, func() bool {
		return nodes[3].ask(t, "CLUSTER", "REPLICATE", id).Error() == nil
	})
	for _, node := range nodes {
		eventually(t, 30*time.Second, func() bool { return strings.Contains(node.do(t, "CLUSTER", "INFO"), "cluster_state:ok") })
	}
	eventually(t, 30*time.Second, func() bool { return strings.Contains(nodes[0].do(t, "INFO", "replication"), "state=online") })
	return nodes
}

// startSentinel runs a primary, a replica and a sentinel that knows them as main.
func startSentinel(t *testing.T) (sentinel, primary, replica *server) {
	t.Helper()
	primary = startRedis(t, "", "--repl-diskless-sync-delay", "0")
	replica = startRedis(t, "", "--replicaof", "127.0.0.1 "+primary.port, "--repl-diskless-sync-delay", "0")
	eventually(t, 30*time.Second, func() bool { return strings.Contains(primary.do(t, "INFO", "replication"), "state=online") })
	port := freePort(t)
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor main 127.0.0.1 %s 1\nsentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n", primary.port)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sentinel = startServer(t, port, file, "--sentinel", "--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir())
	eventually(t, 30*time.Second, func() bool { return strings.Contains(sentinel.do(t, "INFO", "sentinel"), "slaves=1") })
	return sentinel, primary, replica
}

// outlives checks that revocations are in force before and after the primary is
// lost, for a store that follows and for one that asks.
func outlives(t *testing.T, url string, primary *server) {
	t.Helper()
	o := redis.Options{MaxAge: time.Millisecond, Timeout: time.Second}
	stores := map[string]*redis.Store{"asking": open(t, url, o), "following": follow(t, url, o)}
	loaded(t, stores["following"])
	key := newKey(t)
	good := signed(t, key, map[string]any{"jti": "good", "sub": "carol", "sid": "s3"})
	answers := func(when, jti string, want bool) {
		t.Helper()
		tok := signed(t, key, map[string]any{"jti": jti, "sub": "bob", "sid": "s2"})
		for how, store := range stores {
			var got, accepted bool
			var err, err2 error
			for began := time.Now(); time.Since(began) < 30*time.Second; time.Sleep(5 * time.Millisecond) {
				got, err = store.Revoked(t.Context(), tok)
				if accepted, err2 = store.Revoked(t.Context(), good); err == nil && err2 == nil && got == want {
					break
				}
			}
			if err != nil || got != want || err2 != nil || accepted {
				t.Fatalf("%s, %s: %s is %v, %v, want %v; a good token is %v, %v", when, how, jti, got, err, want, accepted, err2)
			}
		}
	}
	revoke := func(jti string) {
		t.Helper()
		var err error
		for began := time.Now(); time.Since(began) < 30*time.Second; time.Sleep(10 * time.Millisecond) {
			if err = stores["asking"].Revoke(t.Context(), revocation.OfID(issuer, jti, time.Now().Add(time.Hour))); err == nil {
				return
			}
		}
		t.Fatalf("Revoke: %v", err)
	}
	answers("at first", "before", false)
	revoke("before")
	answers("revoked", "before", true)
	if err := stores["asking"].RevokeAs(t.Context(), revocation.OfSubject(issuer, "dave", time.Now()), redis.Description{Issuer: issuer, Kind: "sub", Value: "dave"}); err != nil {
		t.Fatal(err)
	}
	primary.replicated(t)
	primary.kill()
	answers("the primary is lost", "before", true)
	revoke("after")
	answers("revoked at the new primary", "after", true)
	all, err := stores["following"].List(t.Context())
	if err != nil || len(all) != 1 || all[0].Value != "dave" {
		t.Errorf("List: %v, %v", all, err)
	}
	if state := stores["following"].State(); state.Lost || state.Entries != 3 {
		t.Errorf("the state afterwards: %+v", state)
	}
	late := follow(t, url, o)
	loaded(t, late)
	if err := late.Ready(t.Context()); err != nil || late.State().Entries != 3 {
		t.Errorf("a store that starts afterwards: %v, %+v", err, late.State())
	}
}

func TestCluster(t *testing.T) {
	nodes := startCluster(t, "{oauthctl}:")
	outlives(t, "redis+cluster://127.0.0.1:"+nodes[1].port+"?addr=127.0.0.1:"+nodes[2].port, nodes[0])
}

// The user and the password of the URL are for the server; those in its
// parameters are for the sentinels.
func TestSentinelWithPasswords(t *testing.T) {
	sentinel, primary, replica := startSentinel(t)
	for _, s := range []*server{primary, replica} {
		s.do(t, "CONFIG", "SET", "masterauth", "of-the-server")
	}
	sentinel.do(t, "SENTINEL", "SET", "main", "auth-pass", "of-the-server")
	for _, s := range []*server{replica, primary} {
		s.do(t, "CONFIG", "SET", "requirepass", "of-the-server")
	}
	sentinel.do(t, "ACL", "SETUSER", "default", "resetpass", ">of-the-sentinel")
	tok := signed(t, newKey(t), nil)
	for url, want := range map[string]bool{
		"redis+sentinel://:of-the-server@127.0.0.1:" + sentinel.port + "/0?master_name=main&sentinel_password=of-the-sentinel": true,
		"redis+sentinel://:of-the-server@127.0.0.1:" + sentinel.port + "/0?master_name=main":                                   false,
		"redis+sentinel://127.0.0.1:" + sentinel.port + "/0?master_name=main&sentinel_password=of-the-sentinel":                false,
	} {
		err := open(t, url, redis.Options{Timeout: time.Second}).Revoke(t.Context(), revocation.OfToken(tok))
		if (err == nil) != want {
			t.Errorf("%s: %v", url, err)
		}
		if err != nil && strings.Contains(err.Error(), "of-the-") {
			t.Errorf("a password in %q", err)
		}
	}
}

// A custom prefix works in a cluster, and replicas are not read.
func TestClusterPrefix(t *testing.T) {
	nodes := startCluster(t, "{acme}:")
	for _, prefix := range []string{"acme:", "a{acme}b:"} {
		store := open(t, "redis+cluster://127.0.0.1:"+nodes[1].port, redis.Options{Prefix: prefix, MaxAge: time.Millisecond, Timeout: time.Second})
		tok := signed(t, newKey(t), nil)
		if got, err := store.Revoked(t.Context(), tok); err != nil || got {
			t.Errorf("%s, positive control: %v, %v", prefix, got, err)
		}
		if err := store.Revoke(t.Context(), revocation.OfToken(tok)); err != nil {
			t.Fatal(err)
		}
		if got, err := store.Revoked(t.Context(), tok); err != nil || !got {
			t.Errorf("%s: %v, %v", prefix, got, err)
		}
	}
	if replica := nodes[3].do(t, "INFO", "commandstats"); strings.Contains(replica, "cmdstat_readonly") {
		t.Error("the replica was asked")
	}
}

func TestSentinel(t *testing.T) {
	sentinel, primary, _ := startSentinel(t)
	outlives(t, "redis+sentinel://127.0.0.1:"+sentinel.port+"/0?master_name=main", primary)
}

// A replica that becomes the primary without the last lines is detected as a
// loss, and so is a server that was restored from an old copy.
func TestFollowBehind(t *testing.T) {
	primary := startRedis(t, "", "--repl-diskless-sync-delay", "0")
	replica := startRedis(t, "", "--replicaof", "127.0.0.1 "+primary.port, "--repl-diskless-sync-delay", "0")
	key := newKey(t)
	early, late := signed(t, key, map[string]any{"jti": "early"}), signed(t, key, map[string]any{"jti": "late"})
	store := follow(t, primary.url(), redis.Options{Timeout: time.Second})
	loaded(t, store)
	if err := store.Revoke(t.Context(), revocation.OfToken(early)); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, func() bool { return strings.Contains(primary.do(t, "INFO", "replication"), "state=online") })
	primary.replicated(t)
	replica.do(t, "REPLICAOF", "NO", "ONE")
	if err := store.Revoke(t.Context(), revocation.OfToken(late)); err != nil {
		t.Fatal(err)
	}
	// The reader has one line more than the replica.
	reader := follow(t, primary.url(), redis.Options{Timeout: time.Second})
	loaded(t, reader)
	eventually(t, 5*time.Second, func() bool { return store.State().Entries == 2 && reader.State().Entries == 2 && !store.State().Lost })

	primary.kill()
	// The replica takes over the address of the primary.
	replica.do(t, "SAVE")
	config, err := replica.ask(t, "CONFIG", "GET", "dir").AsStrMap()
	if err != nil {
		t.Fatal(err)
	}
	dir := config["dir"]
	replica.kill()
	startRedis(t, primary.port, "--dir", dir)
	eventually(t, 10*time.Second, func() bool { return store.State().Lost && reader.State().Lost })
	for name, tok := range map[string]bool{"early": true, "late": true, "other": false} {
		if got, err := reader.Revoked(t.Context(), signed(t, key, map[string]any{"jti": name, "sub": "bob"})); got != tok || err != nil {
			t.Errorf("%s at an instance that knows better: %v, %v", name, got, err)
		}
	}
	fresh := follow(t, primary.url(), redis.Options{Timeout: time.Second})
	loaded(t, fresh)
	eventually(t, 5*time.Second, func() bool {
		_, err := fresh.Revoked(t.Context(), signed(t, key, map[string]any{"jti": "late", "sub": "bob"}))
		return idOf(err) == diagnosis.RevocationUnknown
	})
	if err := store.Revoke(t.Context(), revocation.OfToken(late)); err != nil {
		t.Fatal(err)
	}
	if err := store.Confirm(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, func() bool {
		got, err := fresh.Revoked(t.Context(), late)
		return got && err == nil && !store.State().Lost && !reader.State().Lost
	})
}
