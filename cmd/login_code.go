package cmd

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/loopback"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// loginByCode is the authorization code grant with PKCE (RFC 6749, section 4.1;
// RFC 8252).
func loginByCode(ctx context.Context, l *login) (*oauth.TokenResponse, oauth.IDTokenExpectation, error) {
	var none oauth.IDTokenExpectation
	// Bound before anything is asked of the server, so that nobody is sent to an
	// address at which nobody listens.
	receiver, err := loopback.Listen(cmp.Or(l.redirectURI, l.profile.RedirectURI), l.listen)
	if err != nil {
		return nil, none, usage("--redirect-uri: %w", err)
	}
	defer receiver.Close()
	if err := l.findClient(ctx, receiver.RedirectURI()); err != nil {
		return nil, none, err
	}
	request, err := l.request(ctx, receiver.RedirectURI())
	if err != nil {
		return nil, none, err
	}
	code, err := l.awaitCode(ctx, receiver, request)
	if err != nil {
		return nil, none, err
	}
	answer, err := l.client.Token(ctx, request.TokenRequest(code))
	return answer, request.IDTokenExpectation(), err
}

// mayOpenBrowser says whether a browser is opened, or fails at once where nobody
// could log in at all.
func (l *login) mayOpenBrowser() (bool, error) {
	terminal := l.env.IsTerminal(l.env.Stderr)
	ci := l.env.Getenv("CI") != "" && l.env.Getenv("CI") != "false"
	switch {
	case l.grant.name != grantCode:
		return false, nil
	case l.noBrowser && (l.browser || !terminal && l.env.global.noInput):
		return false, usage("--no-browser: nobody could open the URL")
	case l.noBrowser:
		return false, nil
	case l.browser:
		return true, nil
	case terminal && !ci:
		return l.env.hasBrowser(), nil
	}
	return false, &diagnosis.Diagnosis{
		ID: diagnosis.NoBrowser,
		Hint: "`oauthctl login --device` needs no browser here; in a terminal the redirect URL can be pasted; " +
			"with --no-browser and `ssh -L PORT:127.0.0.1:PORT` any browser will do",
	}
}

// hasBrowser reports whether there is a screen for a browser to open on. Without
// one, some launchers would take over the terminal.
func (env *Env) hasBrowser() bool {
	if !runtimeHasXDG {
		return true
	}
	for _, name := range []string{"BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"} {
		if env.Getenv(name) != "" {
			return true
		}
	}
	return false
}

// request makes the authorization request from the flags and what was found, and
// pushes it to the server where it wants or the user asks that (RFC 9126).
func (l *login) request(ctx context.Context, redirectURI string) (*oauth.AuthorizationRequest, error) {
	extra, err := l.extra()
	if err != nil {
		return nil, err
	}
	params := oauth.AuthorizationParams{
		RedirectURI: redirectURI,
		Scope:       l.scopes,
		Audience:    l.audiences,
		Resource:    l.resources,
		Prompt:      l.prompt,
		LoginHint:   l.loginHint,
		ACRValues:   l.acrValues,
		Extra:       extra,
	}
	if l.maxAge >= 0 {
		params.MaxAge = &l.maxAge
	}
	request, err := l.client.NewAuthorizationRequest(params)
	if err != nil {
		return nil, err
	}
	if !request.PKCEAnnounced() && l.client.Server.Issuer != "" {
		l.env.warn("the server does not say that it supports PKCE; it is used all the same")
	}
	if l.par || l.client.Server.RequirePushedAuthorizationRequests {
		err = l.client.Push(ctx, request)
	}
	return request, err
}

// awaitCode sends the user to the server and waits for the code.
func (l *login) awaitCode(ctx context.Context, receiver *loopback.Receiver, request *oauth.AuthorizationRequest) (secret.String, error) {
	l.showURL(receiver, request.URL())
	waiting, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	var (
		mu    sync.Mutex
		code  secret.String
		wrong error
	)
	judge := func(values url.Values) error {
		mu.Lock()
		defer mu.Unlock()
		if !code.IsZero() {
			return loopback.ErrStray
		}
		var err error
		code, err = request.Code(values)
		if errors.Is(err, oauth.ErrState) {
			wrong = err
			return fmt.Errorf("%w: %w", loopback.ErrStray, err)
		}
		return err
	}
	address := ""
	if l.opens {
		address = request.URL()
	}
	err := l.env.awaitBrowser(arrival{
		address: address,
		receive: func() error { return receiver.Receive(waiting, judge) },
		lines:   l.pasteable(waiting),
		pasted:  func(line string) error { return l.pasted(line, receiver.RedirectURI(), judge) },
	})
	switch {
	case errors.Is(err, context.DeadlineExceeded) && wrong != nil:
		return secret.String{}, wrong
	case errors.Is(err, context.DeadlineExceeded):
		return secret.String{}, cmp.Or[error](l.refusedThere(ctx, request), loginTimeout(l.timeout))
	}
	return code, err
}

// showURL is printed even with --quiet: without it nobody could go on.
func (l *login) showURL(receiver *loopback.Receiver, address string) {
	s := l.env.stderr()
	s.line("%s", s.strong("Log in here:"))
	s.line("%s", clean(address))
	// The server's address as the other side of the connection knows it.
	if ssh := strings.Fields(l.env.Getenv("SSH_CONNECTION")); len(ssh) == 4 && !l.opens && l.listen == "" {
		u, err := url.Parse(receiver.RedirectURI())
		if err == nil {
			s.line("To use the browser of the machine you came from, run there: %s", s.name(clean("ssh -N -L "+u.Port()+":127.0.0.1:"+u.Port()+" "+ssh[2])))
		}
	}
	if l.mayPaste() {
		s.line("%s", s.faint("If the browser cannot come back here, paste the address that it ended at."))
	}
}

// mayPaste reports whether somebody at a terminal may paste the redirect URL.
func (l *login) mayPaste() bool {
	return l.env.IsTerminal(l.env.Stdin) && l.env.IsTerminal(l.env.Stderr) && !l.env.global.noInput && l.secretFile != "-"
}

// refusedThere looks, once nothing has come back in time, whether the server
// refuses the request itself. It then tells only the browser (RFC 6749, section
// 4.1.2.1), as it must for a redirect URI that is not registered.
func (l *login) refusedThere(ctx context.Context, request *oauth.AuthorizationRequest) error {
	if request.Pushed() {
		return nil // the server has looked at it, and takes it once
	}
	res, err := l.http.Get(ctx, request.URL(), "text/html", 1<<20)
	if err != nil || res.Status < 400 || res.Status >= 500 {
		return nil
	}
	return &diagnosis.Diagnosis{
		ID: diagnosis.RedirectMismatch, Expected: diagnosis.Values{fmt.Sprintf("client %.100q with the redirect URI %s", l.client.ID, request.RedirectURI)},
		Got: diagnosis.Values{fmt.Sprintf("%d from the authorization endpoint", res.Status)},
	}
}

const maxPasted = 64 << 10

// pasteable returns the lines that are typed while the login waits, nil where
// nobody may paste. It is closed when there can be no more.
func (l *login) pasteable(ctx context.Context) <-chan string {
	if !l.mayPaste() {
		return nil
	}
	neverStop()
	lines := make(chan string)
	go func() {
		defer close(lines)
		typed := bufio.NewScanner(l.env.Stdin)
		typed.Buffer(nil, maxPasted)
		for typed.Scan() {
			select {
			case lines <- strings.TrimSpace(typed.Text()):
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}

// pasted judges a line as the browser's request is judged, and returns an error
// that wraps [loopback.ErrStray] while the wait goes on.
func (l *login) pasted(line, redirectURI string, judge func(url.Values) error) error {
	if line == "" {
		return loopback.ErrStray
	}
	address, query, _ := strings.Cut(line, "?")
	values, err := url.ParseQuery(query)
	if address != redirectURI || err != nil {
		l.env.warn("expected the whole address, beginning with %s?", clean(redirectURI))
		return loopback.ErrStray
	}
	if err = judge(values); errors.Is(err, loopback.ErrStray) {
		l.env.warn("that address belongs to another login; paste the one that the URL above led to")
	}
	return err
}

func loginTimeout(limit time.Duration) error {
	return &diagnosis.Diagnosis{ID: diagnosis.LoginTimeout, Expected: diagnosis.Values{"a login within " + span(limit)}, Got: diagnosis.None}
}

// arrival is how the redirect of a login may come.
type arrival struct {
	address string       // what to open in the browser, "" for nothing
	receive func() error // returns when the redirect has come, or cannot any more
	lines   <-chan string
	pasted  func(line string) error // judges a line; loopback.ErrStray: not the one
}

// awaitBrowser opens the address and returns the verdict on what arrives first.
// It does not wait for the browser: some launchers end only with it. A launcher
// that fails is a warning, since the URL was printed.
func (env *Env) awaitBrowser(a arrival) error {
	browsed, received := make(chan error, 1), make(chan error, 1)
	if a.address != "" {
		go func() { browsed <- env.Browse(a.address) }()
	}
	go func() { received <- a.receive() }()
	for {
		select {
		case err := <-received:
			return err
		case line, ok := <-a.lines:
			if !ok {
				a.lines = nil // nobody can paste any more; the browser may still come
			} else if err := a.pasted(line); !errors.Is(err, loopback.ErrStray) {
				return err
			}
		case err := <-browsed:
			if err != nil {
				env.warn("no browser could be opened (%s); open the URL above yourself", clean(err.Error()))
			}
		}
	}
}
