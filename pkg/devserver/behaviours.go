package devserver

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// behaviour describes how one provider's authorization server differs from this
// one, as seen by a client. The form of its tokens is in [shape]. The facts are
// those of package provider.
type behaviour struct {
	name string
	// paths maps the provider's own paths to those of this server.
	paths map[string]string
	// absent lists documents and endpoints that the provider does not have.
	absent []string
	// unannounced lists members that are missing in its metadata.
	unannounced []string
	exact       bool     // redirect URIs are compared including the port
	refused     []string // parameters that are refused
	needsSecret bool     // the code is exchanged only with a secret
	secretPost  bool     // the secret may be in the body
	formEncoded bool     // the token endpoint returns a form unless JSON is accepted
	offline     bool     // a refresh token is issued only with access_type=offline
	withoutIss  bool     // the authorization response has no iss (RFC 9207)
}

const (
	serverDocument   = "/.well-known/oauth-authorization-server"
	openIDDocument   = "/.well-known/openid-configuration"
	announcedIss     = "authorization_response_iss_parameter_supported"
	announcedClients = "client_id_metadata_document_supported"
	announcedPAR     = "pushed_authorization_request_endpoint"
)

// behaviours is the table. A new provider is one row.
func behaviours() []behaviour {
	ownClients := []string{"registration_endpoint", announcedClients, announcedPAR}
	return []behaviour{
		{name: "keycloak", unannounced: []string{announcedClients}},
		{name: "auth0", exact: true, absent: []string{"/register"}, unannounced: append(ownClients, announcedIss), withoutIss: true},
		{name: "okta", exact: true, absent: []string{"/register"}, unannounced: append(ownClients, announcedIss), withoutIss: true},
		{
			name: "entra", absent: []string{serverDocument, "/register"}, unannounced: append(ownClients, announcedIss, "code_challenge_methods_supported"),
			refused: []string{"resource"}, withoutIss: true,
		},
		{
			name: "google", absent: []string{serverDocument, "/register"}, unannounced: append(ownClients, announcedIss), refused: []string{"resource"},
			needsSecret: true, secretPost: true, offline: true, withoutIss: true,
		},
		{
			name: "github", absent: []string{serverDocument, openIDDocument, "/register", "/authorize", "/token", "/device_authorization"},
			paths: map[string]string{
				"/login/oauth/authorize": "/authorize", "/login/oauth/access_token": "/token", "/login/device/code": "/device_authorization",
			},
			needsSecret: true, secretPost: true, formEncoded: true, withoutIss: true,
		},
		{name: "gitlab", exact: true, absent: []string{"/register"}, unannounced: append(ownClients, announcedIss), withoutIss: true},
		{
			name: "cognito", exact: true, absent: []string{serverDocument, "/register"},
			unannounced: append(ownClients, announcedIss, "code_challenge_methods_supported", "introspection_endpoint"), withoutIss: true,
		},
	}
}

// As returns the handler of the authorization server with the behaviour of one
// of [Providers]: how redirect URIs are compared, which parameters and
// documents exist, and the form of responses. Serve it instead of
// [Server.AuthorizationServer]. [Config.Provider] sets the form of the tokens.
// As returns an error for an unknown name.
func (s *Server) As(provider string) (http.Handler, error) {
	for _, b := range behaviours() {
		if b.name == provider {
			return s.withBodyLimit(&disguise{behaviour: b, server: s}), nil
		}
	}
	return nil, fmt.Errorf("devserver: provider: expected one of %s, got %s", strings.Join(Providers(), ", "), diagnosis.Quote(provider))
}

// disguise changes the server's behaviour to that of a provider.
type disguise struct {
	behaviour
	server *Server
}

// ServeHTTP implements [http.Handler].
func (d *disguise) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, d.server.path)
	if path == "/" || strings.HasPrefix(path, "/_console/") {
		// The events of the console must not be buffered.
		d.server.AuthorizationServer().ServeHTTP(w, r)
		return
	}
	inner, own := d.paths[path]
	if !own && (slices.Contains(d.absent, path) || slices.ContainsFunc(d.absent, func(place string) bool {
		// The issuer's path may be before or after the well-known path.
		return strings.HasPrefix(place, "/.well-known/") && strings.HasPrefix(r.URL.Path, place)
	})) {
		http.NotFound(w, r)
		return
	}
	if own {
		path = inner
		moved := *r.URL
		moved.Path = d.server.path + path
		r = r.Clone(r.Context())
		r.URL = &moved
	}
	switch {
	case path == "/authorize" && r.Method == http.MethodGet:
		d.authorize(w, r)
	case path == "/token" || path == "/device_authorization":
		d.token(w, r)
	case strings.Contains(r.URL.Path, "/.well-known/"):
		d.metadata(w, r)
	default:
		d.pass(w, r)
	}
}

// pass forwards to the server, and removes iss if the provider does not send
// it.
func (d *disguise) pass(w http.ResponseWriter, r *http.Request) {
	answer := d.record(r)
	if to, err := url.Parse(answer.header.Get("Location")); err == nil && d.withoutIss && to.Query().Has("state") {
		query := to.Query()
		query.Del("iss")
		to.RawQuery = query.Encode()
		answer.header.Set("Location", to.String())
	}
	answer.send(w)
}

func (d *disguise) authorize(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	for _, name := range d.refused {
		if query.Has(name) {
			http.Error(w, "the parameter "+name+" is not supported", http.StatusBadRequest)
			return
		}
	}
	if client := d.server.clientOf(r.Context(), query.Get("client_id")); d.exact && client != nil && !slices.Contains(client.redirectURIs, query.Get("redirect_uri")) {
		http.Error(w, "redirect_uri mismatch", http.StatusBadRequest)
		return
	}
	if d.offline {
		scopes := slices.DeleteFunc(strings.Fields(query.Get("scope")), func(scope string) bool { return scope == "offline_access" })
		if query.Get("access_type") == "offline" {
			scopes = append(scopes, "offline_access")
		}
		query.Set("scope", strings.Join(scopes, " "))
		asked := *r.URL
		asked.RawQuery = query.Encode()
		r = r.Clone(r.Context())
		r.URL = &asked
	}
	d.pass(w, r)
}

func (d *disguise) token(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	form, formErr := url.ParseQuery(string(body))
	if err != nil || formErr != nil {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	refusal := ""
	for _, name := range d.refused {
		if form.Has(name) {
			refusal = "invalid_target"
		}
	}
	_, basic, _ := r.BasicAuth()
	if grant := form.Get("grant_type"); d.needsSecret && grant == "authorization_code" && form.Get("client_secret") == "" && basic == "" {
		refusal = "incorrect_client_credentials"
	}
	r = r.Clone(r.Context())
	if d.secretPost && form.Get("client_secret") != "" {
		pair := url.QueryEscape(form.Get("client_id")) + ":" + url.QueryEscape(form.Get("client_secret"))
		r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
		form.Del("client_secret")
	}
	answer := &held{header: http.Header{"Content-Type": {"application/json"}}, status: http.StatusBadRequest}
	if refusal != "" {
		fmt.Fprintf(&answer.body, `{"error":%q,"error_description":"as this provider answers"}`, refusal)
	} else {
		encoded := form.Encode()
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(encoded)), int64(len(encoded))
		r.Header.Set("Content-Length", strconv.Itoa(len(encoded)))
		answer = d.record(r)
	}
	d.disguiseTokens(answer, strings.Contains(r.Header.Get("Accept"), "json"))
	answer.send(w)
}

// disguiseTokens changes a token response to the provider's form.
func (d *disguise) disguiseTokens(answer *held, asksJSON bool) {
	var members map[string]any
	if json.Unmarshal(answer.body.Bytes(), &members) != nil {
		return
	}
	if d.formEncoded && !asksJSON {
		values := url.Values{}
		for name, value := range members {
			values.Set(name, fmt.Sprint(value))
		}
		answer.replace("application/x-www-form-urlencoded; charset=utf-8", []byte(values.Encode()))
		return
	}
	if data, err := json.Marshal(members); err == nil {
		answer.replace("application/json; charset=utf-8", data)
	}
}

func (d *disguise) metadata(w http.ResponseWriter, r *http.Request) {
	answer := d.record(r)
	var members map[string]any
	if json.Unmarshal(answer.body.Bytes(), &members) == nil {
		for _, name := range d.unannounced {
			delete(members, name)
		}
		if data, err := json.Marshal(members, json.Deterministic(true)); err == nil {
			answer.replace(answer.header.Get("Content-Type"), data)
		}
	}
	answer.send(w)
}

// held is a buffered response.
type held struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (d *disguise) record(r *http.Request) *held {
	answer := &held{header: http.Header{}, status: http.StatusOK}
	d.server.AuthorizationServer().ServeHTTP(answer, r)
	return answer
}

// Header implements [http.ResponseWriter].
func (a *held) Header() http.Header { return a.header }

// WriteHeader implements [http.ResponseWriter].
func (a *held) WriteHeader(status int) { a.status = status }

// Write implements [http.ResponseWriter].
func (a *held) Write(p []byte) (int, error) { return a.body.Write(p) }

func (a *held) replace(contentType string, body []byte) {
	a.header.Set("Content-Type", contentType)
	a.header.Del("Content-Length")
	a.body.Reset()
	a.body.Write(body)
}

func (a *held) send(w http.ResponseWriter) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes())
}
