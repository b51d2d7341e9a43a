package devserver

import (
	"crypto/rand"
	"net/http"
	"strings"
	"time"
)

const (
	grantDeviceCode = "urn:ietf:params:oauth:grant-type:device_code"

	deviceTTL      = 10 * time.Minute
	deviceInterval = time.Second
)

// deviceCode is one device authorization (RFC 8628). It is guarded by
// grants.mu, except for client, scope, resource and expires, which do not
// change.
type deviceCode struct {
	client   *client
	scope    []string
	resource []string
	expires  time.Time

	interval time.Duration
	asked    time.Time // the last poll
	decided  bool
	grant    *grant // nil until the user consents, and again after the tokens were issued
}

// serveDeviceAuthorization is the device authorization endpoint (RFC 8628,
// section 3.1).
func (s *Server) serveDeviceAuthorization(w http.ResponseWriter, r *http.Request) {
	form, refused := readForm(w, r)
	if refused != nil {
		writeError(w, refused)
		return
	}
	d := &deviceCode{expires: s.now().Add(deviceTTL), interval: deviceInterval}
	if d.client, refused = s.authenticate(r, form); refused == nil && !d.client.uses(grantDeviceCode) {
		refused = refuse("unauthorized_client", "the client is not registered for "+grantDeviceCode)
	}
	if refused == nil {
		d.scope, refused = s.readScope(form.Get("scope"))
	}
	if refused == nil {
		d.resource, refused = s.readResource(form)
	}
	if refused != nil {
		writeError(w, refused)
		return
	}
	code, userCode := s.grants.newDevice(d, s.now())
	page := s.base + "/device"
	writeJSON(w, http.StatusOK, map[string]any{
		"device_code": code, "user_code": userCode, "verification_uri": page, "verification_uri_complete": page + "?user_code=" + userCode,
		"expires_in": int64(deviceTTL.Seconds()), "interval": int64(deviceInterval.Seconds()),
	})
}

// newUserCode returns a code that can be read out: without vowels, so that it
// has no words, and without letters that look alike (RFC 8628, section 6.1).
func newUserCode() string {
	const letters = "BCDFGHJKLMNPQRSTVWXZ"
	var code strings.Builder
	random := make([]byte, 1)
	for code.Len() < 9 {
		_, _ = rand.Read(random)
		switch n := int(random[0]); {
		case code.Len() == 4:
			code.WriteByte('-')
		case n < 240: // a multiple of 20, so that all letters are equally likely
			code.WriteByte(letters[n%len(letters)])
		}
	}
	return code.String()
}

// plainUserCode normalizes a code as entered by a user.
func plainUserCode(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' {
			return -1
		}
		return r
	}, strings.ToUpper(text))
}

func (g *grants) newDevice(d *deviceCode, now time.Time) (code, userCode string) {
	code, userCode = rand.Text(), newUserCode()
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.devices) >= sweepAt {
		for key, old := range g.devices {
			if now.After(old.expires) {
				delete(g.devices, key)
			}
		}
		for key, old := range g.entered {
			if now.After(old.expires) {
				delete(g.entered, key)
			}
		}
	}
	g.devices[digestOf(code)] = d
	g.entered[plainUserCode(userCode)] = d
	return code, userCode
}

// enter uses up a user code. The user who entered it decides.
func (g *grants) enter(userCode string, now time.Time) *deviceCode {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := plainUserCode(userCode)
	d := g.entered[key]
	if d == nil || !now.Before(d.expires) {
		return nil
	}
	delete(g.entered, key)
	return d
}

func (g *grants) decide(d *deviceCode, agreed *grant) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !d.decided {
		d.decided, d.grant = true, agreed
	}
}

// poll returns the grant of a device code once the user has consented. It
// returns it only once (RFC 8628, section 3.5).
func (g *grants) poll(code string, c *client, now time.Time) (*grant, *oauthError) {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := digestOf(code)
	d := g.devices[key]
	switch {
	case d == nil || d.client.id != c.id:
		return nil, refuse("invalid_grant", "the device code is unknown or already used, or belongs to another client")
	case !now.Before(d.expires):
		return nil, refuse("expired_token", "the device code has expired")
	case !d.asked.IsZero() && now.Sub(d.asked) < d.interval*9/10:
		d.asked, d.interval = now, d.interval+5*time.Second
		return nil, refuse("slow_down", "the client polls faster than the interval allows")
	}
	d.asked = now
	switch {
	case !d.decided:
		return nil, refuse("authorization_pending", "the user has not decided yet")
	case d.grant == nil:
		delete(g.devices, key)
		return nil, refuse("access_denied", "the user denied the request")
	}
	delete(g.devices, key)
	return d.grant, nil
}

// exchangeDeviceCode issues tokens for a device code (RFC 8628, section 3.4).
func (s *Server) exchangeDeviceCode(q *tokenRequest) (*tokenResponse, *oauthError) {
	if q.form.Get("device_code") == "" {
		return nil, refuse("invalid_request", "device_code is missing")
	}
	g, refused := s.grants.poll(q.form.Get("device_code"), q.client, s.now())
	if refused != nil {
		return nil, refused
	}
	g.bind(q)
	answer, refused := s.answer(q, g, g.scope, narrowed(requestedResources(q.form), g.resource), "")
	return s.withRefreshToken(answer, q, g), refused
}

const devicePage markup = `<h1>Connect a device</h1>
<p>Enter the code that the device shows.</p>
%s<form method="post" action="%s">
<label for="user_code">Code</label>
<input id="user_code" name="user_code" value="%s" autocomplete="off" autocapitalize="characters" spellcheck="false" required autofocus%s>
<button type="submit">Continue</button>
</form>
<p class="soft">Continue only if you started this login yourself.</p>
`

// serveDevicePage shows the form for the code (RFC 8628, section 3.3).
func (s *Server) serveDevicePage(w http.ResponseWriter, r *http.Request) {
	s.showDevice(w, http.StatusOK, r.URL.Query().Get("user_code"), "")
}

func (s *Server) showDevice(w http.ResponseWriter, status int, userCode, problem string) {
	var alert, invalid markup
	if problem != "" {
		alert = fill("<p class=\"problem\" role=\"alert\" id=\"problem\">%s</p>\n", problem)
		invalid = ` aria-invalid="true" aria-describedby="problem"`
	}
	show(w, status, "Connect a device", fill(devicePage, alert, s.at("/device"), userCode, invalid), s.base)
}

// serveDevice checks the code, then asks the user to log in and to consent.
func (s *Server) serveDevice(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, bodyLimit)
	if r.ParseForm() != nil || http.NewCrossOriginProtection().Check(r) != nil {
		s.showError(w, http.StatusForbidden, "This form was not sent by a page of this server.")
		return
	}
	d := s.grants.enter(r.PostForm.Get("user_code"), s.now())
	if d == nil {
		s.showDevice(w, http.StatusUnprocessableEntity, r.PostForm.Get("user_code"), "The code is unknown, expired or already used. Check the code on the device.")
		return
	}
	s.begin(w, r, &authorizationRequest{client: d.client, scope: d.scope, resource: d.resource, maxAge: -1, device: d})
}

// showDecided shows the result of the login of a device.
func (s *Server) showDecided(w http.ResponseWriter, agreed bool) {
	sign, title := signSuccess, "The device is connected"
	if !agreed {
		sign, title = signNone, "The device was not connected"
	}
	showMessage(w, http.StatusOK, sign, title, "You can close this page and return to the device.")
}
