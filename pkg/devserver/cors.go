package devserver

import (
	"net/http"
	"strings"
)

// fetched lists the endpoints that scripts of any web page may request. It does
// not include the pages, such as /authorize, and /_control.
func fetched(path string) bool {
	switch path {
	case "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", "/jwks",
		"/token", "/userinfo", "/register", "/revoke", "/introspect", "/par", "/device_authorization":
		return true
	}
	return strings.HasPrefix(path, "/ci/") && !strings.HasSuffix(path, "/token")
}

// withCORS lets scripts of any web page request the endpoints that browser
// clients need (Fetch Standard, section 3.2). None of them reads a cookie.
func withCORS(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !fetched(r.URL.Path) || !answerCORS(w, r) {
			next.ServeHTTP(w, r)
		}
	})
}

// withCORSEverywhere is like withCORS, for every path of the API.
func withCORSEverywhere(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !answerCORS(w, r) {
			next.ServeHTTP(w, r)
		}
	})
}

// answerCORS allows a request from another origin, and reports whether it was a
// preflight, which it answers.
func answerCORS(w http.ResponseWriter, r *http.Request) bool {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	if origin := r.Header.Get("Origin"); origin != "" && r.URL.Path == "/token" {
		// keycloak-js sends token requests with cookies, for which a wildcard is not
		// sufficient. The endpoint reads no cookies, so a page gains nothing.
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
		h.Add("Vary", "Origin")
	}
	h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, DPoP-Nonce, Retry-After, ETag, Link, Location")
	if r.Method != http.MethodOptions || r.Header.Get("Origin") == "" || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
	// A wildcard does not include Authorization.
	if wanted := r.Header.Values("Access-Control-Request-Headers"); len(wanted) > 0 {
		h.Set("Access-Control-Allow-Headers", strings.Join(wanted, ", "))
	}
	h.Set("Access-Control-Max-Age", "600")
	h.Add("Vary", "Access-Control-Request-Headers")
	w.WriteHeader(http.StatusNoContent)
	return true
}
