package account_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// A client that a server registered belongs to the profile, not to the session: it is used again with the redirect URI
// that it was registered with, whatever became of the session.
func TestRegistrationIsUsedAgain(t *testing.T) {
	ends := map[string]func(h *home, r *rigged){
		"at once":      func(*home, *rigged) {},
		"after logout": func(h *home, _ *rigged) { _, _ = h.open("", nil, nil).Logout(h.t.Context(), false) },
		"after a dead session": func(h *home, r *rigged) {
			r.rig(func() { r.refresh = "" })
			_, _ = h.open("", nil, nil).Token(h.t.Context(), account.Want{Refresh: true})
		},
		"after a damaged file": func(h *home, _ *rigged) { _ = os.WriteFile(filepath.Join(h.dir, "default.json"), []byte("{"), 0o600) },
	}
	for name, end := range ends {
		for _, confidential := range []bool{false, true} {
			h, r := newHome(t), newRigged(t)
			r.confid = confidential
			first := h.mustLogin(r.URL)
			end(h, r)
			second := h.mustLogin(r.URL)
			if r.clients != 1 || second.Session.ClientID != first.Session.ClientID {
				t.Errorf("%s: %d clients were registered, want 1", name, r.clients)
			}
			uris := map[string]bool{}
			for _, form := range r.to("/authorize") {
				uris[form.Get("redirect_uri")] = true
			}
			if len(uris) != 1 {
				t.Errorf("%s: the redirect URIs %v, want one", name, uris)
			}
			for _, form := range r.to("/token") {
				if form.Get("grant_type") == "authorization_code" && form.Get("code") != "one-time" {
					t.Errorf("%s: a code that nobody issued was sent", name)
				}
				if confidential && form.Get("client_secret") != "registered-secret" {
					t.Errorf("%s: a request without the registered secret: %v", name, form)
				}
			}
		}
	}
}

// A registration that is of no more use is replaced, once.
func TestRegistrationIsReplaced(t *testing.T) {
	tests := map[string]func(h *home, r *rigged){
		"the server forgot it": func(_ *home, r *rigged) { r.rig(func() { r.forgot = true }) },
		"its secret expired":   func(h *home, _ *rigged) { h.offset = 48 * time.Hour },
		"its port is taken": func(h *home, r *rigged) {
			u, err := url.Parse(r.to("/authorize")[0].Get("redirect_uri"))
			if err != nil {
				h.t.Fatal(err)
			}
			l, err := net.Listen("tcp", u.Host)
			if err != nil {
				h.t.Fatal(err)
			}
			h.t.Cleanup(func() { l.Close() })
		},
		"its file is damaged":    func(h *home, _ *rigged) { _ = os.WriteFile(filepath.Join(h.dir, "default.client"), []byte("{"), 0o600) },
		"it is another server's": nil,
	}
	for name, end := range tests {
		t.Run(name, func(t *testing.T) {
			h, r := newHome(t), newRigged(t)
			r.confid = true
			h.mustLogin(r.URL)
			if end == nil {
				other := newRigged(t)
				done := h.mustLogin(other.URL)
				if other.clients != 1 || done.Session.Issuer != other.URL {
					t.Errorf("%d clients at the other server", other.clients)
				}
				return
			}
			if strings.Contains(name, "secret") {
				expire(t, h)
			}
			end(h, r)
			r.rig(func() {
				r.claims = func(c map[string]any) { c["iat"], c["exp"] = h.now().Unix(), h.now().Add(time.Hour).Unix() }
			})
			h.mustLogin(r.URL)
			if r.clients != 2 {
				t.Errorf("%d clients were registered, want 2", r.clients)
			}
		})
	}
}

// expire makes the registered secret end within a day.
func expire(t *testing.T, h *home) {
	t.Helper()
	store := h.open("", nil, nil).Store()
	r, err := store.LoadRegistration(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	r.SecretExpiresAt = time.Now().Add(24 * time.Hour)
	if err := store.SaveRegistration(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

// A login that is given up leaves no client behind that nobody knows.
func TestAbandonedLoginKeepsItsClient(t *testing.T) {
	h, r := newHome(t), newRigged(t)
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		u := &user{t: t, opened: func(string) error { cancel(); return nil }}
		if _, err := h.open("", nil, nil).Login(ctx, u, account.LoginOptions{URL: r.URL, OpenBrowser: true}); !errors.Is(err, context.Canceled) {
			t.Fatalf("login: %v", err)
		}
	}
	h.mustLogin(r.URL)
	if r.clients != 1 {
		t.Errorf("%d clients were registered, want 1", r.clients)
	}
}

// A login that replaces a session revokes its refresh token, and says so if it cannot.
func TestReplacedRefreshTokenIsRevoked(t *testing.T) {
	h, r := newHome(t), newRigged(t)
	first := h.mustLogin(r.URL)
	second := h.mustLogin(r.URL)
	revoked := r.to("/revoke")
	if len(revoked) != 1 || revoked[0].Get("token") != first.Session.RefreshToken.Reveal() {
		t.Errorf("revoked: %v", revoked)
	}
	other := newRigged(t)
	h.mustLogin(other.URL)
	if revoked := r.to("/revoke"); len(revoked) != 2 || revoked[1].Get("token") != second.Session.RefreshToken.Reveal() {
		t.Errorf("after a login at another server: %v", revoked)
	}
	other.Close()
	u := &user{t: t}
	if _, err := h.login(u, r.URL, nil); err != nil {
		t.Fatal(err)
	}
	if len(u.warnings) == 0 || idOf(u.warnings[len(u.warnings)-1]) != diagnosis.NotRevoked {
		t.Errorf("warnings: %v", u.warnings)
	}
}

// An endpoint that has moved to another host since the login gets nothing: no token, no secret.
func TestMovedEndpointsGetNothing(t *testing.T) {
	uses := map[string]func(ctx context.Context, a *account.Account) error{
		"token_endpoint": func(ctx context.Context, a *account.Account) error {
			_, err := a.Token(ctx, account.Want{Refresh: true})
			return err
		},
		"introspection_endpoint": func(ctx context.Context, a *account.Account) error {
			_, err := a.Introspect(ctx, secret.New("any"))
			return err
		},
		"userinfo_endpoint":   func(ctx context.Context, a *account.Account) error { _, err := a.Userinfo(ctx); return err },
		"revocation_endpoint": func(ctx context.Context, a *account.Account) error { return a.Revoke(ctx, secret.New("any")) },
	}
	for endpoint, use := range uses {
		for _, grant := range []string{account.GrantAuthorizationCode, account.GrantClientCredentials} {
			if grant == account.GrantClientCredentials && endpoint == "userinfo_endpoint" {
				continue
			}
			t.Run(grant+"/"+endpoint, func(t *testing.T) {
				var arrived atomic.Int64
				elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived.Add(1) }))
				defer elsewhere.Close()
				h, r := newHome(t), newRigged(t)
				flags := profile.Values{}
				var config account.Config
				if grant == account.GrantClientCredentials {
					flags = profile.Values{profile.ClientID: "service", profile.GrantType: grant}
					config.ClientSecret = secret.New("kept with the session")
				}
				open := func(c account.Config) *account.Account {
					f, err := profile.Load(h.path)
					if err != nil {
						t.Fatal(err)
					}
					p, err := f.Resolve(profile.Query{Flags: flags})
					if err != nil {
						t.Fatal(err)
					}
					return h.account(p, c)
				}
				if _, err := open(config).Login(t.Context(), &user{t: t}, account.LoginOptions{URL: r.URL, OpenBrowser: true}); err != nil {
					t.Fatal(err)
				}
				// The positive control: where it was, it works.
				if err := use(t.Context(), open(account.Config{})); err != nil {
					t.Fatalf("before the move: %v", err)
				}
				if endpoint == "revocation_endpoint" {
					if _, err := open(account.Config{}).Token(t.Context(), account.Want{}); err != nil {
						t.Fatal(err)
					}
				}
				r.rig(func() { r.metadata[endpoint] = elsewhere.URL + "/x" })
				if err := use(t.Context(), open(account.Config{})); idOf(err) != diagnosis.EndpointMoved {
					t.Errorf("got %v, want ENDPOINT_MOVED", err)
				}
				if n := arrived.Load(); n > 0 {
					t.Errorf("%d requests arrived at the other host", n)
				}
				if h.stored() == nil {
					t.Error("the session is lost")
				}
			})
		}
	}
}

// A session counts only for what is in force; a client's own is replaced, a user's is refused.
func TestSessionFitsWhatIsInForce(t *testing.T) {
	h, r := newHome(t), newRigged(t)
	other := newRigged(t)
	if _, err := h.login(&user{t: t}, r.URL, func(o *account.LoginOptions) {
		o.Scope, o.Audience, o.Resource = []string{"openid", "read"}, []string{"https://api.example"}, []string{"https://api.example/r"}
	}); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, value string
		fits        bool
	}{
		{"OAUTHCTL_ISSUER", r.URL, true},
		{"OAUTHCTL_ISSUER", other.URL, false},
		{"OAUTHCTL_ISSUER", r.URL + "/", false},
		{"OAUTHCTL_CLIENT_ID", "client-1", true},
		{"OAUTHCTL_CLIENT_ID", "client-2", false},
		{"OAUTHCTL_SCOPE", "read openid", true},
		{"OAUTHCTL_SCOPE", "read", false},
		{"OAUTHCTL_SCOPE", "openid read write", false},
		{"OAUTHCTL_AUDIENCE", "https://api.example", true},
		{"OAUTHCTL_AUDIENCE", "https://other.example", false},
		{"OAUTHCTL_RESOURCE", "https://api.example/r", true},
		{"OAUTHCTL_RESOURCE", `["https://api.example/r","https://api.example/other one"]`, false},
		{"OAUTHCTL_TOKEN_ENDPOINT", other.URL + "/token", false},
	}
	for _, tt := range tests {
		_, err := h.open("", nil, map[string]string{tt.name: tt.value}).Token(t.Context(), account.Want{})
		if (err == nil) != tt.fits || err != nil && idOf(err) != diagnosis.SessionElsewhere {
			t.Errorf("%s=%s: %v", tt.name, tt.value, err)
		}
	}
	if got := len(other.to("/token")); got > 0 {
		t.Errorf("%d token requests at the other server", got)
	}
}

// Two jobs that share a home and act for themselves get tokens of their own servers, scopes and APIs.
func TestJobsThatShareAHome(t *testing.T) {
	h := newHome(t)
	staging, production := newRigged(t), newRigged(t)
	job := func(r *rigged, scope, api string) string {
		t.Helper()
		environment := map[string]string{
			"OAUTHCTL_ISSUER": r.URL, "OAUTHCTL_CLIENT_ID": "ci", "OAUTHCTL_GRANT_TYPE": account.GrantClientCredentials,
			"OAUTHCTL_SCOPE": scope, "OAUTHCTL_API": api,
		}
		f, err := profile.Load(h.path)
		if err != nil {
			t.Fatal(err)
		}
		p, err := f.Resolve(profile.Query{Getenv: func(name string) string { return environment[name] }})
		if err != nil {
			t.Fatal(err)
		}
		got, err := h.account(p, account.Config{ClientSecret: secret.New("of " + r.URL)}).Token(t.Context(), account.Want{})
		if err != nil {
			t.Fatal(err)
		}
		return got.Value.Reveal()
	}
	seen := []string{}
	for _, token := range []string{
		job(staging, "read", "https://staging.example"), job(production, "read", "https://production.example"),
		job(production, "write", "https://production.example"), job(production, "write", "https://else.example"),
	} {
		if slices.Contains(seen, token) {
			t.Error("two jobs got one token")
		}
		seen = append(seen, token)
	}
	if again := job(production, "write", "https://else.example/v1"); again != seen[3] {
		t.Error("the same job did not get its own token again")
	}
	for _, form := range production.to("/token") {
		if form.Get("client_secret") == "of "+staging.URL {
			t.Error("staging's secret reached production")
		}
	}
}

// What a repeatable grant asked for is asked for again, parameter by parameter.
func TestClientCredentialsAreRepeated(t *testing.T) {
	h, r := newHome(t), newRigged(t)
	flags := profile.Values{profile.ClientID: "service", profile.GrantType: account.GrantClientCredentials}
	if _, err := h.open("", flags, nil).Login(t.Context(), &user{t: t}, account.LoginOptions{
		URL: r.URL, Scope: []string{"read"}, Audience: []string{"Order Service"}, Resource: []string{"https://api.example"}, Param: []string{"tenant=blue sky", "x=1"},
	}); err != nil {
		t.Fatal(err)
	}
	h.offset = time.Hour
	if _, err := h.open("", nil, nil).Token(t.Context(), account.Want{}); err != nil {
		t.Fatal(err)
	}
	asked := r.to("/token")
	if len(asked) != 2 {
		t.Fatalf("%d requests, want 2", len(asked))
	}
	if asked[0].Encode() != asked[1].Encode() || asked[1].Get("tenant") != "blue sky" || asked[1].Get("audience") != "Order Service" {
		t.Errorf("asked for\n%v, then\n%v", asked[0], asked[1])
	}
}

// Nothing is sent that could not be kept: with a directory that cannot be written, the refresh token is not spent.
func TestNothingIsSpentThatCannotBeKept(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root writes everywhere; the trials of package session cover full disks")
	}
	h, r := newHome(t), newRigged(t)
	h.mustLogin(r.URL)
	h.offset = time.Hour
	if err := os.Chmod(h.dir, 0o500); err != nil {
		t.Fatal(err)
	}
	_, err := h.open("", nil, nil).Token(t.Context(), account.Want{})
	if err := os.Chmod(h.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if idOf(err) != diagnosis.StoreUnwritable || r.refreshes() != 0 {
		t.Errorf("%v after %d refreshes", err, r.refreshes())
	}
}

// A profile file that cannot be written does not cost the login.
func TestUnwritableProfileFile(t *testing.T) {
	h, r := newHome(t), newRigged(t)
	// A directory in the file's place can be written by nobody, root included.
	if err := os.MkdirAll(filepath.Join(h.path, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	p := profile.New("default", nil)
	if _, err := profile.Load(h.path); err == nil {
		t.Fatal("a directory was read")
	}
	done, err := h.account(p, account.Config{}).Login(t.Context(), &user{t: t}, account.LoginOptions{URL: r.URL, OpenBrowser: true})
	if err != nil || done.Session.Subject != "alice" {
		t.Errorf("login: %v", err)
	}
}

// Logout tries both tokens whatever becomes of one, and says what lives on.
func TestLogout(t *testing.T) {
	tests := map[string]struct {
		status  int
		body    string
		want    diagnosis.ID
		revoked bool
	}{
		"revoked":               {200, "", "", true},
		"it was already gone":   {400, `{"error":"invalid_token"}`, "", true},
		"gone in other words":   {404, `{"error":"token_not_found"}`, "", true},
		"the grant is gone":     {400, `{"error":"invalid_grant"}`, "", true},
		"a JWT cannot be":       {400, `{"error":"unsupported_token_type"}`, diagnosis.NotRevoked, false},
		"the server is down":    {503, `{}`, diagnosis.NotRevoked, false},
		"the client is unknown": {401, `{"error":"invalid_client"}`, diagnosis.NotRevoked, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h, r := newHome(t), newRigged(t)
			h.mustLogin(r.URL)
			var tokens []string
			elsewhere := r.Config.Handler
			r.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if req.URL.Path != "/revoke" {
					elsewhere.ServeHTTP(w, req)
					return
				}
				tokens = append(tokens, req.FormValue("token_type_hint"))
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			})
			out, err := h.open("", nil, nil).Logout(t.Context(), false)
			if idOf(err) != tt.want || !out.Forgotten || out.Revoked != tt.revoked {
				t.Errorf("got %+v, %v", out, err)
			}
			if !slices.Equal(tokens, []string{"refresh_token", "access_token"}) {
				t.Errorf("revoked: %v", tokens)
			}
			if h.stored() != nil {
				t.Error("the session is still there")
			}
		})
	}
}

// A token that was revoked, or that the server calls inactive, is not given again.
func TestRevokedTokenIsNotGivenAgain(t *testing.T) {
	h, r := newHome(t), newRigged(t)
	first := h.mustLogin(r.URL).Session.AccessToken
	if err := h.open("", nil, nil).Revoke(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	second, err := h.open("", nil, nil).Token(t.Context(), account.Want{})
	if err != nil || second.Value.Equal(first) {
		t.Errorf("after revoke: %v, the same token: %v", err, err == nil && second.Value.Equal(first))
	}
	if err := h.open("", nil, nil).Revoke(t.Context(), secret.New("another token")); err != nil {
		t.Fatal(err)
	}
	third, err := h.open("", nil, nil).Token(t.Context(), account.Want{})
	if err != nil || !third.Value.Equal(second.Value) {
		t.Errorf("after another token was revoked: %v", err)
	}
}

// status tries what a call would: a token that has expired is refreshed, or the reason is given.
func TestStatus(t *testing.T) {
	h, r := newHome(t), newRigged(t)
	if s, err := h.open("", nil, nil).Status(t.Context()); err != nil || idOf(s.Err) != diagnosis.LoginRequired {
		t.Errorf("without a session: %v, %v", s.Err, err)
	}
	h.mustLogin(r.URL)
	if s, err := h.open("", nil, nil).Status(t.Context()); err != nil || s.Err != nil || r.refreshes() != 0 {
		t.Errorf("a token that lives: %v, %v", s.Err, err)
	}
	h.offset = time.Hour
	if s, err := h.open("", nil, nil).Status(t.Context()); err != nil || s.Err != nil || r.refreshes() != 1 {
		t.Errorf("an expired token: %v, %v", s.Err, err)
	}
	h.offset = 2 * time.Hour
	r.Close()
	if s, err := h.open("", nil, nil).Status(t.Context()); err != nil || idOf(s.Err) != diagnosis.Unreachable || s.Session == nil {
		t.Errorf("the server is away: %v, %v", s.Err, err)
	}
}

// The life of the refresh token is kept, in either spelling.
func TestRefreshTokenLife(t *testing.T) {
	for _, name := range []string{"refresh_token_expires_in", "refresh_expires_in"} {
		h, r := newHome(t), newRigged(t)
		r.answer = func(_ string, body map[string]any) (int, any) { body[name] = 86400; return http.StatusOK, nil }
		s := h.mustLogin(r.URL).Session
		if left := time.Until(s.RefreshExpiresAt); left < 23*time.Hour || left > 25*time.Hour {
			t.Errorf("%s: it ends in %s", name, left)
		}
	}
}

// A server that answers slowly, but within the time that was asked for, costs nobody the session.
func TestSlowServerWithinTimeout(t *testing.T) {
	if os.Getenv("OAUTHCTL_TEST_LONG") == "" {
		t.Skip("waits for 25 seconds; OAUTHCTL_TEST_LONG=1 runs it")
	}
	t.Parallel()
	h, r := newHome(t), newRigged(t)
	h.mustLogin(r.URL)
	r.rig(func() {
		r.answer = func(string, map[string]any) (int, any) { time.Sleep(25 * time.Second); return http.StatusOK, nil }
	})
	a := h.withTimeout(40 * time.Second)
	if _, err := a.Token(t.Context(), account.Want{Refresh: true}); err != nil {
		t.Errorf("token: %v", err)
	}
	if h.stored() == nil || r.refreshes() != 1 {
		t.Errorf("%d refreshes", r.refreshes())
	}
}
