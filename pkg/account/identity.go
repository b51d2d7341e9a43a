package account

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/loopback"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/session"
)

// anyPort is the redirect URI of a client that is registered before the port is
// known. Loopback addresses match with every port (RFC 8252, section 7.3).
const anyPort = "http://127.0.0.1/callback"

// ErrDocumentAccepted is wrapped by NO_REGISTRATION_PATH if the server accepts
// the URL of a client id metadata document as client id.
var ErrDocumentAccepted = errors.New("it accepts the URL of a client id metadata document")

// clientName is the name of a registered client, which the server shows to
// users.
const clientName = "oauthctl"

// known returns the client that this profile's server registered, or nil if
// there is none, its secret has expired (RFC 7591, section 3.2.1), or the store
// cannot read it, which a login repairs.
func (l *login) known(ctx context.Context, server *discovery.Server) (*session.Registration, error) {
	if l.profile.Get(profile.ClientID) != "" || l.document != "" {
		return nil, nil // the profile has a client, so no other is used
	}
	r, err := l.store.LoadRegistration(ctx, l.profile.Name())
	var d *diagnosis.Diagnosis
	switch {
	case errors.Is(err, session.ErrNotFound), errors.As(err, &d) && d.Kind() == diagnosis.Store:
		return nil, nil
	case err != nil:
		return nil, err
	case r.Issuer != server.Issuer || !r.SecretExpiresAt.IsZero() && !l.now().Before(r.SecretExpiresAt):
		return nil, nil
	}
	return r, nil
}

// chooseDocument returns the URL of the client id metadata document if the server
// supports it, or "" if another client is used. It is preferred to a registered
// client, but not to a configured one. The program's default document is used
// only if it is reachable.
func (l *login) chooseDocument(ctx context.Context, server *discovery.Server) string {
	document := l.profile.Get(profile.ClientMetadataURL)
	switch {
	case document == "" || !server.ClientIDMetadataDocumentSupported || l.profile.Get(profile.ClientID) != "":
		return ""
	case l.profile.Origin(profile.ClientMetadataURL) == profile.Preset && !l.publishes(ctx, document):
		return ""
	}
	return document
}

// publishes reports whether a URL serves a client id metadata document about
// itself.
func (l *login) publishes(ctx context.Context, document string) bool {
	ctx, cancel := context.WithTimeout(ctx, documentTime)
	defer cancel()
	res, err := l.http.Get(ctx, document, "application/json", 64<<10)
	if err != nil || res.Status != http.StatusOK {
		return false
	}
	var described struct {
		ClientID string `json:"client_id"`
	}
	return json.Unmarshal(res.Body, &described) == nil && described.ClientID == document
}

const documentTime = 5 * time.Second

// listen binds the redirect URI: the requested one, or that of a registered
// client, because many servers compare the port, or one with a free port. If the
// port of a registered client is in use, the client is not used. A redirect URI
// of another host needs no listener: the user pastes the response.
func (l *login) listen(ctx context.Context, server *discovery.Server) (callback, *session.Registration, error) {
	registered, err := l.known(ctx, server)
	if err != nil {
		return callback{}, nil, err
	}
	if registered != nil && l.redirectURI() == "" && registered.RedirectURI != "" && registered.RedirectURI != anyPort {
		if receiver, err := loopback.Listen(registered.RedirectURI, l.options.Listen); err == nil {
			return callback{receiver.RedirectURI(), receiver}, registered, nil
		}
		registered = nil
	}
	if registered != nil && registered.RedirectURI == anyPort && l.redirectURI() == "" {
		registered = nil // registered for the device grant, without a fixed port
	}
	receiver, err := loopback.Listen(l.redirectURI(), l.options.Listen)
	switch u, parseErr := url.Parse(l.redirectURI()); {
	case err == nil:
		return callback{receiver.RedirectURI(), receiver}, registered, nil
	case errors.Is(err, loopback.ErrNotLoopback) && parseErr == nil && u.IsAbs() && u.Fragment == "" && u.User == nil:
		return callback{uri: l.redirectURI()}, registered, nil
	}
	return callback{}, nil, &diagnosis.Diagnosis{ID: diagnosis.RedirectUnusable, Got: diagnosis.Values{l.redirectURI()}, Err: err}
}

// client determines the client: the one in the profile, the one that was
// registered before, or a newly registered one.
func (l *login) client(ctx context.Context, want wanted, redirectURI string, registered *session.Registration) (*oauth.Client, error) {
	client := l.newClient(want.server, l.profile.Get(profile.ClientID))
	var err error
	switch {
	case client.ID != "":
		err = l.authenticate(ctx, client)
	case l.document != "":
		client.ID, client.AuthMethod = l.document, oauth.AuthNone
	case registered == nil:
		if registered, err = l.register(ctx, want, redirectURI); err != nil {
			return nil, err
		}
		fallthrough
	default:
		client.ID, client.Secret, client.AuthMethod = registered.ClientID, registered.ClientSecret, registered.AuthMethod
	}
	if err == nil {
		err = l.bind(client, want)
	}
	return client, err
}

// register registers a client (RFC 7591) for every grant that a user can log in
// with, and stores it immediately, so that an aborted login does not leave an
// unused client at the server.
func (l *login) register(ctx context.Context, want wanted, redirectURI string) (*session.Registration, error) {
	server := want.server
	if _, err := server.Endpoint("registration_endpoint"); errors.Is(err, &diagnosis.Diagnosis{ID: diagnosis.EndpointMissing}) || server.Raw == nil && err != nil {
		var also error
		if server.ClientIDMetadataDocumentSupported {
			also = ErrDocumentAccepted
		}
		return nil, &diagnosis.Diagnosis{ID: diagnosis.NoRegistrationPath, Err: also, Expected: diagnosis.Values{"a client with the redirect URI " + redirectURI}, Got: diagnosis.Values{server.Issuer}}
	}
	// No scope is set: a client that is registered for some scopes could not
	// request others later.
	wish := oauth.Registration{ClientName: cmp.Or(l.options.ClientName, clientName), RedirectURIs: []string{redirectURI}, GrantTypes: []string{GrantAuthorizationCode, "refresh_token"}}
	switch {
	case l.grant.name == GrantDeviceCode:
		wish.GrantTypes, wish.OptionalGrantTypes = append(wish.GrantTypes, oauth.GrantDeviceCode), []string{GrantAuthorizationCode}
	case slices.Contains(server.GrantTypesSupported, oauth.GrantDeviceCode):
		wish.GrantTypes, wish.OptionalGrantTypes = append(wish.GrantTypes, oauth.GrantDeviceCode), []string{oauth.GrantDeviceCode}
	}
	client, err := oauth.Register(ctx, l.http, server, wish)
	if err != nil {
		return nil, err
	}
	r := &session.Registration{
		Profile: l.profile.Name(), Issuer: server.Issuer,
		ClientID: client.ClientID, ClientSecret: client.ClientSecret, SecretExpiresAt: client.ClientSecretExpiresAt, AuthMethod: client.TokenEndpointAuthMethod,
		RedirectURI: redirectURI, RegistrationURI: client.RegistrationClientURI, RegistrationToken: client.RegistrationAccessToken,
		RegisteredAt: l.now(),
	}
	if err := l.store.SaveRegistration(ctx, r); err != nil {
		return nil, err
	}
	l.ui.Registered(r.ClientID, l.again)
	return r, nil
}
