package session

import (
	"net/url"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// stored is the stored form of a session. Secrets are written only here and in
// storedClient.
type stored struct {
	Version          int         `json:"version"`
	Profile          string      `json:"profile"`
	Issuer           string      `json:"issuer"`
	API              string      `json:"api,omitempty"`
	ClientID         string      `json:"client_id"`
	ClientSecret     string      `json:"client_secret,omitempty"`
	AuthMethod       string      `json:"auth_method,omitempty"`
	TokenEndpoint    string      `json:"token_endpoint"`
	Origins          []string    `json:"origins,omitempty"`
	Grant            string      `json:"grant_type,omitempty"`
	Asked            storedAsked `json:"asked,omitempty"`
	TokenType        string      `json:"token_type"`
	AccessToken      string      `json:"access_token"`
	RefreshToken     string      `json:"refresh_token,omitempty"`
	IDToken          string      `json:"id_token,omitempty"`
	Scope            []string    `json:"scope,omitempty"`
	Resource         []string    `json:"resource,omitempty"`
	Subject          string      `json:"subject,omitempty"`
	Name             string      `json:"name,omitempty"`
	ExpiresAt        time.Time   `json:"expires_at,omitzero"`
	ObtainedAt       time.Time   `json:"obtained_at,omitzero"`
	RefreshExpiresAt time.Time   `json:"refresh_expires_at,omitzero"`
	Revoked          bool        `json:"revoked,omitzero"`
	DPoPKey          string      `json:"dpop_key,omitempty"`
}

// storedAsked is the stored form of Asked.
type storedAsked struct {
	Scope    []string   `json:"scope,omitempty"`
	Audience []string   `json:"audience,omitempty"`
	Resource []string   `json:"resource,omitempty"`
	Param    url.Values `json:"param,omitempty"`
}

func (s *Session) slot() slot                        { return sessionOf(s.Profile) }
func (s *Session) client() (issuer, clientID string) { return s.Issuer, s.ClientID }

func (s *Session) encode() ([]byte, error) {
	return json.Marshal(&stored{
		Version:          s.slot().version(),
		Profile:          s.Profile,
		Issuer:           s.Issuer,
		API:              s.API,
		ClientID:         s.ClientID,
		ClientSecret:     s.ClientSecret.Reveal(),
		AuthMethod:       s.AuthMethod,
		TokenEndpoint:    s.TokenEndpoint,
		Origins:          s.Origins,
		Grant:            s.Grant,
		Asked:            storedAsked(s.Asked),
		TokenType:        s.TokenType,
		AccessToken:      s.AccessToken.Reveal(),
		RefreshToken:     s.RefreshToken.Reveal(),
		IDToken:          s.IDToken.Reveal(),
		Scope:            s.Scope,
		Resource:         s.Resource,
		Subject:          s.Subject,
		Name:             s.Name,
		ExpiresAt:        s.ExpiresAt,
		ObtainedAt:       s.ObtainedAt,
		RefreshExpiresAt: s.RefreshExpiresAt,
		Revoked:          s.Revoked,
		DPoPKey:          s.DPoPKey.Reveal(),
	}, json.Deterministic(true))
}

// decodeSession parses the plain text of a session.
func decodeSession(plain []byte, at slot) (*Session, error) {
	var s stored
	if json.Unmarshal(plain, &s, json.RejectUnknownMembers(true)) != nil {
		return nil, unreadable("a session in JSON", "something else")
	}
	switch {
	case s.Version < 1 || s.Version > at.version() || s.Profile != at.profile:
		return nil, unreadable("a session of profile "+at.profile, "another")
	case s.AccessToken == "" && !s.Revoked:
		return nil, unreadable("an access token", "none")
	}
	if s.Version == 1 {
		s.Origins = originsOf(s.TokenEndpoint)
	}
	return &Session{
		Profile:          s.Profile,
		Issuer:           s.Issuer,
		API:              s.API,
		ClientID:         s.ClientID,
		ClientSecret:     secret.New(s.ClientSecret),
		AuthMethod:       s.AuthMethod,
		TokenEndpoint:    s.TokenEndpoint,
		Origins:          s.Origins,
		Grant:            s.Grant,
		Asked:            Asked(s.Asked),
		TokenType:        s.TokenType,
		AccessToken:      secret.New(s.AccessToken),
		RefreshToken:     secret.New(s.RefreshToken),
		IDToken:          secret.New(s.IDToken),
		Scope:            s.Scope,
		Resource:         s.Resource,
		Subject:          s.Subject,
		Name:             s.Name,
		ExpiresAt:        s.ExpiresAt,
		ObtainedAt:       s.ObtainedAt,
		RefreshExpiresAt: s.RefreshExpiresAt,
		Revoked:          s.Revoked,
		DPoPKey:          secret.New(s.DPoPKey),
	}, nil
}

// originsOf returns the origins of a session of version 1, which did not store
// them: the origin of its token endpoint.
func originsOf(tokenEndpoint string) []string {
	u, err := url.Parse(tokenEndpoint)
	if err != nil || u.Host == "" {
		return nil
	}
	return []string{safehttp.Origin(u)}
}

// storedClient is the stored form of a registration.
type storedClient struct {
	Version           int       `json:"version"`
	Profile           string    `json:"profile"`
	Issuer            string    `json:"issuer"`
	ClientID          string    `json:"client_id"`
	ClientSecret      string    `json:"client_secret,omitempty"`
	SecretExpiresAt   time.Time `json:"client_secret_expires_at,omitzero"`
	AuthMethod        string    `json:"auth_method,omitempty"`
	RedirectURI       string    `json:"redirect_uri,omitempty"`
	RegistrationURI   string    `json:"registration_client_uri,omitempty"`
	RegistrationToken string    `json:"registration_access_token,omitempty"`
	RegisteredAt      time.Time `json:"registered_at,omitzero"`
}

func (r *Registration) slot() slot                        { return clientOf(r.Profile) }
func (r *Registration) client() (issuer, clientID string) { return r.Issuer, r.ClientID }

func (r *Registration) encode() ([]byte, error) {
	return json.Marshal(&storedClient{
		Version:           r.slot().version(),
		Profile:           r.Profile,
		Issuer:            r.Issuer,
		ClientID:          r.ClientID,
		ClientSecret:      r.ClientSecret.Reveal(),
		SecretExpiresAt:   r.SecretExpiresAt,
		AuthMethod:        r.AuthMethod,
		RedirectURI:       r.RedirectURI,
		RegistrationURI:   r.RegistrationURI,
		RegistrationToken: r.RegistrationToken.Reveal(),
		RegisteredAt:      r.RegisteredAt,
	})
}

// decodeClient parses the plain text of a registration.
func decodeClient(plain []byte, at slot) (*Registration, error) {
	var r storedClient
	if json.Unmarshal(plain, &r, json.RejectUnknownMembers(true)) != nil {
		return nil, unreadable("a client in JSON", "something else")
	}
	switch {
	case r.Version < 1 || r.Version > at.version() || r.Profile != at.profile:
		return nil, unreadable("a client of profile "+at.profile, "another")
	case r.ClientID == "":
		return nil, unreadable("a client id", "none")
	}
	return &Registration{
		Profile:           r.Profile,
		Issuer:            r.Issuer,
		ClientID:          r.ClientID,
		ClientSecret:      secret.New(r.ClientSecret),
		SecretExpiresAt:   r.SecretExpiresAt,
		AuthMethod:        r.AuthMethod,
		RedirectURI:       r.RedirectURI,
		RegistrationURI:   r.RegistrationURI,
		RegistrationToken: secret.New(r.RegistrationToken),
		RegisteredAt:      r.RegisteredAt,
	}, nil
}
