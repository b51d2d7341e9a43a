package discovery_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site serves a fixed page for each path. BASE in a page is replaced with the
// site's URL.
type site map[string]page

type page struct {
	status    int
	kind      string
	body      string
	challenge string
	location  string
}

func doc(body string) page { return page{status: 200, kind: "application/json", body: body} }

func (s site) start(t *testing.T) string {
	t.Helper()
	var base string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := s[r.URL.Path]
		if !ok {
			p, ok = s["*"]
		}
		if !ok {
			http.NotFound(w, r)
			return
		}
		fill := func(text string) string { return strings.ReplaceAll(text, "BASE", base) }
		w.Header().Set("Content-Type", p.kind)
		if p.challenge != "" {
			w.Header().Set("WWW-Authenticate", fill(p.challenge))
		}
		if p.location != "" {
			w.Header().Set("Location", fill(p.location))
		}
		w.WriteHeader(p.status)
		fmt.Fprint(w, fill(p.body))
	}))
	t.Cleanup(server.Close)
	base = server.URL
	return base
}

func client(t *testing.T) *safehttp.Client {
	transport := safehttp.NewTransport(nil)
	t.Cleanup(transport.CloseIdleConnections)
	return &safehttp.Client{Transport: transport, Timeout: 500 * time.Millisecond}
}

// id returns the id of the outermost Diagnosis of err.
func id(err error) diagnosis.ID {
	var d *diagnosis.Diagnosis
	if errors.As(err, &d) {
		return d.ID
	}
	return ""
}

func kind(err error) diagnosis.Kind {
	var d *diagnosis.Diagnosis
	if errors.As(err, &d) {
		return d.Kind()
	}
	return ""
}

const (
	server8414 = "/.well-known/oauth-authorization-server"
	serverOIDC = "/.well-known/openid-configuration"
	resourceWK = "/.well-known/oauth-protected-resource"
)

func TestFindServer(t *testing.T) {
	good := doc(`{"issuer":"BASE","token_endpoint":"BASE/token","unknown":[1]}`)
	tenant := doc(`{"issuer":"BASE/t/1","token_endpoint":"BASE/t/1/token"}`)
	html := page{status: 200, kind: "text/html", body: "<!doctype html>"}
	tests := map[string]struct {
		site   site
		path   string
		want   diagnosis.ID // "" for the positive control
		kind   diagnosis.Kind
		places int
	}{
		"RFC 8414 at the root":                {site{server8414: good}, "", "", "", 1},
		"OpenID at the root":                  {site{serverOIDC: good}, "", "", "", 2},
		"RFC 8414 inserted":                   {site{server8414 + "/t/1": tenant}, "/t/1", "", "", 1},
		"OpenID inserted":                     {site{serverOIDC + "/t/1": tenant}, "/t/1", "", "", 2},
		"OpenID appended":                     {site{"/t/1" + serverOIDC: tenant}, "/t/1", "", "", 3},
		"RFC 8414 appended":                   {site{"/t/1" + server8414: tenant}, "/t/1", "", "", 4},
		"redirect within the origin":          {site{server8414: {status: 302, location: "BASE/md"}, "/md": good}, "", "", "", 1},
		"front page for every path, then":     {site{"*": html, serverOIDC: good}, "", "", "", 2},
		"another issuer first, then this one": {site{server8414 + "/t/1": good, "/t/1" + serverOIDC: tenant}, "/t/1", "", "", 3},
		"issuer with its slash":               {site{server8414: doc(`{"issuer":"BASE/"}`)}, "/", "", "", 1},

		"a slash too much":    {site{server8414: doc(`{"issuer":"BASE/"}`)}, "", diagnosis.IssSlash, diagnosis.Unsafe, 2},
		"a slash too little":  {site{serverOIDC: good}, "/", diagnosis.IssSlash, diagnosis.Unsafe, 2},
		"another issuer":      {site{server8414: doc(`{"issuer":"https://evil.example"}`)}, "", diagnosis.IssDiscoveryMismatch, diagnosis.Unsafe, 2},
		"another letter case": {site{server8414 + "/T": tenant}, "/T", diagnosis.IssDiscoveryMismatch, diagnosis.Unsafe, 4},
		"no issuer":           {site{server8414: doc(`{"Issuer":"BASE"}`)}, "", diagnosis.MetadataInvalid, diagnosis.Unsafe, 2},
		"issuer twice":        {site{server8414: doc(`{"issuer":"BASE","issuer":"BASE"}`)}, "", diagnosis.MetadataInvalid, diagnosis.Unsafe, 2},
		"broken JSON":         {site{server8414: doc(`{"issuer":"BASE"`)}, "", diagnosis.MetadataInvalid, diagnosis.Unsafe, 2},
		"redirect elsewhere":  {site{server8414: {status: 302, location: "http://127.0.0.1:1/"}}, "", diagnosis.RedirectRefused, diagnosis.Unsafe, 2},
		"nothing":             {site{}, "", diagnosis.MetadataNotFound, diagnosis.Usage, 2},
		"front page only":     {site{"*": html}, "/t", diagnosis.MetadataNotFound, diagnosis.Usage, 4},
		"server error":        {site{"*": {status: 503}}, "", diagnosis.ServerError, diagnosis.Unavailable, 2},
		"too many requests":   {site{"*": {status: 429}}, "", diagnosis.RateLimited, diagnosis.Unavailable, 2},
		"mismatch beats 503":  {site{"*": {status: 503}, serverOIDC: doc(`{"issuer":"x"}`)}, "", diagnosis.IssDiscoveryMismatch, diagnosis.Unsafe, 2},
		"too large":           {site{server8414: doc(`{"issuer":"` + strings.Repeat("x", 2<<20) + `"}`)}, "", diagnosis.ResponseTooLarge, diagnosis.Unavailable, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			issuer := tt.site.start(t) + tt.path
			server, trail, err := discovery.TraceServer(t.Context(), client(t), issuer)
			if id(err) != tt.want || tt.want != "" && kind(err) != tt.kind {
				t.Fatalf("got %v (%s, kind %s), want %q of kind %s\n%+v", err, id(err), kind(err), tt.want, tt.kind, trail)
			}
			if tt.want == "" && (err != nil || server.Issuer != issuer || len(server.Raw) == 0) {
				t.Errorf("got %+v, %v", server, err)
			}
			if len(trail) != tt.places {
				t.Errorf("requested %d URLs, want %d: %+v", len(trail), tt.places, trail)
			}
		})
	}
}

func TestSlashShowsBothSpellings(t *testing.T) {
	issuer := site{server8414: doc(`{"issuer":"BASE/"}`)}.start(t)
	_, err := discovery.FindServer(t.Context(), client(t), issuer)
	for _, want := range []string{"expected " + issuer + ",", "got " + issuer + "/"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not show %s", err, want)
		}
	}
}

// An unreachable host gets one request, not one for each path.
func TestUnreachable(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	for name, find := range map[string]func() (discovery.Trail, error){
		"server": func() (discovery.Trail, error) {
			_, trail, err := discovery.TraceServer(t.Context(), client(t), closed.URL+"/t")
			return trail, err
		},
		"resource": func() (discovery.Trail, error) {
			_, trail, err := discovery.FindResource(t.Context(), client(t), closed.URL+"/t")
			return trail, err
		},
		"either": func() (discovery.Trail, error) {
			_, trail, err := discovery.Find(t.Context(), client(t), closed.URL+"/t")
			return trail, err
		},
	} {
		trail, err := find()
		if id(err) != diagnosis.Unreachable || len(trail) != 1 || trail[0].Err == nil {
			t.Errorf("%s: got %v after %+v", name, err, trail)
		}
	}
}

func TestIssuerMustBeAnIssuer(t *testing.T) {
	for _, bad := range []string{"", "auth.example.com", "http://auth.example.com", "https://a.example?x=1", "https://a.example#f", "https://a.example#", "https://u:p@a.example"} {
		if _, trail, err := discovery.TraceServer(t.Context(), nil, bad); kind(err) != diagnosis.Usage || len(trail) != 0 {
			t.Errorf("%q: got %v after %v, want a refusal before any request", bad, err, trail)
		}
	}
}

func TestAPIMustBeAURL(t *testing.T) {
	for _, bad := range []string{"", "api.example.com", "http://api.example.com", "https://u:p@a.example"} {
		if _, trail, err := discovery.Find(t.Context(), nil, bad); id(err) != diagnosis.InsecureURL || len(trail) != 0 {
			t.Errorf("%q: got %v after %v, want a refusal before any request", bad, err, trail)
		}
	}
}

// A public server must not direct a client to services of this machine or
// network.
func TestPublicServerNamesLoopback(t *testing.T) {
	tests := map[string]struct {
		body string
		want diagnosis.ID
	}{
		"public endpoint":     {`{"issuer":"https://a.example","token_endpoint":"https://b.example/token"}`, ""},
		"plain loopback":      {`{"issuer":"https://a.example","token_endpoint":"http://127.0.0.1:6379/"}`, diagnosis.InsecureEndpoint},
		"encrypted loopback":  {`{"issuer":"https://a.example","jwks_uri":"https://localhost/keys"}`, diagnosis.MetadataInvalid},
		"loopback with a dot": {`{"issuer":"https://a.example","jwks_uri":"https://localhost./keys"}`, diagnosis.MetadataInvalid},
		"loopback below":      {`{"issuer":"https://a.example","jwks_uri":"https://x.localhost/keys"}`, diagnosis.MetadataInvalid},
		"private address":     {`{"issuer":"https://a.example","jwks_uri":"https://10.0.0.1/keys"}`, diagnosis.MetadataInvalid},
		"link-local address":  {`{"issuer":"https://a.example","jwks_uri":"https://169.254.169.254/keys"}`, diagnosis.MetadataInvalid},
		"mapped address":      {`{"issuer":"https://a.example","jwks_uri":"https://[::ffff:192.168.0.1]/keys"}`, diagnosis.MetadataInvalid},
		"loopback by address": {`{"issuer":"https://a.example","registration_endpoint":"https://[::1]/r"}`, diagnosis.MetadataInvalid},
	}
	for name, tt := range tests {
		server, err := discovery.ParseServer([]byte(tt.body), "https://a.example")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, endpoint := range []string{"token_endpoint", "jwks_uri", "registration_endpoint"} {
			if !strings.Contains(tt.body, endpoint) {
				continue
			}
			if _, err := server.Endpoint(endpoint); id(err) != tt.want || (err == nil) != (tt.want == "") {
				t.Errorf("%s: got %v, want %q", name, err, tt.want)
			}
		}
	}
	if _, err := discovery.ParseServer([]byte(`{"issuer":"https://10.0.0.1","token_endpoint":"https://10.0.0.2/token"}`), "https://10.0.0.1"); err != nil {
		t.Errorf("positive control, a network of its own: %v", err)
	}
	if _, err := discovery.ParseResource([]byte(`{"resource":"https://a.example","authorization_servers":["http://127.0.0.1:9000"]}`), "https://a.example", discovery.AtPath); id(err) != diagnosis.InsecureEndpoint {
		t.Errorf("authorization server on loopback: %v", err)
	}
}

func TestFindResource(t *testing.T) {
	challenge := func(uri string) page {
		return page{status: 401, challenge: `Bearer error="x", resource_metadata="` + uri + `", scope="a b"`}
	}
	of := func(resource string) page {
		return doc(`{"resource":"` + resource + `","authorization_servers":["BASE/as"],"scopes_supported":["a"]}`)
	}
	scope := []string{"a", "b"}
	tests := map[string]struct {
		site  site
		path  string
		want  diagnosis.ID
		scope []string
	}{
		"challenge":                      {site{"/api": challenge("BASE/m"), "/m": of("BASE/api")}, "/api", "", scope},
		"challenge, a path above":        {site{"/v1/items": challenge("BASE/m"), "/m": of("BASE/v1")}, "/v1/items", "", scope},
		"challenge, the whole origin":    {site{"/v1/items": challenge("BASE/m"), "/m": of("BASE")}, "/v1/items", "", scope},
		"challenge leads nowhere":        {site{"/api": challenge("BASE/m"), resourceWK + "/api": of("BASE/api")}, "/api", "", scope},
		"challenge without metadata":     {site{"/api": {status: 401, challenge: "Bearer"}, resourceWK + "/api": of("BASE/api")}, "/api", "", nil},
		"well-known with the path":       {site{resourceWK + "/api": of("BASE/api")}, "/api", "", nil},
		"the origin at the root":         {site{resourceWK: of("BASE")}, "/v2/mcp", "", nil},
		"the origin with a slash":        {site{resourceWK: of("BASE/")}, "/v2/mcp", "", nil},
		"the document's own URL":         {site{resourceWK + "/api": of("BASE/api")}, resourceWK + "/api", "", nil},
		"a byte order mark":              {site{resourceWK: doc("\ufeff" + `{"resource":"BASE/api","authorization_servers":["BASE/as"]}`)}, "/api", "", nil},
		"malformed members":              {site{resourceWK: doc(`{"resource":"BASE/api","authorization_servers":["BASE/as"],"scopes_supported":"a","jwks_uri":"/keys","x":1,"x":2}`)}, "/api", "", nil},
		"well-known at the root":         {site{resourceWK: of("BASE/api")}, "/api", "", nil},
		"root API":                       {site{resourceWK: of("BASE")}, "", "", nil},
		"root API, slash in the answer":  {site{resourceWK: of("BASE/")}, "", "", nil},
		"root API, slash in the request": {site{resourceWK: of("BASE")}, "/", "", nil},

		"another host by challenge":          {site{"/api": challenge("BASE/m"), "/m": of("https://other.example/api")}, "/api", diagnosis.PRMResourceMismatch, nil},
		"a sibling by challenge":             {site{"/v10": challenge("BASE/m"), "/m": of("BASE/v1")}, "/v10", diagnosis.PRMResourceMismatch, nil},
		"a path below by challenge":          {site{"/v1": challenge("BASE/m"), "/m": of("BASE/v1/x")}, "/v1", diagnosis.PRMResourceMismatch, nil},
		"dots in the resource":               {site{"/v1/items": challenge("BASE/m"), "/m": of("BASE/v1/../v1")}, "/v1/items", diagnosis.PRMResourceMismatch, nil},
		"dots in the request":                {site{"/v1/../admin": challenge("BASE/m"), "/m": of("BASE/v1")}, "/v1/../admin", diagnosis.PRMResourceMismatch, nil},
		"encoded dots in the request":        {site{"/v1/../admin": challenge("BASE/m"), "/m": of("BASE/v1")}, "/v1/%2e%2e/admin", diagnosis.PRMResourceMismatch, nil},
		"mismatch is not healed by the rest": {site{"/api": challenge("BASE/m"), "/m": of("https://o.example"), resourceWK + "/api": of("BASE/api")}, "/api", diagnosis.PRMResourceMismatch, nil},
		"a path above without challenge":     {site{resourceWK + "/v1/items": of("BASE/v1")}, "/v1/items", diagnosis.PRMResourceMismatch, nil},
		"another origin at the root":         {site{resourceWK: of("https://o.example")}, "/v2/mcp", diagnosis.PRMResourceMismatch, nil},
		"a sibling at the root":              {site{resourceWK: of("BASE/v1/mcp")}, "/v2/mcp", diagnosis.PRMResourceMismatch, nil},
		"a path above at the root":           {site{resourceWK: of("BASE/v2")}, "/v2/mcp", diagnosis.PRMResourceMismatch, nil},
		"the origin at the path's place":     {site{resourceWK + "/v2": of("BASE")}, "/v2", diagnosis.PRMResourceMismatch, nil},
		"slash on a path":                    {site{resourceWK + "/v1": of("BASE/v1/")}, "/v1", diagnosis.PRMResourceMismatch, nil},
		"a list":                             {site{resourceWK + "/v1": doc(`{"resource":["BASE/v1"]}`)}, "/v1", diagnosis.PRMResourceMismatch, nil},
		"no resource":                        {site{resourceWK + "/v1": doc(`{}`)}, "/v1", diagnosis.PRMResourceMismatch, nil},
		"twice":                              {site{resourceWK + "/v1": doc(`{"resource":"BASE/v1","resource":"BASE/v1"}`)}, "/v1", diagnosis.MetadataInvalid, nil},
		"plain http metadata":                {site{"/api": challenge("http://m.example/x")}, "/api", diagnosis.InsecureEndpoint, nil},
		"file metadata":                      {site{"/api": challenge("file:///etc/passwd")}, "/api", diagnosis.MetadataInvalid, nil},
		"plain http authorization server":    {site{resourceWK + "/v1": doc(`{"resource":"BASE/v1","authorization_servers":["http://a.example"]}`)}, "/v1", diagnosis.InsecureEndpoint, nil},
		"nothing":                            {site{"/api": {status: 200}}, "/api", diagnosis.MetadataNotFound, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			base := tt.site.start(t)
			resource, trail, err := discovery.FindResource(t.Context(), client(t), base+tt.path)
			if id(err) != tt.want {
				t.Fatalf("got %v, want %q\n%+v", err, tt.want, trail)
			}
			if tt.want != "" {
				return
			}
			if diff := cmp.Diff([]string{base + "/as"}, resource.AuthorizationServers); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.scope, resource.ChallengeScope); diff != "" {
				t.Errorf("scope of the challenge (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFind(t *testing.T) {
	as := doc(`{"issuer":"BASE/as","token_endpoint":"BASE/as/token"}`)
	prm := doc(`{"resource":"BASE/api","authorization_servers":["BASE/as","https://second.example"]}`)
	api := site{resourceWK + "/api": prm, server8414 + "/as": as}
	tests := map[string]struct {
		site  site
		path  string
		isAPI bool
		want  diagnosis.ID
	}{
		"an API":                                 {api, "/api", true, ""},
		"an issuer":                              {api, "/as", false, ""},
		"an issuer next to a root document":      {site{resourceWK: prm, server8414 + "/as": as}, "/as", false, ""},
		"an API that is its own issuer":          {site{resourceWK: doc(`{"resource":"BASE"}`), server8414: doc(`{"issuer":"BASE"}`)}, "", true, ""},
		"neither":                                {site{}, "/x", false, diagnosis.MetadataNotFound},
		"an API whose server is another":         {site{resourceWK + "/api": prm, server8414 + "/as": doc(`{"issuer":"https://evil.example"}`)}, "/api", false, diagnosis.IssDiscoveryMismatch},
		"an API that names no server":            {site{resourceWK: doc(`{"resource":"BASE"}`)}, "", false, diagnosis.MetadataInvalid},
		"an issuer that challenges for another":  {site{"/as": {status: 401, challenge: `Bearer resource_metadata="BASE/m"`}, "/m": prm, server8414 + "/as": as}, "/as", false, diagnosis.PRMResourceMismatch},
		"a slash too much":                       {site{server8414: doc(`{"issuer":"BASE/"}`)}, "", false, diagnosis.IssSlash},
		"metadata of another API, and no issuer": {site{resourceWK: prm}, "/other", false, diagnosis.PRMResourceMismatch},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			found, trail, err := discovery.Find(t.Context(), client(t), tt.site.start(t)+tt.path)
			if id(err) != tt.want {
				t.Fatalf("got %v, want %q\n%+v", err, tt.want, trail)
			}
			if tt.want == "" && (found.Server == nil || (found.Resource != nil) != tt.isAPI) {
				t.Errorf("got %+v", found)
			}
		})
	}
}

// A server that sends a byte from time to time must not block a search forever.
func TestCancel(t *testing.T) {
	stop := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { <-stop }))
	t.Cleanup(func() { close(stop); server.Close() })
	_, trail, err := discovery.Find(t.Context(), client(t), server.URL)
	if id(err) != diagnosis.Timeout || len(trail) != 4 {
		t.Errorf("got %v after %+v, want TIMEOUT after each place", err, trail)
	}
}

func ExampleFind() {
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	defer server.Close()
	mux.HandleFunc("/api", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer resource_metadata="`+server.URL+`/metadata"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	mux.HandleFunc("/metadata", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"resource":%q,"authorization_servers":[%q]}`, server.URL+"/api", server.URL)
	})
	mux.HandleFunc("/.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q}`, server.URL)
	})

	_, trail, err := discovery.Find(context.Background(), nil, server.URL+"/api")
	for _, step := range trail {
		fmt.Println(strings.ReplaceAll(step.Found+": "+step.Result, server.URL, "…"))
	}
	fmt.Println(err)
	// Output:
	// 401 with resource_metadata "…/metadata": continuing there
	// protected resource metadata: resource "…/api" fits
	// authorization server metadata: issuer is identical
	// <nil>
}

func FuzzParseServer(f *testing.F) {
	f.Add([]byte(`{"issuer":"https://a.example","token_endpoint":"https://a.example/token"}`))
	f.Add([]byte(`{"issuer":"https://a.example/","jwks_uri":null}`))
	f.Add([]byte(`{"issuer":"https://a.example","mtls_endpoint_aliases":{"token_endpoint":"http://x"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := discovery.ParseServer(data, "https://a.example")
		if err != nil {
			return
		}
		if s.Issuer != "https://a.example" {
			t.Errorf("accepted issuer %q", s.Issuer)
		}
		for _, u := range []string{s.AuthorizationEndpoint, s.TokenEndpoint, s.JWKSURI, s.RegistrationEndpoint, s.MTLSEndpointAliases["token_endpoint"]} {
			if u != "" && !strings.HasPrefix(strings.ToLower(u), "https://") {
				t.Errorf("accepted endpoint %q", u)
			}
		}
	})
}

func FuzzParseResource(f *testing.F) {
	f.Add([]byte(`{"resource":"https://a.example/v1","authorization_servers":["https://b.example"]}`))
	f.Add([]byte(`{"resource":["https://a.example/v1"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := discovery.ParseResource(data, "https://a.example/v1", discovery.AtPath)
		if err == nil && r.Resource != "https://a.example/v1" {
			t.Errorf("accepted resource %q", r.Resource)
		}
	})
}
