package account_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// A login that replaces a session revokes its refresh token, and warns if it
// cannot.
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

// If the directory cannot be written, the refresh token is not sent.
func TestNoRefreshIfItCannotBeStored(t *testing.T) {
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

// A login succeeds even if the profile file cannot be written.
func TestUnwritableProfileFile(t *testing.T) {
	h, r := newHome(t), newRigged(t)
	// A directory at the path of the file cannot be overwritten, not even by
	// root.
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

// Logout tries to revoke both tokens, and reports which of them remain valid.
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

// A token that was revoked, or that the server reports as inactive, is not
// returned again.
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

// Status behaves like a call: an expired token is refreshed, or the reason is
// reported.
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

// The lifetime of the refresh token is stored, for both member names.
func TestRefreshTokenLifetime(t *testing.T) {
	for _, name := range []string{"refresh_token_expires_in", "refresh_expires_in"} {
		h, r := newHome(t), newRigged(t)
		r.answer = func(_ string, body map[string]any) (int, any) { body[name] = 86400; return http.StatusOK, nil }
		s := h.mustLogin(r.URL).Session
		if left := time.Until(s.RefreshExpiresAt); left < 23*time.Hour || left > 25*time.Hour {
			t.Errorf("%s: it ends in %s", name, left)
		}
	}
}

// A server that responds slowly, but within the configured time, does not end
// the session.
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
