package devserver_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// csrfOf returns the CSRF token of the console's forms.
func csrfOf(t *testing.T, page answer) string {
	t.Helper()
	_, form := hidden(page)
	if form.Get("csrf") == "" {
		t.Fatalf("the console has no form: %d %s", page.StatusCode, page.text)
	}
	return form.Get("csrf")
}

// The console shows each request with its parameters, each token with its checks, and each refusal
// with its id and explanation, even without scripts.
func TestConsoleShowsTheFlow(t *testing.T) {
	d := newDesk(t, devserver.Config{Console: true})
	got := d.token(codeRequest(d.login(parameters()).Get("code")))
	d.call("GET", "/api/items", got.AccessToken, "")
	d.call("DELETE", "/api/users/1", got.AccessToken, "")
	expired, err := d.server.Mint("expired")
	if err != nil {
		t.Fatal(err)
	}
	d.call("GET", "/api/items", expired, "")
	d.token(codeRequest("made-up"))
	d.get(d.issuer + "/authorize?client_id=nope")
	page := d.get(d.issuer + "/").text
	for _, want := range []string{
		"Authorization request", "Login", "Consent", "Authorization response", "Token request: authorization_code", "API request", "Key set",
		"Browser → Authorization server", "Authorization server → Client", "Client → Authorization server", "Client → API", "API → Authorization server",
		"code_challenge_method", "S256", "SCOPE_MISSING", "EXPIRED", "GRANT_INVALID", "CLIENT_REFUSED", "the code is unknown",
		"access_token: access token", "id_token: ID token", "✓ signature", "✗ expiry <strong>EXPIRED</strong>", "&#34;sub&#34;: &#34;alice&#34;",
		"<h2>Users</h2>", "<h2>Clients</h2>", "<h2>Sessions</h2>", "oauthctl-dev", "is logged in with a browser", "(not shown)",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the console does not show %q", want)
		}
	}
	for name, secret := range map[string]string{
		"access token": got.AccessToken, "refresh token": got.RefreshToken, "ID token": got.IDToken, "verifier": verifier, "password": `<td>password</td>`,
	} {
		if strings.Contains(page, secret) {
			t.Errorf("the console shows the whole %s", name)
		}
	}
	link := regexp.MustCompile(`/_console/steps/\d+\?secrets=shown`)
	shown := ""
	for _, address := range link.FindAllString(page, -1) {
		shown += d.get(d.issuer + address).text
	}
	if !strings.Contains(shown, got.RefreshToken) || strings.Contains(shown, "<td>password</td>") {
		t.Error("asked for, the secrets are not shown, or the password is")
	}
	plain := newDesk(t, devserver.Config{})
	if page := plain.get(plain.issuer + "/").text; strings.Contains(page, "Flow") || !strings.Contains(page, plain.issuer) {
		t.Error("the console is shown although it is off")
	}
}

// Text from a client is not interpreted as markup.
func TestConsoleEscapes(t *testing.T) {
	d := newDesk(t, devserver.Config{Console: true})
	const evil = `<img src=x onerror=alert(1)>"'><script>alert(1)</script>`
	d.get(d.issuer + "/authorize?client_id=" + url.QueryEscape(evil) + "&" + url.QueryEscape(evil) + "=1")
	d.request("GET", d.issuer+"/"+url.PathEscape(evil), "", "Authorization", evil)
	d.request("POST", d.issuer+"/register", `{"client_name":"<b>bold</b>","redirect_uris":["`+redirectURI+`"]}`, "Content-Type", "application/json")
	page := d.get(d.issuer + "/")
	for _, bad := range []string{"<img", "<script>alert", "<b>bold"} {
		if strings.Contains(page.text, bad) {
			t.Errorf("%s is in the page", bad)
		}
	}
	policy := page.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'sha256-", "connect-src 'self'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy lacks %s: %s", want, policy)
		}
	}
	if strings.Contains(policy, "unsafe") || page.Header.Get("X-Frame-Options") != "DENY" || page.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", page.Header)
	}
}

// New steps are sent as events, starting after the last one on the page.
func TestConsoleEvents(t *testing.T) {
	d := newDesk(t, devserver.Config{Console: true})
	d.get(d.issuer + "/jwks")
	d.token(codeRequest("first"))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.issuer+"/_console/events?after=1", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := d.browser.Transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	next := func(event string) string {
		t.Helper()
		for lines.Scan() {
			if lines.Text() != "event: "+event || !lines.Scan() {
				continue
			}
			var text string
			data, _ := strings.CutPrefix(lines.Text(), "data: ")
			if err := json.Unmarshal([]byte(data), &text); err != nil {
				t.Fatal(err)
			}
			return text
		}
		t.Fatal("the events ended")
		return ""
	}
	if step := next("step"); !strings.Contains(step, "GRANT_INVALID") {
		t.Errorf("the step that was missed: %s", step)
	}
	d.call("GET", "/api/items", "", "")
	if step := next("step"); !strings.Contains(step, "API request") || !strings.Contains(step, "CREDENTIALS_MISSING") {
		t.Errorf("%s", step)
	}
	d.post(d.issuer+"/_console/faults", url.Values{"csrf": {csrfOf(t, d.get(d.issuer+"/"))}, "fault": {"jwks-500", "token-slow"}, "value-token-slow": {"1ms"}})
	for {
		if state := next("state"); strings.Contains(state, "jwks-500") {
			if !strings.Contains(state, "token-slow") {
				t.Errorf("%s", state)
			}
			break
		}
	}
	if got := d.get(d.issuer + "/jwks"); got.StatusCode != http.StatusInternalServerError {
		t.Errorf("the switch has no effect: %d", got.StatusCode)
	}
}

// Only the console's own page can change anything, and only this machine can see it.
func TestConsoleGuard(t *testing.T) {
	d := newDesk(t, devserver.Config{Console: true, Faults: []string{"token-slow=1ms"}})
	csrf := csrfOf(t, d.get(d.issuer+"/"))
	form := func(csrf string) string { return url.Values{"csrf": {csrf}, "fault": {"jwks-500"}}.Encode() }
	const kind = "application/x-www-form-urlencoded"
	for name, test := range map[string]struct {
		csrf   string
		header []string
	}{
		"no token":            {"", nil},
		"a wrong token":       {csrf + "x", nil},
		"another origin":      {csrf, []string{"Origin", "https://evil.example"}},
		"another port":        {csrf, []string{"Origin", "http://127.0.0.1:1"}},
		"a null origin":       {csrf, []string{"Origin", "null"}},
		"another site":        {csrf, []string{"Sec-Fetch-Site", "cross-site"}},
		"the same site":       {csrf, []string{"Sec-Fetch-Site", "same-site"}},
		"through a proxy":     {csrf, []string{"X-Forwarded-For", "203.0.113.7"}},
		"through a tunnel":    {csrf, []string{"Forwarded", "for=203.0.113.7"}},
		"a header for a page": {csrf, []string{"X-Forwarded-Host", "x.example"}},
	} {
		for _, path := range []string{"/_console/faults", "/_console/clear"} {
			got := d.request(http.MethodPost, d.issuer+path, form(test.csrf), append([]string{"Content-Type", kind}, test.header...)...)
			if got.StatusCode != http.StatusForbidden {
				t.Errorf("%s, %s: %d", name, path, got.StatusCode)
			}
		}
	}
	if got := d.get(d.issuer + "/jwks"); got.StatusCode != http.StatusOK {
		t.Fatalf("a refused form had an effect: %d", got.StatusCode)
	}
	for name, change := range map[string]func(*http.Request){
		"another machine": func(r *http.Request) { r.RemoteAddr = "203.0.113.7:1234" },
		"another host":    func(r *http.Request) { r.Host = "rebound.example" },
		"a tunnel":        func(r *http.Request) { r.Header.Set("X-Forwarded-For", "203.0.113.7") },
	} {
		for _, path := range []string{"/", "/_console/events", "/_console/steps/1?secrets=shown"} {
			over, cancel := context.WithCancel(t.Context())
			cancel() // ends a response that would not end
			r := httptest.NewRequestWithContext(over, http.MethodGet, d.issuer+path, http.NoBody)
			r.RemoteAddr = "127.0.0.1:1234"
			change(r)
			w := httptest.NewRecorder()
			d.server.AuthorizationServer().ServeHTTP(w, r)
			if strings.Contains(w.Body.String(), "csrf") || strings.Contains(w.Body.String(), "event") || path != "/" && w.Code != http.StatusForbidden {
				t.Errorf("%s sees %s: %d", name, path, w.Code)
			}
		}
	}
	if got := d.request(http.MethodPost, d.issuer+"/_console/faults", form(csrf), "Content-Type", kind, "Origin", d.issuer, "Sec-Fetch-Site", "same-origin"); got.StatusCode != http.StatusOK {
		t.Errorf("the page's own form: %d %s", got.StatusCode, got.text)
	}
	if got := d.get(d.issuer + "/jwks"); got.StatusCode != http.StatusInternalServerError {
		t.Errorf("the page's own form has no effect: %d", got.StatusCode)
	}
}

// The root page of the API lists its operations.
func TestAPIPage(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	got := d.get(d.api + "/")
	if got.StatusCode != http.StatusOK || !strings.Contains(got.text, "GET /api/items") || !strings.Contains(got.text, d.issuer) {
		t.Errorf("%d %s", got.StatusCode, got.text)
	}
}

// A mistyped fault is answered with a suggestion. Untrusted text is cut between characters.
func TestNearFault(t *testing.T) {
	for wrong, want := range map[string]string{"expird": `"expired"`, "wrong-isuer": `"wrong-issuer"`, "jwks500": `"jwks-500"`} {
		_, err := devserver.New(devserver.Config{Issuer: "http://127.0.0.1:1", API: "http://127.0.0.1:2", Faults: []string{wrong}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", wrong, err)
		}
	}
	_, err := devserver.New(devserver.Config{Issuer: "http://127.0.0.1:1", API: "http://127.0.0.1:2", Faults: []string{strings.Repeat("x", 199) + "äöü"}})
	if err == nil || strings.Contains(err.Error(), "did you mean") || strings.ContainsRune(err.Error(), '\uFFFD') || strings.Contains(err.Error(), `\x`) {
		t.Errorf("%v", err)
	}
}

// A request of a handler in the same process may have no body.
func TestConsoleWithoutBody(t *testing.T) {
	d := newDesk(t, devserver.Config{Console: true})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.issuer+"/jwks", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Dev-Fault", "jwks-hang")
	d.server.AuthorizationServer().ServeHTTP(httptest.NewRecorder(), req)
	if page := d.get(d.issuer + "/").text; !strings.Contains(page, "jwks-hang") {
		t.Error("the step is missing")
	}
}
