package doctor_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/doctor"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// farm is an API (or an MCP server) and its issuer. A test gives them one
// fault. Both record every request.
type farm struct {
	t           *testing.T
	api, issuer *httptest.Server
	path        string // of the API

	wait         func() // before the API responds
	status       int    // of the API without a token
	challenge    []string
	body         string // of the API's response
	redirect     string
	apiHeader    http.Header
	issuerHeader http.Header
	prm, meta    map[string]any
	prmText      string // instead of prm
	prmStatus    int
	metaStatus   int
	keys         string
	keysStatus   int
	keysHeader   http.Header
	preflight    http.Header
	withToken    int // the API's status to a request with a token
	tokenAnswer  string
	tokenStatus  int

	mcp       bool
	getStatus int
	getType   string
	open      bool // the MCP server needs no token
	anyOrigin bool

	config doctor.Config

	mu  sync.Mutex
	log []string
}

func newFarm(t *testing.T) *farm {
	t.Helper()
	key := generated(t)
	keys, err := jwks.NewSet(key.Public()).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	f := &farm{
		t: t, path: "/items", status: 401, prmStatus: 200, metaStatus: 200, keysStatus: 200, withToken: 200, keys: string(keys), body: `{"error":"x"}`,
		getStatus: 405, tokenStatus: 400, tokenAnswer: `{"error":"invalid_grant"}`, apiHeader: http.Header{}, issuerHeader: http.Header{}, keysHeader: http.Header{},
	}
	f.api = httptest.NewServer(http.HandlerFunc(f.serveAPI))
	f.issuer = httptest.NewServer(http.HandlerFunc(f.serveIssuer))
	t.Cleanup(f.api.Close)
	t.Cleanup(f.issuer.Close)
	f.challenge = []string{`Bearer resource_metadata="` + f.api.URL + `/.well-known/oauth-protected-resource/items", scope="items:read"`}
	f.prm = map[string]any{"resource": f.api.URL + "/items", "authorization_servers": []any{f.issuer.URL}, "scopes_supported": []any{"items:read"}}
	f.meta = map[string]any{
		"issuer": f.issuer.URL, "authorization_endpoint": f.issuer.URL + "/authorize", "token_endpoint": f.issuer.URL + "/token",
		"jwks_uri": f.issuer.URL + "/jwks", "registration_endpoint": f.issuer.URL + "/register", "code_challenge_methods_supported": []any{"S256"},
		"scopes_supported": []any{"openid", "items:read"}, "response_types_supported": []any{"code"}, "grant_types_supported": []any{"authorization_code"},
		"authorization_response_iss_parameter_supported": true,
	}
	f.config = doctor.Config{URL: f.api.URL + "/items", HTTP: &safehttp.Client{Timeout: 5 * time.Second}}
	return f
}

func generated(t *testing.T) *jwks.PrivateKey {
	t.Helper()
	key, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (f *farm) note(server string, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", server, r.Method, r.URL.Path, r.Header.Get("Authorization"))))
}

func set(w http.ResponseWriter, header http.Header) {
	for name, values := range header {
		w.Header()[name] = values
	}
}

func (f *farm) serveAPI(w http.ResponseWriter, r *http.Request) {
	f.note("api", r)
	if f.wait != nil {
		f.wait()
	}
	if f.status < 0 {
		<-r.Context().Done()
		return
	}
	set(w, f.apiHeader)
	switch {
	case strings.HasPrefix(r.URL.Path, "/.well-known/oauth-protected-resource"):
		f.document(w, f.prmStatus, f.prm, f.prmText)
	case strings.HasPrefix(r.URL.Path, "/.well-known/"):
		http.NotFound(w, r)
	case r.Method == http.MethodOptions:
		set(w, f.preflight)
		w.WriteHeader(204)
	case r.Header.Get("Authorization") != "":
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token", scope="items:write"`)
		w.WriteHeader(f.withToken)
	case f.mcp && r.Method == http.MethodGet && f.getStatus != 401:
		w.Header().Set("Content-Type", f.getType)
		w.WriteHeader(f.getStatus)
	case f.mcp && f.open && r.Header.Get("Origin") != "" && !f.anyOrigin:
		w.WriteHeader(403)
	case f.mcp && f.open:
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	default:
		f.refuse(w)
	}
}

func (f *farm) refuse(w http.ResponseWriter) {
	if f.redirect != "" {
		w.Header().Set("Location", f.redirect)
	}
	if f.status == 401 {
		w.Header()["Www-Authenticate"] = f.challenge
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(f.status)
	fmt.Fprint(w, f.body)
}

func (f *farm) serveIssuer(w http.ResponseWriter, r *http.Request) {
	f.note("issuer", r)
	set(w, f.issuerHeader)
	switch r.URL.Path {
	case "/.well-known/oauth-authorization-server":
		f.document(w, f.metaStatus, f.meta, "")
	case "/jwks":
		set(w, f.keysHeader)
		w.WriteHeader(f.keysStatus)
		fmt.Fprint(w, f.keys)
	case "/token":
		w.WriteHeader(f.tokenStatus)
		fmt.Fprint(w, f.tokenAnswer)
	default:
		http.NotFound(w, r)
	}
}

func (f *farm) document(w http.ResponseWriter, status int, document map[string]any, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if text == "" {
		data, err := json.Marshal(document)
		if err != nil {
			f.t.Error(err)
		}
		text = string(data)
	}
	fmt.Fprint(w, text)
}

// sent checks the requests: no method that changes data, no registration, and a
// token only at the API.
func (f *farm) sent(posts ...string) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, line := range f.log {
		fields := strings.SplitN(line, " ", 4)
		allowed := fields[1] == http.MethodGet || fields[1] == http.MethodHead || fields[1] == http.MethodOptions
		for _, post := range posts {
			allowed = allowed || line == post
		}
		if !allowed && !f.mcp || fields[2] == "/register" {
			f.t.Errorf("sent %s", line)
		}
		if len(fields) == 4 && (fields[0] != "api" || fields[2] != f.path) {
			f.t.Errorf("a token went to %s %s", fields[0], fields[2])
		}
	}
}
