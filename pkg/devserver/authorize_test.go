package devserver_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

func TestRedirectHoldsCodeStateAndIssuer(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	got := d.login(parameters())
	if got.Get("code") == "" {
		t.Error("there is no code")
	}
	got.Del("code")
	if diff := cmp.Diff(url.Values{"state": {"xyz"}, "iss": {d.issuer}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Nothing is sent to an address that is not registered for the client.
func TestNoRedirectToOtherAddresses(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	own := d.register("https://app.example/cb", "com.example.app:/cb", "http://127.0.0.1:8000/cb?tenant=1")
	for _, test := range []struct {
		client, uri string
		ok          bool
	}{
		{"oauthctl-dev", redirectURI, true},
		{"oauthctl-dev", "http://127.0.0.1:1/callback", true},
		{"oauthctl-dev", "http://[::1]:4711/callback", true},
		{"oauthctl-dev", "http://localhost:4711/callback", true},
		{"oauthctl-dev", "http://127.0.0.1:4711/other", false},
		{"oauthctl-dev", "http://127.0.0.2:4711/callback", false},
		{"oauthctl-dev", "https://127.0.0.1:4711/callback", false},
		{"oauthctl-dev", "http://127.0.0.1:4711/callback?x=1", false},
		{"oauthctl-dev", "http://127.0.0.1:4711/callback#x", false},
		{"oauthctl-dev", "http://evil@127.0.0.1:4711/callback", false},
		{"oauthctl-dev", "http://127.0.0.1.evil.example/callback", false},
		{"oauthctl-dev", "", false},
		{"nobody", redirectURI, false},
		{"", redirectURI, false},
		{own, "https://app.example/cb", true},
		{own, "https://app.example:8443/cb", false},
		{own, "https://app.example/cb/", false},
		{own, "com.example.app:/cb", true},
		{own, "com.example.app:/cb2", false},
		{own, "http://127.0.0.1:9999/cb?tenant=1", true},
		{own, "http://127.0.0.1:9999/cb?tenant=2", false},
	} {
		got := d.get(d.issuer + "/authorize?" + parameters("client_id", test.client, "redirect_uri", test.uri).Encode())
		if ok := got.StatusCode == http.StatusOK; ok != test.ok || got.Header.Get("Location") != "" {
			t.Errorf("%s %s: %d to %q", test.client, test.uri, got.StatusCode, got.Header.Get("Location"))
		}
	}
}

// The error page says which parameter is missing or not registered.
func TestAuthorizeErrorPages(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	for _, test := range []struct {
		client, uri, want string
		status            int
	}{
		{"oauthctl-dev", redirectURI, "Sign in", http.StatusOK},
		{"", redirectURI, "client_id is missing", http.StatusBadRequest},
		{"oauthctl-dev", "", "redirect_uri is missing", http.StatusBadRequest},
		{"unknown", redirectURI, "No client with the client_id", http.StatusBadRequest},
		{"oauthctl-dev", "https://other.example/cb", "is not registered for this client", http.StatusBadRequest},
	} {
		got := d.get(d.issuer + "/authorize?" + parameters("client_id", test.client, "redirect_uri", test.uri).Encode())
		if got.StatusCode != test.status || !strings.Contains(got.text, test.want) {
			t.Errorf("client_id %q, redirect_uri %q: %d, want %q in\n%s", test.client, test.uri, got.StatusCode, test.want, got.text)
		}
	}
}

// The client receives the error with state and issuer.
func TestRedirectError(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	for _, test := range []struct {
		want  string
		spoil []string
	}{
		{"unsupported_response_type", []string{"response_type", "token"}},
		{"unsupported_response_type", []string{"response_type", ""}},
		{"invalid_request", []string{"code_challenge", ""}},
		{"invalid_request", []string{"code_challenge", "short"}},
		{"invalid_request", []string{"code_challenge_method", "plain"}},
		{"invalid_request", []string{"code_challenge_method", ""}},
		{"invalid_request", []string{"max_age", "-1"}},
		{"invalid_request", []string{"prompt", "none login"}},
		{"invalid_scope", []string{"scope", "items:read items:eat"}},
		{"invalid_target", []string{"resource", "https://api.example"}},
		{"invalid_target", []string{"resource", d.api + "/"}},
		{"request_not_supported", []string{"request", "x.y.z"}},
		{"login_required", []string{"prompt", "none"}},
	} {
		got := d.redirected(d.get(d.issuer + "/authorize?" + parameters(test.spoil...).Encode()))
		if got.Get("error") != test.want || got.Get("state") != "xyz" || got.Get("iss") != d.issuer || got.Has("code") {
			t.Errorf("%v: %v, want %s", test.spoil, got, test.want)
		}
	}
	twice := parameters()
	twice.Add("scope", "items:read")
	if got := d.redirected(d.get(d.issuer + "/authorize?" + twice.Encode())); got.Get("error") != "invalid_request" {
		t.Errorf("scope twice: %v", got)
	}
	if got := d.login(parameters("resource", d.api)); got.Get("code") == "" {
		t.Errorf("the good request: %v", got)
	}
}

func TestDeny(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	page := d.get(d.issuer + "/authorize?" + parameters().Encode())
	page = d.submit(page, "username", "bob", "password", "password")
	got := d.redirected(d.submit(page, "decision", "deny"))
	if got.Get("error") != "access_denied" || got.Has("code") || got.Get("state") != "xyz" {
		t.Errorf("%v", got)
	}
}

func TestWrongPassword(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	page := d.get(d.issuer + "/authorize?" + parameters().Encode())
	for _, who := range [][2]string{{"alice", "guess"}, {"alice", ""}, {"mallory", "password"}, {"", ""}} {
		page = d.submit(page, "username", who[0], "password", who[1])
		if page.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(page.text, `role="alert"`) {
			t.Errorf("%v: %d", who, page.StatusCode)
		}
	}
	page = d.submit(page, "username", "alice", "password", "password")
	if page.StatusCode != http.StatusOK || !strings.Contains(page.text, `value="allow" autofocus`) {
		t.Errorf("the right password: %d %s", page.StatusCode, page.text)
	}
}

// A form is accepted only from the browser and the page that it was sent to.
func TestForgedForm(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	page := d.get(d.issuer + "/authorize?" + parameters().Encode())
	if got := d.submit(page, "username", "alice", "password", "password", "csrf", "guess"); got.StatusCode != http.StatusForbidden {
		t.Errorf("login with another csrf value: %d", got.StatusCode)
	}
	// Consent without a login.
	_, form := hidden(page)
	if got := d.post(d.issuer+"/authorize/consent", changed(form, "decision", "allow")); got.StatusCode != http.StatusBadRequest {
		t.Errorf("consent before the login: %d", got.StatusCode)
	}
	page = d.submit(page, "username", "alice", "password", "password")
	for _, spoil := range [][]string{{"csrf", "guess"}, {"csrf", ""}, {"request", "guess"}} {
		if got := d.submit(page, append(spoil, "decision", "allow")...); got.StatusCode < 400 {
			t.Errorf("%v: %d", spoil, got.StatusCode)
		}
	}
	own := d.browser
	d.browser = d.newBrowser()
	if got := d.submit(page, "decision", "allow"); got.StatusCode < 400 {
		t.Errorf("consent without the cookie: %d", got.StatusCode)
	}
	d.get(d.issuer + "/authorize?" + parameters().Encode())
	if got := d.submit(page, "decision", "allow"); got.StatusCode < 400 {
		t.Errorf("consent from another browser: %d", got.StatusCode)
	}
	d.browser = own
	target, form := hidden(page)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.issuer+target, strings.NewReader(changed(form, "decision", "allow").Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", "https://evil.example")
	if got := d.do(req); got.StatusCode != http.StatusForbidden {
		t.Errorf("consent from another origin: %d", got.StatusCode)
	}
	if got := d.redirected(d.submit(page, "decision", "allow")); got.Get("code") == "" {
		t.Errorf("the real form: %v", got)
	}
	if got := d.submit(page, "decision", "allow"); got.StatusCode != http.StatusBadRequest {
		t.Errorf("the real form once more: %d", got.StatusCode)
	}
}

func TestSecondLoginAsksForConsentOnly(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	d.login(parameters())
	for _, test := range []struct {
		more  []string
		asked string
	}{
		{nil, `name="decision"`},
		{[]string{"prompt", "login"}, `name="username"`},
		{[]string{"prompt", "consent"}, `name="decision"`},
		{[]string{"max_age", "0"}, `name="username"`},
		{[]string{"max_age", "3600"}, `name="decision"`},
	} {
		if got := d.get(d.issuer + "/authorize?" + parameters(test.more...).Encode()); !strings.Contains(got.text, test.asked) {
			t.Errorf("%v does not ask for %s", test.more, test.asked)
		}
	}
	if got := d.redirected(d.get(d.issuer + "/authorize?" + parameters("prompt", "none").Encode())); got.Get("code") == "" {
		t.Errorf("prompt=none after consent: %v", got)
	}
	if got := d.redirected(d.get(d.issuer + "/authorize?" + parameters("prompt", "none", "scope", "users:delete").Encode())); got.Get("error") != "consent_required" {
		t.Errorf("prompt=none for more than before: %v", got)
	}
}

func TestAutoApprove(t *testing.T) {
	d := newDesk(t, devserver.Config{AutoApprove: true})
	got := d.redirected(d.get(d.issuer + "/authorize?" + parameters("prompt", "none").Encode()))
	if d.token(codeRequest(got.Get("code"))).AccessToken == "" {
		t.Errorf("%v", got)
	}
}

func TestPagesAreSafe(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	own := d.register("http://127.0.0.1/callback")
	page := d.get(d.issuer + "/authorize?" + parameters("client_id", own, "login_hint", `"><script>`).Encode())
	if strings.Contains(page.text, "<b>") || strings.Contains(page.text, "<script>") {
		t.Errorf("a client's text is markup: %s", page.text)
	}
	policy := page.Header.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "style-src 'sha256-", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self' http://127.0.0.1:4711"} {
		if !strings.Contains(policy, part) {
			t.Errorf("the policy lacks %s: %s", part, policy)
		}
	}
	if page.Header.Get("Cache-Control") != "no-store" || page.Header.Get("X-Frame-Options") != "DENY" {
		t.Errorf("%v", page.Header)
	}
	for _, c := range page.Cookies() {
		if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode {
			t.Errorf("cookie %v", c)
		}
	}
}

func TestRegisterRefused(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	for _, test := range []struct{ body, want string }{
		{`{"redirect_uris":["http://127.0.0.1/cb"],"token_endpoint_auth_method":"none"}`, ""},
		{`{"redirect_uris":["http://127.0.0.1/cb"]}`, ""},
		{`{"redirect_uris":["http://app.example/cb"]}`, "invalid_redirect_uri"},
		{`{"redirect_uris":["https://app.example/cb#x"]}`, "invalid_redirect_uri"},
		{`{"redirect_uris":["javascript:alert(1)"]}`, "invalid_redirect_uri"},
		{`{"redirect_uris":["/cb"]}`, "invalid_redirect_uri"},
		{`{"redirect_uris":[]}`, "invalid_redirect_uri"},
		{`{"grant_types":["client_credentials"]}`, ""},
		{`{"grant_types":["client_credentials"],"token_endpoint_auth_method":"none"}`, "invalid_client_metadata"},
		{`{"redirect_uris":["http://127.0.0.1/cb"],"token_endpoint_auth_method":"private_key_jwt"}`, "invalid_client_metadata"},
		{`{"redirect_uris":["http://127.0.0.1/cb"],"response_types":["token"]}`, "invalid_client_metadata"},
		{`[]`, "invalid_client_metadata"},
		{`{"redirect_uris":"http://127.0.0.1/cb"}`, "invalid_client_metadata"},
	} {
		var told struct {
			Error        string `json:"error"`
			ClientID     string `json:"client_id"`
			ClientSecret string `json:"client_secret"`
		}
		res := d.postJSON("/register", test.body)
		decodeInto(t, res.text, &told)
		public := strings.Contains(test.body, `"none"`)
		if told.Error != test.want || test.want == "" && (res.StatusCode != http.StatusCreated || (told.ClientSecret == "") != public) {
			t.Errorf("%s: %d %s", test.body, res.StatusCode, res.text)
		}
	}
}
