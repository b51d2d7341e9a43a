package devserver_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/devserver"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// desk is a running development server, and a client with a browser.
type desk struct {
	t           *testing.T
	server      *devserver.Server
	issuer, api string
	browser     *http.Client
	fault       string // sent with every request
	offset      atomic.Int64
}

func (d *desk) now() time.Time { return time.Now().Add(time.Duration(d.offset.Load())) }

func newDesk(t *testing.T, c devserver.Config) *desk {
	t.Helper()
	d := &desk{t: t}
	listeners := [2]net.Listener{}
	for i := range listeners {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners[i] = l
	}
	d.issuer, d.api = "http://"+listeners[0].Addr().String(), "http://"+listeners[1].Addr().String()
	c.Issuer, c.API, c.Now = d.issuer, d.api, d.now
	var err error
	if d.server, err = devserver.New(c); err != nil {
		t.Fatal(err)
	}
	for i, h := range []http.Handler{d.server.AuthorizationServer(), d.server.API()} {
		s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
		go func() { _ = s.Serve(listeners[i]) }()
		t.Cleanup(func() { s.Close() })
	}
	d.browser = d.newBrowser()
	return d
}

// newBrowser returns a browser that does not follow redirects to other servers.
func (d *desk) newBrowser() *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		d.t.Fatal(err)
	}
	transport := &http.Transport{}
	d.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: jar, Timeout: 20 * time.Second, Transport: transport, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.String(), d.issuer+"/") {
			return http.ErrUseLastResponse
		}
		return nil
	}}
}

// answer is a response with its complete body.
type answer struct {
	*http.Response
	text string
}

func (d *desk) do(req *http.Request) answer {
	d.t.Helper()
	if d.fault != "" {
		req.Header.Set("X-Dev-Fault", d.fault)
	}
	res, err := d.browser.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return answer{res, string(body)}
}

func (d *desk) get(address string) answer {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		d.t.Fatal(err)
	}
	return d.do(req)
}

func (d *desk) post(address string, form url.Values) answer {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return d.do(req)
}

func (d *desk) call(method, path, accessToken, body string) answer {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.api+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	if accessToken != "" {
		req.Header.Set("Authorization", "Bearer "+accessToken)
	}
	return d.do(req)
}

const (
	verifier    = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636, appendix B
	redirectURI = "http://127.0.0.1:4711/callback"
)

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// parameters returns a valid authorization request, changed by pairs.
func parameters(pairs ...string) url.Values {
	v := url.Values{
		"response_type": {"code"}, "client_id": {"oauthctl-dev"}, "redirect_uri": {redirectURI}, "state": {"xyz"},
		"scope": {"openid offline_access items:read items:write"}, "nonce": {"n-0S6"},
		"code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"},
	}
	return changed(v, pairs...)
}

func changed(v url.Values, pairs ...string) url.Values {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			v.Del(pairs[i])
		} else {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	return v
}

var (
	inputTag = regexp.MustCompile(`<input type="hidden" name="([a-z_]+)" value="([^"]*)">`)
	action   = regexp.MustCompile(`<form method="post" action="([^"]*)">`)
)

// hidden returns the hidden fields and the target of a page's form.
func hidden(page answer) (target string, form url.Values) {
	form = url.Values{}
	for _, tag := range inputTag.FindAllStringSubmatch(page.text, -1) {
		form.Set(tag[1], html.UnescapeString(tag[2]))
	}
	if m := action.FindStringSubmatch(page.text); m != nil {
		target = html.UnescapeString(m[1])
	}
	return target, form
}

// submit fills in and sends the form of a page.
func (d *desk) submit(page answer, pairs ...string) answer {
	d.t.Helper()
	target, form := hidden(page)
	if target == "" {
		d.t.Fatalf("the page has no form: %d %s", page.StatusCode, page.text)
	}
	return d.post(d.issuer+target, changed(form, pairs...))
}

// login completes login and consent, and returns the parameters of the
// redirect.
func (d *desk) login(p url.Values) url.Values {
	d.t.Helper()
	page := d.get(d.issuer + "/authorize?" + p.Encode())
	if strings.Contains(page.text, `name="username"`) {
		page = d.submit(page, "username", "alice", "password", "password")
	}
	if page.StatusCode == http.StatusOK {
		page = d.submit(page, "decision", "allow")
	}
	return d.redirected(page)
}

func (d *desk) redirected(page answer) url.Values {
	d.t.Helper()
	target, err := url.Parse(page.Header.Get("Location"))
	if err != nil || page.StatusCode != http.StatusSeeOther || !strings.HasPrefix(target.String(), redirectURI+"?") {
		d.t.Fatalf("expected a redirect to the client, got %d %q: %s", page.StatusCode, page.Header.Get("Location"), page.text)
	}
	return target.Query()
}

// codeRequest returns a valid token request for a code, changed by pairs.
func codeRequest(code string, pairs ...string) url.Values {
	return changed(url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"oauthctl-dev"}, "redirect_uri": {redirectURI},
		"code": {code}, "code_verifier": {verifier},
	}, pairs...)
}

func refreshRequest(refreshToken string, pairs ...string) url.Values {
	return changed(url.Values{"grant_type": {"refresh_token"}, "client_id": {"oauthctl-dev"}, "refresh_token": {refreshToken}}, pairs...)
}

// tokens is a token response, or an error response.
type tokens struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token"`
	IDToken      string `json:"id_token"`
	Scope        string `json:"scope"`
	Error        string `json:"error"`
	Description  string `json:"error_description"`
	status       int
}

func (d *desk) token(form url.Values) tokens {
	d.t.Helper()
	res := d.post(d.issuer+"/token", form)
	var all tokens
	if err := json.Unmarshal([]byte(res.text), &all); err != nil {
		d.t.Fatalf("the token endpoint answered %d %q", res.StatusCode, res.text)
	}
	all.status = res.StatusCode
	return all
}

func decodeInto(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
}

// The complete flow with this module's own client, starting with the API's URL.
func TestLoginWithOwnClient(t *testing.T) {
	for _, alg := range []string{"", "RS256", "EdDSA", "ES512"} {
		t.Run(alg, func(t *testing.T) {
			d := newDesk(t, devserver.Config{Algorithm: alg})
			d.loginWithOwnClient()
		})
	}
}

func (d *desk) loginWithOwnClient() {
	t := d.t
	t.Helper()
	ctx := t.Context()
	c := &safehttp.Client{}
	found, _, err := discovery.Find(ctx, c, d.api)
	if err != nil {
		t.Fatal(err)
	}
	registered, err := oauth.Register(ctx, c, found.Server, oauth.Registration{ClientName: "desk", RedirectURIs: []string{redirectURI}})
	if err != nil {
		t.Fatal(err)
	}
	client := &oauth.Client{ID: registered.ClientID, Server: found.Server, HTTP: c, Now: d.now}
	request, err := client.NewAuthorizationRequest(oauth.AuthorizationParams{
		RedirectURI: redirectURI, Scope: []string{"openid", "profile", "email", "offline_access", "items:read"}, Resource: []string{found.Resource.Resource},
	})
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
	res, err := client.Token(ctx, request.TokenRequest(code))
	if err != nil {
		t.Fatal(err)
	}
	id, err := client.VerifyIDToken(ctx, res, request.IDTokenExpectation())
	if err != nil {
		t.Fatal(err)
	}
	if id.Subject() != "alice" {
		t.Errorf("the ID token is about %q", id.Subject())
	}
	if _, err := client.Userinfo(ctx, res.AccessToken, "alice"); err != nil {
		t.Fatal(err)
	}
	d.checkLater(ctx, client, res)
}

// checkLater refreshes, requests userinfo, and revokes.
func (d *desk) checkLater(ctx context.Context, client *oauth.Client, res *oauth.TokenResponse) {
	t := d.t
	t.Helper()
	renewed, err := client.Token(ctx, oauth.Refresh(res.RefreshToken, nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	if renewed.RefreshToken.Equal(res.RefreshToken) || renewed.RefreshToken.IsZero() {
		t.Error("the refresh token was not rotated")
	}
	if got := d.call("GET", "/api/items", renewed.AccessToken.Reveal(), ""); got.StatusCode != http.StatusOK {
		t.Errorf("the API answered %d %s", got.StatusCode, got.text)
	}
	if err := client.Revoke(ctx, renewed.AccessToken, "access_token"); err != nil {
		t.Fatal(err)
	}
	if got := d.call("GET", "/api/items", renewed.AccessToken.Reveal(), ""); got.StatusCode != http.StatusUnauthorized || !strings.Contains(got.text, "REVOKED") {
		t.Errorf("a revoked token: %d %s", got.StatusCode, got.text)
	}
	if _, err := client.Token(ctx, oauth.Refresh(secret.New("x"), nil, nil)); err == nil {
		t.Error("an invented refresh token was accepted")
	}
	var refused *oauth.Error
	if _, err := client.Token(ctx, oauth.Refresh(res.RefreshToken, nil, nil)); !errors.As(err, &refused) || refused.Code != "invalid_grant" {
		t.Errorf("a used refresh token: %v", err)
	}
	if _, err := client.Token(ctx, oauth.Refresh(renewed.RefreshToken, nil, nil)); err == nil {
		t.Error("the grant is still valid after a reuse")
	}
	if got := d.call("GET", "/api/items", res.AccessToken.Reveal(), ""); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("the access token is still valid after a reuse: %d", got.StatusCode)
	}
}
