package account

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/loopback"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/session"
)

// anyPort is the redirect URI of a client that is registered before a port is
// known: loopback addresses match at every port (RFC 8252, section 7.3).
const anyPort = "http://127.0.0.1/callback"

// ErrDocumentAccepted is underneath a NO_REGISTRATION_PATH where the server
// accepts the URL of a client id metadata document as client id.
var ErrDocumentAccepted = errors.New("it accepts the URL of a client id metadata document")

// clientName is what a server shows its users of a client that is registered
// here.
const clientName = "oauthctl"

// known returns the client that this profile's server registered for it, nil if
// there is none that can be used: its secret has expired (RFC 7591, section
// 3.2.1), or the store cannot read it, which a login recovers from.
func (l *login) known(ctx context.Context, server *discovery.Server) (*session.Registration, error) {
	if l.profile.Get(profile.ClientID) != "" || l.document != "" {
		return nil, nil // the profile names a client, so no other is used
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

// chooseDocument returns the URL of the document that describes the client, where
// the server announces that it accepts one as client id (OAuth Client ID Metadata
// Document), "" where the client is another one: it comes after a client that was
// configured for this server, and before one that is registered here. A document
// that is only the program's default has to be there.
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

// publishes reports whether a client id metadata document answers, and is about
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

// listen binds the redirect URI: the one that was asked for, else the one that a
// registered client was registered with, since many servers compare the port,
// else a free port. Where the registered port is taken, the client is not used.
// A redirect URI that is not of this machine needs no listener: its answer is
// pasted.
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
		registered = nil // by the device grant, for no port in particular
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

// client settles which client this is: the one that the profile names, the one
// that was registered before, or one that the server registers now.
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

// register asks the server for a client of our own (RFC 7591), for every grant
// that a user can log in by, and keeps it at once: a login that is given up
// leaves no client behind that nobody knows.
func (l *login) register(ctx context.Context, want wanted, redirectURI string) (*session.Registration, error) {
	server := want.server
	if _, err := server.Endpoint("registration_endpoint"); errors.Is(err, &diagnosis.Diagnosis{ID: diagnosis.EndpointMissing}) || server.Raw == nil && err != nil {
		var also error
		if server.ClientIDMetadataDocumentSupported {
			also = ErrDocumentAccepted
		}
		return nil, &diagnosis.Diagnosis{ID: diagnosis.NoRegistrationPath, Err: also, Expected: diagnosis.Values{"a client with the redirect URI " + redirectURI}, Got: diagnosis.Values{server.Issuer}}
	}
	// No scope is named: a client registered for some could never widen them.
	wish := oauth.Registration{ClientName: cmp.Or(l.options.ClientName, clientName), RedirectURIs: []string{redirectURI}, GrantTypes: []string{GrantAuthorizationCode, "refresh_token"}}
	switch {
	case l.grant.name == GrantDeviceCode:
		wish.GrantTypes, wish.OptionalGrantTypes = append(wish.GrantTypes, oauth.GrantDeviceCode), []string{GrantAuthorizationCode}
	case discovery.Supports(server.GrantTypesSupported, oauth.GrantDeviceCode):
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
