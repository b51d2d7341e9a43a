package oauth_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// A client fetches its server's keys once while they are fresh.
func TestKeysAreKept(t *testing.T) {
	var fetches atomic.Int32
	keys := published(t)
	c := client(t, func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "max-age=3600")
		_, _ = w.Write(keys)
	})
	c.Server.JWKSURI = strings.TrimSuffix(c.Server.TokenEndpoint, "/token") + "/jwks"
	for range 5 {
		_, err := c.VerifyIDToken(t.Context(), &oauth.TokenResponse{AccessToken: secret.New("a"), IDToken: goodIDToken().sign(t)}, oauth.IDTokenExpectation{Nonce: secret.New("the-nonce")})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := fetches.Load(); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
}

// Each message contains the name of the endpoint that sent the response.
func TestMessagesNameTheirEndpoint(t *testing.T) {
	for _, tt := range []struct {
		status int
		body   string
		want   diagnosis.ID
	}{
		{401, ``, diagnosis.ClientRefused},
		{401, `<html>`, diagnosis.ClientRefused},
		{404, `<html>`, diagnosis.AnswerInvalid},
		{200, `<html>`, diagnosis.AnswerInvalid},
	} {
		c := client(t, answer(tt.status, "", tt.body))
		request, _ := authorization(t, c, oauth.AuthorizationParams{})
		for endpoint, err := range map[oauth.Endpoint]error{
			oauth.IntrospectionEndpoint: func() error { _, err := c.Introspect(t.Context(), secret.New("t"), ""); return err }(),
			oauth.DeviceEndpoint:        func() error { _, err := c.AuthorizeDevice(t.Context(), oauth.DeviceParams{}); return err }(),
			oauth.PAREndpoint:           c.Push(t.Context(), request),
		} {
			refused(t, err, tt.want)
			if !strings.Contains(err.Error(), string(endpoint)+" endpoint") || strings.Contains(err.Error(), "token response") {
				t.Errorf("%s, %d: %v", endpoint, tt.status, err)
			}
			var refusal *oauth.Error
			if errors.As(err, &refusal) != (tt.status == 401) || refusal != nil && refusal.Request.Endpoint != endpoint {
				t.Errorf("%s, %d: %+v", endpoint, tt.status, refusal)
			}
		}
	}
}

// An error in the server's own format is shown, without the values that were
// sent.
func TestOwnErrorTexts(t *testing.T) {
	for body, want := range map[string]string{
		`{"detail":"the client \"app\" is on hold"}`:     `the client \"app\" is on hold`,
		`{"message":"` + strings.Repeat("x", 400) + `"}`: strings.Repeat("x", 200) + "…",
		`{"errorSummary":"refused ` + canary + `"}`:      "refused [redacted]",
		`{"fault":{"faultstring":"no"}}`:                 `faultstring`,
		`{"message":"\u001b[31m"}`:                       `\x1b[31m`,
	} {
		c := client(t, answer(400, "application/json", body))
		_, err := c.Token(t.Context(), oauth.JWTBearer(secret.New(canary), nil, nil, nil))
		refused(t, err, diagnosis.RequestRefused)
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v does not show %q", body, err, want)
		}
	}
	// A response that may contain a token is not shown as an error text.
	c := client(t, answer(400, "application/json", `{"refresh_token":"`+canary+`"}`))
	_, err := c.Token(t.Context(), oauth.JWTBearer(secret.New("x"), nil, nil, nil))
	refused(t, err, diagnosis.TokenEndpointShape)
	long := strings.Repeat("Hydra explains. ", 25) + "Here is the point."
	c = client(t, answer(400, "application/json", `{"error":"invalid_request","error_description":"`+long+`"}`))
	if _, err := c.Token(t.Context(), oauth.ClientCredentials(nil, nil, nil)); !strings.Contains(err.Error(), "Here is the point.") {
		t.Errorf("%v ends too early", err)
	}
}

// The error describes its request as data, so that a hint can show the setting
// to change.
func TestRequestIsTyped(t *testing.T) {
	c := client(t, answer(401, "", `{"error":"invalid_client"}`))
	c.Secret = secret.New("p ä%")
	_, err := c.Token(t.Context(), oauth.ClientCredentials(nil, nil, nil))
	var got *oauth.Error
	if !errors.As(err, &got) {
		t.Fatal(err)
	}
	want := oauth.Request{Endpoint: oauth.TokenEndpoint, GrantType: "client_credentials", AuthMethod: oauth.AuthSecretBasic, SecretEncoded: true}
	if diff := cmp.Diff(want, got.Request); diff != "" {
		t.Error(diff)
	}
	c.Secret, c.Server.DPoPSigningAlgValuesSupported, c.Server.TokenEndpointAuthMethodsSupported = secret.New("plain"), []string{"ES256"}, []string{oauth.AuthSecretPost}
	_, err = c.Token(t.Context(), oauth.ClientCredentials(nil, nil, nil))
	if !errors.As(err, &got) || got.Request.SecretEncoded || !got.Request.ProofsAnnounced || !got.Request.MethodsAnnounced || got.Request.AuthMethod != oauth.AuthSecretPost {
		t.Errorf("%+v", got)
	}
}

func TestRefusesRefreshToken(t *testing.T) {
	for body, want := range map[string][2]bool{
		`{"error":"invalid_grant"}`:       {true, true},
		`{"error":"token_revoked"}`:       {true, false},
		`{"error":"bad_refresh_token"}`:   {true, false},
		`{"error":"invalid_client"}`:      {false, false},
		`{"error":"invalid_scope"}`:       {false, false},
		`{"error":"invalid_target"}`:      {false, false},
		`{"error":"invalid_dpop_proof"}`:  {false, false},
		`{"error":"server_error"}`:        {false, false},
		`{"error":"invalid_request"}`:     {false, false},
		`{"error":"temporarily_blocked"}`: {true, false},
	} {
		c := client(t, answer(400, "", body))
		_, err := c.Token(t.Context(), oauth.Refresh(secret.New("r"), nil, nil))
		var e *oauth.Error
		if !errors.As(err, &e) {
			t.Fatal(err)
		}
		if refused, certain := e.RefusesRefreshToken(); [2]bool{refused, certain} != want {
			t.Errorf("%s: %v, %v, want %v", body, refused, certain, want)
		}
		_, err = c.Token(t.Context(), oauth.ClientCredentials(nil, nil, nil))
		if errors.As(err, &e); e.Request.GrantType == "client_credentials" {
			if refused, _ := e.RefusesRefreshToken(); refused {
				t.Errorf("%s: about a refresh token, without one", body)
			}
		}
	}
}

// A response without a token_type, or with one that is not registered, is
// accepted as Bearer only if the caller allows it.
func TestAssumeBearer(t *testing.T) {
	for body, want := range map[string]diagnosis.ID{
		`{"access_token":"a"}`:                            "",
		`{"access_token":"a","token_type":null}`:          "",
		`{"access_token":"a","token_type":"BearerToken"}`: "",
		`{"access_token":"a","token_type":"DPoP"}`:        diagnosis.DPoPDowngrade,
		`{"access_token":"a","token_type":7}`:             diagnosis.TokenEndpointShape,
		`{"token_type":"BearerToken"}`:                    diagnosis.TokenEndpointShape,
	} {
		c := client(t, answer(200, "", body))
		c.AssumeBearer = true
		res, err := c.Token(t.Context(), oauth.TokenExchange(oauth.TokenExchangeParams{SubjectToken: secret.New("s")}))
		refused(t, err, want)
		if err == nil && res.TokenType != "Bearer" {
			t.Errorf("%s: token_type %q", body, res.TokenType)
		}
		if c.AssumeBearer = false; want == "" {
			_, err = c.Token(t.Context(), oauth.ClientCredentials(nil, nil, nil))
			refused(t, err, diagnosis.TokenEndpointShape)
		}
	}
}

// Nested tokens are read from the member that the caller configured. Otherwise,
// the error lists the members that have tokens.
func TestTokenMember(t *testing.T) {
	for name, tt := range map[string]struct {
		member, body string
		access       string // "" for a refusal
		refresh      string
		named        []string // the members in the error
	}{
		"as a workspace answers":          {"authed_user", `{"ok":true,"team":{"id":"T"},"authed_user":{"id":"U","scope":"a,b","access_token":"x","refresh_token":"r","token_type":"Bearer","expires_in":60}}`, "x", "r", nil},
		"two tokens, the nested one":      {"person", `{"access_token":"bot","token_type":"Bearer","refresh_token":"b","person":{"access_token":"x","token_type":"Bearer"}}`, "x", "", nil},
		"a refresh that does not nest":    {"authed_user", `{"access_token":"x","token_type":"Bearer","authed_user":{"id":"U"}}`, "x", "", nil},
		"a member that is no object":      {"data", `{"access_token":"x","token_type":"Bearer","data":["access_token"]}`, "x", "", nil},
		"two tokens, the usual one":       {"", `{"access_token":"bot","token_type":"Bearer","person":{"access_token":"x","token_type":"Bearer"}}`, "bot", "", nil},
		"nobody said where":               {"", `{"ok":true,"data":{"access_token":"x","token_type":"Bearer"},"b":{"access_token":"y"},"c":{"a":{"access_token":"z"}}}`, "", "", []string{"b", "data"}},
		"another member was said":         {"result", `{"data":{"access_token":"x","token_type":"Bearer"}}`, "", "", []string{"data"}},
		"the member twice":                {"data", `{"data":{"access_token":"x","token_type":"Bearer"},"data":{"access_token":"y","token_type":"Bearer"}}`, "", "", nil},
		"the token twice in it":           {"data", `{"data":{"access_token":"x","access_token":"y","token_type":"Bearer"}}`, "", "", nil},
		"its token is a number":           {"data", `{"data":{"access_token":7,"token_type":"Bearer"}}`, "", "", nil},
		"no type in it":                   {"data", `{"token_type":"Bearer","data":{"access_token":"x"}}`, "", "", nil},
		"no tokens at all":                {"", `{"data":{"token_type":"Bearer"}}`, "", "", nil},
		"an error with status 200":        {"data", `{"error":"invalid_code","data":{"access_token":"x","token_type":"Bearer"}}`, "", "", nil},
		"a token of the wrong characters": {"data", `{"data":{"access_token":"x\ny","token_type":"Bearer"}}`, "", "", nil},
	} {
		c := client(t, answer(200, "", tt.body))
		c.TokenMember = tt.member
		res, err := c.Token(t.Context(), oauth.ClientCredentials(nil, nil, nil))
		switch {
		case tt.access == "" && err == nil:
			t.Errorf("%s: accepted %q", name, res.AccessToken.Reveal())
		case tt.access != "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tt.access != "" && (res.AccessToken.Reveal() != tt.access || res.RefreshToken.Reveal() != tt.refresh || res.Raw.Reveal() != tt.body):
			t.Errorf("%s: %q, refresh token %q", name, res.AccessToken.Reveal(), res.RefreshToken.Reveal())
		}
		var nested *oauth.NestedTokenError
		if errors.As(err, &nested); nested == nil && tt.named != nil || nested != nil && !slices.Equal(nested.Members, tt.named) {
			t.Errorf("%s: named %+v, want %v", name, nested, tt.named)
		}
	}
}

// If a server refuses the metadata, a second request has only the required
// metadata.
func TestRegisterReduced(t *testing.T) {
	var sent []map[string]any
	deny := func(map[string]any) bool { return false }
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var m map[string]any
		_ = json.Unmarshal(body, &m)
		sent = append(sent, m)
		if deny(m) {
			w.WriteHeader(400)
			fmt.Fprint(w, `{"error":"invalid_client_metadata"}`)
			return
		}
		fmt.Fprint(w, `{"client_id":"x","client_secret":"s"}`)
	})
	wanted := oauth.Registration{
		RedirectURIs: []string{"http://127.0.0.1/callback"}, GrantTypes: []string{"authorization_code", "refresh_token", oauth.GrantDeviceCode},
		OptionalGrantTypes: []string{oauth.GrantDeviceCode},
	}
	has := func(name string, value any) func(map[string]any) bool {
		return func(m map[string]any) bool {
			list, ok := m[name].([]any)
			return ok && slices.Contains(list, value) || m[name] == value
		}
	}
	for name, tt := range map[string]struct {
		deny      func(map[string]any) bool
		announced []string
		tries     int
		want      diagnosis.ID
	}{
		"nothing":                  {func(map[string]any) bool { return false }, nil, 1, ""},
		"the device grant":         {has("grant_types", oauth.GrantDeviceCode), nil, 2, ""},
		"the refresh token grant":  {has("grant_types", "refresh_token"), nil, 2, ""},
		"application_type":         {has("application_type", "native"), nil, 2, ""},
		"client_secret_post":       {has("token_endpoint_auth_method", oauth.AuthSecretPost), []string{oauth.AuthSecretPost}, 2, ""},
		"a public client":          {has("token_endpoint_auth_method", oauth.AuthNone), []string{oauth.AuthNone}, 2, diagnosis.DCRRefused},
		"whatever it is":           {func(map[string]any) bool { return true }, nil, 2, diagnosis.DCRRefused},
		"the authorization itself": {has("grant_types", "authorization_code"), nil, 2, diagnosis.DCRRefused},
	} {
		sent, deny, c.Server.TokenEndpointAuthMethodsSupported = nil, tt.deny, tt.announced
		_, err := oauth.Register(t.Context(), c.HTTP, c.Server, wanted)
		refused(t, err, tt.want)
		if len(sent) != tt.tries {
			t.Errorf("%s: %d requests, want %d: %v", name, len(sent), tt.tries, sent)
		}
		if last := sent[len(sent)-1]; !has("redirect_uris", "http://127.0.0.1/callback")(last) || !has("grant_types", "authorization_code")(last) {
			t.Errorf("%s: what is needed was left out: %v", name, last)
		}
	}
}

// No client is registered if the login could not continue.
func TestRegisterNeedsEndpoints(t *testing.T) {
	var requests atomic.Int32
	c := client(t, func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		fmt.Fprint(w, `{"client_id":"x"}`)
	})
	code := oauth.Registration{RedirectURIs: []string{"http://127.0.0.1/callback"}}
	device := oauth.Registration{GrantTypes: []string{oauth.GrantDeviceCode}}
	both := oauth.Registration{GrantTypes: []string{"authorization_code", oauth.GrantDeviceCode}, OptionalGrantTypes: []string{oauth.GrantDeviceCode}}
	for name, tt := range map[string]struct {
		change   func(*discovery.Server)
		metadata oauth.Registration
		want     diagnosis.ID
	}{
		"all there":                 {func(*discovery.Server) {}, both, ""},
		"no token endpoint":         {func(s *discovery.Server) { s.TokenEndpoint = "" }, code, diagnosis.EndpointMissing},
		"no authorization endpoint": {func(s *discovery.Server) { s.AuthorizationEndpoint = "" }, code, diagnosis.EndpointMissing},
		"no device endpoint":        {func(s *discovery.Server) { s.DeviceAuthorizationEndpoint = "" }, device, diagnosis.EndpointMissing},
		"which is optional":         {func(s *discovery.Server) { s.DeviceAuthorizationEndpoint = "" }, both, ""},
		"not needed":                {func(s *discovery.Server) { s.AuthorizationEndpoint = "" }, device, ""},
	} {
		server := *c.Server
		tt.change(&server)
		requests.Store(0)
		_, err := oauth.Register(t.Context(), c.HTTP, &server, tt.metadata)
		refused(t, err, tt.want)
		if sent := requests.Load() > 0; sent != (tt.want == "") {
			t.Errorf("%s: registered: %v", name, sent)
		}
	}
}

func TestReady(t *testing.T) {
	good := client(t, answer(200, "", ""))
	for name, tt := range map[string]struct {
		change func(*discovery.Server)
		grant  string
		pushed bool
		want   diagnosis.ID
	}{
		"code":                  {nil, "authorization_code", false, ""},
		"pushed":                {nil, "authorization_code", true, ""},
		"device":                {nil, oauth.GrantDeviceCode, false, ""},
		"no PAR":                {func(s *discovery.Server) { s.PushedAuthorizationRequestEndpoint = "" }, "authorization_code", true, diagnosis.EndpointMissing},
		"no PAR, not asked for": {func(s *discovery.Server) { s.PushedAuthorizationRequestEndpoint = "" }, "authorization_code", false, ""},
		"no PAR, required": {func(s *discovery.Server) {
			s.PushedAuthorizationRequestEndpoint, s.RequirePushedAuthorizationRequests = "", true
		}, "authorization_code", false, diagnosis.EndpointMissing},
		"no device endpoint":         {func(s *discovery.Server) { s.DeviceAuthorizationEndpoint = "" }, oauth.GrantDeviceCode, false, diagnosis.EndpointMissing},
		"no authorization":           {func(s *discovery.Server) { s.AuthorizationEndpoint = "" }, "authorization_code", false, diagnosis.EndpointMissing},
		"no authorization, a device": {func(s *discovery.Server) { s.AuthorizationEndpoint = "" }, oauth.GrantDeviceCode, false, ""},
	} {
		server := *good.Server
		if tt.change != nil {
			tt.change(&server)
		}
		c := &oauth.Client{ID: "app", Server: &server}
		if err := c.Ready(tt.grant, tt.pushed); id(err) != tt.want {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	server, err := discovery.ParseServer([]byte(`{"issuer":"https://a.example","authorization_endpoint":"javascript:alert(1)","token_endpoint":"https://a.example/t"}`), "https://a.example")
	if err != nil {
		t.Fatal(err)
	}
	c := &oauth.Client{ID: "app", Server: server}
	refused(t, c.Ready("authorization_code", false), diagnosis.MetadataInvalid)
	_, err = c.NewAuthorizationRequest(oauth.AuthorizationParams{RedirectURI: "http://127.0.0.1:1/callback"})
	refused(t, err, diagnosis.MetadataInvalid)
}

// Userinfo is requested by POST if GET is not allowed, and the response can be
// signed.
func TestUserinfoForms(t *testing.T) {
	keys := published(t)
	var body, kind string
	methods := []string{}
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/jwks" {
			_, _ = w.Write(keys)
			return
		}
		if methods = append(methods, r.Method); r.Method == http.MethodGet && kind == "" {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", kind)
		fmt.Fprint(w, body)
	})
	c.Server.JWKSURI = strings.TrimSuffix(c.Server.TokenEndpoint, "/token") + "/jwks"
	body = `{"sub":"alice"}`
	got, err := c.Userinfo(t.Context(), secret.New(canary), "alice")
	if err != nil || got.Subject != "alice" || !slices.Equal(methods, []string{"GET", "POST"}) {
		t.Errorf("by POST: %+v, %v, %v", got, err, methods)
	}
	kind, body = "application/json", `{"login":"alice"}`
	if got, err := c.Userinfo(t.Context(), secret.New(canary), ""); err != nil || got.Subject != "" || string(got.Raw) != body {
		t.Errorf("without sub, unasked: %+v, %v", got, err)
	}
	_, err = c.Userinfo(t.Context(), secret.New(canary), "alice")
	refused(t, err, diagnosis.AnswerInvalid)
	kind = "application/jwt"
	for name, tt := range map[string]struct {
		change func(*idToken)
		want   diagnosis.ID
	}{
		"signed":              {func(i *idToken) { delete(i.claims, "exp"); delete(i.claims, "nonce") }, ""},
		"without iss and aud": {func(i *idToken) { i.claims = map[string]any{"sub": "alice"} }, ""},
		"another issuer":      {func(i *idToken) { i.claims["iss"] = "https://evil.example" }, diagnosis.IDTokenInvalid},
		"for another client":  {func(i *idToken) { i.claims["aud"] = "other" }, diagnosis.IDTokenInvalid},
		"another key":         {func(i *idToken) { i.key = issuerKeys()["foreign"] }, diagnosis.IDTokenInvalid},
		"another user":        {func(i *idToken) { i.claims["sub"] = "bob" }, diagnosis.SubjectChanged},
		"sub a list":          {func(i *idToken) { i.claims["sub"] = []string{"alice"} }, diagnosis.AnswerInvalid},
	} {
		i := goodIDToken()
		tt.change(&i)
		body = i.sign(t).Reveal()
		got, err := c.Userinfo(t.Context(), secret.New(canary), "alice")
		if id(err) != tt.want || err == nil && got.Subject != "alice" {
			t.Errorf("%s: %+v, %v, want %q", name, got, err, tt.want)
		}
	}
}

// Why parameters are not accepted is data, so that the terminal can show it.
func TestStateErrorIsTyped(t *testing.T) {
	for name, tt := range map[string]struct {
		v    url.Values
		want oauth.StateError
	}{
		"no state":          {url.Values{"code": {"c"}}, oauth.StateError{Missing: true}},
		"an error alone":    {url.Values{"error": {"access_denied"}}, oauth.StateError{Missing: true, Code: "access_denied"}},
		"another state":     {url.Values{"state": {"x"}, "error": {"access_denied"}}, oauth.StateError{Code: "access_denied"}},
		"another's success": {url.Values{"state": {"x"}, "code": {"c"}}, oauth.StateError{}},
	} {
		r, _ := authorization(t, client(t, answer(200, "", "")), oauth.AuthorizationParams{})
		_, err := r.Code(tt.v)
		var got *oauth.StateError
		if !errors.As(err, &got) || *got != tt.want || !errors.Is(err, oauth.ErrState) {
			t.Errorf("%s: %v, %+v", name, err, got)
		}
	}
}

// Any registered redirect URI can be sent, because the response can be pasted.
func TestRedirectURIs(t *testing.T) {
	c := client(t, answer(200, "", ""))
	for _, uri := range []string{"https://app.example/cb", "urn:ietf:wg:oauth:2.0:oob", "com.example.app:/cb", "http://127.0.0.1:1?tenant=7", "http://LOCALHOST:1"} {
		_, sent := authorization(t, c, oauth.AuthorizationParams{RedirectURI: uri})
		if got := sent.Get("redirect_uri"); got != uri {
			t.Errorf("%q is sent as %q", uri, got)
		}
	}
}
