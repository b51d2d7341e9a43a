package account_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/account"
)

// A registered client belongs to the profile, not to the session. It is used
// again with the redirect URI that it was registered with, even after the
// session has ended.
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

// A registration that can no longer be used is replaced once.
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

// expire makes the registered secret expire within a day.
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

// A client that was registered by an abandoned login is stored and used by the
// next one.
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
