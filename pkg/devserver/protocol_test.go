package devserver_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/devserver"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/dpop"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// client returns a client of package oauth for this server.
func (d *desk) client(id string) *oauth.Client {
	d.t.Helper()
	server, err := discovery.FindServer(d.t.Context(), &safehttp.Client{}, d.issuer)
	if err != nil {
		d.t.Fatal(err)
	}
	return &oauth.Client{ID: id, Server: server, Now: d.now}
}

func newKey(t *testing.T) *jwks.PrivateKey {
	t.Helper()
	key, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// wantError compares an error with the expected code; "" means none.
func wantError(t *testing.T, name string, err error, code string) {
	t.Helper()
	var refused *oauth.Error
	switch {
	case code == "" && err != nil:
		t.Errorf("%s: %v", name, err)
	case code != "" && (!errors.As(err, &refused) || refused.Code != code):
		t.Errorf("%s: %v, want %s", name, err, code)
	}
}

// A device shows a code, and its user enters it and decides.
func TestDevice(t *testing.T) {
	for _, test := range []struct {
		name, decision, want string
	}{{"agreed", "allow", ""}, {"refused", "deny", "access_denied"}} {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk(t, devserver.Config{})
			client := d.client("oauthctl-dev")
			device, err := client.AuthorizeDevice(t.Context(), oauth.DeviceParams{Scope: []string{"openid", "offline_access", "items:read"}, Resource: []string{d.api}})
			if err != nil {
				t.Fatal(err)
			}
			asked := 0
			client.Wait = func(context.Context, time.Duration) error {
				d.offset.Add(int64(2 * time.Second))
				if asked++; asked < 3 {
					return nil // twice without a result
				}
				page := d.get(device.VerificationURIComplete)
				if !strings.Contains(page.text, device.UserCode) {
					t.Errorf("the page has no code: %s", page.text)
				}
				page = d.post(d.issuer+"/device", url.Values{"user_code": {" " + strings.ToLower(device.UserCode)}})
				page = d.submit(page, "username", "bob", "password", "password")
				page = d.submit(page, "decision", test.decision)
				if page.StatusCode != http.StatusOK || strings.Contains(page.text, "<form") {
					t.Errorf("the last page: %d %s", page.StatusCode, page.text)
				}
				return nil
			}
			answer, err := client.PollDevice(t.Context(), device)
			wantError(t, "poll", err, test.want)
			if asked != 3 {
				t.Errorf("asked %d times", asked)
			}
			if test.want != "" {
				return
			}
			id, err := client.VerifyIDToken(t.Context(), answer, oauth.IDTokenExpectation{})
			if err != nil || id.Subject() != "bob" {
				t.Errorf("ID token %v, %v", id, err)
			}
			_, err = client.Token(t.Context(), oauth.Refresh(answer.RefreshToken, nil, nil))
			wantError(t, "refresh", err, "")
			client.Wait = func(context.Context, time.Duration) error { return nil }
			_, err = client.PollDevice(t.Context(), device)
			wantError(t, "the code again", err, "invalid_grant")
			if page := d.post(d.issuer+"/device", url.Values{"user_code": {device.UserCode}}); page.StatusCode != http.StatusUnprocessableEntity {
				t.Errorf("the user code again: %d", page.StatusCode)
			}
		})
	}
}

func TestDeviceRefuses(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	client := d.client("oauthctl-dev")
	device, err := client.AuthorizeDevice(t.Context(), oauth.DeviceParams{})
	if err != nil {
		t.Fatal(err)
	}
	poll := func(of *oauth.Client) error {
		times := 0
		of.Wait = func(context.Context, time.Duration) error {
			if times++; times > 1 {
				return errors.New("enough")
			}
			return nil
		}
		_, err := of.PollDevice(t.Context(), device)
		return err
	}
	wantError(t, "another client", poll(d.client(d.register("http://127.0.0.1/callback"))), "unauthorized_client")
	form := url.Values{"grant_type": {oauth.GrantDeviceCode}, "client_id": {"oauthctl-dev"}, "device_code": {"guess"}}
	if got := d.token(form); got.Error != "invalid_grant" {
		t.Errorf("a guess: %+v", got)
	}
	d.offset.Add(int64(11 * time.Minute))
	if page := d.post(d.issuer+"/device", url.Values{"user_code": {device.UserCode}}); page.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("an old user code: %d", page.StatusCode)
	}
	_, err = d.client("service").AuthorizeDevice(t.Context(), oauth.DeviceParams{})
	wantError(t, "without a secret", err, "invalid_client")
	_, err = client.AuthorizeDevice(t.Context(), oauth.DeviceParams{Scope: []string{"other"}})
	wantError(t, "unknown scope", err, "invalid_scope")
}

// A client that polls too often receives slow_down.
func TestDeviceSlowDown(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	answer := d.post(d.issuer+"/device_authorization", url.Values{"client_id": {"oauthctl-dev"}})
	var device struct {
		Code string `json:"device_code"`
	}
	decodeInto(t, answer.text, &device)
	form := url.Values{"grant_type": {oauth.GrantDeviceCode}, "client_id": {"oauthctl-dev"}, "device_code": {device.Code}}
	for i, want := range []struct {
		after time.Duration
		code  string
	}{{0, "authorization_pending"}, {100 * time.Millisecond, "slow_down"}, {2 * time.Second, "slow_down"}, {12 * time.Second, "authorization_pending"}} {
		d.offset.Add(int64(want.after))
		if got := d.token(form); got.Error != want.code {
			t.Errorf("request %d: %+v, want %s", i, got, want.code)
		}
	}
}

// A pushed request can be used once, by its own client.
func TestPushed(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	client := d.client("oauthctl-dev")
	push := func() *oauth.AuthorizationRequest {
		t.Helper()
		request, err := client.NewAuthorizationRequest(oauth.AuthorizationParams{RedirectURI: redirectURI, Scope: []string{"items:read"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Push(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		return request
	}
	request := push()
	asked, err := url.Parse(request.URL())
	if err != nil || asked.Query().Has("scope") || !asked.Query().Has("request_uri") {
		t.Fatalf("%v, %s", err, asked)
	}
	code, err := request.Code(d.login(asked.Query()))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Token(t.Context(), request.TokenRequest(code))
	if err != nil || strings.Join(answer.Scope, " ") != "items:read" {
		t.Fatalf("%v, %v", answer, err)
	}
	if page := d.get(request.URL()); page.StatusCode != http.StatusBadRequest {
		t.Errorf("the second use: %d", page.StatusCode)
	}
	if page := d.get(strings.Replace(push().URL(), "oauthctl-dev", d.register(redirectURI), 1)); page.StatusCode != http.StatusBadRequest {
		t.Errorf("another client: %d", page.StatusCode)
	}
	late := push().URL()
	d.offset.Add(int64(2 * time.Minute))
	if page := d.get(late); page.StatusCode != http.StatusBadRequest {
		t.Errorf("after two minutes: %d", page.StatusCode)
	}
	for _, spoil := range [][]string{
		{"redirect_uri", "https://evil.example/"}, {"code_challenge", ""}, {"request_uri", "urn:x"}, {"client_id", "nobody"}, {"scope", "other"},
	} {
		if got := d.post(d.issuer+"/par", parameters(spoil...)); got.StatusCode < 400 || strings.Contains(got.text, "request_uri\":") {
			t.Errorf("%v: %d %s", spoil, got.StatusCode, got.text)
		}
	}
	if got := d.post(d.issuer+"/par", parameters()); got.StatusCode != http.StatusCreated {
		t.Errorf("the good one: %d %s", got.StatusCode, got.text)
	}
}

// Each method of client authentication works, and fails with a wrong secret or key.
func TestClientAuthentication(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	key, other := newKey(t), newKey(t)
	server := d.client("").Server
	for _, method := range []string{oauth.AuthSecretBasic, oauth.AuthSecretPost, oauth.AuthSecretJWT, oauth.AuthPrivateKeyJWT} {
		metadata := oauth.Registration{GrantTypes: []string{"client_credentials"}, TokenEndpointAuthMethod: method}
		if method == oauth.AuthPrivateKeyJWT {
			metadata.JWKS = jwks.NewSet(key.Public())
		}
		registered, err := oauth.Register(t.Context(), nil, server, metadata)
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		good := &oauth.Client{ID: registered.ClientID, Server: server, Now: d.now, Secret: registered.ClientSecret, AuthMethod: method}
		bad := &oauth.Client{ID: registered.ClientID, Server: server, Now: d.now, Secret: secret.New(registered.ClientSecret.Reveal() + "x"), AuthMethod: method}
		if method == oauth.AuthPrivateKeyJWT {
			good.Key, bad.Key = key, other
		}
		_, err = bad.Token(t.Context(), oauth.ClientCredentials(nil, nil, nil))
		wantError(t, method+" with a wrong one", err, "invalid_client")
		_, err = good.Token(t.Context(), oauth.ClientCredentials(nil, nil, nil))
		wantError(t, method, err, "")
		if method == oauth.AuthSecretJWT {
			plain := &oauth.Client{ID: good.ID, Server: server, Now: d.now, Secret: good.Secret, AuthMethod: oauth.AuthSecretPost}
			_, err = plain.Token(t.Context(), oauth.ClientCredentials(nil, nil, nil))
			wantError(t, "the secret itself where an assertion is registered", err, "invalid_client")
		}
	}
	if _, err := oauth.Register(t.Context(), nil, server, oauth.Registration{GrantTypes: []string{"client_credentials"}, TokenEndpointAuthMethod: oauth.AuthPrivateKeyJWT}); err == nil {
		t.Error("private_key_jwt was registered without a key")
	}
}

// An assertion is valid once, for this server, from its own client, and for existing users.
func TestAssertions(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	key := newKey(t)
	server := d.client("").Server
	registered, err := oauth.Register(t.Context(), nil, server, oauth.Registration{
		GrantTypes: []string{"urn:ietf:params:oauth:grant-type:jwt-bearer"}, TokenEndpointAuthMethod: oauth.AuthPrivateKeyJWT, JWKS: jwks.NewSet(key.Public()),
	})
	if err != nil {
		t.Fatal(err)
	}
	client := &oauth.Client{ID: registered.ClientID, Server: server, Now: d.now, Key: key}
	assert := func(claim string, value any) string {
		t.Helper()
		claims := map[string]any{"iss": client.ID, "sub": "alice", "aud": d.issuer, "jti": "1" + claim, "exp": d.now().Add(time.Minute).Unix()}
		if claims[claim] = value; value == nil {
			delete(claims, claim)
		}
		raw, err := token.Sign(key, "JWT", claims)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	good := assert("", "")
	answer, err := client.Token(t.Context(), oauth.JWTBearer(secret.New(good), []string{"items:read"}, nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	if read, err := token.Decode(answer.AccessToken.Reveal()); err != nil || read.Subject() != "alice" || read.ClientID() != client.ID {
		t.Errorf("%v, %v", read, err)
	}
	for name, raw := range map[string]string{
		"used before": good, "another user": assert("sub", "mallory"), "another audience": assert("aud", "https://other.example"),
		"another issuer": assert("iss", "service"), "expired": assert("exp", d.now().Add(-time.Hour).Unix()), "no jti": assert("jti", nil), "no JWT": "x",
	} {
		_, err := client.Token(t.Context(), oauth.JWTBearer(secret.New(raw), nil, nil, nil))
		wantError(t, name, err, "invalid_grant")
	}
}

// A token is exchanged for one with less scope, for another audience, or with
// an actor.
func TestTokenExchange(t *testing.T) {
	d := newDesk(t, devserver.Config{Resources: []string{"https://orders.example"}})
	p := parameters()
	p.Set("resource", d.api)
	login := d.token(codeRequest(d.login(p).Get("code")))
	service := d.client("service")
	service.Secret = secret.New("secret")
	own, err := service.Token(t.Context(), oauth.ClientCredentials([]string{"items:read"}, nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	exchange := func(c *oauth.Client, change func(*oauth.TokenExchangeParams)) (*oauth.TokenResponse, error) {
		p := oauth.TokenExchangeParams{SubjectToken: secret.New(login.AccessToken), ActorToken: own.AccessToken, Scope: []string{"items:read"}, Audience: []string{"https://orders.example"}}
		if change != nil {
			change(&p)
		}
		return c.Token(t.Context(), oauth.TokenExchange(p))
	}
	answer, err := exchange(service, nil)
	if err != nil {
		t.Fatal(err)
	}
	read, err := token.Decode(answer.AccessToken.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	actor, _ := read.Claim("act")
	if m, ok := actor.(map[string]any); read.Subject() != "alice" || !ok || m["sub"] != "service" || strings.Join(read.Audience(), " ") != "https://orders.example" || strings.Join(read.Scopes(), " ") != "items:read" {
		t.Errorf("claims %v", read.Claims())
	}
	for _, test := range []struct {
		name, want string
		by         *oauth.Client
		change     func(*oauth.TokenExchangeParams)
	}{
		{"more scope", "invalid_scope", service, func(p *oauth.TokenExchangeParams) { p.Scope = []string{"users:delete"} }},
		{"another kind", "invalid_request", service, func(p *oauth.TokenExchangeParams) { p.SubjectTokenType = "urn:ietf:params:oauth:token-type:saml2" }},
		{"a guess", "invalid_grant", service, func(p *oauth.TokenExchangeParams) { p.SubjectToken = secret.New("guess") }},
		{"a guessed actor", "invalid_grant", service, func(p *oauth.TokenExchangeParams) { p.ActorToken = secret.New("guess") }},
		{"no URI", "invalid_target", service, func(p *oauth.TokenExchangeParams) { p.Resource = []string{"orders"} }},
		{"another's token, by a public client", "invalid_grant", d.client("oauthctl-dev"), func(p *oauth.TokenExchangeParams) { p.SubjectToken = own.AccessToken }},
		{"its own token, by a public client", "", d.client("oauthctl-dev"), nil},
	} {
		_, err := exchange(test.by, test.change)
		wantError(t, test.name, err, test.want)
	}
}

// Tokens are bound to the client's key, with or without the server's nonce.
func TestBoundTokens(t *testing.T) {
	for _, faults := range [][]string{nil, {"dpop-nonce"}} {
		d := newDesk(t, devserver.Config{Faults: faults})
		prover := func() *dpop.Prover {
			p, err := dpop.NewProver(newKey(t), dpop.ProverOptions{Now: d.now})
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		client := d.client("oauthctl-dev")
		client.DPoP = prover()
		login := func() (*oauth.AuthorizationRequest, secret.String) {
			t.Helper()
			request, err := client.NewAuthorizationRequest(oauth.AuthorizationParams{RedirectURI: redirectURI, Scope: []string{"openid", "offline_access", "items:read"}})
			if err != nil {
				t.Fatal(err)
			}
			asked, err := url.Parse(request.URL())
			if err != nil {
				t.Fatal(err)
			}
			code, err := request.Code(d.login(asked.Query()))
			if err != nil {
				t.Fatal(err)
			}
			return request, code
		}
		thief := d.client("oauthctl-dev")
		request, code := login()
		for name, key := range map[string]*dpop.Prover{"the code without a key": nil, "the code with another key": prover()} {
			thief.DPoP = key
			_, err := thief.Token(t.Context(), request.TokenRequest(code))
			wantError(t, name, err, "invalid_grant")
		}
		answer, err := client.Token(t.Context(), request.TokenRequest(code))
		if err != nil || answer.TokenType != "DPoP" {
			t.Fatalf("%v, %v", answer, err)
		}
		if told, err := client.Userinfo(t.Context(), answer.AccessToken, "alice"); err != nil || told.Subject != "alice" {
			t.Errorf("userinfo: %v, %v", told, err)
		}
		thief.DPoP = prover()
		if _, err := thief.Userinfo(t.Context(), answer.AccessToken, "alice"); err == nil {
			t.Error("userinfo with another key")
		}
		if got := d.call("GET", "/api/items", answer.AccessToken.Reveal(), ""); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("the API accepts a bound token as Bearer: %d", got.StatusCode)
		}
		_, err = thief.Token(t.Context(), oauth.Refresh(answer.RefreshToken, nil, nil))
		wantError(t, "refresh with another key", err, "invalid_grant")
		renewed, err := client.Token(t.Context(), oauth.Refresh(answer.RefreshToken, nil, nil))
		wantError(t, "refresh", err, "")
		told, err := client.Introspect(t.Context(), renewed.AccessToken, "")
		if err != nil || told.TokenType != "DPoP" {
			t.Errorf("introspection: %v, %v", told, err)
		}
	}
}

// Signing out asks first, ends the login of that browser, and redirects only to registered URIs.
func TestEndSession(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	d.login(parameters())
	asks := func() bool {
		return strings.Contains(d.get(d.issuer+"/authorize?"+parameters().Encode()).text, `name="username"`)
	}
	if asks() {
		t.Error("the browser is not logged in")
	}
	page := d.get(d.issuer + "/end-session?client_id=oauthctl-dev&state=s&post_logout_redirect_uri=" + url.QueryEscape(redirectURI))
	if asks() {
		t.Error("opening the page was enough")
	}
	if page = d.submit(page); page.Header.Get("Location") != redirectURI+"?state=s" || !asks() {
		t.Errorf("%d to %q", page.StatusCode, page.Header.Get("Location"))
	}
	page = d.get(d.issuer + "/end-session?client_id=oauthctl-dev&post_logout_redirect_uri=https%3A%2F%2Fevil.example")
	if page.StatusCode != http.StatusBadRequest || page.Header.Get("Location") != "" {
		t.Errorf("%d to %q", page.StatusCode, page.Header.Get("Location"))
	}
}
