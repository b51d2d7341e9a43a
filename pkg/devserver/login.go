package devserver

import (
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

const (
	visitTTL   = 10 * time.Minute
	browserTTL = 8 * time.Hour
)

// userLogin is who logged in and when.
type userLogin struct {
	user string
	at   time.Time
}

// visit is one authorization request during login and consent. It belongs to
// one browser, and its forms have its CSRF token.
type visit struct {
	request *authorizationRequest
	browser string
	csrf    string
	login   userLogin // empty until a user has logged in
	expires time.Time
}

// visits holds the authorization requests in progress, the logged-in users by
// browser, and the consents.
type visits struct {
	mu       sync.Mutex
	byID     map[string]*visit
	logins   map[string]userLogin
	consents map[consentKey][]string // the scopes
}

// consentKey identifies a consent.
type consentKey struct{ user, client string }

// agree stores a consent.
func (v *visits) agree(user, client string, scope []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	key := consentKey{user, client}
	if len(v.consents) >= sweepAt {
		clear(v.consents)
	}
	for _, one := range scope {
		if !slices.Contains(v.consents[key], one) {
			v.consents[key] = append(v.consents[key], one)
		}
	}
}

// agreed reports whether the user has already consented to these scopes for that
// client.
func (v *visits) agreed(user, client string, scope []string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	before := v.consents[consentKey{user, client}]
	return !slices.ContainsFunc(scope, func(one string) bool { return !slices.Contains(before, one) })
}

// all returns the logged-in users, ordered by time.
func (v *visits) all(now time.Time) []userLogin {
	v.mu.Lock()
	defer v.mu.Unlock()
	var list []userLogin
	for _, l := range v.logins {
		if now.Sub(l.at) < browserTTL {
			list = append(list, l)
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].at.Before(list[j].at) })
	return list
}

// enter logs a user in without a form.
func (v *visits) enter(browser string, l userLogin) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.logins[browser] = l
}

func newVisits() visits {
	return visits{byID: map[string]*visit{}, logins: map[string]userLogin{}, consents: map[consentKey][]string{}}
}

func (v *visits) add(n *visit, now time.Time) string {
	id := rand.Text()
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.byID) >= sweepAt {
		for old, one := range v.byID {
			if now.After(one.expires) {
				delete(v.byID, old)
			}
		}
	}
	v.byID[id] = n
	return id
}

// login returns the user who is logged in with a browser, and whether there is
// one.
func (v *visits) login(browser string, now time.Time) (userLogin, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	l, ok := v.logins[browser]
	return l, ok && now.Sub(l.at) < browserTTL
}

// find returns a copy of a visit of that browser.
func (v *visits) find(id, browser string, now time.Time) (visit, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.get(id, browser, now)
}

func (v *visits) get(id, browser string, now time.Time) (visit, bool) {
	found := v.byID[id]
	if found == nil || browser == "" || found.browser != browser || !now.Before(found.expires) {
		return visit{}, false
	}
	return *found, true
}

// loggedIn sets the user of the visit and changes the browser's session id, so
// that an id that was known before the login is useless.
func (v *visits) loggedIn(id, browser string, l userLogin, now time.Time) (string, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, ok := v.get(id, browser, now); !ok {
		return "", false
	}
	renamed := rand.Text()
	for _, one := range v.byID {
		if one.browser == browser {
			one.browser = renamed
		}
	}
	v.byID[id].login = l
	delete(v.logins, browser)
	if len(v.logins) >= sweepAt {
		for old, login := range v.logins {
			if now.Sub(login.at) > browserTTL {
				delete(v.logins, old)
			}
		}
	}
	v.logins[renamed] = l
	return renamed, true
}

// take removes a visit: only the first response to a consent page counts.
func (v *visits) take(id, browser string, now time.Time) (visit, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	found, ok := v.get(id, browser, now)
	if ok {
		delete(v.byID, id)
	}
	return found, ok
}

// cookieName contains the port, because cookies do not depend on it: two
// servers on one machine would share them.
func (s *Server) cookieName() string {
	u, err := url.Parse(s.base)
	if err != nil || u.Port() == "" {
		return "oauthctl_dev"
	}
	return "oauthctl_dev_" + u.Port()
}

// browserOf returns the session id of the request's browser, and sets one if
// needed.
func (s *Server) browserOf(w http.ResponseWriter, r *http.Request) string {
	if c, err := r.Cookie(s.cookieName()); err == nil && c.Value != "" {
		return c.Value
	}
	name := rand.Text()
	s.setBrowser(w, name)
	return name
}

func (s *Server) setBrowser(w http.ResponseWriter, name string) {
	http.SetCookie(w, &http.Cookie{
		Name: s.cookieName(), Value: name, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		MaxAge: int(browserTTL.Seconds()), Secure: strings.HasPrefix(s.base, "https:"),
	})
}

// formOf reads a form that this server sent to this browser. A form from
// another page is refused (RFC 6749, section 10.12).
func (s *Server) formOf(w http.ResponseWriter, r *http.Request) (id, browser string, ok bool) {
	r.Body = http.MaxBytesReader(w, r.Body, bodyLimit)
	c, err := r.Cookie(s.cookieName())
	if err != nil || r.ParseForm() != nil || http.NewCrossOriginProtection().Check(r) != nil {
		s.showError(w, http.StatusForbidden, "This form was not sent by a page of this server, or your browser blocks cookies.")
		return "", "", false
	}
	id = r.PostForm.Get("request")
	v, found := s.visits.find(id, c.Value, s.now())
	if !found {
		s.showError(w, http.StatusBadRequest, "This login has ended, or took longer than ten minutes. Start again from the application.")
		return "", "", false
	}
	if subtle.ConstantTimeCompare([]byte(r.PostForm.Get("csrf")), []byte(v.csrf)) != 1 {
		s.showError(w, http.StatusForbidden, "This form was not sent by a page of this server.")
		return "", "", false
	}
	return id, c.Value, true
}

// serveLogin handles the login form.
func (s *Server) serveLogin(w http.ResponseWriter, r *http.Request) {
	id, browser, ok := s.formOf(w, r)
	if !ok {
		return
	}
	who, known := s.user(r.PostForm.Get("username"))
	if !known || subtle.ConstantTimeCompare([]byte(r.PostForm.Get("password")), []byte(who.Password)) != 1 {
		v, found := s.visits.find(id, browser, s.now())
		if !found {
			s.showError(w, http.StatusBadRequest, "This login has already ended.")
			return
		}
		s.showLogin(w, http.StatusUnprocessableEntity, id, &v, r.PostForm.Get("username"), "User name or password is wrong. The users are alice and bob, the password is password, unless others are configured.")
		return
	}
	renamed, found := s.visits.loggedIn(id, browser, userLogin{who.Name, s.now()}, s.now())
	if !found {
		s.showError(w, http.StatusBadRequest, "This login has already ended.")
		return
	}
	s.setBrowser(w, renamed)
	http.Redirect(w, r, s.at("/authorize/consent?request=")+url.QueryEscape(id), http.StatusSeeOther)
}

// serveConsentPage shows the consent page to a logged-in user.
func (s *Server) serveConsentPage(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("request")
	c, err := r.Cookie(s.cookieName())
	if err != nil {
		s.showError(w, http.StatusForbidden, "Your browser blocks the cookies of this server.")
		return
	}
	v, found := s.visits.find(id, c.Value, s.now())
	if !found || v.login.user == "" {
		s.showError(w, http.StatusBadRequest, "This login has already ended. Start again from the application.")
		return
	}
	s.showConsent(w, id, &v)
}

// serveConsent handles the consent form and redirects the browser to the
// client.
func (s *Server) serveConsent(w http.ResponseWriter, r *http.Request) {
	id, browser, ok := s.formOf(w, r)
	if !ok {
		return
	}
	if v, found := s.visits.find(id, browser, s.now()); !found || v.login.user == "" {
		s.showError(w, http.StatusBadRequest, "No user has logged in yet. Start again from the application.")
		return
	}
	v, found := s.visits.take(id, browser, s.now())
	switch {
	case !found:
		s.showError(w, http.StatusBadRequest, "This login has already ended.")
	case r.PostForm.Get("decision") == "allow":
		s.visits.agree(v.login.user, v.request.client.id, v.request.scope)
		s.approve(w, r, v.request, v.login)
	default:
		s.redirectError(w, r, v.request, refuse("access_denied", "the user denied the request"))
	}
}
