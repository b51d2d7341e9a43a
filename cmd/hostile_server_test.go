package cmd_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// A hostileServer is an authorization server that is correct except for the faults that a test sets. It asks no
// questions: every user is logged in and consents.
type hostileServer struct {
	*httptest.Server
	key *jwks.PrivateKey

	metadata func(m map[string]any)
	redirect func(q url.Values)
	idToken  func(claims map[string]any)
	forge    func(s *hostileServer, header, claims map[string]any) string // the complete ID token
	answer   func(m map[string]any)                                       // the token response
	serve    map[string]http.HandlerFunc                                  // instead of what is at that path

	mu      sync.Mutex
	asked   url.Values // the last authorization request
	granted int        // token requests
}

const hostileClient = "app"

func startHostileServer(t *testing.T, turn func(*hostileServer)) *hostileServer {
	t.Helper()
	key, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	s := &hostileServer{key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", s.serveMetadata)
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) { writeHostile(w, jwks.NewSet(key.Public())) })
	mux.HandleFunc("GET /authorize", s.serveAuthorize)
	mux.HandleFunc("POST /token", s.serveToken)
	s.mu.Lock() // a client of an earlier test may come to the same port at once
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock() // so that the handlers see the latest faults
		if r.URL.Path == "/token" {
			s.granted++
		}
		s.mu.Unlock()
		if instead := s.serve[r.URL.Path]; instead != nil {
			instead(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	s.mu.Unlock()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	if turn != nil {
		s.turn(turn)
	}
	return s
}

// turn sets faults while no request is in progress.
func (s *hostileServer) turn(f func(*hostileServer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

func writeHostile(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.MarshalWrite(w, value)
}

func (s *hostileServer) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	m := map[string]any{
		"issuer": s.URL, "authorization_endpoint": s.URL + "/authorize", "token_endpoint": s.URL + "/token", "jwks_uri": s.URL + "/jwks",
		"response_types_supported": []string{"code"}, "code_challenge_methods_supported": []string{"S256"},
		"id_token_signing_alg_values_supported": []string{"ES256"}, "subject_types_supported": []string{"public"},
	}
	if s.metadata != nil {
		s.metadata(m)
	}
	writeHostile(w, m)
}

func (s *hostileServer) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	asked := r.URL.Query()
	s.mu.Lock()
	s.asked = asked
	s.mu.Unlock()
	q := url.Values{"code": {"a-code"}, "state": {asked.Get("state")}}
	if s.redirect != nil {
		s.redirect(q)
	}
	http.Redirect(w, r, asked.Get("redirect_uri")+"?"+q.Encode(), http.StatusFound)
}

func (s *hostileServer) serveToken(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	nonce := s.asked.Get("nonce")
	s.mu.Unlock()
	m := map[string]any{"access_token": canary("access"), "token_type": "Bearer", "expires_in": 300, "refresh_token": canary("refresh")}
	claims := map[string]any{
		"iss": s.URL, "aud": hostileClient, "sub": "alice", "iat": time.Now().Unix(), "exp": time.Now().Add(5 * time.Minute).Unix(), "nonce": nonce,
	}
	if s.idToken != nil {
		s.idToken(claims)
	}
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	m["id_token"] = s.sign(claims)
	if s.answer != nil {
		s.answer(m)
	}
	writeHostile(w, m)
}

func (s *hostileServer) sign(claims map[string]any) string {
	header := map[string]any{"alg": "ES256", "kid": s.key.ID()}
	if s.forge != nil {
		return s.forge(s, header, claims)
	}
	signed, err := token.SignWithHeader(s.key, header, claims)
	if err != nil {
		panic(err)
	}
	return signed
}

// canary returns a secret that must be only in the store.
func canary(name string) string { return "canary-" + name + "-token-c4n4ry" }

func segment(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

// unsigned returns a token with alg none.
func unsigned(_ *hostileServer, header, claims map[string]any) string {
	header["alg"] = "none"
	return segment(header) + "." + segment(claims) + "."
}

// confused returns a token that is signed by HMAC with the public key as the secret.
func confused(s *hostileServer, header, claims map[string]any) string {
	header["alg"] = "HS256"
	public, err := s.key.Public().MarshalPEM()
	if err != nil {
		panic(err)
	}
	text := segment(header) + "." + segment(claims)
	mac := hmac.New(sha256.New, public)
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// strange returns a token that is signed with an unpublished key, with the kid of a published one.
func strange(_ *hostileServer, header, claims map[string]any) string {
	other, err := jwks.Generate("ES256")
	if err != nil {
		panic(err)
	}
	signed, err := token.SignWithHeader(other, header, claims)
	if err != nil {
		panic(err)
	}
	return signed
}

// Faulty responses that do not depend on OAuth.

func answerText(status int, kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func answerJSON(status int, body string) http.HandlerFunc {
	return answerText(status, "application/json", body)
}

func redirectTo(status int, where string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, strings.ReplaceAll(where, "HERE", "http://"+r.Host), status)
	}
}

// huge sends a valid beginning and then 300 MB of blanks.
func huge(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, `{"access_token":"`)
	blank := make([]byte, 1<<20)
	for i := range blank {
		blank[i] = 'a'
	}
	for range 300 {
		if _, err := w.Write(blank); err != nil {
			return
		}
	}
}

func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the client has gone
	select {
	case <-r.Context().Done():
	case <-time.After(30 * time.Second):
	}
}

// trickle sends one byte per second.
func trickle(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.Copy(io.Discard, r.Body)
	for range 30 {
		fmt.Fprint(w, " ")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-time.After(time.Second):
		}
	}
}

// breakOff closes the connection in the middle of the body.
func breakOff(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	fmt.Fprint(w, `{"access_token":`)
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}
