package cmd

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/oauth"
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
	grantType   string
	device      bool
	par         bool
	dpop        bool
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
fails, nothing is stored.

Where no browser is at hand: --device shows a code to enter on another device
(RFC 8628); on a terminal the address that the browser ended at can be pasted;
over SSH the line that forwards the port is shown. A program that acts for
itself uses --grant-type client_credentials.`,
		Example: `  oauthctl login https://api.example.com
  oauthctl login https://auth.example.com --client-id my-app --scope items:read
  oauthctl login --add-scope users:delete
  oauthctl login https://api.example.com --device`,
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
	f.Lookup("max-age").DefValue = "0s" // which help leaves out, as it should what "not asked for" is held as
	f.StringVar(&o.keepIn, "store", "", "where the session is kept: auto, keyring, file or memory")
	f.StringVar(&o.grantType, "grant-type", "", "get the token by authorization_code (default), device_code or client_credentials")
	f.BoolVar(&o.device, "device", false, "log in on another device this time, as --grant-type device_code does")
	f.BoolVar(&o.par, "par", false, "push the request to the server beforehand, RFC 9126")
	f.BoolVar(&o.dpop, "dpop", false, "bind the tokens to a key of this session, RFC 9449")
	f.StringVar(&o.print, "print", "", "print access_token, id_token or response on stdout")
	return cmd
}

// printable are the values of --print.
func printable() []string { return []string{"access_token", "id_token", "response"} }

// loginGrant is a row of the table of the ways in which a login gets its tokens.
// obtain asks the user or the server, and returns what the ID token has to say.
type loginGrant struct {
	name   string
	obtain func(context.Context, *login) (*oauth.TokenResponse, oauth.IDTokenExpectation, error)
}

// loginGrants returns the table. A new grant is one file and one row here.
func loginGrants() []loginGrant {
	return []loginGrant{
		{grantCode, loginByCode},
		{grantDevice, loginByDevice},
		{grantClient, loginByClient},
	}
}

// chooseGrant settles how the tokens are got: --device for this time, otherwise
// --grant-type or the profile, otherwise the browser.
func (l *login) chooseGrant() error {
	l.profile.use("grant_type", l.grantType)
	name := cmp.Or(l.profile.GrantType, grantCode)
	if l.device {
		if l.grantType != "" && l.grantType != grantDevice {
			return usage("--device: not with --grant-type %s", l.grantType)
		}
		name = grantDevice
	}
	for _, g := range loginGrants() {
		if g.name == name {
			l.grant = g
			return l.fits(name)
		}
	}
	return usage("grant_type: expected %s, %s or %s, got %q", grantCode, grantDevice, grantClient, name)
}

// fits refuses flags that the grant could only ignore.
func (l *login) fits(grant string) error {
	if grant == grantCode {
		return nil
	}
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"--par", l.par},
		{"--prompt", l.prompt != ""},
		{"--login-hint", l.loginHint != ""},
		{"--acr-values", l.acrValues != nil},
		{"--max-age", l.maxAge >= 0},
		{"--redirect-uri", l.redirectURI != ""},
		{"--listen", l.listen != ""},
		{"--browser", l.browser},
	} {
		if f.given {
			return usage("%s: only with --grant-type %s, not with %s", f.name, grantCode, grant)
		}
	}
	return nil
}

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
	if err := l.chooseGrant(); err != nil {
		return err
	}
	// Looked at first, so that a login that cannot be fails at once.
	if l.opens, err = l.mayOpenBrowser(); err != nil {
		return err
	}
	if err := l.prepareStore(ctx); err != nil {
		return err
	}
	if err := l.findServer(ctx); err != nil {
		return err
	}
	if err := l.bindKey(); err != nil {
		return err
	}
	answer, expected, err := l.grant.obtain(ctx, l)
	if err != nil {
		return err
	}
	return l.finish(ctx, answer, expected)
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

// extra reads --param.
func (l *login) extra() (url.Values, error) {
	extra := url.Values{}
	for _, p := range l.param {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return nil, usage("--param: expected NAME=VALUE, got %q", p)
		}
		extra.Add(name, value)
	}
	return extra, nil
}
