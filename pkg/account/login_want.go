package account

import (
	"context"
	"slices"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/provider"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/session"
)

// find finds the server and determines what to request.
func (l *login) find(ctx context.Context) (wanted, error) {
	found, err := l.discover(ctx)
	if err != nil {
		return wanted{}, err
	}
	if err := l.moveTo(found); err != nil {
		return wanted{}, err
	}
	want := wanted{server: found.Server, resource: found.Resource}
	l.document = l.chooseDocument(ctx, found.Server)
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
// registered.
func (l *login) ready(server *discovery.Server) error {
	grantType := l.grant.name
	if grantType == GrantDeviceCode {
		grantType = oauth.GrantDeviceCode
	}
	return l.newClient(server, "").Ready(grantType, l.options.PAR)
}

// moveTo changes the account to the discovered server.
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

// search finds the server of a URL. The client certificate in the profile is
// not used for another server.
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
	// The user wants to log in, so one POST may be sent to an API that challenges
	// POST only.
	found, trail, err := discovery.FindWith(ctx, client, rawURL, discovery.Options{Post: true})
	l.ui.Searched(trail, err)
	return found, err
}

// chooseAudience determines audience and resource: the requested ones, those of
// the API, or those of the profile. A resource is sent only to servers that
// accept it.
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

// chooseScopes determines the scopes: exactly the requested ones, or otherwise
// those of the API with openid and offline_access, if the server supports them.
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

// withImplied adds the scopes by which the server says who logs in, and by which
// it issues a refresh token if it needs one for that.
func (l *login) withImplied(needed []string, server *discovery.Server) (scopes, implied []string) {
	scopes = slices.Clone(needed)
	if !l.grant.user {
		return scopes, nil
	}
	for _, scope := range []string{"openid", "offline_access"} {
		if offers(server, scope) && !slices.Contains(scopes, scope) && !(scope == "offline_access" && provider.RefreshesOnline(server.Issuer)) {
			scopes, implied = append(scopes, scope), append(implied, scope)
		}
	}
	return scopes, implied
}

// offers reports whether a server supports a scope. A server that signs ID tokens
// and lists no scopes is an OpenID provider, which supports openid.
func offers(server *discovery.Server, scope string) bool {
	if len(server.ScopesSupported) == 0 && scope == "openid" {
		return len(server.IDTokenSigningAlgValuesSupported) > 0
	}
	return slices.Contains(server.ScopesSupported, scope)
}

// chooseKey returns the key for bound tokens (RFC 9449), if this login or the
// previous one requested it.
func (l *login) chooseKey(server *discovery.Server) (secret.String, error) {
	switch {
	case l.before != nil && !l.before.DPoPKey.IsZero():
		return l.before.DPoPKey, nil
	case l.options.DPoP:
		return newProofKey(server)
	}
	return secret.String{}, nil
}

// bind sets the key to which a client's tokens are bound.
func (l *login) bind(client *oauth.Client, want wanted) (err error) {
	client.DPoP, err = l.proverOf(&session.Session{DPoPKey: want.key})
	return err
}
