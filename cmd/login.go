package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/loopback"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/session"
)

type loginOptions struct {
	clientOptions
	url         string
	scope       []string
	addScope    []string
	audience    []string
	resource    []string
	noResource  bool
	api         string
	redirectURI string
	listen      string
	browser     bool
	noBrowser   bool
	timeout     time.Duration
	param       []string
	prompt      string
	loginHint   string
	acrValues   []string
	maxAge      time.Duration // negative: not asked for
	keepIn      string
	print       string
}

func newLogin(env *Env) *cobra.Command {
	var o loginOptions
	cmd := &cobra.Command{
		Use: "login [URL]",
		Long: `Log in through the browser: authorization code with PKCE, the response received
on a loopback address. URL is an API, whose authorization server is found by
itself (RFC 9728), or an issuer. The profile remembers what was found, so that
later commands need no flags.

State, nonce, issuer (RFC 9207) and ID token are always checked; when a check
fails, nothing is stored.`,
		Example: `  oauthctl login https://api.example.com
  oauthctl login https://auth.example.com --client-id my-app --scope items:read
  oauthctl login --add-scope users:delete`,
		Args: upTo(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.url = args[0]
			}
			return runLogin(cmd.Context(), env, o)
		},
	}
	f := cmd.Flags()
	o.clientOptions.addFlags(f)
	f.StringArrayVar(&o.scope, "scope", nil, "ask for these scopes and no others (repeatable)")
	f.StringArrayVar(&o.addScope, "add-scope", nil, "ask for the session's scopes and these (repeatable)")
	f.StringArrayVar(&o.audience, "audience", nil, "ask for a token for this audience (repeatable)")
	f.StringArrayVar(&o.resource, "resource", nil, "ask for a token for this resource, RFC 8707 (repeatable)")
	f.BoolVar(&o.noResource, "no-resource", false, "send no resource parameter")
	f.StringVar(&o.api, "api", "", "the API's base `URL`, to which call appends paths")
	f.StringVar(&o.redirectURI, "redirect-uri", "", "the redirect `URI` as registered; port 0 means a free port\n(default http://127.0.0.1:0/callback)")
	f.StringVar(&o.listen, "listen", "", "listen on this `ADDRESS` instead of the redirect URI's")
	f.BoolVar(&o.browser, "browser", false, "open the browser even without a terminal")
	f.BoolVar(&o.noBrowser, "no-browser", false, "open no browser, only print the URL")
	f.DurationVar(&o.timeout, "login-timeout", 5*time.Minute, "wait this long for the login")
	f.StringArrayVar(&o.param, "param", nil, "add the parameter `NAME=VALUE` to the request (repeatable)")
	f.StringVar(&o.prompt, "prompt", "", "the prompt parameter, for instance login or consent")
	f.StringVar(&o.loginHint, "login-hint", "", "the user's name or address, for the server to fill in")
	f.StringArrayVar(&o.acrValues, "acr-values", nil, "ask for this authentication context (repeatable)")
	f.DurationVar(&o.maxAge, "max-age", -1, "ask for a login that is at most this old, 0s for a new one")
	f.StringVar(&o.keepIn, "store", "", "where the session is kept: auto, keyring, file or memory")
	f.StringVar(&o.print, "print", "", "print access_token, id_token or response on stdout")
	return cmd
}

// printable are the values of --print.
func printable() []string { return []string{"access_token", "id_token", "response"} }

func runLogin(ctx context.Context, env *Env, o loginOptions) error {
	if o.print != "" && !slices.Contains(printable(), o.print) {
		return usage("--print: expected %s, got %q", strings.Join(printable(), ", "), o.print)
	}
	r, err := env.resolve()
	if err != nil {
		return err
	}
	l := &login{env: env, loginOptions: o, profile: r}
	if l.http, err = env.client(); err != nil {
		return err
	}
	if l.opens, err = l.mayOpenBrowser(); err != nil {
		return err
	}
	if err := l.prepareStore(ctx); err != nil {
		return err
	}
	if err := l.findServer(ctx); err != nil {
		return err
	}
	// Bound before anything is asked of the server, so that nobody is sent to an
	// address at which nobody listens.
	receiver, err := loopback.Listen(cmp.Or(o.redirectURI, r.RedirectURI), o.listen)
	if err != nil {
		return usage("--redirect-uri: %w", err)
	}
	defer receiver.Close()
	if err := l.findClient(ctx, receiver.RedirectURI()); err != nil {
		return err
	}
	request, err := l.request(receiver.RedirectURI())
	if err != nil {
		return err
	}
	code, err := l.awaitCode(ctx, receiver, request)
	if err != nil {
		return err
	}
	return l.finish(ctx, request, code)
}

// prepareStore settles where the session will be kept before anybody spends time
// on a login that could not be.
func (l *login) prepareStore(ctx context.Context) error {
	l.profile.use("store", l.keepIn)
	store, err := l.env.store(l.profile.Store)
	if err != nil {
		return err
	}
	warning, err := store.Prepare(ctx)
	if warning != nil && l.profile.Store == string(session.Auto) {
		l.env.warn("%s", clean(warning.Error()))
	}
	l.store = store
	return err
}

// mayOpenBrowser says whether a browser is opened, or fails at once where nobody
// could log in at all.
func (l *login) mayOpenBrowser() (bool, error) {
	terminal := l.env.IsTerminal(l.env.Stderr)
	ci := l.env.Getenv("CI") != "" && l.env.Getenv("CI") != "false"
	switch {
	case l.noBrowser && (l.browser || !terminal && l.env.global.noInput):
		return false, usage("--no-browser: nobody could open the URL")
	case l.noBrowser:
		return false, nil
	case l.browser:
		return true, nil
	case terminal && !ci:
		return true, nil
	}
	return false, &diagnosis.Diagnosis{
		ID:   diagnosis.NoBrowser,
		Hint: "run it in a terminal; --browser opens one all the same, --no-browser prints the URL and waits",
	}
}

// request makes the authorization request from the flags and what was found.
func (l *login) request(redirectURI string) (*oauth.AuthorizationRequest, error) {
	extra := url.Values{}
	for _, p := range l.param {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return nil, usage("--param: expected NAME=VALUE, got %q", p)
		}
		extra.Add(name, value)
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
	return l.client.NewAuthorizationRequest(params)
}

// awaitCode sends the user to the server and waits for the code.
func (l *login) awaitCode(ctx context.Context, receiver *loopback.Receiver, request *oauth.AuthorizationRequest) (secret.String, error) {
	// Printed even with --quiet: without it nobody could go on.
	s := l.env.stderr()
	s.line("%s", s.strong("Log in here:"))
	s.line("%s", clean(request.URL()))
	waiting, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	var (
		code  secret.String
		wrong error
	)
	address := ""
	if l.opens {
		address = request.URL()
	}
	err := l.env.awaitBrowser(address, func() error {
		return receiver.Receive(waiting, func(values url.Values) error {
			var err error
			code, err = request.Code(values)
			if errors.Is(err, oauth.ErrState) {
				wrong = err
				return fmt.Errorf("%w: %w", loopback.ErrStray, err)
			}
			return err
		})
	})
	switch {
	case errors.Is(err, context.DeadlineExceeded) && wrong != nil:
		return secret.String{}, wrong
	case errors.Is(err, context.DeadlineExceeded):
		return secret.String{}, &diagnosis.Diagnosis{ID: diagnosis.LoginTimeout, Expected: "a login within " + span(l.timeout), Got: "none"}
	}
	return code, err
}

// awaitBrowser opens address, if it is not empty, and returns what receive
// returns. It does not wait for the browser: some launchers end only with it. A
// launcher that fails is a warning, since the URL was printed.
func (env *Env) awaitBrowser(address string, receive func() error) error {
	browsed, received := make(chan error, 1), make(chan error, 1)
	if address != "" {
		go func() { browsed <- env.Browse(address) }()
	}
	go func() { received <- receive() }()
	for {
		select {
		case err := <-received:
			return err
		case err := <-browsed:
			if err != nil {
				env.warn("no browser could be opened (%s); open the URL above yourself", clean(err.Error()))
			}
		}
	}
}
