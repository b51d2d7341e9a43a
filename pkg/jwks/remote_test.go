package jwks_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"go.uber.org/goleak"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// endpoint is a key endpoint with an answer that can be changed and a clock
// that can be set.
type endpoint struct {
	t       *testing.T
	server  *httptest.Server
	fetches atomic.Int64
	answer  atomic.Pointer[http.HandlerFunc]
	mu      sync.Mutex
	now     time.Time
}

func newEndpoint(t *testing.T) *endpoint {
	e := &endpoint{t: t, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	e.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.fetches.Add(1)
		(*e.answer.Load())(w, r)
	}))
	t.Cleanup(e.server.Close)
	return e
}

func (e *endpoint) clock() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.now
}

func (e *endpoint) pass(d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.now = e.now.Add(d)
}

func (e *endpoint) serve(f http.HandlerFunc) { e.answer.Store(&f) }

func (e *endpoint) publish(cacheControl string, keys ...*jwks.Key) {
	data, err := json.Marshal(jwks.NewSet(keys...))
	if err != nil {
		e.t.Fatal(err)
	}
	e.serve(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", cacheControl)
		_, _ = w.Write(data)
	})
}

func (e *endpoint) remote() *jwks.Remote {
	transport := safehttp.NewTransport(nil)
	r := jwks.NewRemote(e.server.URL, jwks.RemoteOptions{HTTP: &safehttp.Client{Transport: transport}, Now: e.clock})
	e.t.Cleanup(func() { r.Close(); transport.CloseIdleConnections() })
	return r
}

func newPublic(t *testing.T) *jwks.Key {
	t.Helper()
	k, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	return k.Public()
}

func (e *endpoint) want(r *jwks.Remote, kid string, id diagnosis.ID) {
	e.t.Helper()
	keys, err := r.Keys(e.t.Context(), jwks.Query{KeyID: kid, Algorithm: "ES256"})
	if idOf(err) != id || id == "" && (err != nil || len(keys.Keys) != 1 || keys.Keys[0].ID() != kid) {
		e.t.Errorf("Keys(%.8s) = %v, %v, want %q", kid, keys, err, id)
	}
}

func (e *endpoint) wantFetches(n int64) {
	e.t.Helper()
	if got := e.fetches.Load(); got != n {
		e.t.Errorf("%d fetches, want %d", got, n)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not happen", what)
		}
	}
}

func TestRemoteFetchesOnce(t *testing.T) {
	e := newEndpoint(t)
	key := newPublic(t)
	e.publish("max-age=600", key)
	r := e.remote()
	e.wantFetches(0)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { e.want(r, key.ID(), "") })
	}
	all.Wait()
	e.wantFetches(1)
	e.pass(290 * time.Second)
	e.want(r, key.ID(), "")
	e.wantFetches(1)
	e.pass(260 * time.Second) // beyond 90 %: renewed in the background
	e.want(r, key.ID(), "")
	eventually(t, "the renewal", func() bool { return e.fetches.Load() == 2 && r.State().FetchedAt.Equal(e.clock()) })
	if s := r.State(); s.Keys != 1 || s.Generation != 1 || s.Failures != 0 {
		t.Errorf("State = %+v", s)
	}
}

// Requests that arrive at the same time at a Remote without keys, or with
// expired keys, cause one fetch, whether or not it succeeds. The clock does not
// advance, so no second fetch is due.
func TestConcurrentRequestsShareOneFetch(t *testing.T) {
	key := newPublic(t)
	var fails atomic.Bool
	var fetches atomic.Int64
	data, err := json.Marshal(jwks.NewSet(key))
	if err != nil {
		t.Fatal(err)
	}
	transport := roundTrip(func(r *http.Request) (*http.Response, error) {
		fetches.Add(1)
		if fails.Load() {
			return &http.Response{StatusCode: http.StatusServiceUnavailable, Body: http.NoBody, Request: r}, nil
		}
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Cache-Control": {"max-age=60"}}, Body: io.NopCloser(bytes.NewReader(data)), Request: r}, nil
	})
	for round := range 300 {
		var moved atomic.Int64
		begin := time.Unix(1_800_000_000, 0)
		r := jwks.NewRemote("https://as.example/jwks", jwks.RemoteOptions{
			HTTP: &safehttp.Client{Transport: transport},
			Now:  func() time.Time { return begin.Add(time.Duration(moved.Load())) },
		})
		for _, step := range []struct {
			name    string
			fails   bool
			want    diagnosis.ID
			forward time.Duration
		}{
			{"cold, failing", true, diagnosis.KeysUnavailable, 0},
			{"cold", false, "", time.Second},
			{"past its time, failing", true, "", time.Minute},
			{"past its time", false, "", time.Second},
		} {
			fails.Store(step.fails)
			fetches.Store(0)
			moved.Add(int64(step.forward))
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					if _, err := r.Keys(t.Context(), jwks.Query{KeyID: key.ID(), Algorithm: "ES256"}); idOf(err) != step.want {
						t.Errorf("round %d, %s: %v", round, step.name, err)
					}
				})
			}
			all.Wait()
			eventually(t, "the fetch", func() bool { return fetches.Load() > 0 })
			if n := fetches.Load(); n != 1 {
				t.Fatalf("round %d, %s: %d fetches, want 1", round, step.name, n)
			}
			if !step.fails { // a renewal in the background may still be storing its set
				eventually(t, "the set", func() bool {
					s := r.State()
					return s.LastError == nil && s.FetchedAt.Equal(begin.Add(time.Duration(moved.Load())))
				})
			}
		}
		r.Close()
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRemoteFreshness(t *testing.T) {
	for _, tt := range []struct {
		cacheControl   string
		fresh, expired time.Duration
	}{
		{"", 149 * time.Second, 301 * time.Second},
		{"max-age=0", 4 * time.Second, 11 * time.Second},
		{"no-store", 4 * time.Second, 11 * time.Second},
		{"public, max-age=99999999", 11 * time.Hour, 25 * time.Hour},
		{"max-age=nonsense", 149 * time.Second, 301 * time.Second},
	} {
		e := newEndpoint(t)
		key := newPublic(t)
		e.publish(tt.cacheControl, key)
		r := e.remote()
		e.want(r, key.ID(), "")
		e.pass(tt.fresh)
		e.want(r, key.ID(), "")
		e.wantFetches(1)
		e.pass(tt.expired - tt.fresh)
		e.want(r, key.ID(), "")
		e.wantFetches(2)
	}
}

func TestRotationAfterForgedKids(t *testing.T) {
	e := newEndpoint(t)
	old, next := newPublic(t), newPublic(t)
	e.publish("max-age=3600", old)
	r := e.remote()
	e.want(r, old.ID(), "")
	e.want(r, "forged", diagnosis.KidUnknown)
	e.wantFetches(2)
	e.want(r, "forged", diagnosis.KidUnknown) // remembered
	e.wantFetches(2)
	e.publish("max-age=3600", next)
	e.want(r, next.ID(), "") // at once after one forged kid
	e.wantFetches(3)
	e.want(r, old.ID(), diagnosis.KidUnknown) // a removed key stops working
	for i := range 1000 {
		e.want(r, fmt.Sprint("forged", i), diagnosis.KidUnknown)
	}
	e.wantFetches(3) // the bucket is empty and nobody waits for it
	if r.State().Refused == 0 {
		t.Error("refused lookups are not counted")
	}
	e.pass(10 * time.Second)
	third := newPublic(t)
	e.publish("max-age=3600", next, third)
	e.want(r, third.ID(), "")
	e.wantFetches(4)
}

func TestSameKidWithAnotherKey(t *testing.T) {
	e := newEndpoint(t)
	first, second := renamed(t, "same"), renamed(t, "same")
	e.publish("", first)
	r := e.remote()
	e.want(r, "same", "")
	before := r.Generation()
	e.publish("", second)
	e.pass(301 * time.Second)
	keys, err := r.Keys(t.Context(), jwks.Query{KeyID: "same", Algorithm: "ES256"})
	if err != nil || keys.Keys[0].Thumbprint() != second.Thumbprint() || r.Generation() == before {
		t.Errorf("%v, %v, generation %d", keys, err, r.Generation())
	}
}

func mustGenerate(t *testing.T) *jwks.PrivateKey {
	t.Helper()
	k, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestOutage(t *testing.T) {
	broken := map[string]http.HandlerFunc{
		"500":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"HTML":      func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"empty set": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"keys":[]}`) },
		"reset":     func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	}
	for name, answer := range broken {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t)
			key := newPublic(t)
			e.publish("max-age=60", key)
			r := e.remote()
			e.want(r, key.ID(), "")
			e.serve(answer)
			for range 23 {
				e.pass(time.Hour)
				e.want(r, key.ID(), "")
			}
			if r.State().LastError == nil {
				t.Error("the failure cannot be read")
			}
			e.pass(2 * time.Hour) // beyond 24 hours
			e.want(r, key.ID(), diagnosis.KeysUnavailable)
			e.pass(2 * time.Second)
			e.publish("", key)
			e.want(r, key.ID(), "")
		})
	}
}

func TestColdStart(t *testing.T) {
	e := newEndpoint(t)
	e.serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	r := e.remote()
	for range 100 {
		e.want(r, "x", diagnosis.KeysUnavailable)
	}
	e.wantFetches(1)
	e.pass(time.Second)
	e.want(r, "x", diagnosis.KeysUnavailable)
	e.wantFetches(2)
	key := newPublic(t)
	e.publish("", key)
	e.pass(time.Second)
	e.want(r, key.ID(), "")
}

func TestCallerGivesUpWhileItHangs(t *testing.T) {
	e := newEndpoint(t)
	release := make(chan struct{})
	key := newPublic(t)
	e.serve(func(http.ResponseWriter, *http.Request) { <-release })
	r := e.remote()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := r.Keys(ctx, jwks.Query{KeyID: "x", Algorithm: "ES256"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	e.publish("", key)
	close(release)
	eventually(t, "the next fetch", func() bool {
		e.pass(time.Second)
		_, err := r.Keys(t.Context(), jwks.Query{KeyID: key.ID(), Algorithm: "ES256"})
		return err == nil
	})
}
