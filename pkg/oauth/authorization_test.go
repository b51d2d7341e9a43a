package oauth_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/oauth"
)

func public(change func(*discovery.Server)) *oauth.Client {
	s := &discovery.Server{Issuer: "https://issuer.example", AuthorizationEndpoint: "https://issuer.example/authorize?tenant=1&state=fixed", TokenEndpoint: "https://issuer.example/token"}
	if change != nil {
		change(s)
	}
	return &oauth.Client{ID: "app", Server: s, Now: now}
}

func TestAuthorizationRequest(t *testing.T) {
	age := 90 * time.Second
	r, got := authorization(t, public(nil), oauth.AuthorizationParams{
		Scope: []string{"openid", "items:read"}, Audience: []string{"aud"}, Resource: []string{"https://api.example", "https://b.example"},
		Prompt: "login", LoginHint: "alice@example.com", ACRValues: []string{"mfa", "pwd"}, MaxAge: &age, Extra: url.Values{"ui_locales": {"de"}},
	})
	verifier := r.CodeVerifier().Reveal()
	if n := len(verifier); n < 43 || n > 128 || strings.Trim(verifier, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~") != "" {
		t.Errorf("verifier of %d characters is not as RFC 7636, section 4.1, has it", n)
	}
	want := url.Values{
		"tenant": {"1"}, "response_type": {"code"}, "client_id": {"app"}, "redirect_uri": {"http://127.0.0.1:1234/callback"},
		"scope": {"openid items:read"}, "code_challenge_method": {"S256"}, "code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)},
		"audience": {"aud"}, "resource": {"https://api.example", "https://b.example"}, "prompt": {"login"},
		"login_hint": {"alice@example.com"}, "acr_values": {"mfa pwd"}, "max_age": {"90"}, "ui_locales": {"de"},
		"state": got["state"], "nonce": got["nonce"],
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
	if len(got["state"]) != 1 || got.Get("state") == "fixed" || len(got.Get("state")) < 43 || len(got.Get("nonce")) < 43 {
		t.Errorf("state or nonce are not random: %v %v", got["state"], got["nonce"])
	}
	_, other := authorization(t, public(nil), oauth.AuthorizationParams{})
	for _, name := range []string{"state", "code_challenge"} {
		if other.Get(name) == got.Get(name) {
			t.Errorf("%s is the same in two requests", name)
		}
	}
	if other.Has("nonce") || other.Has("scope") {
		t.Errorf("nothing was asked for, got %v", other)
	}
	if text := fmt.Sprintf("%v %+v %#v", r, r, r); strings.Contains(text, got.Get("state")) || strings.Contains(text, verifier) {
		t.Error("printing the request shows its secrets")
	}
}

func TestAuthorizationRequestRefused(t *testing.T) {
	endpoint := func(u string) func(*discovery.Server) {
		return func(s *discovery.Server) { s.AuthorizationEndpoint = u }
	}
	methods := func(m ...string) func(*discovery.Server) {
		return func(s *discovery.Server) { s.CodeChallengeMethodsSupported = m }
	}
	tests := map[string]struct {
		change func(*discovery.Server)
		extra  url.Values
		want   diagnosis.ID
	}{
		"nothing announced":        {nil, nil, ""},
		"S256 announced":           {methods("plain", "S256"), nil, ""},
		"plain only":               {methods("plain"), nil, diagnosis.PKCEDowngrade},
		"s256 in lower case":       {methods("s256"), nil, diagnosis.PKCEDowngrade},
		"no endpoint":              {endpoint(""), nil, diagnosis.EndpointMissing},
		"javascript endpoint":      {endpoint("javascript:alert(1)"), nil, diagnosis.MetadataInvalid},
		"file endpoint":            {endpoint("file:///etc/passwd"), nil, diagnosis.MetadataInvalid},
		"http endpoint":            {endpoint("http://issuer.example/"), nil, diagnosis.MetadataInvalid},
		"extra parameter":          {nil, url.Values{"display": {"page"}}, ""},
		"extra state":              {nil, url.Values{"state": {"x"}}, diagnosis.ParamReserved},
		"extra nonce":              {nil, url.Values{"nonce": {"x"}}, diagnosis.ParamReserved},
		"extra challenge method":   {nil, url.Values{"code_challenge_method": {"plain"}}, diagnosis.ParamReserved},
		"extra response type":      {nil, url.Values{"response_type": {"token"}}, diagnosis.ParamReserved},
		"extra redirect elsewhere": {nil, url.Values{"redirect_uri": {"https://evil.example"}}, diagnosis.ParamReserved},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := public(tt.change).NewAuthorizationRequest(oauth.AuthorizationParams{RedirectURI: "http://127.0.0.1/cb", Extra: tt.extra})
			refused(t, err, tt.want)
		})
	}
	for _, bad := range []string{"", "/cb", "http://127.0.0.1/cb#x", "http://127.0.0.1/cb#"} {
		_, err := public(nil).NewAuthorizationRequest(oauth.AuthorizationParams{RedirectURI: bad})
		refused(t, err, diagnosis.ClientIncomplete)
	}
}

func TestCode(t *testing.T) {
	const issuer = "https://issuer.example"
	tests := map[string]struct {
		announced bool
		issuer    string
		change    func(url.Values)
		want      diagnosis.ID
		stray     bool
	}{
		"the answer":                     {false, issuer, nil, "", false},
		"with unknown parameters":        {false, issuer, func(v url.Values) { v.Set("session_state", "x"); v.Set("scope", "a") }, "", false},
		"iss unannounced and right":      {false, issuer, func(v url.Values) { v.Set("iss", issuer) }, "", false},
		"iss announced and right":        {true, issuer, func(v url.Values) { v.Set("iss", issuer) }, "", false},
		"no issuer known, no iss":        {false, "", nil, "", false},
		"no issuer known, some iss":      {false, "", func(v url.Values) { v.Set("iss", issuer) }, "", false},
		"iss unannounced and wrong":      {false, issuer, func(v url.Values) { v.Set("iss", "https://evil.example") }, diagnosis.IssParam, false},
		"iss announced and wrong":        {true, issuer, func(v url.Values) { v.Set("iss", "https://evil.example") }, diagnosis.IssParam, false},
		"iss announced and missing":      {true, issuer, nil, diagnosis.IssParam, false},
		"iss with a slash":               {true, issuer, func(v url.Values) { v.Set("iss", issuer+"/") }, diagnosis.IssParam, false},
		"iss empty":                      {false, issuer, func(v url.Values) { v.Set("iss", "") }, diagnosis.IssParam, false},
		"iss twice":                      {true, issuer, func(v url.Values) { v["iss"] = []string{issuer, "https://evil.example"} }, diagnosis.IssParam, false},
		"wrong iss and no code":          {true, issuer, func(v url.Values) { v.Del("code"); v.Set("iss", "x") }, diagnosis.IssParam, false},
		"wrong state":                    {false, issuer, func(v url.Values) { v.Set("state", "x") }, diagnosis.StateMismatch, true},
		"state in another case":          {false, issuer, func(v url.Values) { v.Set("state", strings.ToUpper(v.Get("state"))) }, diagnosis.StateMismatch, true},
		"no state":                       {false, issuer, func(v url.Values) { v.Del("state") }, diagnosis.StateMismatch, true},
		"empty state":                    {false, issuer, func(v url.Values) { v.Set("state", "") }, diagnosis.StateMismatch, true},
		"state twice":                    {false, issuer, func(v url.Values) { v.Add("state", v.Get("state")) }, diagnosis.StateMismatch, true},
		"wrong state and wrong iss":      {true, issuer, func(v url.Values) { v.Set("state", "x"); v.Set("iss", "x") }, diagnosis.StateMismatch, true},
		"wrong state and an error":       {false, issuer, func(v url.Values) { v.Set("state", "x"); v.Set("error", "access_denied") }, diagnosis.StateMismatch, true},
		"no code":                        {false, issuer, func(v url.Values) { v.Del("code") }, diagnosis.StateMismatch, true},
		"empty code":                     {false, issuer, func(v url.Values) { v.Set("code", "") }, diagnosis.StateMismatch, true},
		"code twice":                     {false, issuer, func(v url.Values) { v.Add("code", "x") }, diagnosis.StateMismatch, true},
		"denied":                         {false, issuer, func(v url.Values) { v.Del("code"); v.Set("error", "access_denied") }, diagnosis.AccessDenied, false},
		"denied, iss announced, missing": {true, issuer, func(v url.Values) { v.Del("code"); v.Set("error", "access_denied") }, diagnosis.IssParam, false},
		"denied, wrong iss":              {false, issuer, func(v url.Values) { v.Set("error", "access_denied"); v.Set("iss", "x") }, diagnosis.IssParam, false},
		"error beside a code":            {false, issuer, func(v url.Values) { v.Set("error", "server_error") }, diagnosis.ServerError, false},
		"login required":                 {false, issuer, func(v url.Values) { v.Set("error", "login_required") }, diagnosis.LoginRequired, false},
		"invalid scope":                  {false, issuer, func(v url.Values) { v.Set("error", "invalid_scope") }, diagnosis.ScopeRefused, false},
		"invalid target":                 {false, issuer, func(v url.Values) { v.Set("error", "invalid_target") }, diagnosis.ResourceRefused, false},
		"an error that repeats the state": {false, issuer, func(v url.Values) {
			v.Set("error", "invalid_request")
			v.Set("error_description", "bad state "+v.Get("state"))
		}, diagnosis.RequestRefused, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := public(func(s *discovery.Server) {
				s.Issuer, s.AuthorizationResponseIssParameterSupported = tt.issuer, tt.announced
			})
			r, sent := authorization(t, c, oauth.AuthorizationParams{Scope: []string{"openid"}})
			good := url.Values{"state": sent["state"], "code": {"the-" + canary}}
			v := url.Values{}
			for name, values := range good {
				v[name] = append([]string(nil), values...)
			}
			if tt.change != nil {
				tt.change(v)
			}
			code, err := r.Code(v)
			refused(t, err, tt.want)
			if err != nil && (!code.IsZero() || strings.Contains(err.Error(), sent.Get("state"))) {
				t.Errorf("a refusal gives a code or shows the state: %v", err)
			}
			if err == nil && code.Reveal() != "the-"+canary {
				t.Error("another code came out")
			}
			if errors.Is(err, oauth.ErrState) != tt.stray {
				t.Errorf("stray is %v, want %v", !tt.stray, tt.stray)
			}
			if tt.announced {
				good.Set("iss", issuer)
			}
			// After a stray response, the real one is still accepted. After any
			// other result, no response is accepted.
			if _, err := r.Code(good); (err == nil) != tt.stray || err != nil && !errors.Is(err, oauth.ErrState) {
				t.Errorf("the real answer afterwards: %v", err)
			}
		})
	}
}

func TestErrorResponseIsTyped(t *testing.T) {
	r, sent := authorization(t, public(nil), oauth.AuthorizationParams{})
	_, err := r.Code(url.Values{"state": sent["state"], "error": {"access_denied"}, "error_description": {"no\x1b[31m" + strings.Repeat("x", 300)}})
	var got *oauth.Error
	if !errors.As(err, &got) || got.Code != "access_denied" || got.Status != 0 {
		t.Fatalf("got %v", err)
	}
	if text := err.Error(); strings.ContainsRune(text, '\x1b') || len(text) > 400 {
		t.Errorf("server text is not quoted and cut: %q", text)
	}
}

// If several responses arrive at the same time, exactly one is accepted.
func TestCodeOnce(t *testing.T) {
	r, sent := authorization(t, public(nil), oauth.AuthorizationParams{})
	var mu sync.Mutex
	var wg sync.WaitGroup
	good := 0
	for range 20 {
		wg.Go(func() {
			if _, err := r.Code(url.Values{"state": sent["state"], "code": {"c"}}); err == nil {
				mu.Lock()
				good++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if good != 1 {
		t.Errorf("%d answers were taken, want 1", good)
	}
}

func TestPush(t *testing.T) {
	var form url.Values
	reply := `{"request_uri":"urn:example:` + canary + `","expires_in":60}`
	status := 201
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		form = r.PostForm
		w.WriteHeader(status)
		fmt.Fprint(w, reply)
	})
	r, before := authorization(t, c, oauth.AuthorizationParams{Scope: []string{"a"}})
	if err := c.Push(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, form); diff != "" {
		t.Errorf("pushed (-asked +pushed):\n%s", diff)
	}
	u, _ := url.Parse(r.URL())
	if diff := cmp.Diff(url.Values{"client_id": {"app"}, "request_uri": {"urn:example:" + canary}}, u.Query()); diff != "" {
		t.Errorf("URL after the push:\n%s", diff)
	}
	if _, err := r.Code(url.Values{"state": before["state"], "code": {"c"}}); err != nil {
		t.Errorf("the state still counts: %v", err)
	}
	for reply, want := range map[string]diagnosis.ID{
		`{"request_uri":""}`:        diagnosis.AnswerInvalid,
		`{}`:                        diagnosis.AnswerInvalid,
		`<html>`:                    diagnosis.AnswerInvalid,
		`{"error":"invalid_scope"}`: diagnosis.ScopeRefused,
	} {
		c := client(t, answer(200, "application/json", reply))
		r, _ := authorization(t, c, oauth.AuthorizationParams{})
		refused(t, c.Push(t.Context(), r), want)
	}
}

func FuzzCode(f *testing.F) {
	f.Add("code=a&state=b")
	f.Add("error=access_denied&error_description=%1b[0m&state=b")
	f.Add("iss=https://issuer.example&code=a&code=b")
	f.Fuzz(func(t *testing.T, query string) {
		v, err := url.ParseQuery(query)
		if err != nil {
			t.Skip()
		}
		r, err := public(nil).NewAuthorizationRequest(oauth.AuthorizationParams{RedirectURI: "http://127.0.0.1/cb"})
		if err != nil {
			t.Fatal(err)
		}
		if code, err := r.Code(v); !errors.Is(err, oauth.ErrState) || !code.IsZero() {
			t.Errorf("an answer without the state was taken: %v", err)
		}
		u, _ := url.Parse(r.URL())
		v["state"] = u.Query()["state"]
		code, err := r.Code(v)
		if err == nil && (code.IsZero() || code.Reveal() != v.Get("code") || v.Has("iss") && v.Get("iss") != "https://issuer.example") {
			t.Errorf("took %v", v)
		}
		if err != nil && strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("the error holds control characters: %q", err)
		}
	})
}
