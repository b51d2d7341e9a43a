package devserver

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/forge"
)

// Fault is one way in which the server misbehaves when it is asked to: by
// Config.Faults, by the request header X-Dev-Fault, or by POST /_control/fault.
type Fault struct {
	Name string
	// Value is what has to stand behind the name and an equals sign, "" for
	// nothing.
	Value string
	// Diagnosis is what a client or an API that checks finds; "" where nothing is
	// wrong that could be found.
	Diagnosis diagnosis.ID
	Effect    string // one sentence
}

// Faults returns the faults there are, in the order in which they are
// documented: those of access tokens, which [forge.Cases] lists, then those of
// the endpoints.
func Faults() []Fault { return slices.Clone(faultTable) }

var faultTable = slices.Concat(tokenFaults(), endpointFaults)

// tokenFaults are the ways in which access tokens can be wrong.
func tokenFaults() []Fault {
	var faults []Fault
	for _, c := range forge.Cases() {
		if c.Name != goodToken {
			faults = append(faults, Fault{c.Name, "", c.Diagnosis, "issues an access token " + c.Phrase})
		}
	}
	return faults
}

// otherIssuer is no one's (RFC 2606).
const otherIssuer = "https://issuer.example"

// goodToken is the case that changes nothing, so that it is no fault.
const goodToken = "good"

var endpointFaults = []Fault{
	{"rotate", "", "", "each token is signed by a new key, published beside the one before it"},
	{"same-kid-new-key", "", diagnosis.KeyChanged, "from the second time on the key set holds another key under the same kid"},
	{"jwks-500", "", diagnosis.KeysUnavailable, "the key set answers 500"},
	{"jwks-hang", "", diagnosis.KeysUnavailable, "the key set never answers"},
	{"jwks-slow", "DURATION", "", "the key set answers after that time"},
	{"empty-jwks", "", diagnosis.KeySetEmpty, "the key set holds no key"},
	{"bad-key-in-set", "", "", "the key set holds a broken key before the good one"},
	{"wrong-state", "", diagnosis.StateMismatch, "the redirect holds another state"},
	{"wrong-iss-param", "", diagnosis.IssuerParam, "the redirect names another issuer"},
	{"no-iss-param", "", diagnosis.IssuerParam, "the redirect names no issuer, though the metadata says it does"},
	{"wrong-nonce", "", diagnosis.NonceMismatch, "the ID token holds another nonce"},
	{"redirect-mismatch", "", diagnosis.RedirectMismatch, "the redirect URI counts as not registered, which the user is told and nobody else"},
	{"consent-denied", "", diagnosis.AccessDenied, "the user's consent counts as a refusal"},
	{"token-500", "", diagnosis.ServerError, "the token endpoint answers 500"},
	{"token-429", "", diagnosis.RateLimited, "the token endpoint answers 429 with Retry-After: 1"},
	{"token-hang", "", diagnosis.Timeout, "the token endpoint never answers"},
	{"token-html", "", diagnosis.TokenEndpointShape, "the token endpoint answers 200 with an HTML page"},
	{"token-slow", "DURATION", "", "the token endpoint answers after that time"},
	{"narrower-scope", "", diagnosis.ScopeMissing, "the last scope asked for is not granted, and the response says so"},
	{"no-expires-in", "", "", "the token response does not say when the access token expires"},
	{"no-refresh-rotation", "", "", "a refresh token stays good and no other is given"},
	{"reused-refresh", "", diagnosis.GrantInvalid, "every refresh token counts as used before"},
	{"dpop-nonce", "", "", "proofs of possession need the server's nonce, which it tells when one is missing"},
	{"discovery-issuer-mismatch", "", diagnosis.DiscoveryMismatch, "the metadata names another issuer"},
}

// faultSet are the faults in force, by name, with their values.
type faultSet map[string]string

func (f faultSet) has(name string) bool {
	_, ok := f[name]
	return ok
}

// delay returns the duration that is the fault's value, 0 if it is not in force.
func (f faultSet) delay(name string) time.Duration {
	d, err := time.ParseDuration(f[name])
	if err != nil {
		return 0
	}
	return d
}

// parseFaults reads faults written as NAME or NAME=VALUE.
func parseFaults(list []string) (faultSet, error) {
	set := faultSet{}
	for _, text := range list {
		name, value, _ := strings.Cut(strings.TrimSpace(text), "=")
		i := slices.IndexFunc(faultTable, func(f Fault) bool { return f.Name == name })
		switch {
		case i < 0:
			return nil, fmt.Errorf("there is no fault %s", diagnosis.Quote(name))
		case faultTable[i].Value == "" && value != "":
			return nil, fmt.Errorf("the fault %s takes no value", name)
		case faultTable[i].Value != "":
			if d, err := time.ParseDuration(value); err != nil || d < 0 {
				return nil, fmt.Errorf("expected %s=DURATION, for instance %s=2s, got %s", name, name, diagnosis.Quote(value))
			}
		}
		set[name] = value
	}
	return set, nil
}

type faultKey struct{}

// withFaults gives each request the faults in force: those of every request, and
// those that its header names besides.
func (s *Server) withFaults(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		inForce := s.faults
		s.mu.Unlock()
		if fields := r.Header.Values("X-Dev-Fault"); len(fields) > 0 {
			own, err := parseFaults(strings.Split(strings.Join(fields, ","), ","))
			if err != nil {
				http.Error(w, "X-Dev-Fault: "+err.Error(), http.StatusBadRequest)
				return
			}
			for name, value := range inForce {
				if !own.has(name) {
					own[name] = value
				}
			}
			inForce = own
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), faultKey{}, inForce)))
	})
}

func faultsOf(r *http.Request) faultSet {
	f, _ := r.Context().Value(faultKey{}).(faultSet)
	return f
}

// serveControl replaces the faults of every request by the form's parameters
// named fault. No web page may do it: a page's request has an Origin, and one
// that came by DNS rebinding has another Host.
func (s *Server) serveControl(w http.ResponseWriter, r *http.Request) {
	issuer, err := url.Parse(s.config.Issuer)
	if err != nil || r.Host != issuer.Host || len(r.Header.Values("Origin")) > 0 {
		http.Error(w, "only for programs on this machine", http.StatusForbidden)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, bodyLimit)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "expected a form", http.StatusBadRequest)
		return
	}
	set, err := parseFaults(r.PostForm["fault"])
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.faults = set
	s.mu.Unlock()
	names := []string{}
	for _, f := range faultTable {
		if set.has(f.Name) {
			names = append(names, f.Name)
		}
	}
	writeJSON(w, http.StatusOK, map[string][]string{"faults": names})
}

// wait waits for a delay, or until the client has gone.
func wait(r *http.Request, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
}

// hang waits until the client has gone, which is noticed only once its request
// was read; five minutes at most.
func hang(r *http.Request) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, bodyLimit))
	}
	wait(r, 5*time.Minute)
}
