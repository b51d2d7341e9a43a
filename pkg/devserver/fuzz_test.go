package devserver_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// For any redirect URI, a code is sent to a loopback address with the registered
// path, or not at all.
func FuzzRedirectURI(f *testing.F) {
	for _, seed := range []string{
		redirectURI, "http://[::1]:1/callback", "http://localhost/callback", "http://127.0.0.1@evil.example/callback",
		"http://127.0.0.1:1\\@evil.example/callback", "//evil.example/callback", "http://127.0.0.1:1/callback?x", "http://127.0.0.1:/callback", "\x00",
	} {
		f.Add(seed)
	}
	server, err := devserver.New(devserver.Config{Issuer: "http://127.0.0.1:9000", API: "http://127.0.0.1:9001", AutoApprove: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/authorize?"+parameters("redirect_uri", uri).Encode(), http.NoBody)
		w := httptest.NewRecorder()
		server.AuthorizationServer().ServeHTTP(w, req)
		target := w.Header().Get("Location")
		if target == "" {
			if w.Code != http.StatusBadRequest {
				t.Fatalf("%q: %d", uri, w.Code)
			}
			return
		}
		u, err := url.Parse(target)
		if err != nil || u.Scheme != "http" || u.Path != "/callback" || u.User != nil || u.Query().Get("code") == "" {
			t.Fatalf("%q leads to %q", uri, target)
		}
		if host := u.Hostname(); host != "127.0.0.1" && host != "::1" && host != "localhost" || !strings.HasPrefix(target, uri) {
			t.Fatalf("%q leads to %q", uri, target)
		}
	})
}

// Every body is accepted as an item or refused, and never causes an error of the
// server.
func FuzzItem(f *testing.F) {
	for _, seed := range []string{`{"id":1,"name":"Widget"}`, `{"id":1e0,"name":"x"}`, `[`, `{"id":{},"name":[]}`, "null"} {
		f.Add(seed)
	}
	server, err := devserver.New(devserver.Config{Issuer: "http://127.0.0.1:9000", API: "http://127.0.0.1:9001", AccessTokenTTL: 24 * time.Hour})
	if err != nil {
		f.Fatal(err)
	}
	good, err := server.Mint("good")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body string) {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/items", strings.NewReader(body))
		req.Header.Set("Authorization", "Bearer "+good)
		w := httptest.NewRecorder()
		server.API().ServeHTTP(w, req)
		switch w.Code {
		case http.StatusCreated, http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusInsufficientStorage:
		default:
			t.Fatalf("%q: %d %s", body, w.Code, w.Body)
		}
	})
}
