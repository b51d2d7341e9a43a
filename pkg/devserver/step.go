package devserver

import (
	"bytes"
	"context"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// lane is the sender or receiver of a request.
type lane int

const (
	laneBrowser lane = iota
	laneClient
	laneServer
	laneAPI
)

func (l lane) String() string {
	return [...]string{"Browser", "Client", "Authorization server", "API"}[l]
}

// step is one request and its response, as the console shows it.
type step struct {
	id           int64
	at           time.Time
	took         time.Duration
	from, to     lane
	method, path string
	title        string
	status       int
	request      []field
	response     []field
	tokens       []shownToken
	refusal      *refusal
	faults       []string
	// returned means that the response redirects the browser to the client.
	returned bool
}

// field is a parameter, a header field or a member.
type field struct {
	name, value string
}

// secret reports whether the value must not be shown.
func (f field) secret() bool {
	switch f.name {
	case "Authorization", "DPoP", "code", "code_verifier", "access_token", "refresh_token", "id_token", "id_token_hint", "token", "client_secret",
		"client_assertion", "assertion", "subject_token", "actor_token", "device_code", "user_code", "request_uri", "registration_access_token", "value":
		return true
	}
	return false
}

// shownToken is a decoded JWT with the results of its checks.
type shownToken struct {
	name           string
	header, claims string // indented JSON
	kind           string
	checks         []check
}

// check is the result of one check of a token.
type check struct {
	ok   bool
	text string
	id   diagnosis.ID
}

// refusal is why a server refused a request.
type refusal struct {
	id     diagnosis.ID
	detail string // the server's message
}

const maxShown = 8 << 10 // bytes of a body or a value

// copied records the beginning of a body that a handler reads.
type copied struct {
	io.ReadCloser
	data bytes.Buffer
}

// Read reads from the body.
func (c *copied) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if room := maxShown - c.data.Len(); room > 0 {
		c.data.Write(p[:min(n, room)])
	}
	return n, err
}

// tap records the beginning of a response.
type tap struct {
	http.ResponseWriter
	status  int
	body    bytes.Buffer
	refusal *refusal // of an error page
}

// Unwrap returns the wrapped writer, for http.ResponseController.
func (t *tap) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// WriteHeader records the status.
func (t *tap) WriteHeader(status int) {
	if t.status == 0 {
		t.status = status
	}
	t.ResponseWriter.WriteHeader(status)
}

// Write records the body.
func (t *tap) Write(p []byte) (int, error) {
	if t.status == 0 {
		t.status = http.StatusOK
	}
	if room := maxShown - t.body.Len(); room > 0 {
		t.body.Write(p[:min(len(p), room)])
	}
	return t.ResponseWriter.Write(p)
}

// refusedPage records why a page refuses, for the console.
func refusedPage(w http.ResponseWriter, id diagnosis.ID, detail string) {
	if t, ok := w.(*tap); ok {
		t.refusal = &refusal{id, detail}
	}
}

// complete adds what is known after the response.
func (n *step) complete(s *Server, r *http.Request, sent []byte, t *tap) {
	n.status = t.status
	if n.status == 0 {
		n.status = http.StatusOK
	}
	n.from = sender(r, n)
	n.faults = n.activeFaults(s, r)
	n.request = requestFields(r, sent)
	if !n.returned {
		n.response = slices.Concat(responseHeader(t.Header()), jsonFields(t.Header().Get("Content-Type"), t.body.Bytes()))
	}
	n.title = n.name()
	if n.refusal == nil {
		n.refusal = t.refusal
	}
	if n.refusal == nil {
		n.refusal = n.refused()
	}
	for _, f := range slices.Concat(n.request, n.response) {
		n.addToken(s, r, f)
	}
}

func (n *step) activeFaults(s *Server, r *http.Request) []string {
	set := maps.Clone(s.activeFaults())
	if own, err := parseFaults(splitFaults(r)); err == nil {
		maps.Copy(set, own)
	}
	return set.names()
}

type laneKey struct{}

// sender returns the sender of a request: the browser for a page, the API for
// its own key requests, otherwise the client.
func sender(r *http.Request, n *step) lane {
	if from, ok := r.Context().Value(laneKey{}).(lane); ok {
		return from
	}
	if n.to == laneServer && isPage(n.path) {
		return laneBrowser
	}
	return laneClient
}

func isPage(path string) bool {
	return path == "/authorize" || strings.HasPrefix(path, "/authorize/") || path == "/device" || path == "/end-session"
}

// withLane sets the sender of the requests of a context.
func withLane(ctx context.Context, from lane) context.Context {
	return context.WithValue(ctx, laneKey{}, from)
}

// name returns the name of a request in the specifications.
func (n *step) name() string {
	if n.to == laneAPI {
		if strings.HasPrefix(n.path, resourceMetadata) {
			return "Protected resource metadata"
		}
		return "API request"
	}
	switch n.path {
	case "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration":
		return "Server metadata"
	case "/jwks":
		return "Key set"
	case "/authorize":
		if n.returned {
			return "Authorization response"
		}
		return "Authorization request"
	case "/authorize/login":
		return "Login"
	case "/authorize/consent":
		if n.returned {
			return "Authorization response"
		}
		return "Consent"
	case "/token":
		return "Token request: " + shortGrant(n.parameter("grant_type"))
	case "/device_authorization":
		return "Device authorization"
	case "/device":
		return "Device page"
	case "/par":
		return "Pushed authorization request"
	case "/end-session":
		return "Logout"
	case "/_control/fault":
		return "Faults switched"
	case "/_control/clock":
		return "Clock moved"
	case "/_control/token":
		return "Token signed without a login"
	case "/register":
		return "Registration"
	case "/revoke":
		return "Revocation"
	case "/introspect":
		return "Introspection"
	case "/userinfo":
		return "Userinfo"
	}
	return n.method + " " + n.path
}

func shortGrant(name string) string {
	return name[strings.LastIndexByte(name, ':')+1:]
}

func (n *step) parameter(name string) string {
	for _, f := range n.request {
		if f.name == name {
			return f.value
		}
	}
	return ""
}

// refused returns the refusal in a response.
func (n *step) refused() *refusal {
	var code, description string
	for _, f := range n.response {
		switch f.name {
		case "error":
			code = f.value
		case "error_description":
			description = f.value
		}
	}
	switch {
	case code == "authorization_pending" || code == "slow_down":
		return nil
	case code != "":
		return &refusal{refusalOf(code), strings.TrimSuffix(code+": "+description, ": ")}
	case n.status == http.StatusTooManyRequests:
		return &refusal{diagnosis.RateLimited, http.StatusText(n.status)}
	case n.status >= 500:
		return &refusal{diagnosis.ServerError, http.StatusText(n.status)}
	case n.status >= 400:
		return &refusal{diagnosis.RequestRefused, http.StatusText(n.status)}
	}
	return nil
}

// requestFields returns the parameters of a request and its relevant headers.
func requestFields(r *http.Request, sent []byte) []field {
	var fields []field
	for _, name := range []string{"Authorization", "Dpop", "Origin", "X-Dev-Fault"} {
		for _, value := range r.Header.Values(name) {
			if name == "Dpop" {
				name = "DPoP"
			}
			fields = append(fields, field{name, limited(value)})
		}
	}
	fields = append(fields, formFields(r.URL.RawQuery)...)
	kind := r.Header.Get("Content-Type")
	if media, _, _ := mime.ParseMediaType(kind); media == "application/x-www-form-urlencoded" {
		return append(fields, formFields(string(sent))...)
	}
	return append(fields, jsonFields(kind, sent)...)
}

// formFields parses a query or a form. It omits fields of this server's own pages
// and never contains a password.
func formFields(encoded string) []field {
	var fields []field
	for pair := range strings.SplitSeq(encoded, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, nameErr := url.QueryUnescape(name)
		value, valueErr := url.QueryUnescape(value)
		switch {
		case pair == "" || nameErr != nil || valueErr != nil || name == "csrf" || name == "request":
		case name == "password":
			fields = append(fields, field{name, "(not shown)"})
		default:
			fields = append(fields, field{name, limited(value)})
		}
	}
	return fields
}

func limited(value string) string {
	if len(value) > maxShown {
		return value[:maxShown]
	}
	return value
}

// responseHeader lists the relevant headers of a response.
func responseHeader(h http.Header) []field {
	var fields []field
	for _, name := range []string{"Www-Authenticate", "Dpop-Nonce", "Retry-After"} {
		for _, value := range h.Values(name) {
			switch name {
			case "Www-Authenticate":
				name = "WWW-Authenticate"
			case "Dpop-Nonce":
				name = "DPoP-Nonce"
			}
			fields = append(fields, field{name, limited(value)})
		}
	}
	return fields
}

// jsonFields returns the members of a JSON object.
func jsonFields(kind string, data []byte) []field {
	media, _, _ := mime.ParseMediaType(kind)
	if media != "application/json" && !strings.HasSuffix(media, "+json") {
		return nil
	}
	var members map[string]jsontext.Value
	if json.Unmarshal(data, &members) != nil {
		if text := strings.TrimSpace(string(data)); text != "" {
			return []field{{"body", limited(text)}}
		}
		return nil
	}
	var fields []field
	for _, name := range slices.Sorted(maps.Keys(members)) {
		var text string
		if json.Unmarshal(members[name], &text) != nil {
			text = string(members[name])
		}
		fields = append(fields, field{name, limited(text)})
	}
	return fields
}

// addToken decodes the JWT in a field, and checks it.
func (n *step) addToken(s *Server, r *http.Request, f field) {
	raw := f.value
	if f.name == "Authorization" {
		_, raw, _ = strings.Cut(raw, " ")
	}
	if strings.Count(raw, ".") != 2 || !strings.HasPrefix(raw, "eyJ") {
		return
	}
	decoded, err := token.Decode(raw)
	if err != nil {
		n.tokens = append(n.tokens, shownToken{name: f.name, kind: "not readable", checks: []check{{text: reason(err), id: idOf(err)}}})
		return
	}
	shown := shownToken{name: f.name, header: indented(decoded.HeaderJSON()), claims: indented(decoded.ClaimsJSON())}
	shown.kind, shown.checks = s.inspect(r.Context(), decoded, raw)
	n.tokens = append(n.tokens, shown)
}

func indented(data []byte) string {
	value := jsontext.Value(bytes.Clone(data))
	if value.Indent(jsontext.WithIndent("  ")) != nil {
		return string(data)
	}
	return string(value)
}

// inspect checks a token as its receiver should.
func (s *Server) inspect(ctx context.Context, t *token.Token, raw string) (kind string, checks []check) {
	switch {
	case t.Type() == "dpop+jwt":
		return "proof of possession", nil
	case t.Kind() == token.KindIDToken && t.Issuer() == s.config.Issuer:
		if s.ownIDToken(ctx, raw, false) != nil {
			return "ID token", []check{{ok: true, text: "signature, issuer, times and audience are valid"}}
		}
		return "ID token", []check{{text: "a check failed", id: diagnosis.IDTokenInvalid}}
	case t.Issuer() != s.config.Issuer && (s.clients.find(t.Issuer()) != nil || s.issuerOf(t.Issuer()) != nil), t.Type() == typOfIDJAG:
		return "assertion", nil
	}
	inspector, err := token.NewInspector(s.config.Issuer, s.resources(), s.keys.set(), token.Options{Now: s.now})
	if err != nil {
		return "access token", nil
	}
	report := inspector.Report(ctx, raw)
	for _, one := range report.Checks {
		switch one.Status {
		case token.Passed:
			checks = append(checks, check{ok: true, text: string(one.Check)})
		case token.Failed:
			checks = append(checks, check{text: string(one.Check), id: one.ID})
		}
	}
	return "access token", checks
}
