package devserver

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// authorizationRequest is an authorization request (RFC 6749, section 4.1.1;
// OpenID Connect Core, section 3.1.2.1).
type authorizationRequest struct {
	client      *client
	redirectURI string
	state       string
	nonce       string
	challenge   string
	scope       []string
	resource    []string
	prompt      []string
	maxAge      time.Duration // -1 if none was requested
	mode        string        // response_mode, "" for query
	loginHint   string
	jkt         string      // dpop_jkt (RFC 9449, section 10)
	device      *deviceCode // for the request of a device, when no browser is redirected
}

// target returns the URL that the consent form leads to.
func (q *authorizationRequest) target(issuer string) string {
	if q.device != nil {
		return issuer
	}
	return q.redirectURI
}

func (q *authorizationRequest) prompts(value string) bool { return slices.Contains(q.prompt, value) }

// serveAuthorize is the authorization endpoint (RFC 6749, section 3.1).
func (s *Server) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, bodyLimit)
	if err := r.ParseForm(); err != nil {
		s.showError(w, http.StatusBadRequest, "The request could not be parsed.")
		return
	}
	if name := r.Form.Get("request_uri"); strings.HasPrefix(name, pushedPrefix) {
		if r.Form = s.grants.pull(name, r.Form.Get("client_id"), s.now()); r.Form == nil {
			s.showError(w, http.StatusBadRequest, "The request_uri is unknown, expired or already used, or belongs to another client.")
			return
		}
	}
	// Nothing is redirected until the redirect URI is known to belong to the
	// client (RFC 6749, section 4.1.2.1).
	q := &authorizationRequest{client: s.clientOf(r.Context(), r.Form.Get("client_id")), redirectURI: r.Form.Get("redirect_uri")}
	switch {
	case len(r.Form["client_id"]) > 1 || len(r.Form["redirect_uri"]) > 1:
		s.showError(w, http.StatusBadRequest, "Duplicate client_id or redirect_uri. Send each parameter once.")
		return
	case r.Form.Get("client_id") == "":
		s.showError(w, http.StatusBadRequest, "client_id is missing. The client must send it with the authorization request (RFC 6749, section 4.1.1).")
		return
	case q.client == nil:
		s.showRefusal(w, http.StatusBadRequest, diagnosis.ClientRefused, s.whyUnknown(r.Context(), r.Form.Get("client_id")))
		return
	case q.redirectURI == "":
		s.showRefusal(w, http.StatusBadRequest, diagnosis.RedirectMismatch, "redirect_uri is missing. "+registered(q.client))
		return
	case !q.client.redirectsTo(q.redirectURI), faultsOf(r).has(FaultRedirectMismatch):
		s.showRefusal(w, http.StatusBadRequest, diagnosis.RedirectMismatch, "The redirect_uri "+quoted(q.redirectURI)+" is not registered for this client. "+registered(q.client))
		return
	}
	if refused := s.read(q, r.Form); refused != nil {
		s.redirectError(w, r, q, refused)
		return
	}
	s.begin(w, r, q)
}

// registered lists the redirect URIs of a client for the user.
func registered(c *client) string {
	if len(c.redirectURIs) == 0 {
		return "The client has no registered redirect URI."
	}
	return "Registered: " + strings.Join(c.redirectURIs, ", ") + "."
}

// unreserved are the characters of a code_verifier (RFC 7636, section 4.1); a
// challenge has no dot and no tilde.
const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"

// isChallenge reports whether text has the form of an S256 challenge.
func isChallenge(text string) bool {
	return len(text) == 43 && strings.Trim(text, unreserved) == "" && !strings.ContainsAny(text, ".~")
}

// read reads the other parameters of the request.
func (s *Server) read(q *authorizationRequest, form url.Values) *oauthError {
	if len(form["state"]) == 1 {
		q.state = form.Get("state")
	}
	if err := checkRepeated(form); err != nil {
		return err
	}
	switch mode := form.Get("response_mode"); mode {
	case "", "query", "fragment", "form_post":
		q.mode = mode
	default:
		return refuse("invalid_request", "the response modes are "+strings.Join(responseModes(), " "))
	}
	q.nonce, q.challenge, q.loginHint, q.jkt = form.Get("nonce"), form.Get("code_challenge"), form.Get("login_hint"), form.Get("dpop_jkt")
	q.prompt = strings.Fields(form.Get("prompt"))
	q.maxAge = -1
	if text := form.Get("max_age"); text != "" {
		seconds, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return refuse("invalid_request", "max_age is not a number of seconds")
		}
		q.maxAge = time.Duration(seconds) * time.Second
	}
	switch {
	case form.Has("request"):
		return refuse("request_not_supported", "request objects are not supported")
	case form.Has("request_uri"):
		return refuse("request_uri_not_supported", "request_uri is not supported")
	case form.Get("response_type") != "code":
		return refuse("unsupported_response_type", "the only response type is code, with PKCE; the implicit and hybrid flows are not supported (RFC 9700, section 2.1.2)")
	case !q.client.uses("authorization_code"):
		return refuse("unauthorized_client", "the client is not registered for authorization_code")
	case s.config.OptionalPKCE && !q.client.isPublic() && q.challenge == "" && form.Get("code_challenge_method") == "":
	case form.Get("code_challenge_method") != "S256" || !isChallenge(q.challenge):
		return refuse("invalid_request", "PKCE is required: code_challenge and code_challenge_method=S256 (RFC 7636); the server can be configured to make it optional for confidential clients")
	case q.prompts("none") && len(q.prompt) > 1:
		return refuse("invalid_request", "prompt=none cannot be combined with another value")
	}
	var refused *oauthError
	if q.scope, refused = s.readScope(form.Get("scope")); refused != nil {
		return refused
	}
	q.resource, refused = s.readResource(form)
	return refused
}

// begin asks the user for what is still needed: a login, then consent.
func (s *Server) begin(w http.ResponseWriter, r *http.Request, q *authorizationRequest) {
	browser := s.browserOf(w, r)
	login, ok := s.visits.login(browser, s.now())
	tooOld := q.maxAge >= 0 && s.now().Sub(login.at) > q.maxAge
	ok = ok && !tooOld && !q.prompts("login") && !q.prompts("select_account")
	switch {
	case s.config.AutoApprove:
		s.autoApprove(w, r, q, browser, login, ok)
	case q.prompts("none") && !ok:
		s.redirectError(w, r, q, refuse("login_required", "no user is logged in with this browser"))
	case q.prompts("none") && !s.visits.agreed(login.user, q.client.id, q.scope):
		s.redirectError(w, r, q, refuse("consent_required", login.user+" has not consented to these scopes for this client"))
	case q.prompts("none"):
		s.approve(w, r, q, login)
	default:
		v := &visit{request: q, browser: browser, csrf: rand.Text(), expires: s.now().Add(visitTTL)}
		if ok {
			v.login = login
		}
		id := s.visits.add(v, s.now())
		if ok {
			s.showConsent(w, id, v)
			return
		}
		s.showLogin(w, http.StatusOK, id, v, q.loginHint, "")
	}
}

// autoApprove logs a user in and consents without a page: the user in the header
// X-Dev-User, in login_hint, or the configured one. If this user is already logged
// in with the browser, the login is reused.
func (s *Server) autoApprove(w http.ResponseWriter, r *http.Request, q *authorizationRequest, browser string, login userLogin, ok bool) {
	name := s.config.AutoUser
	for _, wanted := range []string{q.loginHint, r.Header.Get("X-Dev-User")} {
		if wanted == "" {
			continue
		}
		who, known := s.hinted(wanted)
		if !known {
			s.redirectError(w, r, q, refuse("access_denied", "unknown user "+quoted(wanted)))
			return
		}
		name = who.Name
	}
	if !ok || login.user != name {
		login = userLogin{name, s.now()}
		s.visits.enter(browser, login)
	}
	s.visits.agree(name, q.client.id, q.scope)
	s.approve(w, r, q, login)
}

// approve redirects the browser with a code (RFC 6749, section 4.1.2).
func (s *Server) approve(w http.ResponseWriter, r *http.Request, q *authorizationRequest, login userLogin) {
	if faultsOf(r).has(FaultConsentDenied) {
		s.redirectError(w, r, q, refuse("access_denied", "the user denied the request"))
		return
	}
	agreed := &grant{
		clientID: q.client.id, subject: login.user, scope: q.scope, resource: q.resource,
		nonce: q.nonce, authTime: login.at,
	}
	if q.device != nil {
		s.grants.decide(q.device, agreed)
		s.showDecided(w, true)
		return
	}
	code := s.grants.newCode(&authorizationCode{grant: agreed, redirectURI: q.redirectURI, challenge: q.challenge, jkt: q.jkt}, s.now())
	s.redirect(w, r, q, url.Values{"code": {code}})
}

func (s *Server) redirectError(w http.ResponseWriter, r *http.Request, q *authorizationRequest, e *oauthError) {
	if q.device != nil {
		s.grants.decide(q.device, nil)
		s.showDecided(w, false)
		return
	}
	s.redirect(w, r, q, url.Values{"error": {e.Code}, "error_description": {e.Description}})
}

// redirect redirects the browser to the client with these parameters, the state
// and the issuer (RFC 9207).
func (s *Server) redirect(w http.ResponseWriter, r *http.Request, q *authorizationRequest, values url.Values) {
	faults := faultsOf(r)
	if q.state != "" {
		values.Set("state", q.state)
	}
	if faults.has(FaultWrongState) {
		values.Set("state", rand.Text())
	}
	switch {
	case faults.has(FaultNoIssParam):
	case faults.has(FaultWrongIssParam):
		values.Set("iss", otherIssuer)
	default:
		values.Set("iss", s.config.Issuer)
	}
	if n := stepOf(r); n != nil {
		n.response, n.returned = formFields(values.Encode()), true
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	switch q.mode {
	case "form_post":
		showFormPost(w, q.redirectURI, values)
		return
	case "fragment":
		h.Set("Location", q.redirectURI+"#"+values.Encode())
	default:
		separator := "?"
		if strings.Contains(q.redirectURI, "?") {
			separator = "&"
		}
		h.Set("Location", q.redirectURI+separator+values.Encode())
	}
	w.WriteHeader(http.StatusSeeOther)
}

// responseModes returns the supported response modes (OAuth 2.0 Multiple Response
// Types, section 2.1; OAuth 2.0 Form Post Response Mode).
func responseModes() []string { return []string{"query", "fragment", "form_post"} }
