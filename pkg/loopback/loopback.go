// Package loopback listens on the loopback interface for the one request that a
// browser makes at the end of a login, and hands back its parameters
// (RFC 8252, section 7.3).
//
// Start with [Listen], show [Receiver.RedirectURI] to the authorization server,
// then call [Receiver.Receive]. The package knows no OAuth: the caller's judge
// says which request is the awaited one. What is not for us (another path, a
// foreign Host, a cross-site POST) never reaches the judge.
package loopback

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const defaultRedirectURI = "http://127.0.0.1:0/callback"

// ErrStray is what a judge's error wraps when a request is not the awaited one:
// it is answered with 400 and the wait goes on.
var ErrStray = errors.New("not the awaited request")

// Receiver waits for the awaited request. It is bound from [Listen] on, so the
// redirect URI can be shown before anybody waits.
type Receiver struct {
	redirectURI *url.URL
	listeners   []net.Listener
	strays      atomic.Int64
}

// Listen binds the address of redirectURI; the empty string means
// http://127.0.0.1:0/callback, and port 0 a free port. The URI's host must be
// 127.0.0.1, ::1 or localhost; localhost listens on both families where both
// exist. A non-empty listen is the address to bind instead, for containers
// whose port is forwarded; only there may it be other than loopback.
func Listen(redirectURI, listen string) (*Receiver, error) {
	if redirectURI == "" {
		redirectURI = defaultRedirectURI
	}
	hosts := []string{"127.0.0.1", "::1", "localhost"}
	u, err := url.Parse(redirectURI)
	if err != nil || u.Scheme != "http" || !slices.Contains(hosts, u.Hostname()) || u.User != nil || u.Fragment != "" || u.RawQuery != "" {
		return nil, fmt.Errorf("loopback: expected a redirect URI such as http://127.0.0.1:0/callback, got %q", redirectURI)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	r := &Receiver{redirectURI: u}
	switch {
	case listen != "":
		err = r.bind("tcp", listen)
	case u.Hostname() == "localhost":
		err = r.bindBoth(port)
	default:
		err = r.bind("tcp", net.JoinHostPort(u.Hostname(), port))
	}
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("loopback: cannot listen: %w", err)
	}
	if port == "0" {
		u.Host = net.JoinHostPort(u.Hostname(), r.port())
	}
	return r, nil
}

func (r *Receiver) bind(network, address string) error {
	l, err := net.Listen(network, address)
	if err == nil {
		r.listeners = append(r.listeners, l)
	}
	return err
}

// bindBoth binds one port on 127.0.0.1 and on ::1, since a browser may resolve
// localhost to either. A machine without IPv6 listens on IPv4 alone; a port
// that somebody else holds on ::1 would hand them the code.
func (r *Receiver) bindBoth(port string) error {
	for tries := 10; ; tries-- {
		if err := r.bind("tcp4", net.JoinHostPort("127.0.0.1", port)); err != nil {
			return err
		}
		err := r.bind("tcp6", net.JoinHostPort("::1", r.port()))
		if err == nil || !hasIPv6() {
			return nil
		}
		if port != "0" || tries == 0 {
			return err
		}
		// Free on one family only; another free port may be so on both.
		r.Close()
		r.listeners = nil
	}
}

func hasIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	l.Close()
	return true
}

func (r *Receiver) port() string {
	return strconv.Itoa(r.listeners[0].Addr().(*net.TCPAddr).Port)
}

// RedirectURI returns the URI with the port that was bound.
func (r *Receiver) RedirectURI() string { return r.redirectURI.String() }

// Strays returns how many requests were not the awaited one so far.
func (r *Receiver) Strays() int { return int(r.strays.Load()) }

// Close gives the port back. [Receiver.Receive] does so by itself.
func (r *Receiver) Close() error {
	var first error
	for _, l := range r.listeners {
		if err := l.Close(); err != nil && first == nil && !errors.Is(err, net.ErrClosed) {
			first = err
		}
	}
	return first
}

// Receive serves requests until judge accepts one by returning nil, or ends the
// wait with an error that does not wrap [ErrStray], which is returned; or until
// ctx ends, whose error is returned. When it returns, the page has been written
// to the browser and the port is free. Judge runs for one request at a time and
// not again once the wait has ended.
func (r *Receiver) Receive(ctx context.Context, judge func(url.Values) error) error {
	verdict := make(chan error, 1)
	server := &http.Server{
		Handler:           r.handler(judge, verdict),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      5 * time.Second,
		MaxHeaderBytes:    64 << 10,
	}
	server.SetKeepAlivesEnabled(false)
	var serving sync.WaitGroup
	for _, l := range r.listeners {
		serving.Go(func() { _ = server.Serve(l) })
	}
	var err error
	select {
	case err = <-verdict:
		// The answer is on its way; nobody is made to wait longer for a browser
		// that does not read.
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = server.Shutdown(grace)
	case <-ctx.Done():
		err = fmt.Errorf("loopback: %w", ctx.Err())
	}
	server.Close()
	serving.Wait()
	return err
}

func (r *Receiver) handler(judge func(url.Values) error, verdict chan<- error) http.Handler {
	var (
		mu   sync.Mutex
		over bool
	)
	decide := func(values url.Values) (page, int) {
		mu.Lock()
		defer mu.Unlock()
		if over {
			return alreadyPage, http.StatusBadRequest
		}
		err := judge(values)
		if errors.Is(err, ErrStray) {
			r.strays.Add(1)
			return strayPage, http.StatusBadRequest
		}
		over = true
		verdict <- err
		if err != nil {
			return failedPage, http.StatusBadRequest
		}
		return donePage, http.StatusOK
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if status := r.refuse(req); status != 0 {
			r.strays.Add(1)
			strayPage.write(w, status)
			return
		}
		values, err := url.ParseQuery(req.URL.RawQuery)
		if err != nil {
			r.strays.Add(1)
			strayPage.write(w, http.StatusBadRequest)
			return
		}
		p, status := decide(values)
		p.write(w, status)
	})
}

// refuse returns the status for a request that cannot be the browser's, or 0.
func (r *Receiver) refuse(req *http.Request) int {
	switch {
	case req.Host != r.redirectURI.Host && !(r.redirectURI.Port() == "80" && req.Host == r.redirectURI.Hostname()):
		// A name that resolves to this machine (DNS rebinding) is not ours.
		return http.StatusMisdirectedRequest
	case req.URL.Path != r.redirectURI.Path:
		return http.StatusNotFound
	case req.Method != http.MethodGet:
		return http.StatusMethodNotAllowed
	}
	return 0
}
