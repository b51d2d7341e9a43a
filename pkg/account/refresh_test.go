package account_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/session"
)

// After a refresh whose ID token or response fails a check, a second refresh
// works, because the rotated refresh token was stored. The access token is
// returned only if the user is certainly the same.
func TestRotatedRefreshTokenIsKept(t *testing.T) {
	other, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	type rig func(r *rigged)
	claim := func(name string, value any) rig {
		return func(r *rigged) { r.claims = func(c map[string]any) { c[name] = value } }
	}
	answer := func(change func(map[string]any)) rig {
		return func(r *rigged) {
			r.answer = func(_ string, body map[string]any) (int, any) { change(body); return http.StatusOK, nil }
		}
	}
	tests := map[string]struct {
		rig   rig
		given bool // the access token is returned, with a warning
	}{
		"issued in the future":    {claim("iat", time.Now().Unix()+7200), true},
		"expired":                 {claim("exp", time.Now().Unix()-7200), true},
		"not valid yet":           {claim("nbf", time.Now().Unix()+7200), true},
		"another auth_time":       {claim("auth_time", 1700000777), true},
		"another nonce":           {claim("nonce", "of nobody"), true},
		"another at_hash":         {claim("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), true},
		"a key nobody knows yet":  {func(r *rigged) { r.signer = other } /* it is not in the key set, as with one that a CDN keeps */, true},
		"another user":            {claim("sub", "mallory"), false},
		"another issuer":          {claim("iss", "https://elsewhere.example"), false},
		"another client":          {claim("aud", "someone-else"), false},
		"no token type":           {answer(func(b map[string]any) { delete(b, "token_type") }), false},
		"a token type of its own": {answer(func(b map[string]any) { b["token_type"] = "MAC" }), false},
		"no access token":         {answer(func(b map[string]any) { delete(b, "access_token") }), false},
		"a proof nobody made":     {answer(func(b map[string]any) { b["token_type"] = "DPoP" }), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h, r := newHome(t), newRigged(t)
			h.mustLogin(r.URL)
			r.rig(func() { tt.rig(r) })
			before := h.stored()
			got, err := h.open("", nil, nil).Token(t.Context(), account.Want{Refresh: true})
			if (err == nil) != tt.given {
				t.Errorf("token: %v", err)
			}
			if tt.given && len(h.warned) == 0 {
				t.Error("no warning")
			}
			after := h.stored()
			if after == nil || after.RefreshToken.Equal(before.RefreshToken) {
				t.Fatal("the new refresh token was not kept")
			}
			if err != nil && !after.AccessToken.Equal(before.AccessToken) {
				t.Error("the new access token was kept")
			}
			if err == nil && !after.AccessToken.Equal(got.Value) {
				t.Error("another access token was kept than was given")
			}
			r.rig(func() { r.answer, r.claims, r.signer = nil, nil, r.key })
			if _, err := h.open("", nil, nil).Token(t.Context(), account.Want{Refresh: true}); err != nil {
				t.Errorf("the next refresh: %v", err)
			}
		})
	}
}

// stored returns the stored session, or nil.
func (h *home) stored() *session.Session {
	h.t.Helper()
	s, err := h.open("", nil, nil).Store().Load("default")
	if err != nil {
		return nil
	}
	return s
}

// The meaning of a refused refresh depends on its error code and not on the
// server's text.
func TestRefusedRefresh(t *testing.T) {
	tests := map[string]struct {
		status     int
		code       string
		configured bool // the client is the user's own
		want       diagnosis.ID
		kept       bool // the session
	}{
		"the grant is gone":          {400, "invalid_grant", false, diagnosis.GrantInvalid, false},
		"revoked":                    {400, "token_revoked", false, diagnosis.RefreshRefused, true},
		"invalid_token":              {401, "invalid_token", false, diagnosis.RefreshRefused, true},
		"a 200 with an error":        {200, "bad_refresh_token", false, diagnosis.RefreshRefused, true},
		"a word of its own":          {400, "E_REFRESH_GONE", false, diagnosis.RefreshRefused, true},
		"invalid_request":            {400, "invalid_request", false, diagnosis.RequestRefused, true},
		"our client is forgotten":    {401, "invalid_client", false, diagnosis.ClientForgotten, true},
		"the user's client is":       {401, "invalid_client", true, diagnosis.ClientRefused, true},
		"the scope":                  {400, "invalid_scope", false, diagnosis.ScopeRefused, true},
		"the resource":               {400, "invalid_target", false, diagnosis.ResourceRefused, true},
		"the server for now":         {503, "temporarily_unavailable", false, diagnosis.ServerError, true},
		"too many requests":          {429, "slow_down", false, diagnosis.RateLimited, true},
		"an unknown word, but a 5xx": {500, "oops", false, diagnosis.ServerError, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h, r := newHome(t), newRigged(t)
			_, err := h.login(&user{t: t}, r.URL, nil)
			if tt.configured {
				h = newHome(t)
				_, err = h.open("", profile.Values{"client_id": "mine"}, nil).Login(t.Context(), &user{t: t}, account.LoginOptions{URL: r.URL, OpenBrowser: true, Timeout: 10 * time.Second})
			}
			if err != nil {
				t.Fatal(err)
			}
			h.offset = time.Hour // the access token has expired
			r.rig(func() {
				r.answer = func(string, map[string]any) (int, any) { return tt.status, map[string]any{"error": tt.code} }
			})
			_, err = h.open("", nil, nil).Token(t.Context(), account.Want{})
			var d *diagnosis.Diagnosis
			if !errors.As(err, &d) || d.ID != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if (h.stored() != nil) != tt.kept {
				t.Errorf("the session is kept: %v", h.stored() != nil)
			}
			var expired *account.RefreshError
			if d != nil && d.Kind() == diagnosis.Unavailable && (!errors.As(err, &expired) || !strings.Contains(err.Error(), "expired at")) {
				t.Errorf("%v does not say that the token had expired", err)
			}
		})
	}
}

// A new token is valid even if its lifetime is short; it is refreshed in the
// last fifth.
func TestMarginIsAShareOfTheLifetime(t *testing.T) {
	for _, ttl := range []int{5, 30, 60, 61, 300, 3600} {
		h, r := newHome(t), newRigged(t)
		r.ttl = ttl
		h.mustLogin(r.URL)
		for range 4 {
			if _, err := h.open("", nil, nil).Token(t.Context(), account.Want{}); err != nil {
				t.Fatal(err)
			}
		}
		if got := r.refreshes(); got != 0 {
			t.Errorf("a life of %d s: %d refreshes for a new token", ttl, got)
		}
		h.offset = time.Duration(ttl)*time.Second - min(time.Minute, time.Duration(ttl)*time.Second/5) + time.Second
		if _, err := h.open("", nil, nil).Token(t.Context(), account.Want{}); err != nil {
			t.Fatal(err)
		}
		if got := r.refreshes(); got != 1 {
			t.Errorf("a life of %d s: %d refreshes near its end, want 1", ttl, got)
		}
		// A lifetime that the user requires is exact.
		if _, err := h.open("", nil, nil).Token(t.Context(), account.Want{MinTTL: time.Duration(ttl) * 2 * time.Second}); err != nil {
			t.Fatal(err)
		}
		if got := r.refreshes(); got != 2 {
			t.Errorf("a life of %d s: %d refreshes for a longer one, want 2", ttl, got)
		}
	}
}

// If the response has no lifetime, the exp of a JWT or the profile determines
// when to refresh.
func TestAssumedLifetime(t *testing.T) {
	jwt := func(r *rigged, exp time.Time) string {
		return r.sign(map[string]any{"exp": exp.Unix(), "sub": "alice"})
	}
	tests := map[string]struct {
		access  func(r *rigged) string
		setting string
		want    int // refreshes after two hours
	}{
		"opaque":                 {func(*rigged) string { return "opaque" }, "", 0},
		"a JWT for an hour":      {func(r *rigged) string { return jwt(r, time.Now().Add(time.Hour)) }, "", 1},
		"a JWT for a day":        {func(r *rigged) string { return jwt(r, time.Now().Add(24*time.Hour)) }, "", 0},
		"opaque, assumed":        {func(*rigged) string { return "opaque" }, "1h", 1},
		"opaque, assumed longer": {func(*rigged) string { return "opaque" }, "24h", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h, r := newHome(t), newRigged(t)
			r.answer = func(_ string, body map[string]any) (int, any) {
				delete(body, "expires_in")
				body["access_token"] = tt.access(r)
				return http.StatusOK, nil
			}
			flags := profile.Values{"access_token_ttl": tt.setting}
			if _, err := h.open("", flags, nil).Login(t.Context(), &user{t: t}, account.LoginOptions{URL: r.URL, OpenBrowser: true, Timeout: 10 * time.Second}); err != nil {
				t.Fatal(err)
			}
			h.offset = 2 * time.Hour
			_, _ = h.open("", nil, nil).Token(t.Context(), account.Want{})
			if got := r.refreshes(); got != tt.want {
				t.Errorf("%d refreshes, want %d", got, tt.want)
			}
		})
	}
}

// A clock that was ahead at login does not make a token valid forever, and a
// clock that is wrong now does not end the session.
func TestWrongClock(t *testing.T) {
	h, r := newHome(t), newRigged(t)
	h.offset = 365 * 24 * time.Hour
	r.claims = func(c map[string]any) {
		c["iat"], c["exp"] = h.now().Unix(), h.now().Add(time.Hour).Unix()
	}
	h.mustLogin(r.URL)
	h.offset = 0
	if _, err := h.open("", nil, nil).Token(t.Context(), account.Want{}); err != nil {
		t.Fatal(err)
	}
	if got := r.refreshes(); got != 1 {
		t.Errorf("%d refreshes after the clock was put right, want 1", got)
	}
	for _, off := range []time.Duration{-48 * time.Hour, 48 * time.Hour, 0} {
		h.offset = off
		if _, err := h.open("", nil, nil).Token(t.Context(), account.Want{Refresh: true}); err != nil {
			t.Errorf("with a clock that is off by %s: %v", off, err)
		}
	}
	if h.stored() == nil {
		t.Error("the session is lost")
	}
}

// A session without a refresh token is reported as such.
func TestNoRefreshToken(t *testing.T) {
	h, r := newHome(t), newRigged(t)
	r.answer = func(_ string, body map[string]any) (int, any) {
		delete(body, "refresh_token")
		return http.StatusOK, nil
	}
	h.mustLogin(r.URL)
	if _, err := h.open("", nil, nil).Token(t.Context(), account.Want{}); err != nil {
		t.Errorf("a token that lives: %v", err)
	}
	if _, err := h.open("", nil, nil).Token(t.Context(), account.Want{Refresh: true}); idOf(err) != diagnosis.NoRefreshToken {
		t.Errorf("got %v", err)
	}
	h.offset = time.Hour
	if _, err := h.open("", nil, nil).Token(t.Context(), account.Want{}); idOf(err) != diagnosis.NoRefreshToken {
		t.Errorf("expired: %v", err)
	}
}

func idOf(err error) diagnosis.ID {
	var d *diagnosis.Diagnosis
	if errors.As(err, &d) {
		return d.ID
	}
	return ""
}
