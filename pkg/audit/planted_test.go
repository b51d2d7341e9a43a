package audit_test

import (
	"crypto/ecdsa"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
)

// planted is an API that checks tokens without the packages of this module.
// Each bug omits or breaks one check. Without bugs, all checks are correct.
type planted struct {
	bugs     map[string]bool
	issuer   string
	audience string
	keySet   string       // the URL of the issuer's key set
	http     *http.Client // that fetches the key set
	revoked  func(raw string) bool

	mu    sync.Mutex
	known map[string]ecdsa.PublicKey // by kid
	jwks  map[string][]byte          // the text of each key
	items int
	calls []string // method and path of all requests
	// trusted holds the claims of valid tokens that were sent before, for the
	// bugs that cache them.
	trusted map[string]map[string]any
}

func (p *planted) has(bug string) bool { return p.bugs[bug] }

// refuse sends a refusal without data.
func (p *planted) refuse(w http.ResponseWriter, status int, code string) {
	field := `Bearer realm="api"`
	if code != "" {
		field += `, error="` + code + `"`
	}
	body := `{"error":"` + code + `"}`
	switch {
	case p.has("envelope"):
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"success":false,"message":"no"}`)
		return
	case p.has("login-page"):
		w.Header().Set("Location", "/login")
		w.WriteHeader(http.StatusFound)
		return
	case p.has("403-for-401") && status == 401:
		status = 403
	case p.has("401-for-403") && status == 403:
		status = 401
	case p.has("404-for-403") && status == 403:
		status, body = 404, `{"error":"not found"}`
	case p.has("error-without-token") && code == "":
		field += `, error="invalid_token"`
	case p.has("broken-challenge"):
		field = `Bearer realm="api`
	case p.has("stack-trace"):
		body = "Traceback (most recent call last):\n  File \"/app/main.py\", line 3, in check"
	}
	if !p.has("no-challenge") {
		w.Header().Set("WWW-Authenticate", field)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	io.WriteString(w, body)
}

func (p *planted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.calls = append(p.calls, r.Method+" "+r.URL.EscapedPath()+"?"+r.URL.RawQuery)
	p.mu.Unlock()
	path, method := r.URL.Path, r.Method
	if p.has("override-open") && r.Header.Get("X-HTTP-Method-Override") == "OPTIONS" {
		p.items200(w)
		return
	}
	scope, public := "", false
	isProtected := true
	switch {
	case p.has("slash-open") && path == "/items/", p.has("case-open") && path == "/ITEMS",
		p.has("encoded-open") && strings.Contains(r.URL.EscapedPath(), "%"), p.has("double-open") && path == "//items",
		p.has("head-open") && method == "HEAD":
		isProtected, path, method = false, "/items", "GET"
	}
	if method == "HEAD" {
		method = "GET"
	}
	switch {
	case path == "/health":
		public = true
	case path == "/me":
	case path == "/items" && method == "POST":
		scope = "items:write"
	case path == "/items", strings.HasPrefix(path, "/items/") && path != "/items/":
		scope = "items:read"
	case strings.HasPrefix(path, "/users/"):
		scope = "users:delete"
	default:
		http.NotFound(w, r)
		return
	}
	if public && !p.has("health-closed") {
		io.WriteString(w, `"well"`)
		return
	}
	if p.has("validates-first") && method == "GET" && r.URL.Query().Get("limit") == "" {
		w.WriteHeader(422)
		return
	}
	if isProtected && !(p.has("open") && path == "/me") && !p.check(w, r, scope, path, method) {
		return
	}
	switch {
	case method == "POST":
		p.add(w, r)
	case method == "DELETE":
		http.Error(w, `{"error":"no such user"}`, http.StatusNotFound)
	case path == "/me":
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"sub":"alice"}`)
	case path == "/items" || path == "/items/1":
		p.items200(w)
	default:
		http.Error(w, `{"error":"no such item"}`, http.StatusNotFound)
	}
}

func (p *planted) items200(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	if p.has("envelope") {
		io.WriteString(w, `{"success":true,"message":"items","items":[1]}`)
		return
	}
	io.WriteString(w, `[{"id":1,"name":"Widget"}]`)
}

func (p *planted) add(w http.ResponseWriter, r *http.Request) {
	var item struct{ Name string }
	if json.NewDecoder(r.Body).Decode(&item) != nil || item.Name == "" {
		http.Error(w, `{"error":"name is missing"}`, http.StatusUnprocessableEntity)
		return
	}
	p.mu.Lock()
	p.items++
	p.mu.Unlock()
	w.WriteHeader(http.StatusCreated)
}

// check reports whether the request is allowed; if not, it sends the refusal.
func (p *planted) check(w http.ResponseWriter, r *http.Request, scope, path, method string) bool {
	fields := r.Header.Values("Authorization")
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	if _, ok := p.recall("remembers-address", host); ok {
		return true
	}
	if p.has("query") && r.URL.Query().Get("access_token") != "" {
		fields = []string{"Bearer " + r.URL.Query().Get("access_token")}
	}
	if len(fields) == 0 {
		p.refuse(w, 401, "")
		return false
	}
	if len(fields) > 1 && !p.has("first-of-two") {
		p.refuse(w, 400, "invalid_request")
		return false
	}
	scheme, raw, _ := strings.Cut(fields[0], " ")
	if p.has("400-without-scheme") && !strings.Contains(fields[0], " ") {
		p.refuse(w, 400, "invalid_request")
		return false
	}
	if p.has("no-scheme") && !strings.Contains(fields[0], " ") {
		scheme, raw = "Bearer", fields[0]
	}
	isBearer := strings.EqualFold(scheme, "Bearer")
	if p.has("scheme-case") {
		isBearer = scheme == "Bearer"
	}
	if !isBearer && !p.has("any-scheme") {
		p.refuse(w, 401, "")
		return false
	}
	if p.has("crashes") && strings.Count(raw, ".") != 2 {
		http.Error(w, "panic: index out of range", 500)
		return false
	}
	claims, ok := p.verify(r.Context(), raw)
	if !ok {
		if p.has("unsigned-403") && strings.HasSuffix(raw, ".") && !strings.Contains(raw, "..") {
			p.refuse(w, 403, "insufficient_scope")
			return false
		}
		p.refuse(w, 401, "invalid_token")
		return false
	}
	if p.revoked != nil && !p.has("no-revocation") && p.revoked(raw) {
		p.refuse(w, 401, "invalid_token")
		return false
	}
	p.remember("remembers-address", host, claims)
	return p.permit(w, claims, scope, path, method)
}

// permit reports whether a valid token allows the request; if not, it sends the
// refusal.
func (p *planted) permit(w http.ResponseWriter, claims map[string]any, scope, path, method string) bool {
	if scope == "" || p.has("no-scope-check") || p.has("no-scope-check-on-post") && method == "POST" || p.has("no-scope-check-on-id") && path == "/items/1" {
		if p.has("closed") && path == "/me" {
			p.refuse(w, 403, "insufficient_scope")
			return false
		}
		return true
	}
	if !p.allowed(claims, scope) {
		p.refuse(w, 403, "insufficient_scope")
		return false
	}
	return true
}

func (p *planted) allowed(claims map[string]any, scope string) bool {
	name := "scope"
	if _, ok := claims["SCOPE"]; ok && p.has("member-case") {
		name = "SCOPE"
	}
	var list []string
	switch v := claims[name].(type) {
	case nil:
		if p.has("no-scope-claim") {
			return true
		}
	case string:
		if p.has("scope-inside") && strings.Contains(v, scope) || p.has("any-scope") && v != "" {
			return true
		}
		list = strings.Fields(v)
	case []any:
		for _, one := range v {
			if text, ok := one.(string); ok && !p.has("scope-text-only") {
				list = append(list, text)
			}
		}
	}
	if permissions, ok := claims["permissions"].([]any); ok && p.has("permissions") {
		for _, one := range permissions {
			list = append(list, one.(string))
		}
	}
	for _, one := range list {
		if one == scope || p.has("scope-begins") && strings.HasPrefix(one, scope) || p.has("scope-ends") && strings.HasSuffix(one, scope) ||
			p.has("scope-any-case") && strings.EqualFold(one, scope) {
			return true
		}
	}
	return false
}

// remember stores the claims of a valid token by a key that the bug treats as
// the token's identity.
func (p *planted) remember(bug, key string, claims map[string]any) {
	if p.has(bug) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.trusted == nil {
			p.trusted = map[string]map[string]any{}
		}
		p.trusted[bug+key] = claims
	}
}

func (p *planted) recall(bug, key string) (map[string]any, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	claims, ok := p.trusted[bug+key]
	return claims, ok
}
