package account

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/loopback"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/session"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// The grants by which a session is obtained (RFC 6749, sections 4.1 and 4.4; RFC
// 8628), as LoginOptions.GrantType names them.
const (
	GrantAuthorizationCode = "authorization_code"
	GrantDeviceCode        = "device_code"
	GrantClientCredentials = "client_credentials"
	GrantJWTBearer         = "jwt-bearer"     // RFC 7523
	GrantTokenExchange     = "token-exchange" // RFC 8693
)

// UserInterface is the user's side of a login. Its methods are called by one
// goroutine at a time, but OpenBrowser and ReadLine each have one of their own
// and may block for longer than the login lasts.
type UserInterface interface {
	// Searched shows how the server was looked for; err is why it was not found.
	Searched(trail discovery.Trail, err error)
	// Registered says that the server registered a client; again, because it no
	// longer knew the one before.
	Registered(clientID string, again bool)
	// Console shows what to do in the console of a provider, with the redirect URI
	// to enter there, before a login can succeed.
	Console(provider string, steps []string)
	// Requesting shows the scopes that are requested; added are those of them that
	// nobody named.
	Requesting(scopes, added []string)
	// ShowURL shows the address at which the user logs in. The answer is awaited
	// at redirectURI.
	ShowURL(address, redirectURI string)
	// OpenBrowser opens an address. That it cannot is a warning, since the address
	// was shown.
	OpenBrowser(address string) error
	// ReadLine returns a line that the user entered: the address at which the
	// browser ended, where it could not come back here. An error ends the reading.
	ReadLine() (string, error)
	// ShowCode shows the code to enter on another device.
	ShowCode(*oauth.DeviceAuthorization)
	// Warn shows what is worth knowing and stops nothing, mostly a Diagnosis.
	Warn(error)
}

// LoginOptions say what a login asks for. The zero value logs in by the browser
// at the profile's server.
type LoginOptions struct {
	// URL is an API's or an issuer's; "" means the profile's.
	URL       string
	GrantType string // for this login; "" means the profile's, or the authorization code

	Scope    []string // these and no others; nil means what the API needs
	AddScope []string // those of the session, and these
	Audience []string
	Resource []string // RFC 8707
	// NoResource sends no resource, even where the API's metadata names it.
	NoResource bool
	API        string
	Param      []string // NAME=VALUE

	RedirectURI string // "" means the profile's, or a free port
	Listen      string // the address to listen on, where it is another
	OpenBrowser bool
	Timeout     time.Duration // for the user; 0 means 5 minutes
	Prompt      string
	LoginHint   string
	ACRValues   []string
	MaxAge      *time.Duration
	PAR         bool // push the request to the server first (RFC 9126)
	DPoP        bool // bind the tokens to a key (RFC 9449)

	// ClientName is what a server shows its users of a client that is registered
	// here; "" means oauthctl.
	ClientName string
	// Observe is called after each step of a login by the browser, by the
	// goroutine that logs in; nil means that nobody watches.
	Observe func(Step)
}

// Step is a step of a login that was made. Its secrets are those of the login.
type Step struct {
	Name     StepName
	Client   *oauth.Client
	Request  *oauth.AuthorizationRequest
	Code     secret.String        // from Answered on
	Response *oauth.TokenResponse // from Obtained on
	Identity *token.Token         // at Verified, nil without an ID token
}

// StepName names a step.
type StepName int

// The steps, in their order.
const (
	Requested StepName = iota // the authorization request was made
	Answered                  // its response came, with the code
	Obtained                  // the code was exchanged for tokens
	Verified                  // every check passed
)

func (l *login) observe(s Step) {
	if l.options.Observe != nil {
		l.options.Observe(s)
	}
}

// LoggedIn is what a login came to.
type LoggedIn struct {
	Session  *session.Session
	Response *oauth.TokenResponse
	// Asked are the scopes that were requested, and Missing those of them that
	// were not granted.
	Asked, Missing []string
}

// grant is a row of the table of the ways in which a login gets its tokens.
type grant struct {
	name   string
	user   bool // a user takes part
	obtain func(context.Context, *login, wanted) (authorized, error)
}

// grants returns the table. A new grant is one file and one row here.
func grants() []grant {
	return []grant{
		{GrantAuthorizationCode, true, loginByCode},
		{GrantDeviceCode, true, loginByDevice},
		{GrantClientCredentials, false, loginByClient},
		{GrantJWTBearer, false, loginByPresenting},
		{GrantTokenExchange, false, loginByPresenting},
	}
}

// GrantTypes returns the values of LoginOptions.GrantType.
func GrantTypes() []string {
	var names []string
	for _, g := range grants() {
		names = append(names, g.name)
	}
	return names
}

// login is one login under way: who asks, and for what.
type login struct {
	*Account
	ui      UserInterface
	options LoginOptions
	grant   grant
	// document is the URL of the document that describes the client, "" for any
	// other client.
	document string
	again    bool             // a client that the server forgot is registered anew
	before   *session.Session // the session in whose place the new one comes, nil without one
}

// wanted is what a login asks of the server that was found.
type wanted struct {
	server    *discovery.Server
	resource  *discovery.Resource // nil where the login began with an issuer
	scopes    []string
	implied   []string // those of the scopes that only we added
	audiences []string
	resources []string
	params    url.Values
	key       secret.String // that the tokens are bound to, empty for Bearer tokens
}

// authorized is what the server gave: tokens, for a client, with what the ID
// token has to say.
type authorized struct {
	client   *oauth.Client
	request  *oauth.AuthorizationRequest // nil without one
	response *oauth.TokenResponse
	expected oauth.IDTokenExpectation
	receiver *loopback.Receiver // whose browser waits for the outcome, nil without one
}

// Login gets tokens for the user, or for the client itself, and keeps them in
// place of the session before: it finds the server, settles what to ask for and
// which client this is, has the user authorize it, and checks what came. Nothing
// is kept unless every check passed, and what a new login would need (a writable
// store and profile file) is looked at first. The profile then holds what was
// found, and a refresh token that it replaces is revoked.
//
// Errors are Diagnoses.
func (a *Account) Login(ctx context.Context, ui UserInterface, o LoginOptions) (*LoggedIn, error) {
	l, err := a.prepare(ctx, ui, o)
	if err != nil {
		return nil, err
	}
	before := &Account{profile: a.profile, store: a.store, http: a.http, config: a.config}
	replaced, err := before.replaced(ctx)
	if err != nil {
		return nil, err
	}
	want, err := l.find(ctx)
	if err != nil {
		return nil, err
	}
	got, want, err := l.obtain(ctx, want)
	if err == nil {
		var done *LoggedIn
		if done, err = l.finish(ctx, want, got); err == nil {
			got.show(loopback.Succeeded)
			before.revokeReplaced(ctx, replaced, done.Session, l.ui.Warn)
			return done, nil
		}
	}
	got.show(loopback.Failed)
	return nil, err
}

// obtain has the user authorize the login. If the server refuses it, perhaps for
// scopes that only we added, they are left out, once.
func (l *login) obtain(ctx context.Context, want wanted) (authorized, wanted, error) {
	l.ui.Requesting(want.scopes, want.implied)
	got, err := l.grant.obtain(ctx, l, want)
	if len(want.implied) == 0 || !mayBeAboutScopes(err) {
		return got, want, err
	}
	var refused *oauth.Error
	errors.As(err, &refused)
	got.show(loopback.InTerminal)
	l.ui.Warn(&diagnosis.Diagnosis{ID: diagnosis.ScopesLeftOut, Got: diagnosis.Values(want.implied), Err: refused})
	want.scopes = slices.DeleteFunc(slices.Clone(want.scopes), func(scope string) bool { return slices.Contains(want.implied, scope) })
	want.implied = nil
	got, err = l.grant.obtain(ctx, l, want)
	return got, want, err
}

// mayBeAboutScopes reports whether a server refused a login for its scopes or by a
// word of its own, as some do for a scope that a client or a user may not have.
func mayBeAboutScopes(err error) bool {
	var refused *oauth.Error
	if !errors.As(err, &refused) {
		return false
	}
	return errors.Is(err, &diagnosis.Diagnosis{ID: diagnosis.ScopeRefused}) ||
		errors.Is(err, &diagnosis.Diagnosis{ID: diagnosis.RequestRefused}) && refused.Code != "" && !refused.IsRegistered()
}

// show shows the outcome in the browser that waits for it.
func (g authorized) show(o loopback.Outcome) {
	if g.receiver != nil {
		g.receiver.Finish(o)
	}
}

// prepare settles all that can be settled before anybody is asked for anything.
func (a *Account) prepare(ctx context.Context, ui UserInterface, o LoginOptions) (*login, error) {
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Minute
	}
	l := &login{Account: a, ui: ui, options: o}
	a.profile = a.profile.With(profile.Flag, profile.Values{
		profile.API:   o.API,
		profile.Scope: profile.JoinList(o.Scope), profile.Audience: profile.JoinList(o.Audience), profile.Resource: profile.JoinList(o.Resource),
		profile.Param: profile.JoinList(o.Param), profile.RedirectURI: o.RedirectURI,
	})
	if err := l.chooseGrant(); err != nil {
		return nil, err
	}
	if err := l.usePreset(); err != nil {
		return nil, err
	}
	warning, err := a.store.Prepare(ctx)
	if err != nil {
		return nil, err
	}
	if warning != nil && a.profile.Get(profile.StoreKind) == string(session.Auto) {
		ui.Warn(warning) // where auto was chosen by nobody, the place is shown anyway
	}
	if path := a.profile.Path(); path != "" {
		if err := profile.Writable(ctx, path); err != nil {
			ui.Warn(err)
		}
	}
	return l, nil
}

func (l *login) chooseGrant() error {
	name := cmp.Or(l.options.GrantType, l.profile.Get(profile.GrantType), GrantAuthorizationCode)
	for _, g := range grants() {
		if g.name == name {
			l.grant = g
			return nil
		}
	}
	return &diagnosis.Diagnosis{ID: diagnosis.ConfigInvalid, Expected: diagnosis.Values{string(profile.GrantType) + " to be " + strings.Join(GrantTypes(), ", ")}, Got: diagnosis.Values{name}}
}
