//go:build load

package bearer_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// The load tests run with: go test -run Load -tags load -v ./pkg/bearer
// OAUTHCTL_LOAD_SECONDS shortens each phase, which is 60 seconds otherwise.

// issuerServer publishes keys, or fails in one of the ways that servers do.
type issuerServer struct {
	mu      sync.Mutex
	keys    *jwks.Set
	mode    string // "", "503", "hang"
	maxAge  int    // seconds
	fetches atomic.Int64
	times   []time.Time // of the fetches
	done    chan struct{}
}

func (s *issuerServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.fetches.Add(1)
	s.mu.Lock()
	s.times = append(s.times, time.Now())
	keys, mode, maxAge := s.keys, s.mode, s.maxAge
	s.mu.Unlock()
	switch mode {
	case "503":
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case "hang":
		select {
		case <-r.Context().Done():
		case <-s.done:
		}
		return
	}
	data, err := keys.MarshalJSON()
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Cache-Control", "max-age="+strconv.Itoa(maxAge))
	_, _ = w.Write(data)
}

func (s *issuerServer) set(keys *jwks.Set, mode string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys, s.mode = keys, mode
}

// before counts the fetches before a time.
func (s *issuerServer) before(then time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, at := range s.times {
		if at.Before(then) {
			n++
		}
	}
	return n
}

// load is an API behind the middleware, whose keys come over HTTP.
type load struct {
	server *issuerServer
	api    http.Handler
}

func newLoad(t *testing.T, keys *jwks.Set, maxAge int) *load {
	t.Helper()
	s := &issuerServer{keys: keys, maxAge: maxAge, done: make(chan struct{})}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	t.Cleanup(func() { close(s.done) })
	remote := jwks.NewRemote(h.URL, jwks.RemoteOptions{})
	t.Cleanup(remote.Close)
	return &load{s, bearer.Require(newVerifier(t, remote), bearer.Scopes("items:read"))(http.HandlerFunc(items))}
}

func (l *load) ask(raw string) int {
	r := httptest.NewRequest("GET", "/items", nil)
	r.Header.Set("Authorization", "Bearer "+raw)
	w := httptest.NewRecorder()
	l.api.ServeHTTP(w, r)
	return w.Code
}

// figures are the results of one phase.
type figures struct {
	asked, passed int
	p50, p99, max time.Duration
}

// drive calls ask rate times a second, without waiting for the answers.
func drive(rate int, span time.Duration, ask func() int) figures {
	const tick = 5 * time.Millisecond
	var group sync.WaitGroup
	var mu sync.Mutex
	var took []time.Duration
	passed := 0
	began := time.Now()
	for sent := 0; time.Since(began) < span; time.Sleep(tick) {
		for due := int(time.Since(began).Seconds() * float64(rate)); sent < due; sent++ {
			group.Go(func() {
				start := time.Now()
				status := ask()
				mu.Lock()
				defer mu.Unlock()
				took = append(took, time.Since(start))
				if status == http.StatusOK {
					passed++
				}
			})
		}
	}
	group.Wait()
	slices.Sort(took)
	return figures{len(took), passed, took[len(took)/2], took[len(took)*99/100], took[len(took)-1]}
}

func seconds(t *testing.T) time.Duration {
	t.Helper()
	if text := os.Getenv("OAUTHCTL_LOAD_SECONDS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return time.Duration(n) * time.Second
	}
	return time.Minute
}

// The key endpoint answers 503, then hangs, under 1,000 valid requests a second.
func TestLoadKeyOutage(t *testing.T) {
	f := newFixture(t, "ES256")
	l := newLoad(t, jwks.NewSet(f.key.Public()), 10)
	raw := f.token(t, map[string]any{"exp": time.Now().Add(time.Hour).Unix()})
	if status := l.ask(raw); status != 200 {
		t.Fatalf("positive control: %d", status)
	}
	var quiet figures
	for _, mode := range []string{"", "503", "hang"} {
		l.server.set(jwks.NewSet(f.key.Public()), mode)
		got := drive(1000, seconds(t), func() int { return l.ask(raw) })
		t.Logf("mode %-5q %d requests, %d passed (%.3f %%), p50 %s, p99 %s, max %s, %d fetches so far", mode, got.asked, got.passed, 100*float64(got.passed)/float64(got.asked), got.p50, got.p99, got.max, l.server.fetches.Load())
		if got.passed != got.asked {
			t.Errorf("%q: %d requests failed", mode, got.asked-got.passed)
		}
		if mode == "" {
			quiet = got
		} else if got.p99 > 2*quiet.p99+time.Millisecond {
			t.Errorf("%q: p99 %s, quiet %s", mode, got.p99, quiet.p99)
		}
	}
}

// 10,000 tokens a second name 5,000 unknown kids; half way the issuer rotates
// its key.
func TestLoadUnknownKids(t *testing.T) {
	f, next, forger := newFixture(t, "ES256"), newFixture(t, "ES256"), newFixture(t, "EdDSA")
	l := newLoad(t, jwks.NewSet(f.key.Public()), 3600)
	hour := map[string]any{"exp": time.Now().Add(time.Hour).Unix()}
	raw, rotated := f.token(t, hour), next.token(t, hour)
	if status := l.ask(raw); status != 200 {
		t.Fatalf("positive control: %d", status)
	}
	forged := make([]string, 5000)
	for i := range forged {
		var err error
		forged[i], err = token.SignWithHeader(forger.key, map[string]any{"alg": "EdDSA", "typ": "at+jwt", "kid": "forged-" + strconv.Itoa(i)}, map[string]any{"iss": issuer, "aud": audience, "exp": hour["exp"]})
		if err != nil {
			t.Fatal(err)
		}
	}
	span := seconds(t) / 2
	first := l.server.fetches.Load()
	start := time.Now()
	var group sync.WaitGroup
	var n, accepted atomic.Int64
	group.Go(func() {
		got := drive(10_000, span, func() int {
			i := n.Add(1)
			if status := l.ask(forged[i%5000]); status == http.StatusOK {
				accepted.Add(1)
			}
			return 0
		})
		t.Logf("flood: %d requests in %s, p99 %s, %d accepted", got.asked, span, got.p99, accepted.Load())
	})
	time.Sleep(span / 2)
	before := l.server.fetches.Load() - first
	l.server.set(jwks.NewSet(f.key.Public(), next.key.Public()), "")
	began := time.Now()
	for l.ask(rotated) != 200 {
		if time.Since(began) > 20*time.Second {
			t.Fatal("the rotation is never seen")
		}
		time.Sleep(10 * time.Millisecond)
	}
	took := time.Since(began)
	good := drive(100, max(time.Second, span/2-took), func() int { return l.ask(raw) })
	group.Wait()
	t.Logf("%d fetches before the rotation, which was accepted after %s; good traffic %d of %d; %d fetches in all", before, took, good.passed, good.asked, l.server.fetches.Load()-first)
	if caused := l.server.before(start.Add(min(span, 30*time.Second))) - int(first); caused > 4 {
		t.Errorf("the flood caused %d fetches in %s", caused, span)
	}
	if took > 10*time.Second || good.passed != good.asked || accepted.Load() > 0 {
		t.Errorf("rotation after %s, %d good ones failed, %d forged ones accepted", took, good.asked-good.passed, accepted.Load())
	}
}
