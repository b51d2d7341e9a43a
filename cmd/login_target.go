package cmd

import (
	"context"
	"slices"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/provider"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/session"
)

// login is one login under way: what the flags ask and what was found so far.
type login struct {
	loginOptions
	env     *Env
	http    *safehttp.Client
	profile *resolved
	grant   loginGrant
	opens   bool
	store   *session.Store
	before  *session.Session // the session this login replaces, nil if there is none

	resource   *discovery.Resource // nil where the login began with an issuer
	client     *oauth.Client
	key        secret.String // that the tokens are bound to, empty for Bearer tokens
	registered bool          // the server made this client for us
	scopes     []string
	implied    []string // scopes of these that only we added
	audiences  []string
	resources  []string
}

// findServer finds the authorization server, from the URL given or the profile,
// and from its metadata what to ask for.
func (l *login) findServer(ctx context.Context) error {
	found, err := l.discover(ctx)
	if err != nil {
		return err
	}
	l.resource = found.Resource
	if server := found.Server; l.profile.Issuer != server.Issuer {
		// A client is known to one server only; what the profile holds of another
		// server does not belong to this login.
		l.profile.forgetServer()
		l.profile.Issuer = server.Issuer
	}
	if found.Resource != nil {
		l.profile.API = found.Resource.Resource
	}
	l.profile.use("api", l.api)
	l.chooseAudience()
	if err := l.chooseScopes(found); err != nil {
		return err
	}
	l.client = &oauth.Client{Server: found.Server, HTTP: l.http, Now: l.env.Now}
	return nil
}

func (l *login) discover(ctx context.Context) (*discovery.Found, error) {
	switch {
	case l.url != "":
		found, trail, err := discovery.Find(ctx, l.http, l.url)
		l.tellTrail(trail, err)
		return found, err
	case l.profile.Issuer != "" || l.profile.TokenURL != "":
		server, trail, err := l.env.server(ctx, l.http, l.profile, l.profile.Issuer)
		if err != nil {
			l.tellTrail(trail, err)
		}
		return &discovery.Found{Server: server}, err
	case l.profile.API != "":
		found, trail, err := discovery.Find(ctx, l.http, l.profile.API)
		l.tellTrail(trail, err)
		return found, err
	}
	return nil, &usageError{
		what: "nothing says where to log in",
		hint: "give the URL of the API or of the issuer: `oauthctl login URL`; to try it, start `oauthctl dev`",
	}
}

// tellTrail shows the way from the URL to the server; in full when it failed.
func (l *login) tellTrail(trail discovery.Trail, err error) {
	if err != nil || l.env.global.verbose {
		showTrail(l.env.stderr(), trail)
	}
}

// chooseAudience settles audience and resource: flags, else what RFC 9728 found,
// else the profile's. The resource goes only to servers it was found by.
func (l *login) chooseAudience() {
	r := l.profile
	switch {
	case l.noResource:
		r.Resource = ""
	case len(l.loginOptions.resource) > 0:
		r.use("resource", strings.Join(l.loginOptions.resource, " "))
	case l.resource != nil:
		r.Resource = l.resource.Resource
	}
	if r.Resource != "" && provider.RefusesResource(r.Issuer) {
		if len(l.loginOptions.resource) > 0 {
			l.env.warn("%s refuses the parameter resource; its scopes name the API, so it is left out", clean(r.Issuer))
		}
		r.Resource = ""
	}
	switch {
	case len(l.audience) > 0:
		r.use("audience", strings.Join(l.audience, " "))
	case l.resource != nil:
		r.Audience = l.resource.Resource
	}
	if l.audiences = l.audience; l.audiences == nil {
		l.audiences = r.audiences()
	}
	l.resources = strings.Fields(r.Resource)
}

// chooseScopes settles what to ask for. Named scopes are asked for as they are;
// otherwise what the API needs, with openid and offline_access where the server
// knows them.
func (l *login) chooseScopes(found *discovery.Found) error {
	if before, err := l.env.loadSession(l.profile.name); err == nil && before.Issuer == found.Server.Issuer {
		l.before = before
	}
	switch {
	case len(l.scope) > 0:
		l.scopes = fields(l.scope)
	case l.profile.from["scope"] == variable("scope"):
		l.scopes = strings.Fields(l.profile.Scope)
	case len(l.addScope) > 0 && l.before != nil:
		l.scopes = slices.Clone(l.before.Scope)
	case found.Resource != nil && len(found.Resource.ChallengeScope) > 0:
		l.scopes = slices.Clone(found.Resource.ChallengeScope)
		l.addImplied(found.Server)
	case found.Resource != nil:
		l.scopes = slices.Clone(found.Resource.ScopesSupported)
		l.addImplied(found.Server)
	case l.profile.Scope != "":
		l.scopes = strings.Fields(l.profile.Scope)
	default:
		l.addImplied(found.Server)
	}
	for _, scope := range fields(l.addScope) {
		if !slices.Contains(l.scopes, scope) {
			l.scopes = append(l.scopes, scope)
		}
	}
	return nil
}

func (l *login) addImplied(server *discovery.Server) {
	if l.grant.name == grantClient {
		return // nobody is there to be identified or to be away
	}
	for _, scope := range []string{"openid", "offline_access"} {
		if discovery.Supports(server.ScopesSupported, scope) && !slices.Contains(l.scopes, scope) {
			l.scopes = append(l.scopes, scope)
			l.implied = append(l.implied, scope)
		}
	}
}

// fields splits repeated flags that may each hold several scopes.
func fields(values []string) []string { return strings.Fields(strings.Join(values, " ")) }

// findClient settles which client this is: the one named, the one the profile
// knows, or one that the server registers now.
func (l *login) findClient(ctx context.Context, redirectURI string) error {
	r := l.profile
	l.lay(r)
	if r.ClientID == "" {
		return l.register(ctx, redirectURI)
	}
	if l.before != nil && l.before.ClientID == r.ClientID && !l.before.ClientSecret.IsZero() {
		l.registered = true
		l.client.ID, l.client.Secret, l.client.AuthMethod = r.ClientID, l.before.ClientSecret, l.before.AuthMethod
	} else if err := l.env.authenticate(ctx, l.client, r, l.clientOptions); err != nil {
		return err
	}
	if !l.mayBeForgotten() {
		return nil
	}
	known, err := l.client.Known(ctx)
	if err != nil || known {
		return err
	}
	l.env.say("the server no longer knows the client %s", clean(r.ClientID))
	l.client.Secret, l.client.AuthMethod, r.AuthMethod = secret.String{}, "", ""
	return l.register(ctx, redirectURI)
}

// mayBeForgotten reports whether the client is one that an earlier login had
// registered, as far as can be seen: the server registers clients, and the
// profile names this one and nothing that it proves itself with.
func (l *login) mayBeForgotten() bool {
	r := l.profile
	fromProfile := r.from["client_id"] == "profile "+r.name
	return fromProfile && l.client.Server.RegistrationEndpoint != "" &&
		r.ClientRef == "" && r.SigningKey == "" && r.ClientAssertion == "" && l.secretFile == "" && r.AuthMethod != oauth.AuthTLS
}

// register asks the server for a client of our own (RFC 7591), for every grant
// that a user can log in by.
func (l *login) register(ctx context.Context, redirectURI string) error {
	server := l.client.Server
	if server.RegistrationEndpoint == "" {
		return &diagnosis.Diagnosis{
			ID:   diagnosis.NoRegistrationPath,
			Got:  diagnosis.Values{server.Issuer},
			Hint: "create a native client at the server with the redirect URI " + redirectURI + ", then `oauthctl login --client-id ID`",
		}
	}
	// No scope is named: a client registered for some could never widen them.
	wanted := oauth.Registration{ClientName: "oauthctl", RedirectURIs: []string{redirectURI}, GrantTypes: []string{grantCode, "refresh_token"}}
	if l.grant.name == grantDevice || discovery.Supports(server.GrantTypesSupported, oauth.GrantDeviceCode) {
		wanted.GrantTypes = append(wanted.GrantTypes, oauth.GrantDeviceCode)
	}
	registered, err := oauth.Register(ctx, l.http, server, wanted)
	if err != nil {
		return err
	}
	l.client.ID, l.client.Secret, l.client.AuthMethod = registered.ClientID, registered.ClientSecret, registered.TokenEndpointAuthMethod
	l.registered = true
	l.profile.use("client_id", registered.ClientID)
	l.env.say("registered as client %s", clean(registered.ClientID))
	return nil
}

// bindKey has the tokens bound to a key (RFC 9449) where that was asked for, now
// or at the login that this one replaces, whose key it keeps.
func (l *login) bindKey() error {
	if l.before != nil {
		l.key = l.before.DPoPKey
	}
	if l.key.IsZero() && !l.dpop {
		return nil
	}
	if l.key.IsZero() {
		key, err := jwks.Generate(proofAlgorithm(l.client.Server))
		if err != nil {
			return err
		}
		data, err := key.MarshalJWK()
		if err != nil {
			return err
		}
		l.key = secret.New(string(data))
	}
	return l.env.bind(l.client, &session.Session{DPoPKey: l.key})
}

// proofAlgorithm is the first that the server takes proofs in; ES256 where it
// does not say.
func proofAlgorithm(server *discovery.Server) string {
	for _, alg := range []string{"ES256", "EdDSA", "ES384", "ES512", "PS256", "RS256"} {
		if discovery.Supports(server.DPoPSigningAlgValuesSupported, alg) {
			return alg
		}
	}
	return "ES256"
}

// forgetServer drops what belongs to one authorization server, which is all but
// how this machine keeps sessions and whom it trusts: a secret must never go to
// another server because a new setting was not thought of.
func (r *resolved) forgetServer() {
	for _, s := range settings() {
		mine := s.key == "store" || s.key == "redirect_uri" || s.key == "ca_cert"
		if from := r.from[s.key]; !mine && from != "" && from[0] == 'p' {
			*s.field(&r.profile) = ""
			delete(r.from, s.key)
		}
	}
}
