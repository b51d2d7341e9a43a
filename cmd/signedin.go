package cmd

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oauthctl/oauthctl/pkg/apicall"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/dpop"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/session"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// store returns the store of sessions. Kind says where new ones go, "" by what
// the system has; those that are there are read where they are.
func (env *Env) store(kind string) (*session.Store, error) {
	if kind != "" && !slices.Contains(session.Kinds(), session.Kind(kind)) {
		return nil, usage("store: expected one of %q, got %q", session.Kinds(), kind)
	}
	if env.StateDir == "" && kind != string(session.Memory) {
		return nil, &diagnosis.Diagnosis{ID: diagnosis.StoreUnwritable, Got: diagnosis.Values{"there is no home directory"}, Hint: "set HOME or XDG_STATE_HOME"}
	}
	return session.New(session.Options{Dir: env.StateDir, Kind: session.Kind(kind)})
}

// loadSession returns the stored session of a profile, session.ErrNotFound if
// there is none.
func (env *Env) loadSession(profile string) (*session.Session, error) {
	store, err := env.store("")
	if err != nil {
		return nil, err
	}
	return store.Load(profile)
}

func (env *Env) forgetSession(ctx context.Context, profile string) error {
	store, err := env.store("")
	if err != nil {
		return err
	}
	return store.Delete(ctx, profile)
}

// source gives the profile's access token, renewed when it is due.
func (env *Env) source(r *resolved) (*session.Source, error) {
	store, err := env.store(r.Store)
	if err != nil {
		return nil, err
	}
	return &session.Source{Store: store, Profile: r.name, Now: env.Now, Renew: func(ctx context.Context, s *session.Session) (*session.Session, error) {
		return env.renew(ctx, r, s)
	}}, nil
}

func loginRequired(r *resolved) error {
	hint := "oauthctl login"
	if r.Issuer == "" && r.API == "" {
		hint += " URL"
	}
	if r.name != "default" {
		hint += " -p " + r.name
	}
	return &diagnosis.Diagnosis{ID: diagnosis.LoginRequired, Got: diagnosis.Values{"profile " + r.name}, Hint: hint}
}

// The grants that sessions are obtained by (RFC 6749, sections 4.1 and 4.4; RFC
// 8628), as --grant-type names them.
const (
	grantCode   = "authorization_code"
	grantDevice = "device_code"
	grantClient = "client_credentials"
)

// actsForItself reports whether the profile is that of a client that needs no
// user: it says so, or the client can authenticate and nobody is logged in. Where
// somebody was, the client never silently takes that user's place.
func (r *resolved) actsForItself(s *session.Session) bool {
	if r.ClientID == "" || r.Issuer == "" && r.TokenURL == "" || s != nil && s.Grant != grantClient {
		return false
	}
	proves := r.ClientRef != "" || r.SigningKey != "" || r.ClientAssertion != "" || r.AuthMethod == oauth.AuthTLS
	return r.GrantType == grantClient || r.GrantType == "" && proves
}

// server returns the metadata of the authorization server: what is found at the
// issuer or, where there is none, what the profile names itself.
func (env *Env) server(ctx context.Context, c *safehttp.Client, r *resolved, issuer string) (*discovery.Server, discovery.Trail, error) {
	if issuer != "" {
		return discovery.FindServer(ctx, c, issuer)
	}
	if r.TokenURL == "" {
		return nil, nil, &usageError{what: "the profile names no authorization server", hint: "oauthctl profile set issuer=URL, or token_endpoint=URL where a server has no metadata"}
	}
	return &discovery.Server{AuthorizationEndpoint: r.AuthorizeURL, TokenEndpoint: r.TokenURL, DeviceAuthorizationEndpoint: r.DeviceURL}, nil, nil
}

// configuredClient is the client that the flags and the profile name, at its
// server.
func (env *Env) configuredClient(ctx context.Context, r *resolved, o clientOptions) (*oauth.Client, error) {
	httpClient, err := env.client()
	if err != nil {
		return nil, err
	}
	server, _, err := env.server(ctx, httpClient, r, r.Issuer)
	if err != nil {
		return nil, err
	}
	client := &oauth.Client{Server: server, HTTP: httpClient, Now: env.Now}
	return client, env.authenticate(ctx, client, r, o)
}

// renew gets new tokens for a session from the server that issued it, or the
// first ones for a client that acts for itself.
func (env *Env) renew(ctx context.Context, r *resolved, s *session.Session) (*session.Session, error) {
	switch {
	case r.actsForItself(s):
		return env.clientCredentials(ctx, r, s)
	case s == nil || s.RefreshToken.IsZero():
		return nil, loginRequired(r)
	}
	client, err := env.sessionClient(ctx, r, s)
	if err != nil {
		return nil, err
	}
	answer, err := client.Token(ctx, oauth.Refresh(s.RefreshToken, nil, s.Resource))
	if err != nil {
		return nil, err
	}
	next := *s
	take(&next, answer, env.Now())
	if answer.IDToken.IsZero() {
		return &next, nil
	}
	// What the refresh says about the user must be what the login said.
	var want oauth.IDTokenExpectation
	if before, err := token.Decode(s.IDToken.Reveal()); err == nil {
		want.Previous = before
	}
	_, err = client.VerifyIDToken(ctx, answer, want)
	var d *diagnosis.Diagnosis
	if errors.As(err, &d) && d.Kind() == diagnosis.Unavailable {
		// The keys are not to be had now, and the old refresh token is spent: what
		// came is kept, but for what could not be verified.
		next.IDToken, err = s.IDToken, nil
	}
	if err != nil {
		return nil, err
	}
	return &next, nil
}

// clientCredentials gets a token of the client's own (RFC 6749, section 4.4). A
// session that it had lends its key.
func (env *Env) clientCredentials(ctx context.Context, r *resolved, before *session.Session) (*session.Session, error) {
	client, err := env.configuredClient(ctx, r, clientOptions{})
	if err != nil {
		return nil, err
	}
	s := &session.Session{
		Profile: r.name, Issuer: client.Server.Issuer, ClientID: client.ID, TokenEndpoint: client.Server.TokenEndpoint,
		AuthMethod: client.AuthMethod, Resource: strings.Fields(r.Resource), Grant: grantClient,
	}
	if before != nil {
		s.DPoPKey = before.DPoPKey
		if client.Secret.IsZero() && before.ClientID == client.ID {
			// One that a login read from standard input.
			client.Secret, s.ClientSecret = before.ClientSecret, before.ClientSecret
		}
	}
	if err := env.bind(client, s); err != nil {
		return nil, err
	}
	answer, err := client.Token(ctx, oauth.ClientCredentials(strings.Fields(r.Scope), r.audiences(), s.Resource))
	if err != nil {
		return nil, err
	}
	take(s, answer, env.Now())
	return s, nil
}

// bind gives the client the key that the session's tokens are bound to (RFC
// 9449), if they are.
func (env *Env) bind(client *oauth.Client, s *session.Session) error {
	prover, err := env.prover(s)
	client.DPoP = prover
	return err
}

// prover makes the proofs of a session's tokens, nil if they are bound to no key.
func (env *Env) prover(s *session.Session) (*dpop.Prover, error) {
	if s.DPoPKey.IsZero() {
		return nil, nil
	}
	key, err := jwks.ParsePrivate([]byte(s.DPoPKey.Reveal()))
	if err != nil {
		return nil, &diagnosis.Diagnosis{ID: diagnosis.StoreUnreadable, Expected: diagnosis.Values{"the key that the session's tokens are bound to"}, Got: diagnosis.Values{"something else"}, Hint: "oauthctl login"}
	}
	return dpop.NewProver(key, env.Now)
}

// audiences are the audience parameters to send: those that somebody named. The
// audience that was found with the API is asked for as its resource.
func (r *resolved) audiences() []string {
	return slices.DeleteFunc(strings.Fields(r.Audience), func(a string) bool {
		return a == r.API || slices.Contains(strings.Fields(r.Resource), a)
	})
}

// take puts a token response into a session. What the response leaves out stays
// as it was: a server may keep the refresh token, and repeats no scope that did
// not change (RFC 6749, sections 5.1 and 6).
func take(s *session.Session, answer *oauth.TokenResponse, now time.Time) {
	s.AccessToken, s.TokenType, s.ExpiresAt, s.ObtainedAt = answer.AccessToken, answer.TokenType, answer.ExpiresAt, now
	if !answer.RefreshToken.IsZero() {
		s.RefreshToken = answer.RefreshToken
	}
	if !answer.IDToken.IsZero() {
		s.IDToken = answer.IDToken
	}
	if answer.ScopeGiven || s.Scope == nil {
		s.Scope = answer.Scope
	}
}

// sessionClient is the client that a session belongs to, at its server as it is
// now. The token endpoint must still be on the host that issued the session.
func (env *Env) sessionClient(ctx context.Context, r *resolved, s *session.Session) (*oauth.Client, error) {
	httpClient, err := env.client()
	if err != nil {
		return nil, err
	}
	server, _, err := env.server(ctx, httpClient, r, s.Issuer)
	if err != nil {
		return nil, err
	}
	if err := s.SameHost(server.TokenEndpoint); err != nil {
		return nil, err
	}
	client := &oauth.Client{ID: s.ClientID, Server: server, HTTP: httpClient, Now: env.Now, Secret: s.ClientSecret, AuthMethod: s.AuthMethod}
	if r.ClientID == s.ClientID && s.ClientSecret.IsZero() {
		if err := env.authenticate(ctx, client, r, clientOptions{}); err != nil {
			return nil, err
		}
	}
	return client, env.bind(client, s)
}

// environmentToken is an access token given by the environment, which wins over
// the store.
func (env *Env) environmentToken() secret.String {
	return secret.New(strings.TrimSpace(env.Getenv("OAUTHCTL_TOKEN")))
}

// accessToken returns the profile's access token, from the environment or the
// session; session is nil for the former.
func (env *Env) accessToken(ctx context.Context, want session.Want) (secret.String, *session.Session, error) {
	r, err := env.resolve()
	if err != nil {
		return secret.String{}, nil, err
	}
	if t := env.environmentToken(); !t.IsZero() {
		return t, nil, nil
	}
	source, err := env.source(r)
	if err != nil {
		return secret.String{}, nil, err
	}
	result, err := source.Session(ctx, want)
	if err != nil {
		return secret.String{}, nil, err
	}
	if result.Warning != nil {
		env.warn("%s", clean(result.Warning.Error()))
	}
	return result.Session.AccessToken, result.Session, nil
}

// tokenOrSession returns the token that a judging command is to look at: the
// argument, or the profile's access token as it is, expired or not.
func (env *Env) tokenOrSession(args []string) (secret.String, error) {
	if len(args) > 0 {
		return env.tokenArg(args[0])
	}
	if t := env.environmentToken(); !t.IsZero() {
		return t, nil
	}
	r, err := env.resolve()
	if err != nil {
		return secret.String{}, err
	}
	s, err := env.loadSession(r.name)
	switch {
	case errors.Is(err, session.ErrNotFound):
		return secret.String{}, loginRequired(r)
	case err != nil:
		return secret.String{}, err
	}
	return s.AccessToken, nil
}

// tokenSource is the profile's session as package apicall asks for tokens.
type tokenSource struct {
	env *Env

	mu     sync.Mutex
	key    secret.String // the one that prover has
	prover *dpop.Prover
}

func (t *tokenSource) Token(ctx context.Context, rejected secret.String) (apicall.AccessToken, error) {
	value, s, err := t.env.accessToken(ctx, session.Want{Rejected: rejected})
	if err != nil || s == nil {
		return apicall.AccessToken{Type: "Bearer", Value: value}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	// One prover for as long as the key stays, for the nonces that it learned.
	if !t.key.Equal(s.DPoPKey) {
		if t.prover, err = t.env.prover(s); err != nil {
			return apicall.AccessToken{}, err
		}
		t.key = s.DPoPKey
	}
	return apicall.AccessToken{Type: s.TokenType, Value: value, Prover: t.prover}, nil
}

// unbound refuses what would hand a token to a program that cannot make the
// proofs it needs (RFC 9449); what names that in the message.
func (env *Env) unbound(r *resolved, what string) error {
	s, err := env.loadSession(r.name)
	if err != nil || s.DPoPKey.IsZero() || !env.environmentToken().IsZero() {
		return nil
	}
	return &usageError{
		what: what + ": the session's tokens are bound to a key (DPoP) and need a proof with each request",
		hint: "`oauthctl call` and `oauthctl proxy` make the proofs",
	}
}
