package jwks_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// After a rotation many requests arrive at once: the first one fetches the key
// set, and the others wait for it and are not refused.
func TestRotationUnderLoad(t *testing.T) {
	e := newEndpoint(t)
	old, next := newPublic(t), newPublic(t)
	e.publish("max-age=3600", old)
	r := e.remote()
	e.want(r, old.ID(), "")
	e.publish("max-age=3600", old, next)
	publish := *e.answer.Load()
	var started sync.WaitGroup
	started.Add(200)
	e.serve(func(w http.ResponseWriter, req *http.Request) {
		started.Wait()
		publish(w, req)
	})
	var group sync.WaitGroup
	for range 200 {
		group.Go(func() {
			started.Done()
			e.want(r, next.ID(), "")
		})
	}
	group.Wait()
	e.wantFetches(2)
}

// Many forged kids at the same time: the endpoint is asked no more often than
// the bucket allows, and a rotation is found as soon as the bucket has
// refilled.
func TestFloodOfForgedKids(t *testing.T) {
	e := newEndpoint(t)
	old, next := newPublic(t), newPublic(t)
	e.publish("max-age=3600", old)
	r := e.remote()
	e.want(r, old.ID(), "")
	var group sync.WaitGroup
	for worker := range 50 {
		group.Go(func() {
			for i := range 200 {
				e.want(r, fmt.Sprint("forged", worker, "-", i), diagnosis.KidUnknown)
				e.want(r, old.ID(), "")
			}
		})
	}
	group.Wait()
	if got := e.fetches.Load(); got > 1+2 {
		t.Errorf("%d fetches for 10,000 forged kids, want at most 2", got-1)
	}
	e.publish("max-age=3600", old, next)
	e.want(r, "forged once more", diagnosis.KidUnknown)
	e.pass(10 * time.Second)
	e.want(r, next.ID(), "")
	e.want(r, old.ID(), "")
}

// If the endpoint hangs from the start, only the requests of the first moment
// wait; those after them fail at once, because there are no keys.
func TestColdStartHangs(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	key := newPublic(t)
	release := make(chan struct{})
	e.serve(func(http.ResponseWriter, *http.Request) { <-release })
	r := e.remote()
	began := time.Now()
	e.want(r, key.ID(), diagnosis.KeysUnavailable)
	if took := time.Since(began); took > 8*time.Second { // 3 s; a fetch may take 10 s
		t.Errorf("the first request waited %s", took)
	}
	began = time.Now()
	for range 4 {
		e.want(r, key.ID(), diagnosis.KeysUnavailable)
	}
	if took := time.Since(began); took > 5*time.Second { // 250 ms each
		t.Errorf("four requests afterwards waited %s", took)
	}
	e.wantFetches(1)
	e.publish("", key)
	close(release)
	eventually(t, "the first set", func() bool {
		e.pass(time.Second)
		keys, err := r.Keys(t.Context(), jwks.Query{KeyID: key.ID(), Algorithm: key.Algorithms()[0]})
		return err == nil && len(keys.Keys) == 1
	})
}

// A fetch for an unknown kid that hangs delays its request only briefly, and
// requests with known kids not at all.
func TestUnknownKidWhileItHangs(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	key := newPublic(t)
	e.publish("max-age=3600", key)
	r := e.remote()
	e.want(r, key.ID(), "")
	release := make(chan struct{})
	e.serve(func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	var group sync.WaitGroup
	began := time.Now()
	for i := range 100 {
		group.Go(func() { e.want(r, fmt.Sprint("forged", i), diagnosis.KidUnknown) })
	}
	for range 100 {
		e.want(r, key.ID(), "")
	}
	group.Wait()
	if took := time.Since(began); took > 8*time.Second { // 2 s; a fetch may take 10 s
		t.Errorf("100 forged kids waited %s", took)
	}
	e.wantFetches(2)
}

func TestFormer(t *testing.T) {
	e := newEndpoint(t)
	first, second, other := renamed(t, "same"), renamed(t, "same"), newPublic(t)
	e.publish("", first, other)
	r := e.remote()
	e.want(r, "same", "")
	if r.Former("same") != nil {
		t.Error("a key has a former one although nothing changed")
	}
	for range 2 { // it is still known when the set is renewed once more
		e.publish("", second, other)
		e.pass(301 * time.Second)
		e.want(r, "same", "")
		if k := r.Former("same"); k == nil || k.Thumbprint() != first.Thumbprint() {
			t.Errorf("the former key is %v", k)
		}
		if r.Former(other.ID()) != nil || r.Former("") != nil {
			t.Error("a key that stayed has a former one")
		}
	}
}

// renamed returns a public key with that kid.
func renamed(t *testing.T, kid string) *jwks.Key {
	t.Helper()
	data, err := mustGenerate(t).MarshalJWK()
	if err != nil {
		t.Fatal(err)
	}
	var member map[string]any
	if err := json.Unmarshal(data, &member); err != nil {
		t.Fatal(err)
	}
	delete(member, "d")
	member["kid"] = kid
	if data, err = json.Marshal(map[string]any{"keys": []any{member}}); err != nil {
		t.Fatal(err)
	}
	set, err := jwks.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return set.All()[0]
}
