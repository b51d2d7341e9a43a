package devserver

import (
	"net/http"
	"strings"
)

// fetched are the endpoints that scripts of any web page may request. The pages,
// /authorize among them, and /_control are not.
func fetched(path string) bool {
	switch path {
	case "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", "/jwks",
		"/token", "/userinfo", "/register", "/revoke", "/introspect", "/par", "/device_authorization":
		return true
	}
	return strings.HasPrefix(path, "/ci/") && !strings.HasSuffix(path, "/token")
}

// withCORS lets scripts of any web page request the endpoints that clients in
// browsers fetch (Fetch Standard, section 3.2). None of them reads a cookie.
func withCORS(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !fetched(r.URL.Path) || !answerCORS(w, r) {
			next.ServeHTTP(w, r)
		}
	})
}

// withCORSEverywhere is the same for the whole API.
func withCORSEverywhere(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !answerCORS(w, r) {
			next.ServeHTTP(w, r)
		}
	})
}

// answerCORS allows a request from another origin, and reports whether it was a
// preflight, which is then answered.
func answerCORS(w http.ResponseWriter, r *http.Request) bool {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	if origin := r.Header.Get("Origin"); origin != "" && r.URL.Path == "/token" {
		// keycloak-js sends its token requests with cookies. The endpoint reads none,
		// so that they give a page nothing; a wildcard would not be enough for it.
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
		h.Add("Vary", "Origin")
	}
	h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, DPoP-Nonce, Retry-After, ETag, Link, Location")
	if r.Method != http.MethodOptions || r.Header.Get("Origin") == "" || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
	// A wildcard would leave Authorization out.
	if wanted := r.Header.Values("Access-Control-Request-Headers"); len(wanted) > 0 {
		h.Set("Access-Control-Allow-Headers", strings.Join(wanted, ", "))
	}
	h.Set("Access-Control-Max-Age", "600")
	h.Add("Vary", "Access-Control-Request-Headers")
	w.WriteHeader(http.StatusNoContent)
	return true
}
