package devserver

import (
	"net/http"
	"net/url"
)

const endSessionPage markup = `<h1>Sign out?</h1>
<p>This signs you out of the authorization server in this browser. Applications keep the tokens that they have.</p>
<form method="post" action="%s">
<input type="hidden" name="confirmed" value="yes">
<input type="hidden" name="id_token_hint" value="%s">
<input type="hidden" name="client_id" value="%s">
<input type="hidden" name="post_logout_redirect_uri" value="%s">
<input type="hidden" name="state" value="%s">
<button type="submit" autofocus>Sign out</button>
</form>
`

// logout is a client's request to sign the user out (OpenID Connect RP-Initiated
// Logout 1.0, section 2).
type logout struct {
	client  *client // nil if the request has none
	subject string  // of the ID token, or ""
	target  string  // the URL to redirect to, or ""
}

// readLogout checks the hint, the client and the redirect URI. The hint may have
// expired, because a logout often comes later.
func (s *Server) readLogout(r *http.Request) (*logout, string) {
	l := &logout{}
	form := r.Form
	if hint := form.Get("id_token_hint"); hint != "" {
		t := s.ownIDToken(r.Context(), hint, true)
		if t == nil {
			return nil, "The id_token_hint is not an ID token of this server."
		}
		l.subject = t.Subject()
		for _, audience := range t.Audience() {
			if l.client = s.clients.find(audience); l.client != nil {
				break
			}
		}
	}
	if id := form.Get("client_id"); id != "" {
		named := s.clientOf(r.Context(), id)
		switch {
		case named == nil:
			return nil, "No client with the client_id " + quoted(id) + " is registered."
		case l.client != nil && l.client.id != id:
			return nil, "The client_id is not the client of the id_token_hint."
		}
		l.client = named
	}
	raw := form.Get("post_logout_redirect_uri")
	switch {
	case raw == "":
		return l, ""
	case l.client == nil:
		return nil, "A post_logout_redirect_uri needs an id_token_hint or a client_id."
	case !l.client.leavesTo(raw):
		return nil, "The post_logout_redirect_uri " + quoted(raw) + " is not registered for this client."
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, "The post_logout_redirect_uri is not a URL."
	}
	if state := form.Get("state"); state != "" {
		separator := ""
		if u.RawQuery != "" {
			separator = "&"
		}
		u.RawQuery += separator + url.Values{"state": {state}}.Encode()
	}
	l.target = u.String()
	return l, ""
}

// serveEndSession signs the user of the browser out. Without an ID token of that
// user it asks first, because any page could have sent the browser here.
func (s *Server) serveEndSession(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, bodyLimit)
	if err := r.ParseForm(); err != nil {
		s.showError(w, http.StatusBadRequest, "The request could not be parsed.")
		return
	}
	l, problem := s.readLogout(r)
	if problem != "" {
		s.showError(w, http.StatusBadRequest, problem)
		return
	}
	browser := ""
	if c, err := r.Cookie(s.cookieName()); err == nil {
		browser = c.Value
	}
	login, loggedIn := s.visits.login(browser, s.now())
	confirmed := r.Method == http.MethodPost && r.PostForm.Get("confirmed") == "yes"
	switch {
	case confirmed && http.NewCrossOriginProtection().Check(r) != nil:
		s.showError(w, http.StatusForbidden, "This form was not sent by a page of this server.")
	case confirmed, s.config.AutoApprove, l.subject != "" && (!loggedIn || login.user == l.subject):
		s.visits.forget(browser)
		s.showLoggedOut(w, l)
	default:
		target := l.target
		if target == "" {
			target = s.base
		}
		show(w, http.StatusOK, "Sign out", fill(endSessionPage, s.at("/end-session"), r.Form.Get("id_token_hint"), r.Form.Get("client_id"), r.Form.Get("post_logout_redirect_uri"), r.Form.Get("state")), target)
	}
}

func (s *Server) showLoggedOut(w http.ResponseWriter, l *logout) {
	if l.target == "" {
		showMessage(w, http.StatusOK, signSuccess, "You are signed out", "You can close this page.")
		return
	}
	w.Header().Set("Location", l.target)
	w.WriteHeader(http.StatusSeeOther)
}

// forget signs out the user of a browser.
func (v *visits) forget(browser string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.logins, browser)
}
