package cmd

import (
	"cmp"
	"context"
	"maps"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

type loginOptions struct {
	clientOptions
	url              string
	scope            []string
	addScope         []string
	audience         []string
	resource         []string
	noResource       bool
	api              string
	redirectURI      string
	listen           string
	browser          bool
	noBrowser        bool
	timeout          time.Duration
	param            []string
	prompt           string
	loginHint        string
	acrValues        []string
	maxAge           time.Duration // negative: not requested
	keepIn           string
	report           string
	print            string
	grantType        string
	device           bool
	par              bool
	dpop             bool
	asserted         string
	subjectToken     string
	subjectTokenType string
	provider         string
}

func newLogin(env *Env) *cobra.Command {
	var o loginOptions
	cmd := &cobra.Command{
		Use: "login [URL]",
		Long: `Log in with the browser, by the authorization code grant with PKCE. The response
is received on a loopback address. URL is an issuer, or an API whose
authorization server is discovered (RFC 9728). The settings are stored in the
profile, so that later commands need no flags.

State, nonce, issuer (RFC 9207) and ID token are always checked. If a check
fails, nothing is stored.

If there is no browser on this machine, --device shows a code to enter on
another device (RFC 8628). On a terminal you can also paste the address that the
browser shows at the end. Over SSH, login prints the command that forwards the
port.

A program that acts without a user logs in with --grant-type client_credentials.`,
		Example: `  # Log in to an API; its authorization server is discovered
  oauthctl login https://api.example.com

  # Log in at an issuer with a registered client
  oauthctl login https://auth.example.com --client-id my-app --scope items:read

  # Add a scope to those of the session
  oauthctl login --add-scope users:delete

  # Log in on another device
  oauthctl login https://api.example.com --device

  # Get a token for a program, without a user
  oauthctl login https://auth.example.com --grant-type client_credentials \
    --client-id service --client-secret-file secret.txt --scope items:read`,
		Args: upTo(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.url = args[0]
			}
			return env.reporting(o.report, cmd, func() error { return runLogin(cmd.Context(), env, o) })
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func (o *loginOptions) addFlags(f *pflag.FlagSet) {
	addGroup(f, "Common flags", o.addCommonFlags)
	addGroup(f, "Client flags", o.clientOptions.addFlags)
	addGroup(f, "Request flags", o.addRequestFlags)
	addGroup(f, "Flags for a login without a browser here", o.addBrowserFlags)
}

func (o *loginOptions) addCommonFlags(f *pflag.FlagSet) {
	f.StringArrayVar(&o.scope, "scope", nil, "request this `SCOPE`, and no others (repeatable)")
	f.StringArrayVar(&o.addScope, "add-scope", nil, "request this `SCOPE` and those of the session (repeatable)")
	f.StringArrayVar(&o.audience, "audience", nil, "request a token for this `AUDIENCE` (repeatable)")
	f.StringVar(&o.provider, "provider", "", "`PROVIDER`: log in at keycloak, auth0, okta, entra, google, github, gitlab or cognito")
	f.StringVar(&o.api, "api", "", "base `URL` of the API, to which call appends paths")
	oneOf(f, &o.keepIn, "store", account.Choices(profile.StoreKind), "`STORE`: where to store the session: auto (default), keyring, file or memory")
	f.BoolVar(&o.dpop, "dpop", false, "bind the tokens to a key of this session (RFC 9449)")
	oneOf(f, &o.print, "print", []string{"access_token", "id_token", "response"}, "`WHAT`: print access_token, id_token or response to stdout")
	f.StringVar(&o.report, "report", "", "write the requests and responses to `FILE` for a bug report, with labels instead of secrets")
}

func (o *loginOptions) addRequestFlags(f *pflag.FlagSet) {
	f.StringVar(&o.redirectURI, "redirect-uri", "", "redirect `URI` as registered; port 0 means a free port (default http://127.0.0.1:0/callback)")
	f.StringArrayVar(&o.resource, "resource", nil, "request a token for the resource with this `URL` (RFC 8707; repeatable)")
	f.BoolVar(&o.noResource, "no-resource", false, "send no resource parameter")
	f.StringVar(&o.prompt, "prompt", "", "`PROMPT`: prompt parameter, such as login or consent")
	f.StringVar(&o.loginHint, "login-hint", "", "`USER`: name or address of the user, for the server to fill in")
	f.StringArrayVar(&o.acrValues, "acr-values", nil, "request the authentication context `ACR` (repeatable)")
	f.DurationVar(&o.maxAge, "max-age", -1, "require an authentication no older than this; 0s forces a new one")
	f.Lookup("max-age").DefValue = "0s" // help omits this default; the real one, -1, means "not requested"
	f.StringArrayVar(&o.param, "param", nil, "add the parameter `NAME=VALUE` to the request (repeatable)")
	f.BoolVar(&o.par, "par", false, "use pushed authorization requests (RFC 9126)")
}

func (o *loginOptions) addBrowserFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.device, "device", false, "log in on another device this time, like --grant-type device_code")
	oneOf(f, &o.grantType, "grant-type", account.Choices(profile.GrantType), "`GRANT`: get the token by authorization_code (default), device_code, client_credentials, jwt-bearer or token-exchange")
	f.StringVar(&o.asserted, "assertion", "", "`TOKEN`: the JWT for --grant-type jwt-bearer: ci:github, ci:gitlab:NAME or @FILE")
	f.StringVar(&o.subjectToken, "subject-token", "", "`TOKEN`: the token for --grant-type token-exchange: ci:github, ci:gitlab:NAME or @FILE")
	f.StringVar(&o.subjectTokenType, "subject-token-type", "", "`TYPE` of the subject token: access_token, id_token, jwt or a URI (default access_token; jwt for the token of a CI job)")
	f.BoolVar(&o.noBrowser, "no-browser", false, "open no browser, only print the URL")
	f.BoolVar(&o.browser, "browser", false, "open the browser even without a terminal")
	f.StringVar(&o.listen, "listen", "", "listen on this `ADDRESS` instead of the redirect URI's")
	f.DurationVar(&o.timeout, "login-timeout", 5*time.Minute, "maximum wait for the login")
}

// grant returns the grant of the flags, or "" for the one of the profile.
func (o *loginOptions) grant() (string, error) {
	switch {
	case o.device && o.grantType != "" && o.grantType != account.GrantDeviceCode:
		return "", usage("--device cannot be combined with --grant-type %s", o.grantType)
	case o.device:
		return account.GrantDeviceCode, nil
	}
	return o.grantType, nil
}

// presented returns the settings for --assertion and --subject-token. The profile
// stores where the token is read from, not the token, because each refresh needs a
// new one.
func (o *loginOptions) presented() (profile.Values, error) {
	values := profile.Values{profile.SubjectTokenType: o.subjectTokenType}
	if o.subjectTokenType != "" && o.subjectToken == "" {
		return nil, usage("--subject-token-type: only with --subject-token")
	}
	for _, f := range []struct {
		name, value, grant string
		key                profile.Key
	}{
		{"--assertion", o.asserted, account.GrantJWTBearer, profile.Assertion},
		{"--subject-token", o.subjectToken, account.GrantTokenExchange, profile.SubjectToken},
	} {
		row, _ := profile.Lookup(f.key)
		path, isFile := strings.CutPrefix(f.value, "@")
		switch {
		case f.value != "" && o.grantType != f.grant:
			return nil, usage("%s: only with --grant-type %s", f.name, f.grant)
		case isFile:
			values[f.key] = "@" + absolute(path)
		case row.Holds(f.value):
			values[f.key] = f.value
		default:
			return nil, usage("%s: expected %s, so that a new one can be read for each token", f.name, row.Form())
		}
	}
	return values, nil
}

// fits returns an error for a flag that has no effect with the grant.
func (o *loginOptions) fits(grant string) error {
	if grant == account.GrantAuthorizationCode {
		return nil
	}
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"--par", o.par},
		{"--prompt", o.prompt != ""},
		{"--login-hint", o.loginHint != ""},
		{"--acr-values", o.acrValues != nil},
		{"--max-age", o.maxAge >= 0},
		{"--redirect-uri", o.redirectURI != ""},
		{"--listen", o.listen != ""},
		{"--browser", o.browser},
	} {
		if f.given {
			return usage("%s: only with --grant-type %s, not with %s", f.name, account.GrantAuthorizationCode, grant)
		}
	}
	return nil
}

func runLogin(ctx context.Context, env *Env, o loginOptions) error {
	if o.print != "" && env.global.wantsJSON() {
		return usage("--print cannot be combined with --json or --jq")
	}
	p, err := env.anyProfile()
	if err != nil {
		return err
	}
	given, once, err := o.clientOptions.given(env)
	if err != nil {
		return err
	}
	given[profile.StoreKind], given[profile.GrantType], given[profile.Provider] = o.keepIn, o.grantType, o.provider
	presented, err := o.presented()
	if err != nil {
		return err
	}
	maps.Copy(given, presented)
	p = p.With(profile.Flag, given)
	options, err := o.options()
	if err != nil {
		return err
	}
	// Check this first, so that a login that cannot succeed fails immediately.
	options.GrantType = cmp.Or(options.GrantType, p.Get(profile.GrantType), account.GrantAuthorizationCode)
	if err := o.fits(options.GrantType); err != nil {
		return err
	}
	if options.OpenBrowser, err = o.mayOpenBrowser(env, options.GrantType); err != nil {
		return err
	}
	a, err := env.account(p, once)
	if err != nil {
		return err
	}
	ui := &loginUI{env: env, opens: options.OpenBrowser, listen: o.listen}
	ui.paste = env.IsTerminal(env.Stdin) && env.IsTerminal(env.Stderr) && !env.global.noInput && !env.stdinTaken && options.GrantType == account.GrantAuthorizationCode
	env.about = cmp.Or(discovery.CompleteURL(options.URL), p.Get(profile.API), p.Get(profile.Issuer))
	restore := ui.readsLines()
	done, err := a.Login(ctx, ui, options)
	restore()
	if err != nil {
		return err
	}
	env.resolved = a.Profile()
	if env.global.wantsJSON() {
		return env.printJSON(env.reportOf(a, account.Status{Session: done.Session}))
	}
	env.showLogin(a, done)
	return env.printAsked(o.print, done.Response)
}

// options returns the options of the login that the flags describe.
func (o *loginOptions) options() (account.LoginOptions, error) {
	grant, err := o.grant()
	if err != nil {
		return account.LoginOptions{}, err
	}
	for _, p := range o.param {
		if name, _, ok := strings.Cut(p, "="); !ok || name == "" {
			return account.LoginOptions{}, usage("--param: expected NAME=VALUE, got %q", p)
		}
	}
	options := account.LoginOptions{
		URL: o.url, GrantType: grant,
		Scope: fields(o.scope), AddScope: fields(o.addScope), Audience: o.audience, Resource: o.resource, NoResource: o.noResource,
		API: o.api, Param: o.param,
		RedirectURI: o.redirectURI, Listen: o.listen, Timeout: o.timeout,
		Prompt: o.prompt, LoginHint: o.loginHint, ACRValues: o.acrValues, PAR: o.par, DPoP: o.dpop,
	}
	if o.maxAge >= 0 {
		options.MaxAge = &o.maxAge
	}
	return options, nil
}

// fields splits the values of a repeated flag at spaces.
func fields(values []string) []string {
	if len(values) == 0 {
		return nil
	}
	return strings.Fields(strings.Join(values, " "))
}

// mayOpenBrowser reports whether to open a browser. It returns an error if no user
// could log in.
func (o *loginOptions) mayOpenBrowser(env *Env, grant string) (bool, error) {
	terminal := env.IsTerminal(env.Stderr)
	switch {
	case grant != account.GrantAuthorizationCode:
		return false, nil
	case o.noBrowser && (o.browser || !terminal && env.global.noInput):
		return false, usage("--no-browser needs a terminal, so that you can open the URL yourself")
	case o.noBrowser:
		return false, nil
	case o.browser:
		return true, nil
	case terminal && !env.inCI():
		return env.hasBrowser(), nil
	}
	return false, &diagnosis.Diagnosis{ID: diagnosis.NoBrowser}
}

func (env *Env) inCI() bool { return env.Getenv("CI") != "" && env.Getenv("CI") != "false" }

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

// showLogin prints who logged in, what was granted, for how long, and where it is
// stored.
func (env *Env) showLogin(a *account.Account, done *account.LoggedIn) {
	if len(done.Missing) > 0 {
		env.warnOf(&diagnosis.Diagnosis{ID: diagnosis.ScopeNotGranted, Got: diagnosis.Values{strings.Join(done.Missing, " ")}})
	}
	if env.global.quiet {
		return
	}
	s, out := done.Session, env.stderr()
	itself := s.Grant == account.GrantClientCredentials || a.ActsForItself()
	who := s.Name
	switch {
	case itself && s.Subject == "" && s.ClientID != "":
		out.line("%s as client %s", out.good("Logged in"), clean(s.ClientID))
	case who == "" && s.Subject == "":
		out.line("%s", out.good("Logged in"))
	case who == "" || who == s.Subject:
		out.line("%s as %s", out.good("Logged in"), clean(s.Subject))
	default:
		out.line("%s as %s (%s)", out.good("Logged in"), clean(who), clean(s.Subject))
	}
	bound := ""
	if !s.DPoPKey.IsZero() {
		bound = "to a key of this session (DPoP)"
	}
	api := a.Profile().Get(profile.API)
	out.table([][2]string{
		{"issuer", clean(s.Issuer)},
		{"API", clean(api)},
		{"scopes", clean(strings.Join(s.Scope, " "))},
		{"expires", expiryText(s, itself, env.Now(), ago)},
		{"bound", bound},
		{"stored in", clean(placeText(a.Store().PlaceOf(s.Profile)))},
		{"profile", s.Profile},
	})
	if api != "" {
		out.line("Next: %s", out.name(clean(env.command("call", "GET", "PATH"))))
	}
}

// printAsked prints the value that --print requests.
func (env *Env) printAsked(what string, answer *oauth.TokenResponse) error {
	s := env.stdout()
	switch what {
	case "access_token":
		env.mask(answer.AccessToken)
		s.line("%s", answer.AccessToken.Reveal())
	case "id_token":
		if answer.IDToken.IsZero() {
			return withHint(&diagnosis.Diagnosis{ID: diagnosis.IDTokenMissing}, "request it with --scope openid")
		}
		env.mask(answer.IDToken)
		s.line("%s", answer.IDToken.Reveal())
	case "response":
		for _, token := range []secret.String{answer.AccessToken, answer.RefreshToken, answer.IDToken} {
			env.mask(token)
		}
		s.line("%s", answer.Raw.Reveal())
	}
	return nil
}
