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

// Grants with which a session can be obtained (RFC 6749, sections 4.1 and 4.4;
// RFC 8628), for LoginOptions.GrantType.
const (
	GrantAuthorizationCode = "authorization_code"
	GrantDeviceCode        = "device_code"
	GrantClientCredentials = "client_credentials"
	GrantJWTBearer         = "jwt-bearer"     // RFC 7523
	GrantTokenExchange     = "token-exchange" // RFC 8693
)

// UserInterface is the user interface of a login. Its methods are called by one
// goroutine at a time, except OpenBrowser and ReadLine, which run in their own
// goroutines and may block for longer than the login.
type UserInterface interface {
	// Searched shows how the server was searched for. Err is why it was not
	// found.
	Searched(trail discovery.Trail, err error)
	// Registered reports that the server registered a client; again means that
	// it no longer knew the previous one.
	Registered(clientID string, again bool)
	// Console shows what to do in the console of a provider before a login can
	// succeed, with the redirect URI to enter.
	Console(provider string, steps []string)
	// Requesting shows the requested scopes; added lists those that were added by
	// default.
	Requesting(scopes, added []string)
	// ShowURL shows the URL for the user to open. The login waits for the
	// response at redirectURI.
	ShowURL(address, redirectURI string)
	// OpenBrowser opens a URL. An error is only a warning, because the URL was
	// shown.
	OpenBrowser(address string) error
	// ReadLine returns a line from the user: the address that the browser shows if
	// it cannot reach this machine. An error ends the reading.
	ReadLine() (string, error)
	// ShowCode shows the code to enter on another device.
	ShowCode(*oauth.DeviceAuthorization)
	// Warn shows a fault that does not stop the login, mostly a Diagnosis.
	Warn(error)
}

// LoginOptions configures a login. The zero value logs in with the browser at
// the profile's server.
type LoginOptions struct {
	// URL is an API or an issuer; "" means that of the profile.
	URL       string
	GrantType string // for this login; "" means that of the profile, or the authorization code

	Scope    []string // exactly these; nil means those that the API needs
	AddScope []string // in addition to those of the session
	Audience []string
	Resource []string // RFC 8707
	// NoResource omits the resource parameter, even if the API's metadata has a
	// resource.
	NoResource bool
	API        string
	Param      []string // NAME=VALUE

	RedirectURI string // "" means that of the profile, or a free port
	Listen      string // the address to listen at, if it differs
	OpenBrowser bool
	Timeout     time.Duration // for the user; 0 means 5 minutes
	Prompt      string
	LoginHint   string
	ACRValues   []string
	MaxAge      *time.Duration
	PAR         bool // push the request to the server first (RFC 9126)
	DPoP        bool // bind the tokens to a key (RFC 9449)

	// ClientName is the name of a registered client, which the server shows to
	// users. "" means oauthctl.
	ClientName string
	// Observe, if not nil, is called after each step of a login with the
	// browser, by the goroutine that logs in.
	Observe func(Step)
}

// Step is a completed step of a login. It contains the secrets of the login.
type Step struct {
	Name     StepName
	Client   *oauth.Client
	Request  *oauth.AuthorizationRequest
	Code     secret.String        // set from Answered on
	Response *oauth.TokenResponse // set from Obtained on
	Identity *token.Token         // set at Verified; nil without an ID token
}

// StepName identifies a step.
type StepName int

// Steps, in their order.
const (
	Requested StepName = iota // the authorization request was sent
	Answered                  // the response with the code has arrived
	Obtained                  // the code was exchanged for tokens
	Verified                  // every check passed
)

func (l *login) observe(s Step) {
	if l.options.Observe != nil {
		l.options.Observe(s)
	}
}

// LoggedIn is the result of a login.
type LoggedIn struct {
	Session  *session.Session
	Response *oauth.TokenResponse
	// Asked lists the requested scopes, and Missing those that were not
	// granted.
	Asked, Missing []string
}

// grant is a row of the table of grants for a login.
type grant struct {
	name   string
	user   bool // a user is involved
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

// GrantTypes returns the allowed values of LoginOptions.GrantType.
func GrantTypes() []string {
	var names []string
	for _, g := range grants() {
		names = append(names, g.name)
	}
	return names
}

// login is a login in progress.
type login struct {
	*Account
	ui      UserInterface
	options LoginOptions
	grant   grant
	// document is the URL of the client id metadata document, or "" for another
	// client.
	document string
	again    bool             // a client that the server no longer knows is registered again
	before   *session.Session // the session to replace, or nil
}

// wanted is what a login requests from the discovered server.
type wanted struct {
	server    *discovery.Server
	resource  *discovery.Resource // nil if the login began with an issuer
	scopes    []string
	implied   []string // scopes that were added by default
	audiences []string
	resources []string
	params    url.Values
	key       secret.String // the key of the tokens; empty for Bearer tokens
}

// authorized is the result of the grant: tokens for a client, and what is
// needed to verify the ID token.
type authorized struct {
	client   *oauth.Client
	request  *oauth.AuthorizationRequest // nil without one
	response *oauth.TokenResponse
	expected oauth.IDTokenExpectation
	receiver *loopback.Receiver // shows the result in the browser; nil without one
}

// Login obtains tokens for the user, or for the client itself, and replaces the
// session. It finds the server, determines the client and the scopes, has the
// user authorize the request, and verifies the response. The session is stored
// only if every check passed. Before the user is involved, Login checks that the
// store and the profile file can be written. Afterwards the profile contains the
// discovered settings, and the refresh token of the previous session is revoked.
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

// prepare does everything that can be done before the user is involved.
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
		ui.Warn(warning) // if auto fell back to another store, its place is shown anyway
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
