package account

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/loopback"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// errForgotten means that the server no longer knows the registered client.
var errForgotten = errors.New("account: the server forgot the client")

// loginByCode uses the authorization code grant with PKCE (RFC 6749, section
// 4.1; RFC 8252). If the server no longer knows the registered client, it is
// registered again, once.
func loginByCode(ctx context.Context, l *login, want wanted) (authorized, error) {
	got, err := l.authorize(ctx, want)
	if errors.Is(err, errForgotten) {
		if err := l.forgetClient(ctx); err != nil {
			return authorized{}, err
		}
		got, err = l.authorize(ctx, want)
	}
	return got, err
}

// forgetClient makes the next attempt register a client.
func (l *login) forgetClient(ctx context.Context) error {
	l.again = true
	return l.store.DeleteRegistration(ctx, l.profile.Name())
}

// authorize makes one attempt.
func (l *login) authorize(ctx context.Context, want wanted) (authorized, error) {
	// Listening starts before the first request, so that the user is never sent
	// to an address without a listener.
	back, registered, err := l.listen(ctx, want.server)
	if err != nil {
		return authorized{}, err
	}
	got := authorized{receiver: back.receiver}
	reused := registered != nil
	if got.client, err = l.client(ctx, want, back.uri, registered); err != nil {
		back.close()
		return authorized{}, err
	}
	request, err := l.request(ctx, want, got.client, back.uri)
	if err != nil {
		back.close()
		return authorized{}, forgotten(err, reused)
	}
	got.request = request
	l.observe(Step{Name: Requested, Client: got.client, Request: request})
	code, err := l.awaitCode(ctx, back, request, got.client, reused)
	if err != nil {
		back.close()
		return authorized{}, forgotten(err, reused)
	}
	l.observe(Step{Name: Answered, Client: got.client, Request: request, Code: code})
	got.expected = request.IDTokenExpectation()
	got.response, err = got.client.Token(ctx, request.TokenRequest(code))
	if err != nil {
		got.show(loopback.Failed)
		return authorized{}, forgotten(err, reused)
	}
	l.observe(Step{Name: Obtained, Client: got.client, Request: request, Code: code, Response: got.response})
	return got, nil
}

// forgotten wraps a refusal that may mean that the server no longer knows the
// registered client. Servers use several error codes for it; one more
// registration does little harm.
func forgotten(err error, reused bool) error {
	var refused *oauth.Error
	if !reused || !errors.As(err, &refused) {
		return err
	}
	switch refused.Code {
	case "invalid_client", "unauthorized_client", "invalid_client_id", "invalid_redirect_uri", "redirect_uri_mismatch":
		return errForgotten
	case "invalid_request", "invalid_grant":
		// At the token endpoint, invalid_request is about the request itself.
		if refused.Code == "invalid_grant" || refused.Request.Endpoint != oauth.TokenEndpoint {
			return errForgotten
		}
	case "":
		if refused.Status == http.StatusUnauthorized || refused.Status == http.StatusNotFound {
			return errForgotten
		}
	}
	return err
}

// callback receives the response: with a listener on this machine or, for any
// other redirect URI, only by pasting.
type callback struct {
	uri      string
	receiver *loopback.Receiver // nil where the answer has to be pasted
}

func (c callback) close() {
	if c.receiver != nil {
		c.receiver.Close()
	}
}

// receive waits for the browser, or until the context ends if no browser can
// connect.
func (c callback) receive(ctx context.Context, accept func(url.Values) error, strays chan<- loopback.Stray) error {
	if c.receiver == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	c.receiver.OnStray = func(s loopback.Stray) {
		select {
		case strays <- s:
		default: // enough were reported
		}
	}
	return c.receiver.Receive(ctx, accept)
}

// request creates the authorization request, and pushes it if the server
// requires it or it was requested (RFC 9126).
func (l *login) request(ctx context.Context, want wanted, client *oauth.Client, redirectURI string) (*oauth.AuthorizationRequest, error) {
	o := l.options
	request, err := client.NewAuthorizationRequest(oauth.AuthorizationParams{
		RedirectURI: redirectURI,
		Scope:       want.scopes,
		Audience:    want.audiences,
		Resource:    want.resources,
		Prompt:      o.Prompt,
		LoginHint:   o.LoginHint,
		ACRValues:   o.ACRValues,
		MaxAge:      o.MaxAge,
		Extra:       want.params,
	})
	if err != nil {
		return nil, err
	}
	if !request.PKCEAnnounced() && want.server.Issuer != "" {
		l.ui.Warn(&diagnosis.Diagnosis{ID: diagnosis.PKCENotAnnounced})
	}
	if o.PAR || want.server.RequirePushedAuthorizationRequests {
		err = client.Push(ctx, request)
	}
	return request, err
}

// lookAfter is the delay before the authorization page is checked for a client
// that an earlier run registered. A server that no longer knows the client
// shows the error only in the browser (RFC 6749, section 4.1.2.1).
const lookAfter = 2 * time.Second

// awaitCode sends the user to the server and waits for the code.
func (l *login) awaitCode(ctx context.Context, back callback, request *oauth.AuthorizationRequest, client *oauth.Client, reused bool) (secret.String, error) {
	l.ui.ShowURL(request.URL(), back.uri)
	waiting, cancel := context.WithTimeoutCause(ctx, l.options.Timeout, context.DeadlineExceeded)
	defer cancel()
	accepting := &acceptor{request: request}
	lost := make(chan struct{})
	if reused && !request.Pushed() {
		go func() {
			if safehttp.Pause(waiting, lookAfter) == nil && l.look(waiting, request).forgot() {
				close(lost)
			}
		}()
	}
	err := l.awaitBrowser(waiting, back, request.URL(), accepting, lost)
	switch {
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		if stray := accepting.stray(); stray != nil {
			return secret.String{}, stray
		}
		return secret.String{}, l.look(ctx, request).explain(client, request, l.options.Timeout)
	case err != nil:
		return secret.String{}, err
	}
	return accepting.taken(), nil
}

// acceptor accepts the first response to a request.
type acceptor struct {
	request *oauth.AuthorizationRequest

	mu    sync.Mutex
	code  secret.String
	wrong error // error of the last request that was not accepted
}

// accept checks the parameters of a redirect. After an error that wraps
// [loopback.ErrStray], the login continues to wait.
func (a *acceptor) accept(values url.Values) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.code.IsZero() {
		return loopback.ErrStray
	}
	var err error
	a.code, err = a.request.Code(values)
	if errors.Is(err, oauth.ErrState) {
		a.wrong = err
		return fmt.Errorf("%w: %w", loopback.ErrStray, err)
	}
	return err
}

func (a *acceptor) taken() secret.String {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.code
}

func (a *acceptor) stray() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.wrong
}

// awaitBrowser opens the URL and returns the result of the first response, from
// the receiver or pasted. It does not wait for the browser, because some
// launchers run until the browser is closed.
func (l *login) awaitBrowser(ctx context.Context, back callback, address string, a *acceptor, lost <-chan struct{}) error {
	browsed, received, strays := make(chan error, 1), make(chan error, 1), make(chan loopback.Stray, 8)
	reported := map[string]bool{}
	if l.options.OpenBrowser {
		go func() { browsed <- l.ui.OpenBrowser(address) }()
	}
	go func() { received <- back.receive(ctx, a.accept, strays) }()
	lines, typed := l.lines(ctx), pasting{}
	for {
		select {
		case err := <-received:
			return err
		case line, ok := <-lines:
			switch {
			case !ok && back.receiver == nil:
				return &diagnosis.Diagnosis{ID: diagnosis.RedirectUnusable, Expected: diagnosis.Values{"a terminal to paste the response into"}, Got: diagnosis.Values{back.uri}}
			case !ok:
				lines = nil // end of input; the browser may still respond
			default:
				if err := l.pasted(&typed, line, back.uri, a); !errors.Is(err, loopback.ErrStray) {
					return err
				}
			}
		case stray := <-strays:
			// Once for each kind, so that repeated requests cause only one warning.
			if text := ignoredBecause(stray); !reported[text] {
				reported[text] = true
				l.ui.Warn(&diagnosis.Diagnosis{ID: diagnosis.CallbackIgnored, Got: diagnosis.Values{text}})
			}
		case err := <-browsed:
			if err != nil {
				l.ui.Warn(&diagnosis.Diagnosis{ID: diagnosis.BrowserFailed, Err: err})
			}
		case <-lost:
			return errForgotten
		}
	}
}

// ignoredBecause describes why a request at the redirect URI was ignored.
func ignoredBecause(s loopback.Stray) string {
	switch s.Reason {
	case loopback.Posted:
		return "a POST, as response_mode form_post sends"
	case loopback.NoParameters:
		return "a request without parameters; a response in the fragment is not sent to this machine"
	case loopback.ForeignHost:
		return "a request for another host name"
	}
	var state *oauth.StateError
	if !errors.As(s.Err, &state) {
		return "a second response"
	}
	what := "parameters"
	if state.Code != "" {
		what = "error=" + diagnosis.Shorten(state.Code, 60)
	}
	if state.Missing {
		return what + " without state"
	}
	return what + " with the state of another login"
}

// lines returns the lines that the user enters while the login waits.
func (l *login) lines(ctx context.Context) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for {
			line, err := l.ui.ReadLine()
			if err != nil {
				return
			}
			select {
			case lines <- line:
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}

// redirectURI returns the redirect URI in the profile, or "" if any is allowed.
func (l *login) redirectURI() string { return l.profile.Get(profile.RedirectURI) }
