package devserver_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// request sends one request with headers.
func (d *desk) request(method, address, body string, header ...string) answer {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return d.do(req)
}

// A script of any page can call the endpoints for clients, including their errors, and
// nothing else.
func TestCORS(t *testing.T) {
	d := newDesk(t, devserver.Config{Console: true})
	const origin = "http://localhost:5173"
	for path, method := range map[string]string{
		"/.well-known/oauth-authorization-server": "GET", "/.well-known/openid-configuration": "GET", "/jwks": "GET",
		"/token": "POST", "/userinfo": "GET", "/register": "POST", "/revoke": "POST", "/introspect": "POST", "/par": "POST", "/device_authorization": "POST",
	} {
		preflight := d.request(http.MethodOptions, d.issuer+path, "", "Origin", origin, "Access-Control-Request-Method", method, "Access-Control-Request-Headers", "authorization,dpop,x-custom")
		h := preflight.Header
		allowed, credentials := "*", ""
		if path == "/token" { // keycloak-js sends cookies here
			allowed, credentials = origin, "true"
		}
		if preflight.StatusCode != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != allowed || !strings.Contains(h.Get("Access-Control-Allow-Headers"), "authorization,dpop") ||
			!strings.Contains(h.Get("Access-Control-Allow-Methods"), method) || h.Get("Access-Control-Allow-Credentials") != credentials {
			t.Errorf("preflight of %s: %d %v", path, preflight.StatusCode, h)
		}
		got := d.request(method, d.issuer+path, "", "Origin", origin)
		if got.Header.Get("Access-Control-Allow-Origin") != allowed || !strings.Contains(got.Header.Get("Access-Control-Expose-Headers"), "WWW-Authenticate, DPoP-Nonce") {
			t.Errorf("%s %s: %d %v", method, path, got.StatusCode, got.Header)
		}
		if got := d.request(http.MethodPatch, d.issuer+path, "", "Origin", origin); got.Header.Get("Access-Control-Allow-Origin") != allowed {
			t.Errorf("an answer %d of %s cannot be read", got.StatusCode, path)
		}
	}
	for _, address := range []string{d.api + "/api/items", d.api + "/.well-known/oauth-protected-resource", d.api + "/nothing"} {
		if got := d.request(http.MethodOptions, address, "", "Origin", origin, "Access-Control-Request-Method", "DELETE", "Access-Control-Request-Headers", "authorization"); got.StatusCode != http.StatusNoContent {
			t.Errorf("preflight of %s: %d", address, got.StatusCode)
		}
		if got := d.request(http.MethodGet, address, "", "Origin", origin); got.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %d %v", address, got.StatusCode, got.Header)
		}
	}
	for _, path := range []string{"/", "/authorize", "/authorize/login", "/authorize/consent", "/device", "/end-session", "/_control/fault", "/_control/token", "/_console/events", "/_console/faults", "/ci/github/token"} {
		for _, method := range []string{http.MethodOptions, http.MethodPost} {
			got := d.request(method, d.issuer+path, "", "Origin", origin, "Access-Control-Request-Method", "POST")
			for name := range got.Header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s %s: %s", method, path, name)
				}
			}
		}
	}
}

// The response comes in the mode that was requested, with state and iss; an unknown mode is refused by query.
func TestResponseModes(t *testing.T) {
	d := newDesk(t, devserver.Config{AutoApprove: true})
	ask := func(pairs ...string) answer {
		return d.get(d.issuer + "/authorize?" + parameters(pairs...).Encode())
	}
	complete := func(v url.Values, want string) {
		t.Helper()
		if v.Get(want) == "" || v.Get("state") != "xyz" || v.Get("iss") != d.issuer {
			t.Errorf("%v", v)
		}
	}
	for _, mode := range []string{"query", ""} {
		complete(d.redirected(ask("response_mode", mode)), "code")
	}
	for _, failing := range []string{"", "scope"} {
		want := "code"
		pairs := []string{"response_mode", "fragment"}
		if failing != "" {
			want, pairs = "error", append(pairs, failing, "nope")
		}
		target, err := url.Parse(ask(pairs...).Header.Get("Location"))
		if err != nil || target.RawQuery != "" {
			t.Fatalf("%v %v", target, err)
		}
		values, err := url.ParseQuery(target.EscapedFragment())
		if err != nil {
			t.Fatal(err)
		}
		complete(values, want)
		pairs[1] = "form_post"
		page := ask(pairs...)
		action, form := hidden(page)
		if page.StatusCode != http.StatusOK || action != redirectURI || page.Header.Get("Location") != "" || !strings.Contains(page.Header.Get("Content-Security-Policy"), "script-src 'sha256-") {
			t.Errorf("%d to %q, %v", page.StatusCode, action, page.Header)
		}
		complete(form, want)
	}
	for _, mode := range []string{"jwt", "query.jwt", "web_message", "Fragment"} {
		if got := d.redirected(ask("response_mode", mode)); got.Get("error") != "invalid_request" || got.Get("state") != "xyz" {
			t.Errorf("%s: %v", mode, got)
		}
		if got := d.post(d.issuer+"/par", parameters("response_mode", mode)); got.StatusCode != http.StatusBadRequest {
			t.Errorf("%s, pushed: %d", mode, got.StatusCode)
		}
	}
	var pushed struct {
		Name string `json:"request_uri"`
	}
	decodeInto(t, d.post(d.issuer+"/par", parameters("response_mode", "fragment")).text, &pushed)
	got := d.get(d.issuer + "/authorize?client_id=oauthctl-dev&request_uri=" + url.QueryEscape(pushed.Name))
	if !strings.HasPrefix(got.Header.Get("Location"), redirectURI+"#") {
		t.Errorf("pushed: %q", got.Header.Get("Location"))
	}
}

// With an ID token, a logout returns to the client without a question. Contradictions are refused.
func TestLogoutByHint(t *testing.T) {
	const web = "http://127.0.0.1:4711/"
	d := newDesk(t, devserver.Config{Clients: []devserver.Client{
		{ID: "strict", RedirectURIs: []string{redirectURI}, PostLogoutRedirectURIs: []string{"http://127.0.0.1:4711/bye"}},
		{ID: "other", RedirectURIs: []string{"https://other.example/cb"}},
	}})
	login := func(client string) string {
		return d.token(codeRequest(d.login(parameters("client_id", client)).Get("code"), "client_id", client)).IDToken
	}
	isIn := func() bool {
		return !strings.Contains(d.get(d.issuer+"/authorize?"+parameters().Encode()).text, `name="username"`)
	}
	leave := func(method string, pairs ...string) answer {
		form := changed(url.Values{}, pairs...)
		if method == http.MethodPost {
			return d.post(d.issuer+"/end-session", form)
		}
		return d.get(d.issuer + "/end-session?" + form.Encode())
	}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		hint := login("oauthctl-dev")
		got := leave(method, "id_token_hint", hint, "post_logout_redirect_uri", web, "state", "a b&c", "logout_hint", "alice", "ui_locales", "de")
		if got.Header.Get("Location") != web+"?state=a+b%26c" || isIn() {
			t.Errorf("%s: %d to %q", method, got.StatusCode, got.Header.Get("Location"))
		}
		// Again after the logout, and with an expired hint.
		d.offset.Store(int64(time.Hour))
		if got := leave(method, "id_token_hint", hint, "post_logout_redirect_uri", web); got.Header.Get("Location") != web {
			t.Errorf("%s, expired: %d to %q", method, got.StatusCode, got.Header.Get("Location"))
		}
		d.offset.Store(0)
	}
	hint := login("strict")
	if got := leave("GET", "id_token_hint", hint, "post_logout_redirect_uri", "http://127.0.0.1:4711/bye"); got.Header.Get("Location") != "http://127.0.0.1:4711/bye" {
		t.Errorf("a registered one: %d", got.StatusCode)
	}
	hint = login("oauthctl-dev")
	forged := hint[:len(hint)-4] + "AAAA"
	for name, pairs := range map[string][]string{
		"not registered":      {"id_token_hint", login("strict"), "post_logout_redirect_uri", web},
		"another host":        {"id_token_hint", hint, "post_logout_redirect_uri", "https://evil.example/"},
		"another client":      {"id_token_hint", hint, "client_id", "other", "post_logout_redirect_uri", "https://other.example/"},
		"an unknown client":   {"client_id", "nope", "post_logout_redirect_uri", web},
		"forged":              {"id_token_hint", forged, "post_logout_redirect_uri", web},
		"not a token":         {"id_token_hint", "x", "post_logout_redirect_uri", web},
		"nothing to check by": {"post_logout_redirect_uri", web},
	} {
		if got := leave("GET", pairs...); got.StatusCode != http.StatusBadRequest || got.Header.Get("Location") != "" || !isIn() {
			t.Errorf("%s: %d to %q", name, got.StatusCode, got.Header.Get("Location"))
		}
	}
	access, err := d.server.Mint("good")
	if err != nil {
		t.Fatal(err)
	}
	if got := leave("GET", "id_token_hint", access, "post_logout_redirect_uri", web); got.StatusCode != http.StatusBadRequest {
		t.Errorf("an access token as the hint: %d", got.StatusCode)
	}
	// Without a hint, or with that of another user, the user is asked, and another site cannot
	// confirm.
	alice := d.browser
	d.browser = d.newBrowser()
	page := d.submit(d.get(d.issuer+"/authorize?"+parameters().Encode()), "username", "bob", "password", "password")
	bob := d.token(codeRequest(d.redirected(d.submit(page, "decision", "allow")).Get("code"))).IDToken
	d.browser = alice
	login("oauthctl-dev")
	for _, pairs := range [][]string{{"client_id", "oauthctl-dev", "post_logout_redirect_uri", web}, {}, {"id_token_hint", bob, "post_logout_redirect_uri", web}} {
		page := leave("GET", pairs...)
		if page.StatusCode != http.StatusOK || !isIn() {
			t.Errorf("%v: %d", pairs, page.StatusCode)
		}
		_, form := hidden(page)
		if got := d.request(http.MethodPost, d.issuer+"/end-session", form.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"); got.StatusCode != http.StatusForbidden || !isIn() {
			t.Errorf("another site signs out: %d", got.StatusCode)
		}
	}
}

// Checks are strict by default, and each option relaxes only its own.
func TestRelaxedChecks(t *testing.T) {
	confidential := devserver.Client{ID: "web", Secret: "s3cret", RedirectURIs: []string{redirectURI}}
	plain := parameters("client_id", "web", "code_challenge", "", "code_challenge_method", "")
	for _, optional := range []bool{false, true} {
		d := newDesk(t, devserver.Config{AutoApprove: true, OptionalPKCE: optional, Clients: []devserver.Client{confidential}})
		got := d.redirected(d.get(d.issuer + "/authorize?" + plain.Encode()))
		if (got.Get("code") != "") != optional {
			t.Errorf("optional %v: %v", optional, got)
		}
		if optional {
			code := codeRequest(got.Get("code"), "client_id", "web", "client_secret", "s3cret", "code_verifier", "")
			if answer := d.token(changed(code, "code_verifier", verifier)); answer.Error != "invalid_grant" {
				t.Errorf("a verifier without a challenge: %+v", answer)
			}
			if answer := d.token(changed(code, "code_verifier", "")); answer.AccessToken == "" {
				t.Errorf("%+v", answer)
			}
			withPKCE := d.redirected(d.get(d.issuer + "/authorize?" + parameters("client_id", "web").Encode()))
			if answer := d.token(changed(code, "code", withPKCE.Get("code"))); answer.Error != "invalid_grant" {
				t.Errorf("a challenge without its verifier: %+v", answer)
			}
		} else if !strings.Contains(got.Get("error_description"), "optional for confidential clients") {
			t.Errorf("%v", got)
		}
		public := d.redirected(d.get(d.issuer + "/authorize?" + parameters("code_challenge", "", "code_challenge_method", "").Encode()))
		if public.Get("error") != "invalid_request" {
			t.Errorf("a public client without PKCE: %v", public)
		}
	}
	for _, any := range []bool{false, true} {
		d := newDesk(t, devserver.Config{AnyRedirectURI: any})
		for uri, ok := range map[string]bool{
			"http://app.local/cb": any, "http://192.168.1.7:3000/cb": any, "http://host.docker.internal:3000/cb": any, "myapp://cb": any,
			"https://app.example/cb": true, "com.example.app:/cb": true,
			"javascript:alert(1)": false, "data:text/html,x": false, "file:///etc/passwd": false, "https://u@app.example/cb": false, "https://app.example/cb#f": false,
		} {
			got := d.request(http.MethodPost, d.issuer+"/register", fmt.Sprintf(`{"redirect_uris":[%q]}`, uri), "Content-Type", "application/json")
			if (got.StatusCode == http.StatusCreated) != ok {
				t.Errorf("any %v, %s: %d %s", any, uri, got.StatusCode, got.text)
			}
			// A configured client must use it too.
			_, err := devserver.New(devserver.Config{Issuer: d.issuer, API: d.api, AnyRedirectURI: any, Clients: []devserver.Client{{ID: "c", RedirectURIs: []string{uri}}}})
			if (err == nil) != ok {
				t.Errorf("any %v, configured %s: %v", any, uri, err)
			}
		}
	}
}

// An automatic login uses the user of the request, and no other.
func TestAutoApproveUser(t *testing.T) {
	d := newDesk(t, devserver.Config{AutoApprove: true, AutoUser: "bob", Users: []devserver.User{{Name: "carol", Email: "c@corp.example"}}})
	who := func(header string, pairs ...string) string {
		t.Helper()
		d.browser = d.newBrowser()
		got := d.redirected(d.request(http.MethodGet, d.issuer+"/authorize?"+parameters(pairs...).Encode(), "", "X-Dev-User", header))
		if got.Get("code") == "" {
			return got.Get("error")
		}
		claims := claimsOf(t, d.token(codeRequest(got.Get("code"))).IDToken)
		return fmt.Sprint(claims["sub"])
	}
	for _, test := range []struct {
		header string
		pairs  []string
		want   string
	}{
		{"", nil, "bob"},
		{"", []string{"login_hint", "carol"}, "carol"},
		{"", []string{"login_hint", "c@corp.example"}, "carol"},
		{"alice", []string{"login_hint", "carol"}, "alice"},
		{"", []string{"login_hint", "mallory"}, "access_denied"},
		{"mallory", nil, "access_denied"},
	} {
		if got := who(test.header, test.pairs...); got != test.want {
			t.Errorf("%q %v: %s, want %s", test.header, test.pairs, got, test.want)
		}
	}
}

// A client_id that is a URL is described by the document at that URL.
func TestClientDocuments(t *testing.T) {
	document := map[string]any{}
	kind := "application/json"
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/client.json", http.StatusFound)
			return
		}
		w.Header().Set("Content-Type", kind)
		_ = json.MarshalWrite(w, document)
	}))
	t.Cleanup(host.Close)
	id := host.URL + "/client.json"
	good := func() map[string]any {
		return map[string]any{"client_id": id, "client_name": "App", "redirect_uris": []string{redirectURI}, "grant_types": []string{"authorization_code", "refresh_token"}, "token_endpoint_auth_method": "none"}
	}
	open := devserver.Config{AutoApprove: true, InsecureClientDocuments: true}
	document = good()
	d := newDesk(t, open)
	got := d.token(codeRequest(d.redirected(d.get(d.issuer+"/authorize?"+parameters("client_id", id).Encode())).Get("code"), "client_id", id))
	if claims := claimsOf(t, got.AccessToken); claims["client_id"] != id {
		t.Errorf("%v", claims)
	}
	if renewed := d.token(refreshRequest(got.RefreshToken, "client_id", id)); renewed.AccessToken == "" {
		t.Errorf("%+v", renewed)
	}
	if page := d.get(d.issuer + "/authorize?" + parameters("client_id", id, "redirect_uri", "http://127.0.0.1:1/other").Encode()); page.StatusCode != http.StatusBadRequest {
		t.Errorf("another redirect URI: %d", page.StatusCode)
	}
	var metadata map[string]any
	if decodeInto(t, d.get(d.issuer+"/.well-known/oauth-authorization-server").text, &metadata); metadata["client_id_metadata_document_supported"] != true {
		t.Error("the metadata does not announce it")
	}
	for name, spoil := range map[string]func(){
		"another id":       func() { document["client_id"] = host.URL + "/other.json" },
		"a secret":         func() { document["client_secret"] = "x" },
		"a secret's way":   func() { document["token_endpoint_auth_method"] = "client_secret_basic" },
		"no redirect URI":  func() { delete(document, "redirect_uris") },
		"not JSON":         func() { kind = "text/html" },
		"too large":        func() { document["client_name"] = strings.Repeat("x", 20<<10) },
		"a bad redirect":   func() { document["redirect_uris"] = []string{"javascript:alert(1)"} },
		"a moved document": func() { id = host.URL + "/moved"; document["client_id"] = id },
	} {
		document, kind, id = good(), "application/json", host.URL+"/client.json"
		spoil()
		d := newDesk(t, open)
		if page := d.get(d.issuer + "/authorize?" + parameters("client_id", id).Encode()); page.StatusCode != http.StatusBadRequest || !strings.Contains(page.text, "client id metadata document") {
			t.Errorf("%s: %d %s", name, page.StatusCode, page.text)
		}
	}
	// By default, nothing is fetched over http or from an address that is not public.
	closed := newDesk(t, devserver.Config{AutoApprove: true})
	secure := strings.Replace(host.URL, "http://", "https://", 1)
	for _, id := range []string{host.URL + "/client.json", secure + "/client.json", "https://localhost/client.json", "https://[::1]/c", "https://10.0.0.1/c", "https://169.254.169.254/latest", "https://100.64.0.1/c", "https://0.0.0.0/c", "https://[::ffff:127.0.0.1]/c"} {
		page := closed.get(closed.issuer + "/authorize?" + parameters("client_id", id).Encode())
		if page.StatusCode != http.StatusBadRequest || strings.HasPrefix(id, "https:") && !strings.Contains(page.text, "not a public address") {
			t.Errorf("%s: %d %s", id, page.StatusCode, page.text)
		}
	}
}

// A body that is announced but never sent does not block a connection. A body that arrives gives the handler time.
func TestBodyThatNeverComes(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	d.server.SetBodyWait(100 * time.Millisecond)
	for _, address := range []string{d.issuer, d.api} {
		for _, line := range []string{"POST /token", "POST /api/items", "PUT /nothing", "POST /authorize"} {
			conn, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 5000\r\n\r\na", line)
			_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s at %s: the connection is blocked", line, address)
			}
			conn.Close()
		}
	}
	d.fault = "token-slow=300ms"
	if got := d.token(codeRequest("x")); got.Error != "invalid_grant" {
		t.Errorf("a slow handler: %+v", got)
	}
}
