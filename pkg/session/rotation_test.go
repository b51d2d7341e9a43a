package session_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/session"
)

// rotation is a token endpoint with strict rotation: each refresh token works
// once, and a second use ends the session permanently.
type rotation struct {
	*httptest.Server
	before, after time.Duration // delays before and after the rotation

	mu       sync.Mutex
	current  int
	dead     bool
	requests int
	open     int           // connections
	arrived  chan struct{} // receives a value for each request, if not nil
}

func newRotation(t *testing.T) *rotation {
	s := &rotation{current: 1, arrived: make(chan struct{}, 1)}
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch state {
		case http.StateNew:
			s.open++
		case http.StateClosed:
			s.open--
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// settle returns when all earlier requests have been handled: connections are
// accepted in order, so its own request comes last.
func (s *rotation) settle(t *testing.T) {
	t.Helper()
	res, err := s.Client().Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	s.CloseClientConnections()
	for range 5000 {
		s.mu.Lock()
		open := s.open
		s.mu.Unlock()
		if open == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("a request is still at work")
}

func (s *rotation) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.ParseForm() != nil {
		return // no request, or an incomplete one
	}
	sent := r.FormValue("refresh_token")
	time.Sleep(s.before)
	s.mu.Lock()
	s.requests++
	if s.dead || sent != fmt.Sprint("refresh-", s.current) {
		s.dead = true
		s.mu.Unlock()
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.current++
	next := s.current
	s.mu.Unlock()
	select {
	case s.arrived <- struct{}{}:
	default:
	}
	time.Sleep(s.after)
	fmt.Fprint(w, next)
}

// state returns the generation of the valid refresh token, and the number of
// requests.
func (s *rotation) state() (current, requests int, dead bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current, s.requests, s.dead
}

// begin stores an expired session whose refresh token is valid.
func (s *rotation) begin(t *testing.T, store *session.Store) {
	t.Helper()
	current, _, _ := s.state()
	one := example()
	one.TokenEndpoint, one.ExpiresAt = s.URL, time.Now().Add(-time.Minute)
	one.AccessToken, one.RefreshToken = secret.New(fmt.Sprint("access-", current)), secret.New(fmt.Sprint("refresh-", current))
	save(t, store, one)
}

// refresh is the Renew function of a child process.
func refresh(ctx context.Context, s *session.Session) (*session.Session, error) {
	res, err := (&safehttp.Client{}).PostForm(ctx, s.TokenEndpoint, map[string][]string{"refresh_token": {s.RefreshToken.Reveal()}}, nil, 1<<10)
	if err != nil {
		return nil, err
	}
	if res.Status != http.StatusOK {
		return nil, &diagnosis.Diagnosis{ID: diagnosis.GrantInvalid}
	}
	next := *s
	next.AccessToken, next.RefreshToken = secret.New("access-"+string(res.Body)), secret.New("refresh-"+string(res.Body))
	next.ExpiresAt = time.Now().Add(time.Hour)
	return &next, nil
}

// trials returns the full count if the long tests are enabled, a tenth
// otherwise.
func trials(full int) int {
	if os.Getenv("OAUTHCTL_TEST_LONG") == "1" {
		return full
	}
	return full / 10
}

// child runs this test binary in another process with the given role.
func child(t *testing.T, role, dir string, more ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	c.Env = append(append(os.Environ(), "SESSION_TEST_ROLE="+role, "SESSION_TEST_DIR="+dir, "GORACE=atexit_sleep_ms=0"), more...)
	return c
}

func TestMain(m *testing.M) {
	role := os.Getenv("SESSION_TEST_ROLE")
	if role == "" {
		os.Exit(m.Run())
	}
	play, ok := roles()[role]
	if !ok {
		panic("no such role: " + role)
	}
	os.Exit(play(os.Getenv("SESSION_TEST_DIR")))
}

// asToken requests the token and prints it.
func asToken(dir string) int {
	source := &session.Source{Store: session.Open(dir), Profile: "default", Renew: refresh}
	s, warning, err := get(context.Background(), source, session.Want{})
	if err != nil {
		fmt.Print(err)
		return 1
	}
	if warning != nil {
		fmt.Fprint(os.Stderr, warning)
	}
	fmt.Print(s.AccessToken.Reveal())
	return 0
}

// TestProcesses starts 50 processes with one expired session at a server that
// rotates strictly. One refresh must be sent, every process must get the token,
// and the session must be alive afterwards.
func TestProcesses(t *testing.T) {
	const processes = 50
	for _, delay := range []time.Duration{0, 50 * time.Millisecond, 500 * time.Millisecond} {
		t.Run(delay.String(), func(t *testing.T) {
			n := trials(20)
			got, alive := 0, 0
			for range n {
				server := newRotation(t)
				server.before, server.after = delay/2, delay/2
				store, dir := openStore(t)
				server.begin(t, store)
				got += together(t, processes, dir, "access-2")
				if _, requests, _ := server.state(); requests != 1 {
					t.Errorf("%d refresh requests, want 1", requests)
				}
				if s, err := store.Load("default"); err == nil && isAlive(t, s) {
					alive++
				}
				server.Close()
			}
			t.Logf("%d of %d commands got the token, %d of %d sessions are alive", got, n*processes, alive, n)
			if got != n*processes || alive != n {
				t.Fail()
			}
		})
	}
}

// together runs processes at the same time and counts those that print want.
func together(t *testing.T, processes int, dir, want string) int {
	t.Helper()
	var all sync.WaitGroup
	var mu sync.Mutex
	good := 0
	for range processes {
		all.Go(func() {
			// Standard error may contain the coverage warning of a child process.
			c := child(t, "token", dir)
			var stderr strings.Builder
			c.Stderr = &stderr
			out, err := c.Output()
			mu.Lock()
			defer mu.Unlock()
			if err == nil && string(out) == want {
				good++
			} else {
				t.Errorf("a process got %.300q, %v\n%.300s", out, err, &stderr)
			}
		})
	}
	all.Wait()
	return good
}

// isAlive reports whether the stored refresh token works.
func isAlive(t *testing.T, s *session.Session) bool {
	t.Helper()
	_, err := refresh(t.Context(), s)
	return err == nil
}

// waitingContext calls waits when its Done channel is first used, as by a
// caller without a session that waits for the lock.
type waitingContext struct {
	context.Context
	once  sync.Once
	waits func()
}

func (c *waitingContext) Done() <-chan struct{} {
	c.once.Do(c.waits)
	return c.Context.Done()
}

// Eight callers without a session, as with client credentials, send one
// request, in one process and in several.
func TestColdCallers(t *testing.T) {
	memory, err := session.New(session.Options{Kind: session.Memory})
	if err != nil {
		t.Fatal(err)
	}
	file, _ := openStore(t)
	for name, store := range map[string]*session.Store{"memory": memory, "file": file} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			requests := 0
			var started sync.WaitGroup
			started.Add(8)
			renew := func(context.Context, *session.Session) (*session.Session, error) {
				mu.Lock()
				requests++
				mu.Unlock()
				started.Wait()
				s := example()
				// The lifetime is shorter than the callers require, but none of
				// them sends another request.
				s.RefreshToken, s.ExpiresAt = secret.String{}, now.Add(20*time.Second)
				return s, nil
			}
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					source := &session.Source{Store: store, Profile: "default", Now: func() time.Time { return now }, Renew: renew}
					ctx := &waitingContext{Context: t.Context(), waits: started.Done}
					s, warning, err := get(ctx, source, session.Want{MinTTL: time.Minute})
					if err != nil || warning != nil || s.AccessToken.Reveal() != "access-1" {
						t.Errorf("Session = %v, %v", warning, err)
					}
				})
			}
			all.Wait()
			if requests != 1 {
				t.Errorf("%d requests, want 1", requests)
			}
		})
	}
}
