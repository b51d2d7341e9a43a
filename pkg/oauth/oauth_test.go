package oauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/oauth2"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// canary is part of every secret in these tests; no error may contain it.
const canary = "canary-5fe2"

var clock = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func now() time.Time { return clock }

// client returns a public client of a server whose endpoints are all served by
// handler, each at a different path.
func client(t *testing.T, handler http.HandlerFunc) *oauth.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	transport := safehttp.NewTransport(nil)
	t.Cleanup(transport.CloseIdleConnections)
	return &oauth.Client{
		ID: "app", Now: now,
		HTTP: &safehttp.Client{Transport: transport, Timeout: 500 * time.Millisecond},
		Server: &discovery.Server{
			Issuer:                             "https://issuer.example",
			AuthorizationEndpoint:              server.URL + "/authorize",
			TokenEndpoint:                      server.URL + "/token",
			RegistrationEndpoint:               server.URL + "/register",
			RevocationEndpoint:                 server.URL + "/revoke",
			IntrospectionEndpoint:              server.URL + "/introspect",
			UserinfoEndpoint:                   server.URL + "/userinfo",
			DeviceAuthorizationEndpoint:        server.URL + "/device",
			PushedAuthorizationRequestEndpoint: server.URL + "/par",
		},
	}
}

// answer returns a handler that sends the same response to every request.
func answer(status int, kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func id(err error) diagnosis.ID {
	var d *diagnosis.Diagnosis
	if errors.As(err, &d) {
		return d.ID
	}
	return ""
}

// refused checks that err has this id and contains no secret; for "", err must
// be nil.
func refused(t *testing.T, err error, want diagnosis.ID) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("positive control: %v", err)
	case want != "" && err == nil:
		t.Errorf("accepted, want %s", want)
	case id(err) != want:
		t.Errorf("got %s (%v), want %s", id(err), err, want)
	}
	if err != nil && strings.Contains(fmt.Sprintf("%v %+v", err, err), canary) {
		t.Errorf("the error shows a secret: %v", err)
	}
}

// authorization creates a request and returns its parameters as they are sent.
func authorization(t *testing.T, c *oauth.Client, p oauth.AuthorizationParams) (*oauth.AuthorizationRequest, url.Values) {
	t.Helper()
	if p.RedirectURI == "" {
		p.RedirectURI = "http://127.0.0.1:1234/callback"
	}
	r, err := c.NewAuthorizationRequest(p)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(r.URL())
	if err != nil {
		t.Fatal(err)
	}
	return r, u.Query()
}

// fuzzed is like client, for a fuzz target.
func fuzzed(f *testing.F, handler http.HandlerFunc) *oauth.Client {
	server := httptest.NewServer(handler)
	f.Cleanup(server.Close)
	c := public(nil)
	c.Server.TokenEndpoint, c.Server.RegistrationEndpoint = server.URL, server.URL
	return c
}

// oauth2Context makes x/oauth2 use our transport, so that no connection is left
// open.
func oauth2Context(t *testing.T, c *oauth.Client) context.Context {
	return context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: c.HTTP.Transport})
}
