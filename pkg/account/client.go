package account

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/dpop"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/session"
)

const maxKeyFile = 64 << 10

// newClient returns a client of a server without credentials.
func (a *Account) newClient(server *discovery.Server, id string) *oauth.Client {
	return &oauth.Client{
		ID: id, Server: server, HTTP: a.http, Now: a.config.Now,
		AssertionAudience: a.profile.Get(profile.AssertionAudience),
		AssumeBearer:      a.profile.Get(profile.AssumeBearer) == "true",
		TokenMember:       a.profile.Get(profile.TokenMember),
	}
}

// configuredClient returns the client of the profile for a server.
func (a *Account) configuredClient(ctx context.Context, server *discovery.Server) (*oauth.Client, error) {
	client := a.newClient(server, a.profile.Get(profile.ClientID))
	return client, a.authenticate(ctx, client)
}

// authenticate adds the credentials that were configured for a client and its
// server. Only this function reads them from the profile.
func (a *Account) authenticate(ctx context.Context, client *oauth.Client) error {
	p := a.profile
	target := ownerOf(client)
	client.AuthMethod = cmp.Or(p.Get(profile.AuthMethod), client.AuthMethod)

	client.Secret = a.config.ClientSecret
	if client.Secret.IsZero() {
		reference, err := p.Credential(profile.ClientSecret, target)
		if err == nil && reference != "" {
			client.Secret, err = a.readSecret(ctx, reference)
		}
		if err != nil {
			return err
		}
	}
	if err := a.signWith(client, target); err != nil {
		return err
	}
	client.Assertion = a.config.ClientAssertion
	if client.Assertion.IsZero() {
		reference, err := p.Credential(profile.ClientAssertion, target)
		if err == nil && reference != "" {
			client.Assertion, err = a.readAssertion(ctx, profile.ClientAssertion, reference, audienceOf(client))
		}
		if err != nil {
			return err
		}
	}
	certificate, err := p.Credential(profile.ClientCert, target)
	if err == nil && client.AuthMethod == oauth.AuthTLS && certificate == "" {
		err = &diagnosis.Diagnosis{ID: diagnosis.ClientIncomplete, Expected: diagnosis.Values{string(profile.ClientCert) + " and " + string(profile.ClientKey)}, Got: diagnosis.None}
	}
	return err
}

// signWith reads the key that signs the client's assertions.
func (a *Account) signWith(client *oauth.Client, target profile.Owner) error {
	path, err := a.profile.Credential(profile.SigningKey, target)
	if err != nil || path == "" {
		return err
	}
	data, err := profile.ReadCredential(path, maxKeyFile)
	if d, ok := errors.AsType[*diagnosis.Diagnosis](err); ok {
		return d
	}
	if err == nil {
		client.Key, err = jwks.ParsePrivate(data)
	}
	if err != nil {
		return &diagnosis.Diagnosis{ID: diagnosis.ConfigInvalid, Got: diagnosis.Values{string(profile.SigningKey) + " " + path}, Err: err}
	}
	return nil
}

func (a *Account) readSecret(ctx context.Context, reference string) (secret.String, error) {
	if a.config.ReadSecret == nil {
		return secret.String{}, &diagnosis.Diagnosis{ID: diagnosis.ConfigInvalid, Got: diagnosis.Values{string(profile.ClientSecret) + ": references to secrets are not supported"}}
	}
	return a.config.ReadSecret(ctx, reference)
}

// readAssertion reads the token that the setting key refers to.
func (a *Account) readAssertion(ctx context.Context, key profile.Key, reference, audience string) (secret.String, error) {
	if a.config.ReadAssertion == nil {
		return secret.String{}, &diagnosis.Diagnosis{ID: diagnosis.ConfigInvalid, Got: diagnosis.Values{string(key) + ": references to assertions are not supported"}}
	}
	return a.config.ReadAssertion(ctx, reference, audience)
}

// ownerOf returns the client and the server that will receive its credentials.
func ownerOf(c *oauth.Client) profile.Owner {
	return profile.Owner{Server: cmp.Or(c.Server.Issuer, c.Server.TokenEndpoint), ClientID: c.ID}
}

// audienceOf returns the audience of an assertion for a client's server.
func audienceOf(c *oauth.Client) string {
	return cmp.Or(c.AssertionAudience, c.Server.Issuer, c.Server.TokenEndpoint)
}

// sessionClient returns the client of a session, with the current metadata of
// its server. Its tokens and secrets are sent only to the origins of the
// session.
func (a *Account) sessionClient(ctx context.Context, s *session.Session) (*oauth.Client, error) {
	registered, err := a.registration(ctx, s)
	if err != nil {
		return nil, err
	}
	return a.clientOf(ctx, s, registered)
}

func (a *Account) clientOf(ctx context.Context, s *session.Session, registered *session.Registration) (*oauth.Client, error) {
	server, _, err := a.server(ctx, s.Issuer)
	if err != nil {
		return nil, err
	}
	client := a.newClient(server, s.ClientID)
	client.AuthMethod, client.Origins = s.AuthMethod, s.Origins
	switch {
	case registered != nil:
		client.Secret, client.AuthMethod = registered.ClientSecret, registered.AuthMethod
	case !s.ClientSecret.IsZero():
		client.Secret = s.ClientSecret
	default:
		if err := a.authenticate(ctx, client); err != nil {
			return nil, err
		}
	}
	client.DPoP, err = a.proverOf(s)
	return client, err
}

// registration returns the client that the session's server registered for this
// profile, or nil if the session has another client.
func (a *Account) registration(ctx context.Context, s *session.Session) (*session.Registration, error) {
	r, err := a.store.LoadRegistration(ctx, a.profile.Name())
	switch {
	case errors.Is(err, session.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case r.Issuer != s.Issuer || r.ClientID != s.ClientID:
		return nil, nil
	}
	return r, nil
}

// keyedProver is the prover of one key. It is retained for its nonces.
type keyedProver struct {
	key    secret.String
	prover *dpop.Prover
}

// proverOf returns the prover for a session's tokens (RFC 9449), or nil for
// tokens that are not bound to a key.
func (a *Account) proverOf(s *session.Session) (*dpop.Prover, error) {
	if s.DPoPKey.IsZero() {
		return nil, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.prover.prover != nil && a.prover.key.Equal(s.DPoPKey) {
		return a.prover.prover, nil
	}
	key, err := jwks.ParsePrivate([]byte(s.DPoPKey.Reveal()))
	if err != nil {
		return nil, &diagnosis.Diagnosis{ID: diagnosis.StoreUnreadable, Expected: diagnosis.Values{"the key that the session's tokens are bound to"}, Got: diagnosis.Values{"something else"}}
	}
	prover, err := dpop.NewProver(key, dpop.ProverOptions{Now: a.config.Now})
	if err != nil {
		return nil, err
	}
	a.prover = keyedProver{key: s.DPoPKey, prover: prover}
	return prover, nil
}

// newProofKey generates a key to bind tokens to, for the first algorithm that
// the server supports for proofs, or ES256 if its metadata does not say.
func newProofKey(server *discovery.Server) (secret.String, error) {
	algorithm := "ES256"
	for _, alg := range []string{"ES256", "EdDSA", "ES384", "ES512", "PS256", "RS256"} {
		if slices.Contains(server.DPoPSigningAlgValuesSupported, alg) {
			algorithm = alg
			break
		}
	}
	key, err := jwks.Generate(algorithm)
	if err != nil {
		return secret.String{}, err
	}
	data, err := key.MarshalJWK()
	return secret.New(string(data)), err
}
