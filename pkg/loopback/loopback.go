// Package loopback listens on the loopback interface for the request that a
// browser sends at the end of a login, and returns its parameters (RFC 8252,
// section 7.3).
//
// Start with [Listen], send [Receiver.RedirectURI] to the authorization server,
// call [Receiver.Receive] and, when the result of the login is known,
// [Receiver.Finish], which shows it in the browser. The package does not depend on
// OAuth: the caller's function decides which request is the expected one. Requests
// that cannot be it (another path, another Host, a POST) are not passed to that
// function.
package loopback

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ErrStray is wrapped by the error of a caller's function if a request is not
// the expected one. The browser shows this, and the wait continues.
var ErrStray = errors.New("not the awaited request")

// ErrClosed is returned by [Receiver.Receive] if the receiver is closed while it
// waits.
var ErrClosed = errors.New("the receiver was closed")

const (
	// holdPage is how long the browser waits for the result of a login before the
	// page refers to the terminal.
	holdPage = 3 * time.Second
	// awaitFetch is how long Finish waits for a browser to fetch its page.
	awaitFetch = time.Second
)

// Reason is why a request was ignored.
type Reason int

// The reasons for which a request on the redirect URI's path is not accepted.
const (
	Refused      Reason = iota // the caller's function refused it
	NoParameters               // no query; a response in the fragment looks like this
	Posted                     // not a GET: response_mode form_post, or another site
	ForeignHost                // the Host header field is not the redirect URI's
)

// Stray is a request at the redirect URI's path that was ignored.
type Stray struct {
	Reason Reason
	Err    error // of the caller's function, with Refused
}

// Receiver waits for the awaited request. Its port is bound from [Listen] on, so
// the redirect URI can be shown before the wait begins.
type Receiver struct {
	// OnStray, if not nil, is called for each Stray, one at a time. Set it before
	// calling Receive.
	OnStray func(Stray)

	redirectURI string
	host, path  string // of the redirect URI, as a browser sends them
	listeners   []net.Listener
	strays      atomic.Int64

	server  *http.Server
	serving sync.WaitGroup
	mu      sync.Mutex
	over    bool          // the expected request has arrived
	once    sync.Once     // for the outcome
	decided chan struct{} // closed when the result is known
	outcome Outcome       // valid once decided is closed
	shown   chan struct{} // receives a value when a browser has received its page
}

// Listen binds the address of redirectURI. The empty string means
// http://127.0.0.1:0/callback, and port 0 a free port. The host must be
// 127.0.0.1, ::1, localhost or a name below localhost; for a name, both address
// families are bound if available. For any other URI, the error wraps
// [ErrNotLoopback]. A non-empty listen is the address to bind instead, for
// containers with a forwarded port; only this address may be other than
// loopback.
func Listen(redirectURI, listen string) (*Receiver, error) {
	place, err := parseRedirectURI(redirectURI)
	if err != nil {
		return nil, err
	}
	r := &Receiver{path: place.path, decided: make(chan struct{}), shown: make(chan struct{}, 1)}
	switch {
	case listen != "":
		err = r.bind("tcp", listen)
	case place.isName:
		err = r.bindBoth(place.port)
	default:
		err = r.bind("tcp", net.JoinHostPort(place.host, place.port))
	}
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("loopback: cannot listen: %w", err)
	}
	r.redirectURI, r.host = place.bound(r.port())
	return r, nil
}

// RedirectURI returns the URI that was passed to [Listen], with port 0 replaced
// with the bound port.
func (r *Receiver) RedirectURI() string { return r.redirectURI }

// Strays returns the number of ignored requests.
func (r *Receiver) Strays() int { return int(r.strays.Load()) }

// Receive serves requests until accept returns nil for one, or an error that does
// not wrap [ErrStray], which it returns; or until ctx ends, whose error it returns.
// Accept is called for one request at a time, and not again after Receive returns.
//
// When Receive returns nil, the browser waits for the result: the caller continues
// the login and then calls [Receiver.Finish] or [Receiver.Close]. When it returns
// an error, the port is free.
func (r *Receiver) Receive(ctx context.Context, accept func(url.Values) error) error {
	result := make(chan error, 1)
	r.serve(r.handler(accept, result))
	select {
	case err := <-result:
		if err != nil {
			r.Finish(Failed)
		}
		return err
	case <-r.decided:
		return ErrClosed
	case <-ctx.Done():
		r.Close()
		return fmt.Errorf("loopback: %w", ctx.Err())
	}
}

// Finish shows the result of the login in the browser and releases the port. It
// waits at most a second for the browser to fetch the page, or until a waiting
// browser has received it. Only the first call has an effect.
func (r *Receiver) Finish(o Outcome) {
	r.once.Do(func() {
		r.outcome = o
		close(r.decided)
		r.mu.Lock()
		over := r.over
		r.mu.Unlock()
		r.stop(over)
	})
}

// Close releases the port. A waiting browser shows a page that refers to the
// terminal. A Receiver may be closed twice.
func (r *Receiver) Close() error {
	r.Finish(InTerminal)
	return nil
}

func (r *Receiver) serve(h http.Handler) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.server = &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      holdPage + 5*time.Second,
		MaxHeaderBytes:    64 << 10,
	}
	r.server.SetKeepAlivesEnabled(false)
	for _, l := range r.listeners {
		r.serving.Go(func() { _ = r.server.Serve(l) })
	}
}

// stop ends the server, after the page was fetched if one is expected.
func (r *Receiver) stop(expectFetch bool) {
	r.mu.Lock()
	server := r.server
	r.mu.Unlock()
	if server != nil {
		grace, cancel := context.WithTimeout(context.Background(), awaitFetch)
		defer cancel()
		if expectFetch {
			select {
			case <-r.shown:
			case <-grace.Done():
			}
			_ = server.Shutdown(grace)
		}
		server.Close()
		r.serving.Wait()
	}
	for _, l := range r.listeners {
		l.Close()
	}
}

func (r *Receiver) handler(accept func(url.Values) error, result chan<- error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.URL.Path == r.pagePath() && req.Host == r.host && req.Method == http.MethodGet:
			r.showOutcome(w, req)
			return
		case req.URL.Path != r.path:
			r.strays.Add(1)
			strayPage.write(w, http.StatusNotFound)
			return
		}
		if reason, status := r.refuse(req); status != 0 {
			r.stray(Stray{Reason: reason})
			strayPage.write(w, status)
			return
		}
		r.decide(ParseQuery(req.URL.RawQuery), accept, result)
		// No parameters must stay in the address bar and the history (RFC 9700, section
		// 4.3).
		writeRedirect(w, r.pagePath())
	})
}

// decide calls accept with the parameters, unless the expected request has already
// arrived.
func (r *Receiver) decide(values url.Values, accept func(url.Values) error, result chan<- error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	err := accept(values)
	if errors.Is(err, ErrStray) {
		r.count(Stray{Reason: Refused, Err: err})
		return
	}
	r.over = true
	result <- err
}

// refuse returns the reason and the status for a request that cannot be from
// the browser's login. A status of 0 means that it can.
func (r *Receiver) refuse(req *http.Request) (Reason, int) {
	switch {
	case req.Host != r.host:
		// another name that resolves to this machine (DNS rebinding)
		return ForeignHost, http.StatusMisdirectedRequest
	case req.Method != http.MethodGet:
		return Posted, http.StatusMethodNotAllowed
	case req.URL.RawQuery == "":
		return NoParameters, http.StatusBadRequest
	}
	return 0, 0
}

func (r *Receiver) stray(s Stray) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count(s)
}

// count needs the lock.
func (r *Receiver) count(s Stray) {
	r.strays.Add(1)
	if r.OnStray != nil {
		r.OnStray(s)
	}
}

// pagePath returns the path of the result page. It is below the redirect URI's
// path, so that it differs from it.
func (r *Receiver) pagePath() string { return strings.TrimSuffix(r.path, "/") + "/done" }

// showOutcome waits for the result and shows it, or after some seconds a page
// that refers to the terminal.
func (r *Receiver) showOutcome(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	over := r.over
	r.mu.Unlock()
	if !over {
		strayPage.write(w, http.StatusBadRequest)
		return
	}
	outcome := InTerminal
	timer := time.NewTimer(holdPage)
	defer timer.Stop()
	select {
	case <-r.decided:
		outcome = r.outcome
	case <-timer.C:
	case <-req.Context().Done():
		return
	}
	outcome.page().write(w, http.StatusOK)
	select {
	case r.shown <- struct{}{}:
	default:
	}
}
