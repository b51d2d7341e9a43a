package oauth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// pretend makes the client's waits return at once, and advances its clock by
// their duration.
func pretend(c *oauth.Client) *[]time.Duration {
	var pauses []time.Duration
	at := clock
	c.Now = func() time.Time { return at }
	c.Wait = func(ctx context.Context, d time.Duration) error {
		pauses = append(pauses, d)
		at = at.Add(d)
		return ctx.Err()
	}
	return &pauses
}

const deviceAnswer = `{"device_code":"` + canary + `","user_code":"ABCD-EFGH","verification_uri":"https://issuer.example/device","verification_uri_complete":"https://issuer.example/device?user_code=ABCD-EFGH","expires_in":%d%s}`

func TestDevice(t *testing.T) {
	const (
		pending = `{"error":"authorization_pending"}`
		slower  = `{"error":"slow_down"}`
		good    = `{"access_token":"a","token_type":"Bearer"}`
	)
	s := func(seconds ...int) (all []time.Duration) {
		for _, n := range seconds {
			all = append(all, time.Duration(n)*time.Second)
		}
		return all
	}
	tests := map[string]struct {
		expires  int
		interval string
		answers  []string
		pauses   []time.Duration
		want     diagnosis.ID
	}{
		"at once, no interval named": {600, "", []string{good}, s(5), ""},
		"after a while":              {600, `,"interval":2`, []string{pending, pending, good}, s(2, 2, 2), ""},
		"slow down":                  {600, `,"interval":1`, []string{slower, pending, slower, good}, s(1, 6, 6, 11), ""},
		"server away for a moment":   {600, `,"interval":4`, []string{"503", good}, s(4, 8), ""},
		"interval absurd":            {600, `,"interval":1e9`, []string{good}, s(60), ""},
		"denied":                     {600, "", []string{pending, `{"error":"access_denied"}`}, s(5, 5), diagnosis.AccessDenied},
		"expired, says the server":   {600, "", []string{`{"error":"expired_token"}`}, s(5), diagnosis.LoginRequired},
		"expired, says the clock":    {12, "", []string{pending, pending, pending}, s(5, 5, 5), diagnosis.LoginTimeout},
		"no token response":          {600, "", []string{`{}`}, s(5), diagnosis.TokenEndpointShape},
		"declined, says Entra":       {600, "", []string{`{"error":"authorization_declined"}`}, s(5), diagnosis.AccessDenied},
		"an error that is none":      {600, "", []string{`{"access_token":"a","token_type":"Bearer","error":""}`}, s(5), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var form url.Values
			left := tt.answers
			c := client(t, func(w http.ResponseWriter, r *http.Request) {
				_ = r.ParseForm()
				form = r.PostForm
				if r.URL.Path == "/device" {
					fmt.Fprintf(w, deviceAnswer, tt.expires, tt.interval)
					return
				}
				if left[0] == "503" {
					w.WriteHeader(503)
				}
				fmt.Fprint(w, left[0])
				left = left[1:]
			})
			pauses := pretend(c)
			d, err := c.AuthorizeDevice(t.Context(), oauth.DeviceParams{Scope: []string{"a", "b"}, Resource: []string{"https://api.example"}})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(url.Values{"client_id": {"app"}, "scope": {"a b"}, "resource": {"https://api.example"}}, form); diff != "" {
				t.Errorf("device authorization request (-want +got):\n%s", diff)
			}
			if strings.Contains(fmt.Sprintf("%+v", d), canary) {
				t.Error("printing it shows the device code")
			}
			res, err := c.PollDevice(t.Context(), d)
			refused(t, err, tt.want)
			if err == nil && !slices.Equal(res.Scope, []string{"a", "b"}) {
				t.Errorf("scope %v, want as asked", res.Scope)
			}
			if diff := cmp.Diff(tt.pauses, *pauses); diff != "" {
				t.Errorf("pauses (-want +got):\n%s", diff)
			}
			want := url.Values{"client_id": {"app"}, "grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {canary}, "resource": {"https://api.example"}}
			if diff := cmp.Diff(want, form); diff != "" {
				t.Errorf("last request (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDeviceRefused(t *testing.T) {
	for body, want := range map[string]diagnosis.ID{
		`{"device_code":"` + canary + `","user_code":"u","verification_url":"https://g.example"}`:                                           "",
		`{"user_code":"u","verification_uri":"https://g.example"}`:                                                                          diagnosis.AnswerInvalid,
		`{"device_code":"` + canary + `","verification_uri":"https://g.example"}`:                                                           diagnosis.AnswerInvalid,
		`{"device_code":"` + canary + `","user_code":"u","verification_uri":"javascript:alert(1)"}`:                                         diagnosis.AnswerInvalid,
		`{"device_code":"` + canary + `","user_code":"u","verification_uri":"https://g.example","verification_uri_complete":"file:///etc"}`: "",
		`{"device_code":"` + canary + `","user_code":"u","verification_uri":"https://g.example","verification_uri_complete":"/d?c=u"}`:      "",
		`{"device_code":"` + canary + `","user_code":"u","verification_uri":"https://g.example","verification_uri_complete":7}`:             "",
		`{"device_code":"` + canary + `","user_code":"u","verification_uri":"https://g.example","error":null}`:                              "",
		`{"error":"invalid_client"}`: diagnosis.ClientRefused,
		`<html>`:                     diagnosis.AnswerInvalid,
	} {
		d, err := client(t, answer(200, "", body)).AuthorizeDevice(t.Context(), oauth.DeviceParams{})
		refused(t, err, want)
		if err == nil && d.VerificationURIComplete != "" {
			t.Errorf("%s: a link that cannot be shown: %q", body, d.VerificationURIComplete)
		}
	}
	c := client(t, answer(200, "", fmt.Sprintf(deviceAnswer, 600, "")))
	d, err := c.AuthorizeDevice(t.Context(), oauth.DeviceParams{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.PollDevice(ctx, d); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestRegister(t *testing.T) {
	var sent map[string]any
	var authorization string
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		authorization = r.Header.Get("Authorization")
		body, _ := io.ReadAll(r.Body)
		sent = nil
		_ = json.Unmarshal(body, &sent)
		w.WriteHeader(201)
		fmt.Fprint(w, `{"client_id":"new","client_secret":"`+canary+`","client_secret_expires_at":1900000000,"registration_access_token":"`+canary+`","registration_client_uri":"https://issuer.example/c/new"}`)
	})
	redirects := []string{"http://127.0.0.1/callback"}
	got, err := oauth.Register(t.Context(), c.HTTP, c.Server, oauth.Registration{RedirectURIs: redirects, ClientName: "oauthctl", InitialAccessToken: secret.New("initial")})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"redirect_uris": []any{"http://127.0.0.1/callback"}, "client_name": "oauthctl", "application_type": "native",
		"grant_types": []any{"authorization_code", "refresh_token"}, "response_types": []any{"code"}, "token_endpoint_auth_method": "none",
	}
	if diff := cmp.Diff(want, sent); diff != "" || authorization != "Bearer initial" {
		t.Errorf("request with Authorization %q (-want +got):\n%s", authorization, diff)
	}
	type values struct {
		id, secret, method, token, uri string
		expires                        int64
	}
	have := values{got.ClientID, got.ClientSecret.Reveal(), got.TokenEndpointAuthMethod, got.RegistrationAccessToken.Reveal(), got.RegistrationClientURI, got.ClientSecretExpiresAt.Unix()}
	if have != (values{"new", canary, oauth.AuthSecretBasic, canary, "https://issuer.example/c/new", 1900000000}) {
		t.Errorf("got %+v", have)
	}
	if strings.Contains(fmt.Sprintf("%+v", got), canary) {
		t.Error("printing it shows its secrets")
	}
	device := oauth.Registration{GrantTypes: []string{"urn:ietf:params:oauth:grant-type:device_code"}}
	if _, err := oauth.Register(t.Context(), c.HTTP, c.Server, device); err != nil {
		t.Fatal(err)
	}
	want = map[string]any{
		"redirect_uris": []any{}, "response_types": []any{}, "application_type": "native",
		"grant_types": []any{"urn:ietf:params:oauth:grant-type:device_code"}, "token_endpoint_auth_method": "none",
	}
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Errorf("a client without a browser (-want +got):\n%s", diff)
	}
	c.Server.TokenEndpointAuthMethodsSupported = []string{oauth.AuthSecretBasic}
	if _, err := oauth.Register(t.Context(), c.HTTP, c.Server, oauth.Registration{RedirectURIs: redirects}); err != nil || sent["token_endpoint_auth_method"] != oauth.AuthSecretBasic {
		t.Errorf("a server without public clients: asked for %v, %v", sent["token_endpoint_auth_method"], err)
	}
}

func TestRegisterRefused(t *testing.T) {
	tests := map[string]struct {
		status int
		body   string
		want   diagnosis.ID
	}{
		"public client":     {201, `{"client_id":"x"}`, ""},
		"error is null":     {201, `{"client_id":"x","error":null}`, ""},
		"error is empty":    {201, `{"client_id":"x","error":""}`, ""},
		"a byte order mark": {201, "\ufeff" + `{"client_id":"x"}`, ""},
		"Latin-1 elsewhere": {201, "{\"client_id\":\"x\",\"client_name\":\"caf\xe9\"}", ""},
		"200 instead":       {200, `{"client_id":"x","client_secret":null}`, ""},
		"no client_id":      {201, `{"client_secret":"` + canary + `"}`, diagnosis.DCRInvalid},
		"client_id twice":   {201, `{"client_id":"x","client_id":"y"}`, diagnosis.DCRInvalid},
		"client_id number":  {201, `{"client_id":7}`, diagnosis.DCRInvalid},
		"HTML":              {200, `<html>`, diagnosis.DCRInvalid},
		"invalid redirect":  {400, `{"error":"invalid_redirect_uri","error_description":"no"}`, diagnosis.DCRRefused},
		"needs a token":     {401, ``, diagnosis.DCRRefused},
		"forbidden":         {403, `<html>`, diagnosis.DCRRefused},
		"200 with an error": {200, `{"error":"access_denied"}`, diagnosis.DCRRefused},
		"500":               {500, ``, diagnosis.ServerError},
		"429":               {429, ``, diagnosis.RateLimited},
		"redirect":          {307, ``, diagnosis.RedirectRefused},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := client(t, answer(tt.status, "", tt.body))
			got, err := oauth.Register(t.Context(), c.HTTP, c.Server, oauth.Registration{})
			refused(t, err, tt.want)
			if err == nil && (got.ClientID != "x" || got.TokenEndpointAuthMethod != oauth.AuthNone) {
				t.Errorf("got %+v", got)
			}
		})
	}
	_, err := oauth.Register(t.Context(), nil, &discovery.Server{}, oauth.Registration{})
	refused(t, err, diagnosis.NoRegistrationPath)
}

func TestRevoke(t *testing.T) {
	var form url.Values
	tests := map[string]struct {
		status int
		body   string
		want   diagnosis.ID
	}{
		"done":                {200, ``, ""},
		"done, with a page":   {200, `<html>`, ""},
		"expired":             {400, `{"error":"invalid_token"}`, ""},
		"not known":           {400, `{"error":"token_not_found"}`, ""},
		"invalid grant":       {400, `{"error":"invalid_grant"}`, ""},
		"404 about the token": {404, `{"message":"no such token"}`, ""},
		"error is null":       {200, `{"error":null}`, ""},
		"no client":           {401, ``, diagnosis.ClientRefused},
		"no client, a page":   {401, `<html>`, diagnosis.ClientRefused},
		"another text":        {400, `{"message":"no ` + canary + `"}`, diagnosis.RequestRefused},
		"unsupported":         {400, `{"error":"unsupported_token_type"}`, diagnosis.RequestRefused},
		"another client":      {401, `{"error":"invalid_client"}`, diagnosis.ClientRefused},
		"away":                {503, `token ` + canary, diagnosis.ServerError},
		"200 with an error":   {200, `{"error":"invalid_request","error_description":"` + canary + `"}`, diagnosis.RequestRefused},
		"not an endpoint":     {404, `<html>`, diagnosis.AnswerInvalid},
		"redirect with token": {307, ``, diagnosis.RedirectRefused},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := client(t, func(w http.ResponseWriter, r *http.Request) {
				_ = r.ParseForm()
				form = r.PostForm
				answer(tt.status, "", tt.body)(w, r)
			})
			refused(t, c.Revoke(t.Context(), secret.New(canary), "refresh_token"), tt.want)
			if diff := cmp.Diff(url.Values{"client_id": {"app"}, "token": {canary}, "token_type_hint": {"refresh_token"}}, form); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestIntrospect(t *testing.T) {
	c := client(t, answer(200, "", `{"active":true,"scope":"a b","client_id":"app","username":"alice","token_type":"Bearer","iss":"i","sub":"s","aud":["x","y"],"exp":1900000000}`))
	got, err := c.Introspect(t.Context(), secret.New("t"), "")
	if err != nil {
		t.Fatal(err)
	}
	got.Raw = nil
	want := &oauth.Introspection{Active: true, Scope: []string{"a", "b"}, ClientID: "app", Username: "alice", TokenType: "Bearer", Issuer: "i", Subject: "s", Audience: []string{"x", "y"}, ExpiresAt: time.Unix(1900000000, 0)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	tests := map[string]struct {
		body   string
		active bool
		want   diagnosis.ID
	}{
		"active":         {`{"active":true}`, true, ""},
		"error is null":  {`{"active":true,"error":null}`, true, ""},
		"error is false": {`{"active":true,"error":false}`, true, ""},
		"inactive":       {`{"active":false,"aud":"x"}`, false, ""},
		"a string":       {`{"active":"true"}`, false, diagnosis.AnswerInvalid},
		"a number":       {`{"active":1}`, false, diagnosis.AnswerInvalid},
		"absent":         {`{"Active":true}`, false, diagnosis.AnswerInvalid},
		"twice":          {`{"active":false,"active":true}`, false, diagnosis.AnswerInvalid},
		"invalid client": {`{"error":"invalid_client"}`, false, diagnosis.ClientRefused},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := client(t, answer(200, "", tt.body)).Introspect(t.Context(), secret.New(canary), "")
			refused(t, err, tt.want)
			if err == nil && got.Active != tt.active {
				t.Errorf("active is %v", got.Active)
			}
		})
	}
}

func TestUserinfo(t *testing.T) {
	tests := map[string]struct {
		status  int
		body    string
		subject string
		want    diagnosis.ID
	}{
		"the same":           {200, `{"sub":"alice","name":"A"}`, "alice", ""},
		"nothing to compare": {200, `{"sub":"alice"}`, "", ""},
		"somebody else":      {200, `{"sub":"bob"}`, "alice", diagnosis.SubjectChanged},
		"another case":       {200, `{"sub":"Alice"}`, "alice", diagnosis.SubjectChanged},
		"nobody":             {200, `{"name":"alice"}`, "alice", diagnosis.AnswerInvalid},
		"a list":             {200, `{"sub":["alice"]}`, "alice", diagnosis.AnswerInvalid},
		"a number, unasked":  {200, `{"sub":7}`, "", diagnosis.AnswerInvalid},
		"empty, unasked":     {200, `{"sub":""}`, "", diagnosis.AnswerInvalid},
		"twice":              {200, `{"sub":"bob","sub":"alice"}`, "alice", diagnosis.AnswerInvalid},
		"a signed answer":    {200, `eyJh.e30.x`, "alice", diagnosis.AnswerInvalid},
		"unauthorized":       {401, ``, "alice", diagnosis.APIUnauthorized},
		"forbidden":          {403, ``, "alice", diagnosis.APIForbidden},
		"redirect":           {302, ``, "alice", diagnosis.RedirectRefused},
		"away":               {500, ``, "alice", diagnosis.ServerError},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := client(t, func(w http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get("Authorization"); got != "Bearer "+canary {
					t.Errorf("Authorization %q", got)
				}
				answer(tt.status, "", tt.body)(w, r)
			})
			got, err := c.Userinfo(t.Context(), secret.New(canary), tt.subject)
			refused(t, err, tt.want)
			if err == nil && (got.Subject != "alice" || string(got.Raw) != tt.body) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func FuzzRegister(f *testing.F) {
	f.Add(`{"client_id":"x","client_secret":"s","client_secret_expires_at":0}`)
	f.Add(`{"client_id":"x","client_secret_expires_at":1e300}`)
	f.Add(`{"error":"invalid_client_metadata"}`)
	var body string
	c := fuzzed(f, func(w http.ResponseWriter, r *http.Request) { answer(201, "application/json", body)(w, r) })
	f.Fuzz(func(t *testing.T, b string) {
		body = b
		got, err := oauth.Register(t.Context(), nil, c.Server, oauth.Registration{GrantTypes: []string{"client_credentials"}})
		if err == nil && got.ClientID == "" {
			t.Errorf("took %q", b)
		}
		if err != nil && strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("the error holds control characters: %q", err)
		}
	})
}
