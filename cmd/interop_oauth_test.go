package cmd_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/dpop"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

const deviceCode = "urn:ietf:params:oauth:grant-type:device_code"

// interopMetadata reads the certified server's metadata like a command.
func interopMetadata(t *testing.T, issuer string) *discovery.Server {
	t.Helper()
	server, trail, err := discovery.TraceServer(t.Context(), nil, issuer)
	if err != nil {
		t.Fatalf("%v\n%v", err, trail)
	}
	return server
}

// Each method of client authentication at the certified server; a wrong secret is the control.
func TestInteropClientAuthentication(t *testing.T) {
	const api = "http://127.0.0.1:7/api"
	server := interopMetadata(t, startOIDCProvider(t, "--api", api))
	key, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	other, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	published, err := jwks.NewSet(key.Public()).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	request := oauth.ClientCredentials([]string{"items:read"}, nil, []string{api})
	for _, method := range []string{oauth.AuthSecretBasic, oauth.AuthSecretPost, oauth.AuthSecretJWT, oauth.AuthPrivateKeyJWT} {
		t.Run(method, func(t *testing.T) {
			metadata := map[string]any{
				"redirect_uris": []string{}, "response_types": []string{}, "grant_types": []string{"client_credentials"},
				"token_endpoint_auth_method": method,
			}
			if method == oauth.AuthPrivateKeyJWT {
				metadata["jwks"] = jsontext.Value(published)
			}
			id, password := register(t, server.Issuer, metadata)
			client := &oauth.Client{ID: id, Server: server, AuthMethod: method, Secret: secret.New(password)}
			wrong := &oauth.Client{ID: id, Server: server, AuthMethod: method, Secret: secret.New(password + "x")}
			if method == oauth.AuthPrivateKeyJWT {
				client.Key, wrong.Key = key, other
			}
			answer, err := client.Token(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := jwt.ParseSigned(answer.AccessToken.Reveal(), []jose.SignatureAlgorithm{jose.RS256}); err != nil {
				t.Errorf("access token: %v", err)
			}
			var refused *oauth.Error
			if _, err := wrong.Token(t.Context(), request); !errors.As(err, &refused) || refused.Code != "invalid_client" {
				t.Errorf("with a wrong secret or key: %v, want invalid_client", err)
			}
		})
	}
}

// A login with a pushed request, bound to a key whose proofs need the server's nonce: token, ID token, userinfo,
// refresh, introspection, revocation.
func TestInteropPushedAndBound(t *testing.T) {
	const api = "http://127.0.0.1:7/opaque"
	server := interopMetadata(t, startOIDCProvider(t, "--opaque-api", api, "--dpop-nonce", "--require-par"))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	client, received := interopClient(t, server)
	request, err := client.NewAuthorizationRequest(oauth.AuthorizationParams{
		RedirectURI: received.redirectURI, Scope: []string{"openid", "offline_access", "items:read"}, Resource: []string{api}, Prompt: "consent",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Push(ctx, request); err != nil {
		t.Fatal(err)
	}
	if _, err := clickThrough(ctx, request.URL(), person{Login: "alice"}); err != nil {
		t.Fatal(err)
	}
	code, err := request.Code(<-received.values)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Token(ctx, request.TokenRequest(code))
	if err != nil {
		t.Fatal(err)
	}
	if answer.TokenType != "DPoP" {
		t.Errorf("token type %q, want DPoP", answer.TokenType)
	}
	idToken, err := client.VerifyIDToken(ctx, answer, request.IDTokenExpectation())
	if err != nil {
		t.Fatal(err)
	}
	if idToken.Subject() != "alice" {
		t.Errorf("ID token of %q, want alice", idToken.Subject())
	}
	renewed, err := client.Token(ctx, oauth.Refresh(answer.RefreshToken, nil, []string{api}))
	if err != nil {
		t.Fatal(err)
	}
	wantActive(t, client, renewed.AccessToken, true)
	if err := client.Revoke(ctx, renewed.AccessToken, "access_token"); err != nil {
		t.Fatal(err)
	}
	wantActive(t, client, renewed.AccessToken, false)
	if err := client.Revoke(ctx, renewed.RefreshToken, "refresh_token"); err != nil {
		t.Fatal(err)
	}
	var refused *oauth.Error
	if _, err := client.Token(ctx, oauth.Refresh(renewed.RefreshToken, nil, []string{api})); !errors.As(err, &refused) || refused.Code != "invalid_grant" {
		t.Errorf("refresh with a revoked token: %v, want invalid_grant", err)
	}
}

func wantActive(t *testing.T, client *oauth.Client, accessToken secret.String, want bool) {
	t.Helper()
	told, err := client.Introspect(t.Context(), accessToken, "access_token")
	if err != nil {
		t.Fatal(err)
	}
	if told.Active != want {
		t.Errorf("introspection says active is %v, want %v", told.Active, want)
	}
}

// A login without a resource gives a token for the userinfo endpoint.
func TestInteropDeviceAndUserinfo(t *testing.T) {
	server := interopMetadata(t, startOIDCProvider(t))
	id, _ := register(t, server.Issuer, map[string]any{
		"application_type": "native", "redirect_uris": []string{}, "response_types": []string{},
		"grant_types": []string{deviceCode}, "token_endpoint_auth_method": "none",
	})
	client := &oauth.Client{ID: id, Server: server, Wait: func(context.Context, time.Duration) error { return nil }}
	device, err := client.AuthorizeDevice(t.Context(), oauth.DeviceParams{Scope: []string{"openid", "email"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := clickThrough(t.Context(), device.VerificationURIComplete, person{Login: "bob"}); err != nil {
		t.Fatal(err)
	}
	answer, err := client.PollDevice(t.Context(), device)
	if err != nil {
		t.Fatal(err)
	}
	told, err := client.Userinfo(t.Context(), answer.AccessToken, "bob")
	if err != nil {
		t.Fatal(err)
	}
	if told.Subject != "bob" {
		t.Errorf("userinfo of %q, want bob", told.Subject)
	}
	if _, err := client.Userinfo(t.Context(), answer.AccessToken, "alice"); err == nil {
		t.Error("userinfo of another subject was taken")
	}
}

// receivedValues receives the authorization responses of a client.
type receivedValues struct {
	redirectURI string
	values      chan url.Values
}

// interopClient registers a public native client whose tokens are bound to a key.
func interopClient(t *testing.T, server *discovery.Server) (*oauth.Client, receivedValues) {
	t.Helper()
	values := make(chan url.Values, 1)
	listener := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { values <- r.URL.Query() }))
	t.Cleanup(listener.Close)
	redirectURI := listener.URL + "/callback"
	registered, err := oauth.Register(t.Context(), nil, server, oauth.Registration{RedirectURIs: []string{redirectURI}})
	if err != nil {
		t.Fatal(err)
	}
	key, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	prover, err := dpop.NewProver(key, dpop.ProverOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return &oauth.Client{ID: registered.ClientID, Server: server, DPoP: prover}, receivedValues{redirectURI, values}
}
