// Package loopback listens on the loopback interface for the one request that a
// browser makes at the end of a login, and returns its parameters (RFC 8252,
// section 7.3).
//
// Start with [Listen], show [Receiver.RedirectURI] to the authorization server,
// call [Receiver.Receive] and, once the outcome of the login is known,
// [Receiver.Finish], which shows it in the browser. The package knows no OAuth:
// the caller's function decides which request is the awaited one. Requests that
// cannot be it (another path, a foreign Host, a POST) never reach that function.
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

// ErrStray is what the error of a caller's function wraps when a request is not
// the awaited one: the browser is shown that, and the wait goes on.
var ErrStray = errors.New("not the awaited request")

// ErrClosed is what [Receiver.Receive] returns when the receiver is closed while
// it waits.
var ErrClosed = errors.New("the receiver was closed")

const (
	// holdPage is how long the browser waits for the outcome of a login before it
	// is shown where to look for it.
	holdPage = 3 * time.Second
	// awaitFetch is how long Finish waits for a browser to fetch its page.
	awaitFetch = time.Second
)

// Reason says why a request was not the awaited one.
type Reason int

// The reasons for which a request on the redirect URI's path is not accepted.
const (
	Refused      Reason = iota // the caller's function refused it
	NoParameters               // no query; an answer in the fragment looks like this
	Posted                     // not a GET: response_mode form_post, or another site
	ForeignHost                // the Host header field is not the redirect URI's
)

// Stray is a request on the redirect URI's path that was not accepted.
type Stray struct {
	Reason Reason
	Err    error // of the caller's function, with Refused
}

// Receiver waits for the awaited request. Its port is bound from [Listen] on, so
// the redirect URI can be shown before the wait begins.
type Receiver struct {
	// OnStray, if not nil, is called for each Stray. It is set before Receive and
	// is called for one request at a time.
	OnStray func(Stray)

	redirectURI string
	host, path  string // of the redirect URI, as a browser sends them
	listeners   []net.Listener
	strays      atomic.Int64

	server  *http.Server
	serving sync.WaitGroup
	mu      sync.Mutex
	over    bool          // the awaited request has come
	once    sync.Once     // for the outcome
	decided chan struct{} // closed when the outcome is known
	outcome Outcome       // valid once decided is closed
	shown   chan struct{} // holds a value once a browser was given its page
}

// Listen binds the address of redirectURI; the empty string means
// http://127.0.0.1:0/callback, and port 0 a free port. The URI's host must be
// 127.0.0.1, ::1, localhost or a name below localhost; names listen on both
// families where both exist. Any other URI is an error that wraps
// [ErrNotLoopback]. A non-empty listen is the address to bind instead, for
// containers whose port is forwarded; only there may it be other than loopback.
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

// RedirectURI returns the URI as it was given to [Listen], with port 0 replaced
// by the port that was bound.
func (r *Receiver) RedirectURI() string { return r.redirectURI }

// Strays returns how many requests were not the awaited one so far.
func (r *Receiver) Strays() int { return int(r.strays.Load()) }

// Receive serves requests until accept returns nil for one, or an error that
// does not wrap [ErrStray], which is returned; or until ctx ends, whose error is
// returned. Accept runs for one request at a time and not again once the wait
// has ended.
//
// When Receive returns nil the browser is waiting for the outcome: the caller
// goes on with the login and then calls [Receiver.Finish] or [Receiver.Close].
// When it returns an error the port is free.
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

// Finish shows the outcome of the login in the browser and gives the port back.
// It waits at most a second for the browser to fetch the page, or until it has
// if it is waiting already. Only the first call has an effect.
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

// Close gives the port back. A browser that waits for the outcome is shown that
// the terminal has it. It is no error to close a Receiver twice.
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
		// The parameters must not stay in the address bar and the history (RFC 9700,
		// section 4.3), whatever they are.
		writeRedirect(w, r.pagePath())
	})
}

// decide has accept look at the parameters, once the awaited request came no more.
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

// refuse returns the reason and the status for a request that cannot be the
// browser's; a status of 0 lets it pass.
func (r *Receiver) refuse(req *http.Request) (Reason, int) {
	switch {
	case req.Host != r.host:
		// A name that resolves to this machine (DNS rebinding) is not ours.
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

// pagePath is where the browser is sent, below the redirect URI's path so that
// it cannot be that path itself.
func (r *Receiver) pagePath() string { return strings.TrimSuffix(r.path, "/") + "/done" }

// showOutcome holds the browser until the outcome is known, or shows after some
// seconds that the terminal will have it.
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
