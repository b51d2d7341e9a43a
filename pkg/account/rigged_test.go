package account_test

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/session"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// rigged is an authorization server with strict rotation of refresh tokens. A
// test can change its responses. It logs every user in as alice and approves
// every request.
type rigged struct {
	*httptest.Server
	key *jwks.PrivateKey // that the key set has

	mu       sync.Mutex
	signer   *jwks.PrivateKey
	metadata map[string]any
	// answer changes the response of the token endpoint; nil means no change.
	answer func(grant string, body map[string]any) (status int, other any)
	// claims changes the claims of ID tokens.
	claims   func(map[string]any)
	refresh  string // the one refresh token that is valid
	nonce    string
	ttl      int
	requests []request        // to every endpoint but discovery and keys
	clients  int              // registered
	confid   bool             // registers confidential clients
	forgot   bool             // has forgotten all clients
	word     string           // the error for a refused scope; "" is invalid_scope
	refuse   string           // a scope that it does not grant
	page     http.HandlerFunc // the page of the authorization endpoint for a forgotten client; nil is an error
}

type request struct {
	path string
	form url.Values
}

func newRigged(t *testing.T) *rigged {
	t.Helper()
	key, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	r := &rigged{key: key, signer: key, ttl: 300}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	r.metadata = map[string]any{
		"issuer": r.URL, "authorization_endpoint": r.URL + "/authorize", "token_endpoint": r.URL + "/token", "jwks_uri": r.URL + "/jwks",
		"registration_endpoint": r.URL + "/register", "revocation_endpoint": r.URL + "/revoke", "introspection_endpoint": r.URL + "/introspect",
		"userinfo_endpoint": r.URL + "/userinfo", "scopes_supported": []string{"openid", "offline_access"},
		"code_challenge_methods_supported": []string{"S256"}, "authorization_response_iss_parameter_supported": true,
	}
	return r
}

func (r *rigged) issuer() string { return r.metadata["issuer"].(string) }

func (r *rigged) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if strings.HasPrefix(req.URL.Path, "/.well-known/") {
		reply(w, http.StatusOK, r.metadata)
		return
	}
	if req.URL.Path == "/jwks" {
		reply(w, http.StatusOK, jwks.NewSet(r.key.Public()))
		return
	}
	_ = req.ParseForm()
	r.requests = append(r.requests, request{req.URL.Path, req.Form})
	switch req.URL.Path {
	case "/authorize":
		r.authorize(w, req)
	case "/token":
		r.token(w, req)
	case "/register":
		r.register(w, req)
	case "/introspect":
		reply(w, http.StatusOK, map[string]any{"active": true})
	case "/userinfo":
		reply(w, http.StatusOK, map[string]any{"sub": "alice"})
	case "/revoke":
		if req.Form.Get("token") == r.refresh {
			r.refresh = ""
		}
	default:
		http.NotFound(w, req)
	}
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (r *rigged) authorize(w http.ResponseWriter, req *http.Request) {
	switch {
	case r.forgot && r.page != nil:
		r.page(w, req)
		return
	case r.forgot:
		http.Error(w, "unknown client", http.StatusBadRequest)
		return
	}
	if r.refuse != "" && strings.Contains(" "+req.Form.Get("scope")+" ", " "+r.refuse+" ") {
		to := req.Form.Get("redirect_uri") + "?" + url.Values{"error": {cmp.Or(r.word, "invalid_scope")}, "state": {req.Form.Get("state")}, "iss": {r.issuer()}}.Encode()
		http.Redirect(w, req, to, http.StatusFound)
		return
	}
	r.nonce = req.Form.Get("nonce")
	to := req.Form.Get("redirect_uri") + "?" + url.Values{"code": {"one-time"}, "state": {req.Form.Get("state")}, "iss": {r.issuer()}}.Encode()
	http.Redirect(w, req, to, http.StatusFound)
}

func (r *rigged) register(w http.ResponseWriter, req *http.Request) {
	var wish struct {
		RedirectURIs []string `json:"redirect_uris"`
	}
	_ = json.NewDecoder(req.Body).Decode(&wish)
	r.clients++
	r.forgot = false
	answer := map[string]any{"client_id": "client-" + string(rune('0'+r.clients)), "redirect_uris": wish.RedirectURIs, "token_endpoint_auth_method": "none"}
	if r.confid {
		answer["client_secret"], answer["client_secret_expires_at"], answer["token_endpoint_auth_method"] = "registered-secret", 0, "client_secret_post"
	}
	reply(w, http.StatusCreated, answer)
}

func (r *rigged) token(w http.ResponseWriter, req *http.Request) {
	grant := req.Form.Get("grant_type")
	switch {
	case r.forgot:
		reply(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
		return
	case grant == "refresh_token" && (req.Form.Get("refresh_token") != r.refresh || r.refresh == ""):
		r.refresh = "" // a token that is used twice ends the whole grant
		reply(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
		return
	}
	body := map[string]any{"access_token": "access-" + rand.Text(), "token_type": "Bearer", "expires_in": r.ttl}
	if grant != "client_credentials" {
		next := "refresh-" + rand.Text()
		body["refresh_token"], body["id_token"] = next, r.idToken(req.Form.Get("client_id"))
	}
	status, other := http.StatusOK, any(nil)
	if r.answer != nil {
		status, other = r.answer(grant, body)
	}
	// After a refusal, the refresh token remains valid.
	if next, ok := body["refresh_token"].(string); ok && status < 300 {
		r.refresh = next
	}
	if other == nil {
		other = body
	}
	reply(w, status, other)
}

func (r *rigged) idToken(clientID string) string {
	now := time.Now().Unix()
	claims := map[string]any{"iss": r.issuer(), "sub": "alice", "aud": clientID, "iat": now, "exp": now + 300, "auth_time": 1700000000}
	if r.nonce != "" {
		claims["nonce"] = r.nonce
	}
	if r.claims != nil {
		r.claims(claims)
	}
	return r.sign(claims)
}

func (r *rigged) sign(claims map[string]any) string {
	signed, err := token.Sign(r.signer, "JWT", claims)
	if err != nil {
		panic(err)
	}
	return signed
}

// rig changes the server while holding its lock.
func (r *rigged) rig(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

// to returns the requests that an endpoint has received.
func (r *rigged) to(path string) []url.Values {
	r.mu.Lock()
	defer r.mu.Unlock()
	var forms []url.Values
	for _, q := range r.requests {
		if q.path == path {
			forms = append(forms, q.form)
		}
	}
	return forms
}

// refreshes returns the number of requests with a refresh token.
func (r *rigged) refreshes() int {
	n := 0
	for _, form := range r.to("/token") {
		if form.Get("grant_type") == "refresh_token" {
			n++
		}
	}
	return n
}

// user is the user interface of a login. Its browser is an HTTP client.
type user struct {
	t        *testing.T
	warnings []error
	opened   func(address string) error // instead of a browser
	clients  []string                   // that were registered
	pasted   chan string                // what the user pastes; nil means nothing
	console  []string                   // the steps that were shown
}

func (u *user) Searched(discovery.Trail, error)     {}
func (u *user) Registered(id string, _ bool)        { u.clients = append(u.clients, id) }
func (u *user) ShowURL(string, string)              {}
func (u *user) Console(_ string, steps []string)    { u.console = steps }
func (u *user) Requesting([]string, []string)       {}
func (u *user) ShowCode(*oauth.DeviceAuthorization) {}
func (u *user) Warn(err error)                      { u.warnings = append(u.warnings, err) }

func (u *user) ReadLine() (string, error) {
	if u.pasted == nil {
		return "", io.EOF
	}
	line, ok := <-u.pasted
	if !ok {
		return "", io.EOF
	}
	return line, nil
}

func (u *user) OpenBrowser(address string) error {
	if u.opened != nil {
		return u.opened(address)
	}
	return visit(address)
}

func visit(address string) error {
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := (&http.Client{Transport: transport}).Get(address)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

// home is a user's state directory and clock.
type home struct {
	t      *testing.T
	dir    string
	path   string // of the profile file
	offset time.Duration
	// timeout is that of the HTTP client; 0 is the default.
	timeout time.Duration
	warned  []error
}

func newHome(t *testing.T) *home {
	t.Helper()
	dir := t.TempDir()
	return &home{t: t, dir: dir + "/state", path: dir + "/config/config.yaml"}
}

func (h *home) now() time.Time { return time.Now().Add(h.offset) }

// open opens the account of the profile file like a new process.
func (h *home) open(name string, flags profile.Values, environment map[string]string) *account.Account {
	h.t.Helper()
	f, err := profile.Load(h.path)
	if err != nil {
		h.t.Fatal(err)
	}
	p, err := f.Resolve(profile.Query{Name: name, Flags: flags, Getenv: func(name string) string { return environment[name] }})
	if err != nil {
		h.t.Fatal(err)
	}
	return h.account(p, account.Config{})
}

func (h *home) account(p *profile.Profile, c account.Config) *account.Account {
	h.t.Helper()
	store, err := session.New(session.Options{Dir: h.dir, Kind: session.File})
	if err != nil {
		h.t.Fatal(err)
	}
	transport := safehttp.NewTransport(nil)
	transport.DisableKeepAlives = true
	c.HTTP = &safehttp.Client{Transport: transport, Timeout: h.timeout}
	c.Now = h.now
	c.Warn = func(err error) { h.warned = append(h.warned, err) }
	a, err := account.Open(p, store, c)
	if err != nil {
		h.t.Fatal(err)
	}
	return a
}

// login logs alice in at a server and returns the account.
func (h *home) login(u *user, server string, change func(*account.LoginOptions)) (*account.LoggedIn, error) {
	h.t.Helper()
	o := account.LoginOptions{URL: server, OpenBrowser: true, Timeout: 10 * time.Second}
	if change != nil {
		change(&o)
	}
	return h.open("", nil, nil).Login(h.t.Context(), u, o)
}

// mustLogin logs in or ends the test.
func (h *home) mustLogin(server string) *account.LoggedIn {
	h.t.Helper()
	done, err := h.login(&user{t: h.t}, server, nil)
	if err != nil {
		h.t.Fatalf("login: %v", err)
	}
	return done
}

// withTimeout opens the account with another limit for requests.
func (h *home) withTimeout(limit time.Duration) *account.Account {
	h.t.Helper()
	h.timeout = limit
	return h.open("", nil, nil)
}
