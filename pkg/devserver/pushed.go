package devserver

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"time"
)

const (
	pushedPrefix = "urn:ietf:params:oauth:request_uri:"
	pushedTTL    = time.Minute
)

// pushedRequest is a pushed authorization request.
type pushedRequest struct {
	form    url.Values
	expires time.Time
}

// servePushed stores an authorization request and returns a request_uri for it
// that can be used once (PAR, RFC 9126).
func (s *Server) servePushed(w http.ResponseWriter, r *http.Request) {
	form, refused := readForm(w, r)
	var c *client
	if refused == nil {
		c, refused = s.authenticate(r, form)
	}
	if refused == nil {
		form.Set("client_id", c.id)
		refused = s.read(&authorizationRequest{client: c}, form)
	}
	if refused == nil && !c.redirectsTo(form.Get("redirect_uri")) {
		refused = refuse("invalid_request", "redirect_uri is not registered for this client")
	}
	if refused != nil {
		writeError(w, refused)
		return
	}
	name := pushedPrefix + rand.Text()
	s.grants.push(name, &pushedRequest{form, s.now().Add(pushedTTL)}, s.now())
	writeJSON(w, http.StatusCreated, map[string]any{"request_uri": name, "expires_in": int64(pushedTTL.Seconds())})
}

func (g *grants) push(name string, p *pushedRequest, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.pushed) >= sweepAt {
		for old, one := range g.pushed {
			if now.After(one.expires) {
				delete(g.pushed, old)
			}
		}
	}
	g.pushed[name] = p
}

// pull returns and removes the request with that name of that client, or
// returns nil.
func (g *grants) pull(name, clientID string, now time.Time) url.Values {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.pushed[name]
	if p == nil || p.form.Get("client_id") != clientID {
		return nil
	}
	delete(g.pushed, name)
	if !now.Before(p.expires) {
		return nil
	}
	return p.form
}
