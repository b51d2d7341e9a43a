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
	"github.com/oauthctl/oauthctl/pkg/provider"
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
	GrantJWTBearer         = "jwt-bearer" // RFC 7523
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
		{GrantJWTBearer, false, loginByAssertion},
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
	again   bool             // a client that the server forgot is registered anew
	before  *session.Session // the session in whose place the new one comes, nil without one
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

// obtain has the user authorize the login. Scopes that only we added and that the
// server refuses are left out, once.
func (l *login) obtain(ctx context.Context, want wanted) (authorized, wanted, error) {
	l.ui.Requesting(want.scopes, want.implied)
	got, err := l.grant.obtain(ctx, l, want)
	var d *diagnosis.Diagnosis
	if !errors.As(err, &d) || d.ID != diagnosis.ScopeRefused || len(want.implied) == 0 {
		return got, want, err
	}
	got.show(loopback.InTerminal)
	l.ui.Warn(&diagnosis.Diagnosis{ID: diagnosis.ScopesLeftOut, Got: diagnosis.Values(want.implied), Err: d.Err})
	want.scopes = slices.DeleteFunc(slices.Clone(want.scopes), func(scope string) bool { return slices.Contains(want.implied, scope) })
	want.implied = nil
	got, err = l.grant.obtain(ctx, l, want)
	return got, want, err
}

// show tells the waiting browser the outcome.
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

// find finds the server and settles what to ask it for.
func (l *login) find(ctx context.Context) (wanted, error) {
	found, err := l.discover(ctx)
	if err != nil {
		return wanted{}, err
	}
	if err := l.moveTo(found); err != nil {
		return wanted{}, err
	}
	want := wanted{server: found.Server, resource: found.Resource}
	if before, err := l.store.Load(l.profile.Name()); err == nil && serverOf(before) == l.profile.Server() {
		l.before = before
	}
	want.audiences, want.resources = l.chooseAudience(found)
	want.scopes, want.implied = l.chooseScopes(found)
	if want.params, err = params(l.profile.List(profile.Param)); err != nil {
		return wanted{}, err
	}
	if want.key, err = l.chooseKey(found.Server); err != nil {
		return wanted{}, err
	}
	return want, l.ready(want.server)
}

// ready reports what the server lacks for this login, before a client is
// registered for it.
func (l *login) ready(server *discovery.Server) error {
	grantType := l.grant.name
	if grantType == GrantDeviceCode {
		grantType = oauth.GrantDeviceCode
	}
	return l.newClient(server, "").Ready(grantType, l.options.PAR)
}

// moveTo makes the server that was found the account's.
func (l *login) moveTo(found *discovery.Found) error {
	server := profile.Values{profile.Issuer: found.Server.Issuer}
	if found.Server.Issuer == "" {
		server = profile.Values{profile.TokenEndpoint: found.Server.TokenEndpoint}
	}
	if found.Resource != nil && l.options.API == "" {
		server[profile.API] = found.Resource.Resource
	}
	l.profile = l.profile.At(server)
	client, err := l.config.client(l.profile)
	l.http = client
	return err
}

func (l *login) discover(ctx context.Context) (*discovery.Found, error) {
	p := l.profile
	switch {
	case l.options.URL != "":
		return l.search(ctx, discovery.CompleteURL(l.options.URL))
	case p.Server() != "":
		server, trail, err := l.server(ctx, p.Get(profile.Issuer))
		if err != nil {
			l.ui.Searched(trail, err)
		}
		return &discovery.Found{Server: server}, err
	case p.Get(profile.API) != "":
		return l.search(ctx, p.Get(profile.API))
	}
	return nil, &diagnosis.Diagnosis{ID: diagnosis.ServerUnknown}
}

// search looks for the server that a URL leads to. A certificate that the
// profile names for its own server is not presented on the way to another.
func (l *login) search(ctx context.Context, rawURL string) (*discovery.Found, error) {
	p := l.profile
	if rawURL == p.Get(profile.Issuer) && (p.Get(profile.TokenEndpoint) != "" || p.Get(profile.MetadataURL) != "") {
		server, trail, err := l.server(ctx, rawURL)
		l.ui.Searched(trail, err)
		return &discovery.Found{Server: server}, err
	}
	client := l.http
	if rawURL != p.Get(profile.Issuer) && rawURL != p.Get(profile.API) {
		var err error
		if client, err = l.config.client(p.Without(profile.Saved, profile.ClientCert, profile.ClientKey)); err != nil {
			return nil, err
		}
	}
	// The user wants to log in, so an API that challenges POST alone may be sent one.
	found, trail, err := discovery.FindWith(ctx, client, rawURL, discovery.Options{Post: true})
	l.ui.Searched(trail, err)
	return found, err
}

// chooseAudience settles audience and resource: what was asked for, else what
// was found with the API, else the profile's. A resource goes only to servers
// that take one.
func (l *login) chooseAudience(found *discovery.Found) (audiences, resources []string) {
	values := profile.Values{}
	if found.Resource != nil && l.profile.Origin(profile.Audience) != profile.Flag {
		values[profile.Audience] = profile.JoinList([]string{found.Resource.Resource})
	}
	if found.Resource != nil && l.profile.Origin(profile.Resource) != profile.Flag {
		values[profile.Resource] = profile.JoinList([]string{found.Resource.Resource})
	}
	l.profile = l.profile.With(profile.Found, values)
	if l.options.NoResource || provider.RefusesResource(l.profile.Get(profile.Issuer)) {
		if l.options.Resource != nil && !l.options.NoResource {
			l.ui.Warn(&diagnosis.Diagnosis{ID: diagnosis.ResourceNotSent, Got: diagnosis.Values{l.profile.Get(profile.Issuer)}})
		}
		for _, origin := range []profile.Origin{profile.Saved, profile.Environment, profile.Flag, profile.Found} {
			l.profile = l.profile.Without(origin, profile.Resource)
		}
	}
	audiences = l.options.Audience
	if audiences == nil {
		audiences = l.audiences()
	}
	return audiences, l.profile.List(profile.Resource)
}

// chooseScopes settles what to ask for. Named scopes are asked for as they are;
// otherwise what the API needs, with openid and offline_access where the server
// knows them.
func (l *login) chooseScopes(found *discovery.Found) (scopes, implied []string) {
	p := l.profile
	switch {
	case p.Origin(profile.Scope) > profile.Saved:
		scopes = p.List(profile.Scope)
	case l.options.AddScope != nil && l.before != nil:
		scopes = slices.Clone(l.before.Scope)
	case found.Resource != nil && len(found.Resource.ChallengeScope) > 0:
		scopes, implied = l.withImplied(found.Resource.ChallengeScope, found.Server)
	case found.Resource != nil:
		scopes, implied = l.withImplied(found.Resource.ScopesSupported, found.Server)
	case p.Get(profile.Scope) != "":
		scopes = p.List(profile.Scope)
	default:
		scopes, implied = l.withImplied(nil, found.Server)
	}
	for _, scope := range l.options.AddScope {
		if !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	l.profile = p.With(profile.Found, profile.Values{profile.Scope: profile.JoinList(scopes)})
	return scopes, implied
}

// withImplied adds the scopes that say who logs in and that they may be away.
func (l *login) withImplied(needed []string, server *discovery.Server) (scopes, implied []string) {
	scopes = slices.Clone(needed)
	if !l.grant.user {
		return scopes, nil
	}
	for _, scope := range []string{"openid", "offline_access"} {
		if offers(server, scope) && !slices.Contains(scopes, scope) {
			scopes, implied = append(scopes, scope), append(implied, scope)
		}
	}
	return scopes, implied
}

// offers reports whether a server announces a scope. One that signs ID tokens and
// announces no scope at all is an OpenID provider, which knows openid.
func offers(server *discovery.Server, scope string) bool {
	if len(server.ScopesSupported) == 0 && scope == "openid" {
		return len(server.IDTokenSigningAlgValuesSupported) > 0
	}
	return discovery.Supports(server.ScopesSupported, scope)
}

// chooseKey returns the key that the tokens are bound to (RFC 9449) where that
// was asked for, now or at the login that this one replaces.
func (l *login) chooseKey(server *discovery.Server) (secret.String, error) {
	switch {
	case l.before != nil && !l.before.DPoPKey.IsZero():
		return l.before.DPoPKey, nil
	case l.options.DPoP:
		return newProofKey(server)
	}
	return secret.String{}, nil
}

// bind gives a client the key that its tokens are to be bound to.
func (l *login) bind(client *oauth.Client, want wanted) (err error) {
	client.DPoP, err = l.proverOf(&session.Session{DPoPKey: want.key})
	return err
}

// finish checks what came and keeps it.
func (l *login) finish(ctx context.Context, want wanted, got authorized) (*LoggedIn, error) {
	id, err := l.identify(ctx, want, got)
	if err != nil {
		return nil, err
	}
	l.observe(Step{Name: Verified, Client: got.client, Request: got.request, Response: got.response, Identity: id})
	s := l.newSession(got.client, l.grant.name, session.Asked{Scope: want.scopes, Audience: want.audiences, Resource: want.resources, Param: want.params})
	s.DPoPKey = want.key
	if id != nil {
		s.Subject, s.Name = id.Subject(), nameOf(id)
	}
	l.take(s, got.response)
	if err := l.store.Save(ctx, s); err != nil {
		return nil, err
	}
	if err := l.saveProfile(ctx); err != nil {
		l.ui.Warn(err) // the session is there, and later commands say what they lack
	}
	l.compareAudience(want, got.response)
	done := &LoggedIn{Session: s, Response: got.response, Asked: want.scopes}
	for _, scope := range want.scopes {
		if !slices.Contains(s.Scope, scope) && scope != "openid" && scope != "offline_access" {
			done.Missing = append(done.Missing, scope)
		}
	}
	if s.RefreshToken.IsZero() && slices.Contains(want.scopes, "offline_access") && l.options.Prompt == "" && l.grant.name == GrantAuthorizationCode {
		l.ui.Warn(&diagnosis.Diagnosis{ID: diagnosis.NoRefreshToken, Got: diagnosis.Values{"profile " + l.profile.Name()}})
	}
	return done, nil
}

// compareAudience warns if the access token is a JWT for another audience than the
// requested one.
func (l *login) compareAudience(want wanted, response *oauth.TokenResponse) {
	t, err := token.Decode(response.AccessToken.Reveal())
	requested := slices.Concat(want.audiences, want.resources)
	if err != nil || len(requested) == 0 || len(t.Audience()) == 0 {
		return
	}
	for _, one := range t.Audience() {
		if slices.Contains(requested, one) {
			return
		}
	}
	l.ui.Warn(&diagnosis.Diagnosis{ID: diagnosis.AudienceNotGranted, Expected: requested, Got: t.Audience()})
}

// identify verifies the ID token. That there is none matters only if the user
// asked for openid; if only we added it, it is a warning.
func (l *login) identify(ctx context.Context, want wanted, got authorized) (*token.Token, error) {
	if !slices.Contains(want.scopes, "openid") && got.response.IDToken.IsZero() {
		return nil, nil
	}
	id, err := got.client.VerifyIDToken(ctx, got.response, got.expected)
	if errors.Is(err, &diagnosis.Diagnosis{ID: diagnosis.IDTokenMissing}) && slices.Contains(want.implied, "openid") {
		l.ui.Warn(&diagnosis.Diagnosis{ID: diagnosis.UserUnknown})
		return nil, nil
	}
	return id, err
}

// nameOf returns what a person calls the user, as far as the ID token says.
func nameOf(id *token.Token) string {
	for _, claim := range []string{"preferred_username", "email", "name"} {
		if v, ok := id.Claim(claim); ok {
			if name, ok := v.(string); ok && name != "" {
				return name
			}
		}
	}
	return ""
}

// saveProfile keeps what was found, so that later runs need to be told nothing.
func (l *login) saveProfile(ctx context.Context) error {
	p := l.profile
	if p.Path() == "" {
		return nil
	}
	return profile.Update(ctx, p.Path(), func(f *profile.File) error {
		before, _ := f.Values(p.Name())
		f.Set(p.Name(), p.Changes(before))
		return nil
	})
}
