package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// maxHeaderBytes allows for the largest token and other headers.
const maxHeaderBytes = 128 << 10

// Server serves a handler by HTTP/1.1 and unencrypted HTTP/2 and stops in order.
type Server struct {
	Handler http.Handler
	// Delay is how long requests are still accepted after the context has ended,
	// until a load balancer notices. Draining is called at its beginning.
	Delay    time.Duration
	Draining func()
	// Grace is the time limit for requests in progress, including streams.
	Grace time.Duration
}

// Serve serves requests on l until ctx ends. Then it accepts no more requests
// and gives those in progress the grace period to finish. It closes the
// listener.
func Serve(ctx context.Context, l net.Listener, handler http.Handler, grace time.Duration) error {
	return (&Server{Handler: handler, Grace: grace}).Serve(ctx, l)
}

// Serve serves requests on l until ctx ends, waits for Delay and Grace, and
// returns when every handler has returned. It closes the listener. Bodies have a
// read deadline, so that a slow client does not block a connection.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	base, cut := context.WithCancelCause(context.Background())
	defer cut(nil)
	var handlers underway
	server := &http.Server{
		Handler: handlers.count(bounded(s.Handler)), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: maxHeaderBytes,
		Protocols: new(http.Protocols), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		BaseContext: func(net.Listener) context.Context { return base },
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("guard: %w", err)
	case <-ctx.Done():
	}
	if s.Draining != nil {
		s.Draining()
	}
	if s.Delay > 0 {
		timer := time.NewTimer(s.Delay)
		defer timer.Stop()
		select {
		case err := <-ended:
			return fmt.Errorf("guard: %w", err)
		case <-timer.C:
		}
	}
	return s.stop(server, &handlers, cut, ended)
}

func (s *Server) stop(server *http.Server, handlers *underway, cut context.CancelCauseFunc, ended <-chan error) error {
	bounded, cancel := context.WithTimeout(context.Background(), s.Grace)
	defer cancel()
	err := server.Shutdown(bounded)
	// Connections that became streams are not the server's any more.
	handlers.wait(bounded)
	cut(errShutdown)
	last, cancelLast := context.WithTimeout(context.Background(), lingering)
	defer cancelLast()
	handlers.wait(last)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	handlers.wait(last)
	<-ended
	if err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	return nil
}

// underway counts handlers.
type underway struct {
	mu    sync.Mutex
	n     int
	empty chan struct{} // closed when the last returns; nil without a waiter
}

func (u *underway) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.add(1)
		defer u.add(-1)
		next.ServeHTTP(w, r)
	})
}

func (u *underway) add(n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.n += n; u.n == 0 && u.empty != nil {
		close(u.empty)
		u.empty = nil
	}
}

// wait waits until no handler runs, or ctx ends.
func (u *underway) wait(ctx context.Context) {
	u.mu.Lock()
	if u.n == 0 {
		u.mu.Unlock()
		return
	}
	if u.empty == nil {
		u.empty = make(chan struct{})
	}
	empty := u.empty
	u.mu.Unlock()
	select {
	case <-empty:
	case <-ctx.Done():
	}
}
