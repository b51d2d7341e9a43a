package devserver

import (
	"net/http"
	"net/url"
)

const endSessionPage markup = `<h1>Sign out?</h1>
<p>Of this authorization server, in this browser. What applications were given stays theirs.</p>
<form method="post" action="/end-session">
<input type="hidden" name="client_id" value="%s">
<input type="hidden" name="post_logout_redirect_uri" value="%s">
<input type="hidden" name="state" value="%s">
<button type="submit" autofocus>Sign out</button>
</form>
`

// serveEndSessionPage asks the user, since any page could have led here (OpenID
// Connect RP-Initiated Logout 1.0, section 2).
func (s *Server) serveEndSessionPage(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	target := s.afterLogout(q)
	if target == "" {
		target = s.config.Issuer
	}
	show(w, http.StatusOK, "Sign out", fill(endSessionPage, q.Get("client_id"), q.Get("post_logout_redirect_uri"), q.Get("state")), target)
}

// serveEndSession signs the browser's user out.
func (s *Server) serveEndSession(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, bodyLimit)
	if r.ParseForm() != nil || http.NewCrossOriginProtection().Check(r) != nil {
		s.showError(w, http.StatusForbidden, "This form was not sent from this server's own page.")
		return
	}
	if c, err := r.Cookie(s.cookieName()); err == nil {
		s.visits.forget(c.Value)
	}
	if target := s.afterLogout(r.PostForm); target != "" {
		w.Header().Set("Location", target)
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	show(w, http.StatusOK, "Signed out", fill("<h1>%s</h1>\n<p>%s</p>\n", "You are signed out", "You can close this page."), "")
}

// afterLogout is where the browser goes then: to a redirect URI that the client
// registered, or nowhere.
func (s *Server) afterLogout(form url.Values) string {
	c, raw := s.clients.find(form.Get("client_id")), form.Get("post_logout_redirect_uri")
	if c == nil || raw == "" || !c.redirectsTo(raw) {
		return ""
	}
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	if state := form.Get("state"); state != "" {
		q := u.Query()
		q.Set("state", state)
		u.RawQuery = q.Encode()
	}
	return u.String()
}

// forget signs the user of a browser out.
func (v *visits) forget(browser string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.logins, browser)
}
