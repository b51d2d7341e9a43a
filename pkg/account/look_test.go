package account_test

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/profile"
)

// shows returns a handler that sends a page with status 200.
func shows(kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, body)
	}
}

// sends returns a handler that redirects the authorization endpoint, and shows
// a page with a link elsewhere.
func sends(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, to, http.StatusSeeOther)
	}
}

// What servers show to a browser if they do not know the client; the pages for
// a known client are the control. A client that was registered here is
// registered again. For a client that the user configured, the reason is
// reported.
func TestPagesForAnUnknownClient(t *testing.T) {
	// The page is checked only after some time, so not every page is seen for
	// both clients.
	again := []string{"page of text", "JSON", "error in the address", "status 422", "firewall", "form", "login elsewhere"}
	for name, tt := range map[string]struct {
		page http.HandlerFunc
		// refuses means that the page is a refusal. text must be in the message
		// in any case.
		refuses bool
		text    string
	}{
		"page of text":              {shows("text/html; charset=utf-8", "<html><head><title>x</title><style>a{}</style></head><body><h1>No such application</h1></body></html>"), true, "No such application"},
		"page in another language":  {shows("application/xhtml+xml", "<p>Diese Anwendung ist nicht bekannt"), true, "Diese Anwendung ist nicht bekannt"},
		"page without a type":       {shows("", "<!DOCTYPE html><p>Client 17"), true, "Client 17"},
		"JSON":                      {shows("application/json", `{"message":"who is that"}`), true, "who is that"},
		"plain text":                {shows("text/plain", "unknown app"), true, "unknown app"},
		"empty":                     {shows("text/html", ""), true, ""},
		"error in the address":      {sends("/oops?error=unauthorized_client&error_description=no+app+7"), true, "no app 7"},
		"error at another origin":   {sends("https://pages.example.com/oops?error=invalid_client"), true, "invalid_client"},
		"status 422":                {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "app 9", http.StatusUnprocessableEntity) }, true, "app 9"},
		"firewall":                  {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "robots", http.StatusForbidden) }, false, "robots"},
		"limit":                     {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "slow", http.StatusTooManyRequests) }, false, "slow"},
		"broken":                    {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusBadGateway) }, false, "down"},
		"form":                      {shows("text/html", `<form method=post><p>Sign in to the error desk`), false, "Sign in to the error desk"},
		"script":                    {shows("text/html", `<SCRIPT src="/app.js"></SCRIPT><p>invalid_client`), false, "invalid_client"},
		"links to providers":        {shows("text/html", `<p>Log in<a class="x" href="/upstream">Upstream</a>`), false, "Log in"},
		"refresh":                   {shows("text/html", `<meta http-equiv="refresh" content="1;url=/next">One moment`), false, "One moment"},
		"address with an empty one": {sends("https://login.example.com/?error="), false, ""},
		"login elsewhere":           {sends("https://login.example.com/?continue=x"), false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, r := newHome(t), newRigged(t)
			r.rig(func() { r.forgot, r.page = true, tt.page })
			_, err := h.configured(r.URL, "mine")
			var d *diagnosis.Diagnosis
			want := diagnosis.LoginTimeout
			if tt.refuses {
				want = diagnosis.RedirectMismatch
			}
			if !errors.As(err, &d) || d.ID != want || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("client of the user: %v, want %s with %q", err, want, tt.text)
			}

			if !slices.Contains(again, name) {
				return
			}
			r.rig(func() { r.forgot = false })
			other := newHome(t)
			other.mustLogin(r.URL)
			r.rig(func() { r.forgot = true })
			before := len(r.to("/register"))
			_, err = other.login(&user{t: t}, r.URL, func(o *account.LoginOptions) { o.Timeout = 3 * time.Second })
			if registered := len(r.to("/register")) > before; registered != tt.refuses || (err == nil) != tt.refuses {
				t.Errorf("client that was registered: registered anew %v, %v", registered, err)
			}
		})
	}
}

// If a page repeats the request, the message contains none of its secrets.
func TestPagesThatRepeatTheRequest(t *testing.T) {
	for name, page := range map[string]http.HandlerFunc{
		"text": func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "seen "+r.URL.Query().Get("state")+" of "+r.URL.Query().Get("client_id"), http.StatusBadRequest)
		},
		"address": func(w http.ResponseWriter, r *http.Request) {
			sends("/oops?error=invalid_client&error_description=seen+"+r.URL.Query().Get("state")+"+of+"+r.URL.Query().Get("client_id"))(w, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, r := newHome(t), newRigged(t)
			states := make(chan string, 10)
			r.rig(func() {
				r.forgot, r.page = true, func(w http.ResponseWriter, q *http.Request) {
					states <- q.URL.Query().Get("state")
					page(w, q)
				}
			})
			_, err := h.configured(r.URL, "mine")
			state := <-states
			if state == "" || err == nil || strings.Contains(err.Error(), state) || !strings.Contains(err.Error(), "of mine") {
				t.Errorf("with the state %q: %v", state, err)
			}
		})
	}
}

// configured logs in with a client of the user and a short time limit.
func (h *home) configured(server, id string) (*account.LoggedIn, error) {
	h.t.Helper()
	o := account.LoginOptions{URL: server, OpenBrowser: true, Timeout: 300 * time.Millisecond}
	return h.open("", profile.Values{profile.ClientID: id}, nil).Login(h.t.Context(), &user{t: h.t}, o)
}
