package revocation_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/revocation"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// server is an introspection endpoint that counts its requests.
type server struct {
	inactive     sync.Map // by token
	asked        atomic.Int64
	status       atomic.Int64 // 0 means 200
	underway, at atomic.Int64 // current and maximum number of requests
	hold         chan struct{}
	arrived      chan struct{} // receives a value for each request, if there is room
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked.Add(1)
	n := s.underway.Add(1)
	defer s.underway.Add(-1)
	for at := s.at.Load(); n > at && !s.at.CompareAndSwap(at, n); at = s.at.Load() {
	}
	select {
	case s.arrived <- struct{}{}:
	default:
	}
	if s.hold != nil {
		<-s.hold
	}
	if status := s.status.Load(); status != 0 {
		w.WriteHeader(int(status))
		return
	}
	_, inactive := s.inactive.Load(r.FormValue("token"))
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"active":%v}`, !inactive)
}

func newIntrospection(t *testing.T, s *server, o revocation.IntrospectionOptions) *revocation.Introspection {
	t.Helper()
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	client := &oauth.Client{ID: "api", Secret: secret.New("s"), Server: &discovery.Server{Issuer: h.URL, IntrospectionEndpoint: h.URL + "/introspect"}}
	i, err := revocation.NewIntrospection(client, o)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestIntrospection(t *testing.T) {
	c := &clock{at: start}
	s := &server{}
	i := newIntrospection(t, s, revocation.IntrospectionOptions{MaxAge: 10 * time.Second, Now: c.now})
	key := newKey(t, "EdDSA")
	tok := signed(t, key, map[string]any{"exp": start.Unix() + 25})
	step := func(name string, want bool, asked int64) {
		t.Helper()
		if got, err := i.Revoked(t.Context(), tok); err != nil || got != want || s.asked.Load() != asked {
			t.Errorf("%s: Revoked = %v, %v after %d questions, want %v after %d", name, got, err, s.asked.Load(), want, asked)
		}
	}
	step("active", false, 1)
	s.inactive.Store(tok.Raw().Reveal(), true)
	c.move(9 * time.Second)
	step("remembered", false, 1)
	c.move(time.Second)
	step("within the bound", true, 2)
	c.move(10 * time.Second)
	step("asked again", true, 3)
	s.inactive.Clear()
	c.move(5 * time.Second)
	step("never beyond the expiry", false, 4)
	step("not remembered after it", false, 5)
}

func TestIntrospectionUnreachable(t *testing.T) {
	tok := signed(t, newKey(t, "EdDSA"), nil)
	for open, want := range map[bool]diagnosis.ID{false: diagnosis.RevocationUnknown, true: ""} {
		s := &server{}
		s.status.Store(500)
		i := newIntrospection(t, s, revocation.IntrospectionOptions{InsecureAllowWhenAway: open})
		got, err := i.Revoked(t.Context(), tok)
		var d *diagnosis.Diagnosis
		if errors.As(err, &d); got || (d == nil) != (want == "") || d != nil && (d.ID != want || d.Kind() != diagnosis.Unavailable) {
			t.Errorf("open %v: Revoked = %v, %v, want %q", open, got, err, want)
		}
		s.status.Store(0)
		s.inactive.Store(tok.Raw().Reveal(), true)
		if got, err := i.Revoked(t.Context(), tok); err != nil || !got {
			t.Errorf("open %v, back: Revoked = %v, %v", open, got, err)
		}
	}
	if i, err := revocation.NewIntrospection(&oauth.Client{Server: &discovery.Server{}}, revocation.IntrospectionOptions{}); err == nil {
		t.Errorf("without an endpoint: %v", i)
	}
}

// A hundred checks of one token send one request. A hundred tokens send no more
// concurrent requests than allowed. If one caller gives up, the others still
// get the result.
func TestIntrospectionAtOnce(t *testing.T) {
	s := &server{hold: make(chan struct{}), arrived: make(chan struct{}, 1)}
	// With the clock of the tokens: a result about an expired token is not used
	// for another one.
	c := &clock{at: start}
	i := newIntrospection(t, s, revocation.IntrospectionOptions{Concurrency: 3, Timeout: 30 * time.Second, Now: c.now})
	key := newKey(t, "EdDSA")
	tok := signed(t, key, nil)
	gone, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		if _, err := i.Revoked(gone, tok); !errors.Is(err, context.Canceled) {
			t.Errorf("who gave up: %v", err)
		}
	})
	<-s.arrived
	for range 100 {
		group.Go(func() {
			if got, err := i.Revoked(t.Context(), tok); err != nil || got {
				t.Errorf("Revoked = %v, %v", got, err)
			}
		})
	}
	cancel()
	for k := range 30 {
		other := signed(t, key, map[string]any{"jti": fmt.Sprint("other", k)})
		group.Go(func() {
			if got, err := i.Revoked(t.Context(), other); err != nil || got {
				t.Errorf("Revoked = %v, %v", got, err)
			}
		})
	}
	close(s.hold)
	group.Wait()
	if asked, at := s.asked.Load(), s.at.Load(); asked != 31 || at > 3 {
		t.Errorf("%d questions, %d at once, want 31 and at most 3", asked, at)
	}
}

// If the server hangs, a request waits for the timeout at most.
func TestIntrospectionHangs(t *testing.T) {
	s := &server{hold: make(chan struct{})}
	defer close(s.hold)
	i := newIntrospection(t, s, revocation.IntrospectionOptions{Timeout: 20 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := i.Revoked(ctx, signed(t, newKey(t, "EdDSA"), nil))
	if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) && err == nil {
		t.Errorf("Revoked: %v", err)
	}
}
