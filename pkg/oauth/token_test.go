package oauth_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

func TestTokenResponse(t *testing.T) {
	type want struct {
		Type       string
		Refresh    string
		Scope      []string
		ScopeGiven bool
		Expires    time.Duration
		ID         string
	}
	asked := []string{"a", "b"}
	tests := map[string]struct {
		body string
		want want
	}{
		"the least":                      {`{"access_token":"x","token_type":"Bearer"}`, want{Type: "Bearer", Scope: asked}},
		"everything":                     {`{"access_token":"x","token_type":"bearer","expires_in":300,"refresh_token":"r","id_token":"i","scope":"a c","other":{"deep":1}}`, want{"Bearer", "r", []string{"a", "c"}, true, 5 * time.Minute, "i"}},
		"expires_in as a string":         {`{"access_token":"x","token_type":"BEARER","expires_in":"3600"}`, want{Type: "Bearer", Scope: asked, Expires: time.Hour}},
		"expires_in with a fraction":     {`{"access_token":"x","token_type":"Bearer","expires_in":1.5}`, want{Type: "Bearer", Scope: asked, Expires: 1500 * time.Millisecond}},
		"expires_in absurd":              {`{"access_token":"x","token_type":"Bearer","expires_in":99999999999999999999}`, want{Type: "Bearer", Scope: asked, Expires: 365 * 24 * time.Hour}},
		"expires_in beyond a float":      {`{"access_token":"x","token_type":"Bearer","expires_in":1e400}`, want{Type: "Bearer", Scope: asked, Expires: 365 * 24 * time.Hour}},
		"expires_in negative":            {`{"access_token":"x","token_type":"Bearer","expires_in":-5}`, want{Type: "Bearer", Scope: asked}},
		"expires_in of another type":     {`{"access_token":"x","token_type":"Bearer","expires_in":{"a":1}}`, want{Type: "Bearer", Scope: asked}},
		"expires_in NaN":                 {`{"access_token":"x","token_type":"Bearer","expires_in":"NaN"}`, want{Type: "Bearer", Scope: asked}},
		"nulls":                          {`{"access_token":"x","token_type":"Bearer","expires_in":null,"refresh_token":null,"scope":null,"error":null}`, want{Type: "Bearer", Scope: asked}},
		"scope as an array":              {`{"access_token":"x","token_type":"Bearer","scope":["a"]}`, want{Type: "Bearer", Scope: []string{"a"}, ScopeGiven: true}},
		"scope with commas":              {`{"access_token":"x","token_type":"Bearer","scope":"repo,gist"}`, want{Type: "Bearer", Scope: []string{"repo", "gist"}, ScopeGiven: true}},
		"scope empty":                    {`{"access_token":"x","token_type":"Bearer","scope":""}`, want{Type: "Bearer", Scope: []string{}, ScopeGiven: true}},
		"names in other cases are alien": {`{"access_token":"x","token_type":"Bearer","Access_Token":"y","SCOPE":"z"}`, want{Type: "Bearer", Scope: asked}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := client(t, answer(200, "application/json", tt.body))
			res, err := c.Token(t.Context(), oauth.ClientCredentials(asked, nil, nil))
			if err != nil {
				t.Fatal(err)
			}
			got := want{res.TokenType, res.RefreshToken.Reveal(), res.Scope, res.ScopeGiven, 0, res.IDToken.Reveal()}
			if !res.ExpiresAt.IsZero() {
				got.Expires = res.ExpiresAt.Sub(clock)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || res.AccessToken.Reveal() != "x" || res.Raw.Reveal() != tt.body {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestTokenResponseRefused(t *testing.T) {
	const good = `{"access_token":"` + canary + `","token_type":"Bearer"}`
	html := "<!doctype html><title>" + canary + "</title>"
	jsonType := "application/json"
	tests := map[string]struct {
		status int
		kind   string
		body   string
		want   diagnosis.ID
	}{
		"positive control":                   {200, jsonType, good, ""},
		"positive control, any type":         {200, "text/plain", good, ""},
		"empty object":                       {200, jsonType, `{}`, diagnosis.TokenEndpointShape},
		"no token_type":                      {200, jsonType, `{"access_token":"` + canary + `"}`, diagnosis.TokenEndpointShape},
		"no access_token":                    {200, jsonType, `{"token_type":"Bearer","id_token":"` + canary + `"}`, diagnosis.TokenEndpointShape},
		"empty access_token":                 {200, jsonType, `{"access_token":"","token_type":"Bearer"}`, diagnosis.TokenEndpointShape},
		"access_token a number":              {200, jsonType, `{"access_token":7,"token_type":"Bearer"}`, diagnosis.TokenEndpointShape},
		"access_token with a line break":     {200, jsonType, `{"access_token":"` + canary + `\r\nX-Evil: 1","token_type":"Bearer"}`, diagnosis.TokenEndpointShape},
		"refresh_token an object":            {200, jsonType, `{"access_token":"a","token_type":"Bearer","refresh_token":{}}`, diagnosis.TokenEndpointShape},
		"token_type mac":                     {200, jsonType, `{"access_token":"` + canary + `","token_type":"mac"}`, diagnosis.TokenEndpointShape},
		"token_type DPoP unasked":            {200, jsonType, `{"access_token":"` + canary + `","token_type":"DPoP"}`, diagnosis.DPoPDowngrade},
		"token_type N_A outside an exchange": {200, jsonType, `{"access_token":"` + canary + `","token_type":"N_A"}`, diagnosis.TokenEndpointShape},
		"token_type null":                    {200, jsonType, `{"access_token":"` + canary + `","token_type":null}`, diagnosis.TokenEndpointShape},
		"access_token twice":                 {200, jsonType, `{"access_token":"a","token_type":"Bearer","access_token":"` + canary + `"}`, diagnosis.TokenEndpointShape},
		"deep duplicate":                     {200, jsonType, `{"access_token":"a","token_type":"Bearer","x":{"y":1,"y":2}}`, ""},
		"trailing data":                      {200, jsonType, good + good, diagnosis.TokenEndpointShape},
		"an array":                           {200, jsonType, `[` + good + `]`, diagnosis.TokenEndpointShape},
		"bad UTF-8":                          {200, jsonType, "{\"access_token\":\"a\xff\",\"token_type\":\"Bearer\"}", diagnosis.TokenEndpointShape},
		"HTML":                               {200, "text/html", html, diagnosis.TokenEndpointShape},
		"HTML called JSON":                   {200, jsonType, html, diagnosis.TokenEndpointShape},
		"form-encoded":                       {200, "application/x-www-form-urlencoded", "access_token=" + canary + "&token_type=bearer", ""},
		"nothing":                            {200, jsonType, ``, diagnosis.TokenEndpointShape},
		"no content":                         {204, "", ``, diagnosis.TokenEndpointShape},
		"a good body with 400":               {400, jsonType, good, diagnosis.TokenEndpointShape},
		"200 with an error":                  {200, jsonType, `{"error":"bad_verification_code","error_description":"x"}`, diagnosis.GrantInvalid},
		"200 with an error and a token":      {200, jsonType, `{"access_token":"` + canary + `","token_type":"Bearer","error":"invalid_grant"}`, diagnosis.GrantInvalid},
		"200 with an error object":           {200, jsonType, `{"access_token":"` + canary + `","token_type":"Bearer","error":{}}`, diagnosis.TokenEndpointShape},
		"invalid_grant":                      {400, jsonType, `{"error":"invalid_grant"}`, diagnosis.GrantInvalid},
		"invalid_client":                     {401, jsonType, `{"error":"invalid_client"}`, diagnosis.ClientRefused},
		"unauthorized_client":                {400, jsonType, `{"error":"unauthorized_client"}`, diagnosis.ClientRefused},
		"invalid_scope":                      {400, jsonType, `{"error":"invalid_scope"}`, diagnosis.ScopeRefused},
		"invalid_target":                     {400, jsonType, `{"error":"invalid_target"}`, diagnosis.ResourceRefused},
		"unsupported_grant_type":             {400, jsonType, `{"error":"unsupported_grant_type"}`, diagnosis.RequestRefused},
		"another word for a dead token":      {400, jsonType, `{"error":"\u001b[31m"}`, diagnosis.GrantInvalid},
		"token_revoked":                      {401, jsonType, `{"error":"token_revoked"}`, diagnosis.GrantInvalid},
		"invalid_token with 200":             {200, jsonType, `{"error":"invalid_token"}`, diagnosis.GrantInvalid},
		"unauthorized":                       {401, jsonType, `{"error":"unauthorized"}`, diagnosis.GrantInvalid},
		"invalid_request":                    {400, jsonType, `{"error":"invalid_request","error_description":"no scope"}`, diagnosis.RequestRefused},
		"invalid_request about the token":    {400, jsonType, `{"error":"invalid_request","error_description":"The refresh_token is expired"}`, diagnosis.GrantInvalid},
		"an object about the token":          {400, jsonType, `{"message":"Refresh token not found"}`, diagnosis.GrantInvalid},
		"an object about something":          {400, jsonType, `{"detail":"no"}`, diagnosis.RequestRefused},
		"401 without a word":                 {401, "text/html", html, diagnosis.ClientRefused},
		"error null":                         {200, jsonType, `{"access_token":"a","token_type":"Bearer","error":null}`, ""},
		"error empty":                        {200, jsonType, `{"access_token":"a","token_type":"Bearer","error":""}`, ""},
		"error zero":                         {200, jsonType, `{"access_token":"a","token_type":"Bearer","error":0}`, ""},
		"error true":                         {200, jsonType, `{"access_token":"a","token_type":"Bearer","error":true}`, diagnosis.TokenEndpointShape},
		"byte order mark":                    {200, jsonType, "\ufeff" + good, ""},
		"Latin-1 elsewhere":                  {200, jsonType, "{\"access_token\":\"a\",\"token_type\":\"Bearer\",\"name\":\"caf\xe9\"}", ""},
		"form-encoded, access_token twice":   {200, "application/x-www-form-urlencoded", "access_token=a&access_token=b&token_type=bearer", diagnosis.TokenEndpointShape},
		"form-encoded error":                 {200, "application/x-www-form-urlencoded", "error=bad_verification_code&error_description=x", diagnosis.GrantInvalid},
		"form-encoded, called text":          {200, "text/plain", "access_token=a&token_type=bearer", diagnosis.TokenEndpointShape},
		"token_type BearerToken":             {200, jsonType, `{"access_token":"a","token_type":"BearerToken"}`, diagnosis.TokenEndpointShape},
		"interaction_required":               {400, jsonType, `{"error":"interaction_required"}`, diagnosis.LoginRequired},
		"temporarily_unavailable":            {400, jsonType, `{"error":"temporarily_unavailable"}`, diagnosis.ServerError},
		"500 in HTML":                        {500, "text/html", html, diagnosis.ServerError},
		"500 with a custom error":            {502, jsonType, `{"error":"upstream"}`, diagnosis.ServerError},
		"429":                                {429, "text/plain", "slow", diagnosis.RateLimited},
		"429 temporarily_unavailable":        {429, jsonType, `{"error":"temporarily_unavailable"}`, diagnosis.RateLimited},
		"429 with a custom error":            {429, jsonType, `{"error":"too_many"}`, diagnosis.RateLimited},
		"403 of a firewall":                  {403, "text/html", html, diagnosis.TokenEndpointShape},
		"300 MB":                             {200, jsonType, `{"access_token":"` + strings.Repeat("x", 2<<20) + `"}`, diagnosis.ResponseTooLarge},
		"an error that repeats secrets":      {400, jsonType, `{"error":"invalid_grant","error_description":"token refresh-` + canary + ` or secret-` + canary + ` unknown"}`, diagnosis.GrantInvalid},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int32
			c := client(t, func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				answer(tt.status, tt.kind, tt.body)(w, r)
			})
			c.Secret = secret.New("secret-" + canary)
			res, err := c.Token(t.Context(), oauth.Refresh(secret.New("refresh-"+canary), nil, nil))
			refused(t, err, tt.want)
			if err != nil && res != nil {
				t.Error("an error with a response")
			}
			if n := requests.Load(); n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
			if strings.Contains(fmt.Sprintf("%v %+v %#v", res, res, res), canary) {
				t.Error("printing the response shows its secrets")
			}
		})
	}
}

func TestHTMLIsNamed(t *testing.T) {
	c := client(t, answer(200, "text/html", "<html>"))
	_, err := c.Token(t.Context(), oauth.ClientCredentials(nil, nil, nil))
	if !strings.Contains(err.Error(), "an HTML page") {
		t.Errorf("%v does not name HTML", err)
	}
}

// Each request body is compared completely.
func TestGrants(t *testing.T) {
	verifierOf := func(r *oauth.AuthorizationRequest) string { return r.CodeVerifier().Reveal() }
	var form url.Values
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		form = r.PostForm
		if r.Header.Get("Accept") != "application/json" || r.URL.RawQuery != "" {
			t.Errorf("Accept %q, query %q", r.Header.Get("Accept"), r.URL.RawQuery)
		}
		fmt.Fprint(w, `{"access_token":"a","token_type":"Bearer"}`)
	})
	login, _ := authorization(t, c, oauth.AuthorizationParams{Scope: []string{"a"}, Resource: []string{"https://api.example"}, Audience: []string{"aud"}})
	const urn = "urn:ietf:params:oauth:"
	tests := map[string]struct {
		req  oauth.TokenRequest
		want url.Values
	}{
		"code": {login.TokenRequest(secret.New("the code")), url.Values{
			"grant_type": {"authorization_code"}, "code": {"the code"}, "redirect_uri": {"http://127.0.0.1:1234/callback"},
			"code_verifier": {verifierOf(login)}, "resource": {"https://api.example"},
		}},
		"refresh": {oauth.Refresh(secret.New("r"), []string{"a", "b"}, []string{"https://api.example", "x"}), url.Values{
			"grant_type": {"refresh_token"}, "refresh_token": {"r"}, "scope": {"a b"}, "resource": {"https://api.example", "x"},
		}},
		"client credentials": {oauth.ClientCredentials([]string{"a"}, []string{"aud"}, []string{"res"}), url.Values{
			"grant_type": {"client_credentials"}, "scope": {"a"}, "audience": {"aud"}, "resource": {"res"},
		}},
		"exchange": {oauth.TokenExchange(oauth.TokenExchangeParams{SubjectToken: secret.New("s"), ActorToken: secret.New("t"), RequestedTokenType: oauth.TokenTypeJWT, Audience: []string{"aud"}}), url.Values{
			"grant_type": {urn + "grant-type:token-exchange"}, "subject_token": {"s"}, "subject_token_type": {urn + "token-type:access_token"},
			"actor_token": {"t"}, "actor_token_type": {urn + "token-type:access_token"}, "requested_token_type": {urn + "token-type:jwt"}, "audience": {"aud"},
		}},
		"assertion": {oauth.JWTBearer(secret.New("a.b.c"), []string{"s"}, nil, nil), url.Values{
			"grant_type": {urn + "grant-type:jwt-bearer"}, "assertion": {"a.b.c"}, "scope": {"s"},
		}},
		"extra": {oauth.ClientCredentials(nil, nil, nil).With(url.Values{"tenant": {"1"}}), url.Values{
			"grant_type": {"client_credentials"}, "tenant": {"1"},
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := c.Token(t.Context(), tt.req); err != nil {
				t.Fatal(err)
			}
			tt.want.Set("client_id", "app")
			if diff := cmp.Diff(tt.want, form); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	_, err := c.Token(t.Context(), oauth.Refresh(secret.New("r"), nil, nil).With(url.Values{"refresh_token": {"x"}}))
	refused(t, err, diagnosis.ParamReserved)
}

func TestErrorIsTyped(t *testing.T) {
	refusal := answer(400, "", `{"error":"invalid_grant","error_description":"gone","error_uri":"https://e.example"}`)
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", clock.Add(90*time.Second).Format(http.TimeFormat))
		refusal(w, r)
	})
	_, err := c.Token(t.Context(), oauth.Refresh(secret.New("r"), nil, nil))
	var got *oauth.Error
	if !errors.As(err, &got) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&oauth.Error{
		Code: "invalid_grant", Description: "gone", URI: "https://e.example", Status: 400,
		Request: oauth.Request{Endpoint: oauth.TokenEndpoint, GrantType: "refresh_token", AuthMethod: oauth.AuthNone},
		Clock:   oauth.ServerClock{Known: true, Ahead: 90*time.Second + time.Second/2},
	}, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzTokenResponse(f *testing.F) {
	f.Add(200, "application/json", `{"access_token":"x","token_type":"Bearer","expires_in":1e9,"scope":"a b"}`)
	f.Add(400, "application/json", `{"error":"invalid_grant","error_description":"\u001b"}`)
	f.Add(200, "text/html", `<html>`)
	var status int
	var kind, body string
	c := fuzzed(f, func(w http.ResponseWriter, r *http.Request) { answer(status, kind, body)(w, r) })
	f.Fuzz(func(t *testing.T, s int, k, b string) {
		if s < 200 || s > 599 || strings.ContainsFunc(k, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Skip()
		}
		status, kind, body = s, k, b
		res, err := c.Token(t.Context(), oauth.Refresh(secret.New("the-"+canary), []string{"a"}, nil))
		switch {
		case err == nil && (res.AccessToken.IsZero() || res.TokenType != "Bearer" && res.TokenType != "DPoP" || s > 201):
			t.Errorf("took status %d, %q", s, b)
		case err == nil && !res.ExpiresAt.IsZero() && (res.ExpiresAt.Before(clock) || res.ExpiresAt.After(clock.AddDate(1, 0, 1))):
			t.Errorf("expires at %s from %q", res.ExpiresAt, b)
		case err != nil && strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }):
			t.Errorf("the error holds control characters: %q", err)
		}
	})
}
