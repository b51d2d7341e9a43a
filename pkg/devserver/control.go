package devserver

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// ownHost reports whether a request was sent to one of the server's own hosts: the
// issuer's, or a loopback name. After DNS rebinding, a page sends another Host.
func (s *Server) ownHost(r *http.Request) bool {
	issuer, err := url.Parse(s.base)
	if err != nil {
		return false
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.EqualFold(r.Host, issuer.Host) || safehttp.IsLoopback(strings.Trim(host, "[]"))
}

// control handles a request of a program at /_control. Web pages cannot use it,
// because their requests have an Origin.
func (s *Server) control(do func(url.Values) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.ownHost(r) || len(r.Header.Values("Origin")) > 0 {
			http.Error(w, "only programs can use this, not web pages", http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, bodyLimit)
		if err := r.ParseForm(); err != nil {
			http.Error(w, "expected a form", http.StatusBadRequest)
			return
		}
		answer, err := do(r.PostForm)
		if err != nil {
			http.Error(w, strings.TrimPrefix(err.Error(), "devserver: "), http.StatusBadRequest)
			return
		}
		writeJSON(w, http.StatusOK, answer)
	}
}

// controlFault replaces the faults of every request with the parameters fault.
func (s *Server) controlFault(form url.Values) (any, error) {
	set, err := parseFaults(form["fault"])
	if err != nil {
		return nil, err
	}
	s.setFaults(set)
	return map[string][]string{"faults": set.names()}, nil
}

func (s *Server) setFaults(set faultSet) {
	s.mu.Lock()
	s.faults = set
	s.mu.Unlock()
}

func (s *Server) activeFaults() faultSet {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults
}

// controlClock advances the clock by the parameter advance.
func (s *Server) controlClock(form url.Values) (any, error) {
	d, err := time.ParseDuration(form.Get("advance"))
	if err != nil {
		return nil, errors.New("expected advance=DURATION, for instance advance=10m")
	}
	s.Advance(d)
	return map[string]string{"now": s.now().UTC().Format(time.RFC3339)}, nil
}

// controlToken signs an access token. Parameters: case, sub, client_id, aud
// (repeatable), scope (separated by spaces), ttl, and claims as a JSON object.
func (s *Server) controlToken(form url.Values) (any, error) {
	t := Token{Case: form.Get("case"), Subject: form.Get("sub"), ClientID: form.Get("client_id"), Audience: form["aud"], Scope: strings.Fields(form.Get("scope"))}
	if text := form.Get("ttl"); text != "" {
		var err error
		if t.TTL, err = time.ParseDuration(text); err != nil || t.TTL <= 0 {
			return nil, errors.New("expected ttl=DURATION, for instance ttl=10m")
		}
	}
	if text := form.Get("claims"); text != "" {
		if err := json.Unmarshal([]byte(text), &t.Claims); err != nil {
			return nil, errors.New("expected claims as a JSON object")
		}
	}
	raw, err := s.MintToken(t)
	if err != nil {
		return nil, err
	}
	return map[string]string{"access_token": raw}, nil
}
