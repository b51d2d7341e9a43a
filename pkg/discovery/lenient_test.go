package discovery_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// A member that is not needed can have any value: it counts as absent and is
// reported. A needed member with an invalid value is an error when it is used.
func TestUnusableMembers(t *testing.T) {
	tests := map[string]struct {
		member, value string
		problem       string // "" if the member is valid
	}{
		"a text for a list":      {"response_types_supported", `"code"`, "response_types_supported"},
		"nested lists":           {"scopes_supported", `["a",["b"]]`, "scopes_supported"},
		"numbers in a list":      {"code_challenge_methods_supported", `[256]`, "code_challenge_methods_supported"},
		"a relative endpoint":    {"registration_endpoint", `"/connect/register"`, "registration_endpoint"},
		"a plain http endpoint":  {"end_session_endpoint", `"http://a.example/out"`, "end_session_endpoint"},
		"an endpoint in a list":  {"userinfo_endpoint", `["https://a.example/u"]`, "userinfo_endpoint"},
		"a script":               {"authorization_endpoint", `"javascript:alert(1)"`, "authorization_endpoint"},
		"a file":                 {"authorization_endpoint", `"file:///etc/passwd"`, "authorization_endpoint"},
		"an endpoint twice":      {"revocation_endpoint", `"https://a.example/r","revocation_endpoint":"https://b.example/r"`, "revocation_endpoint"},
		"a text for a boolean":   {"require_pushed_authorization_requests", `"yes"`, "require_pushed_authorization_requests"},
		"a number for a boolean": {"require_pushed_authorization_requests", `1`, "require_pushed_authorization_requests"},
		"an object for a list":   {"grant_types_supported", `{}`, "grant_types_supported"},
		"a bad alias":            {"mtls_endpoint_aliases", `{"token_endpoint":"http://a.example/t"}`, "mtls_endpoint_aliases.token_endpoint"},
		"aliases in a text":      {"mtls_endpoint_aliases", `"x"`, "mtls_endpoint_aliases"},
		"not UTF-8":              {"introspection_endpoint", "\"https://a.example/\xe9\"", "introspection_endpoint"},

		"an empty list of PHP":        {"mtls_endpoint_aliases", `[]`, ""},
		"null":                        {"registration_endpoint", `null`, ""},
		"an empty endpoint":           {"registration_endpoint", `""`, ""},
		"an unknown member twice":     {"x", `1,"x":2`, ""},
		"an unknown nested duplicate": {"x", `{"y":1,"y":2}`, ""},
		"an unknown member in Latin1": {"x", "\"caf\xe9\"", ""},
		"an encoded path":             {"registration_endpoint", `"https://a.example/%c3%a9"`, ""},
	}
	for name, tt := range tests {
		body := fmt.Sprintf(`{"issuer":"https://a.example","token_endpoint":"https://a.example/t",%q:%s}`, tt.member, tt.value)
		server, err := discovery.ParseServer([]byte(body), "https://a.example")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, p := range server.Problems {
			got = append(got, p.Member)
		}
		if want := slices.DeleteFunc([]string{tt.problem}, func(s string) bool { return s == "" }); !slices.Equal(got, want) {
			t.Errorf("%s: problems %q, want %q", name, got, want)
		}
		if _, err := server.Endpoint(tt.member); strings.Contains(tt.problem, "endpoint") && !strings.Contains(tt.problem, ".") && kind(err) != diagnosis.Unsafe {
			t.Errorf("%s: using it gives %v, want a refusal", name, err)
		}
		if _, err := server.Alias("token_endpoint"); strings.Contains(tt.problem, ".") && id(err) != diagnosis.InsecureEndpoint {
			t.Errorf("%s: using it gives %v, want a refusal", name, err)
		}
	}
}

// Leniency does not weaken the protection of a login.
func TestTextsOfBooleans(t *testing.T) {
	for text, want := range map[string]bool{`"true"`: true, `true`: true, `"false"`: false, `false`: false, `null`: false} {
		server, err := discovery.ParseServer([]byte(`{"issuer":"https://a.example","authorization_response_iss_parameter_supported":`+text+`}`), "https://a.example")
		if err != nil || server.AuthorizationResponseIssParameterSupported != want || server.Problems != nil {
			t.Errorf("%s: %+v, %v", text, server, err)
		}
	}
}

func TestIssuerIsStrict(t *testing.T) {
	for _, body := range []string{
		`{"issuer":["https://a.example"]}`, `{"issuer":null}`, `{"issuer":{}}`, `{}`, `{"issuer":"https://a.example","issuer":"https://a.example"}`,
		`{"issuer":"https://a.example"}{}`, `{"issuer":"https://a.example",}`, `{"issuer":"https://a.example"`, `["https://a.example"]`, `"x"`, ``,
	} {
		if _, err := discovery.ParseServer([]byte(body), "https://a.example"); id(err) != diagnosis.MetadataInvalid {
			t.Errorf("%s: %v", body, err)
		}
	}
	if _, err := discovery.ParseServer([]byte("\ufeff"+`{"issuer":"https://a.example"}`), "https://a.example"); err != nil {
		t.Errorf("positive control, with a byte order mark: %v", err)
	}
}

// A missing required endpoint is reported by name before any request.
func TestRequiredEndpoints(t *testing.T) {
	for name, tt := range map[string]struct {
		members map[string]any
		find    diagnosis.ID // of Find
		use     diagnosis.ID // of Endpoint("token_endpoint")
	}{
		"code announced":            {map[string]any{"grant_types_supported": []string{"authorization_code"}}, diagnosis.MetadataInvalid, diagnosis.MetadataInvalid},
		"code by the response type": {map[string]any{"response_types_supported": []string{"code id_token"}}, diagnosis.MetadataInvalid, diagnosis.MetadataInvalid},
		"device grant":              {map[string]any{"grant_types_supported": []string{"urn:ietf:params:oauth:grant-type:device_code"}}, diagnosis.MetadataInvalid, diagnosis.MetadataInvalid},
		"default grants":            {map[string]any{"authorization_endpoint": "BASE/a"}, diagnosis.MetadataInvalid, diagnosis.MetadataInvalid},
		"empty":                     {map[string]any{"authorization_endpoint": "BASE/a", "token_endpoint": ""}, diagnosis.MetadataInvalid, diagnosis.MetadataInvalid},
		"null":                      {map[string]any{"authorization_endpoint": "BASE/a", "token_endpoint": nil}, diagnosis.MetadataInvalid, diagnosis.MetadataInvalid},
		"plain http":                {map[string]any{"authorization_endpoint": "BASE/a", "token_endpoint": "http://a.example/t"}, diagnosis.InsecureEndpoint, diagnosis.InsecureEndpoint},
		"a list":                    {map[string]any{"authorization_endpoint": "BASE/a", "token_endpoint": []string{"BASE/t"}}, diagnosis.MetadataInvalid, diagnosis.MetadataInvalid},

		"implicit only":  {map[string]any{"authorization_endpoint": "BASE/a", "grant_types_supported": []string{"implicit"}}, "", diagnosis.EndpointMissing},
		"id_token only":  {map[string]any{"authorization_endpoint": "BASE/a", "response_types_supported": []string{"id_token"}}, "", diagnosis.EndpointMissing},
		"only keys":      {map[string]any{"jwks_uri": "BASE/keys"}, "", diagnosis.EndpointMissing},
		"all that it is": {map[string]any{"authorization_endpoint": "BASE/a", "token_endpoint": "BASE/t"}, "", ""},
	} {
		tt.members["issuer"] = "BASE"
		body, err := json.Marshal(tt.members)
		if err != nil {
			t.Fatal(err)
		}
		base := site{server8414: doc(string(body))}.start(t)
		if _, trail, err := discovery.Find(t.Context(), client(t), base); id(err) != tt.find {
			t.Errorf("%s: Find: %v, want %q\n%+v", name, err, tt.find, trail)
		}
		// Its keys can be used anyway.
		server, err := discovery.FindServer(t.Context(), client(t), base)
		if err != nil {
			t.Errorf("%s: FindServer: %v", name, err)
			continue
		}
		if _, err := server.Endpoint("token_endpoint"); id(err) != tt.use {
			t.Errorf("%s: Endpoint: %v, want %q", name, err, tt.use)
		}
		if _, err := server.Endpoint("pushed_authorization_request_endpoint"); id(err) != diagnosis.EndpointMissing {
			t.Errorf("%s: an optional endpoint: %v", name, err)
		}
	}
	configured := &discovery.Server{AuthorizationEndpoint: "https://a.example/a"}
	if _, err := configured.Endpoint("token_endpoint"); id(err) != diagnosis.EndpointMissing {
		t.Errorf("without metadata: %v", err)
	}
}

func TestFindServerAt(t *testing.T) {
	const b2c = "https://tenant.b2clogin.com/tenant.onmicrosoft.com/policy/v2.0/.well-known/openid-configuration"
	for name, tt := range map[string]struct {
		metadata, issuer string
		want             diagnosis.ID
	}{
		"the same":               {"https://i.example/x", "https://i.example/x", ""},
		"a tenant":               {"https://i.example/{tenantid}/v2.0", "https://i.example/3f-7/v2.0", ""},
		"another issuer":         {"https://i.example/y", "https://i.example/x", diagnosis.IssDiscoveryMismatch},
		"a slash":                {"https://i.example/x/", "https://i.example/x", diagnosis.IssSlash},
		"two segments":           {"https://i.example/{tenantid}/v2.0", "https://i.example/a/b/v2.0", diagnosis.IssDiscoveryMismatch},
		"no tenant":              {"https://i.example/{tenantid}/v2.0", "https://i.example//v2.0", diagnosis.IssDiscoveryMismatch},
		"the template itself":    {"https://i.example/{tenantid}/v2.0", "https://i.example/{tenantid}/v2.0", ""},
		"another host's tenant":  {"https://i.example/{tenantid}/v2.0", "https://o.example/a/v2.0", diagnosis.IssDiscoveryMismatch},
		"a template in our name": {"https://i.example/a/v2.0", "https://i.example/{tenantid}/v2.0", diagnosis.IssDiscoveryMismatch},
	} {
		place := site{"/p/.well-known/openid-configuration": doc(`{"issuer":"` + tt.metadata + `"}`)}.start(t) + "/p/.well-known/openid-configuration"
		server, trail, err := discovery.FindServerAt(t.Context(), client(t), place, tt.issuer)
		if id(err) != tt.want || len(trail) != 1 || err == nil && server.Issuer != tt.issuer {
			t.Errorf("%s: %+v, %v, want %q", name, server, err, tt.want)
		}
	}
	if _, _, err := discovery.FindServerAt(t.Context(), nil, "http://a.example/m", "https://a.example"); id(err) != diagnosis.InsecureURL {
		t.Errorf("a plain http place: %v", err)
	}
	if _, _, err := discovery.FindServerAt(t.Context(), nil, b2c, "a.example"); kind(err) != diagnosis.Usage {
		t.Errorf("an issuer that is not a URL: %v", err)
	}
}

// The URL of the metadata document can be used instead of the issuer.
func TestDocumentURL(t *testing.T) {
	of := func(issuer string) page {
		return doc(`{"issuer":"` + issuer + `","authorization_endpoint":"BASE/a","token_endpoint":"BASE/t"}`)
	}
	for name, tt := range map[string]struct {
		path, issuer string
		want         diagnosis.ID
	}{
		"RFC 8414":           {server8414, "BASE", ""},
		"RFC 8414 with path": {server8414 + "/t/1", "BASE/t/1", ""},
		"OpenID":             {"/t/1" + serverOIDC, "BASE/t/1", ""},
		"OpenID inserted":    {serverOIDC + "/t/1", "BASE/t/1", ""},
		"a slash":            {serverOIDC, "BASE/", ""},
		"another issuer":     {serverOIDC, "https://evil.example", diagnosis.IssDiscoveryMismatch},
		"another path":       {"/t/1" + serverOIDC, "BASE/t/2", diagnosis.IssDiscoveryMismatch},
	} {
		base := site{tt.path: of(tt.issuer)}.start(t)
		for from, find := range map[string]func() (*discovery.Server, error){
			"Find": func() (*discovery.Server, error) {
				found, _, err := discovery.Find(t.Context(), client(t), base+tt.path)
				if err != nil {
					return nil, err
				}
				return found.Server, nil
			},
			"FindServer": func() (*discovery.Server, error) {
				server, err := discovery.FindServer(t.Context(), client(t), base+tt.path)
				return server, err
			},
		} {
			server, err := find()
			if id(err) != tt.want || err == nil && server.Issuer != strings.Replace(tt.issuer, "BASE", base, 1) {
				t.Errorf("%s, %s: %+v, %v, want %q", name, from, server, err, tt.want)
			}
		}
	}
}

// If one URL hangs, is cut off or forbidden, the search continues.
func TestUnusableURLs(t *testing.T) {
	prm := `{"resource":"BASE/api","authorization_servers":["BASE"]}`
	as := `{"issuer":"BASE","token_endpoint":"BASE/t"}`
	for name, answer := range map[string]http.HandlerFunc{
		"hang":  func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"reset": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"403":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"503":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
	} {
		for _, dead := range []string{"/api", resourceWK + "/api", server8414} {
			t.Run(name+" "+dead, func(t *testing.T) {
				t.Parallel()
				var base string
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					switch r.URL.Path {
					case dead:
						answer(w, r)
					case resourceWK + "/api", resourceWK:
						fmt.Fprint(w, strings.ReplaceAll(prm, "BASE", base))
					case server8414, serverOIDC:
						fmt.Fprint(w, strings.ReplaceAll(as, "BASE", base))
					default:
						http.NotFound(w, r)
					}
				}))
				t.Cleanup(server.Close)
				base = server.URL
				found, trail, err := discovery.Find(t.Context(), client(t), base+"/api")
				if err != nil || found.Resource == nil || found.Server.Issuer != base {
					t.Errorf("got %+v, %v\n%+v", found, err, trail)
				}
			})
		}
	}
}

// An API may challenge POST only. It receives a POST only for a login, once,
// and only if its response to GET suggests other methods.
func TestPost(t *testing.T) {
	for name, tt := range map[string]struct {
		get  int
		post bool // allowed
		want bool // and expected
	}{
		"404": {404, true, true}, "405": {405, true, true}, "400": {400, true, true}, "406": {406, true, true},
		"200": {200, true, false}, "302": {302, true, false}, "401": {401, true, false}, "403": {403, true, false},
		"429": {429, true, false}, "500": {500, true, false}, "405, only looking": {405, false, false},
	} {
		var base string
		var posts []string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == "/mcp" && r.Method == http.MethodPost:
				posts = append(posts, r.Header.Get("Content-Type")+r.Header.Get("Authorization"))
				w.Header().Set("WWW-Authenticate", `Bearer resource_metadata="`+base+`/m", scope="items:read"`)
				w.WriteHeader(http.StatusUnauthorized)
			case r.URL.Path == "/mcp":
				w.WriteHeader(tt.get)
			case r.URL.Path == "/m":
				fmt.Fprintf(w, `{"resource":%q,"authorization_servers":[%q]}`, base+"/mcp", base)
			case r.URL.Path == server8414:
				fmt.Fprintf(w, `{"issuer":%q,"token_endpoint":%q}`, base, base+"/t")
			default:
				http.NotFound(w, r)
			}
		}))
		base = server.URL
		found, trail, err := discovery.FindWith(t.Context(), client(t), base+"/mcp", discovery.Options{Post: tt.post})
		if sent := slices.Equal(posts, []string{"application/json"}); sent != tt.want || !tt.want && posts != nil {
			t.Errorf("%s: posts %q, want one: %v", name, posts, tt.want)
		}
		if tt.want && (err != nil || found.Resource == nil || !slices.Equal(found.Resource.ChallengeScope, []string{"items:read"}) || trail[1].Method != http.MethodPost) {
			t.Errorf("%s: %+v, %v\n%+v", name, found, err, trail)
		}
		server.Close()
	}
}

// Each fault of a 401 without usable resource_metadata is described.
func TestChallengeLines(t *testing.T) {
	for name, tt := range map[string]struct {
		fields []string
		want   string
		scope  []string
	}{
		"no field":             {nil, "401 without WWW-Authenticate", nil},
		"broken":               {[]string{`Bearer realm="x`}, "401 with a WWW-Authenticate field that cannot be parsed (line 1, byte 13)", nil},
		"broken after a scope": {[]string{`Bearer scope="a b", realm="x`}, "401 with a WWW-Authenticate field that cannot be parsed (line 1, byte 26)", []string{"a", "b"}},
		"broken second line":   {[]string{`Basic realm="x"`, `Bearer =`}, "401 with a WWW-Authenticate field that cannot be parsed (line 2, byte 7)", nil},
		"another scheme":       {[]string{`Negotiate`}, "401 with a challenge without resource_metadata", nil},
		"bearer alone":         {[]string{`Bearer realm="x"`}, "401 with a challenge without resource_metadata", nil},
		"empty":                {[]string{`Bearer resource_metadata=""`}, "401 with an empty resource_metadata", nil},
		"relative":             {[]string{`Bearer resource_metadata="/m"`}, `401 with resource_metadata "/m"`, nil},
		"before an error":      {[]string{`Bearer resource_metadata="BASE/m", realm="x`}, `401 with resource_metadata "BASE/m"`, nil},
	} {
		var base string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/api":
				for _, f := range tt.fields {
					w.Header().Add("WWW-Authenticate", strings.ReplaceAll(f, "BASE", base))
				}
				w.WriteHeader(http.StatusUnauthorized)
			case "/m", resourceWK + "/api":
				fmt.Fprintf(w, `{"resource":%q}`, base+"/api")
			default:
				http.NotFound(w, r)
			}
		}))
		base = server.URL
		// The search continues in each case.
		resource, trail, err := discovery.FindResource(t.Context(), client(t), base+"/api")
		if err != nil || !strings.HasPrefix(strings.ReplaceAll(trail[0].Found, base, "BASE"), tt.want) {
			t.Errorf("%s: %v, %+v, want %q", name, err, trail, tt.want)
		} else if diff := cmp.Diff(tt.scope, resource.ChallengeScope); diff != "" {
			t.Errorf("%s: scope %s", name, diff)
		}
		server.Close()
	}
}

func TestServerAtOrigin(t *testing.T) {
	as := doc(`{"issuer":"BASE","authorization_endpoint":"BASE/a","token_endpoint":"BASE/t"}`)
	base := site{server8414: as}.start(t)
	_, trail, err := discovery.Find(t.Context(), client(t), base+"/mcp")
	var at *discovery.ServerAtOrigin
	if id(err) != diagnosis.MetadataNotFound || !errors.As(err, &at) || at.Issuer != base || at.API != base+"/mcp" {
		t.Errorf("got %v, %+v\n%+v", err, at, trail)
	}
	nothing := site{}.start(t)
	if _, _, err := discovery.Find(t.Context(), client(t), nothing+"/mcp"); id(err) != diagnosis.MetadataNotFound || errors.As(err, &at) {
		t.Errorf("without a server at the origin: %v", err)
	}
}

// Each line of the trail has the reason why the URL cannot be used.
func TestTrailNamesReasons(t *testing.T) {
	base := site{server8414: doc(`{"issuer":"https://other.example"}`), serverOIDC: doc(`{"issuer":"BASE/"}`)}.start(t)
	_, trail, _ := discovery.TraceServer(t.Context(), client(t), base)
	if len(trail) != 2 || !strings.Contains(trail[0].Result, "other.example") || !strings.Contains(trail[1].Result, base+"/") {
		t.Errorf("%+v", trail)
	}
	closed := httptest.NewServer(nil)
	closed.Close()
	untrusted := httptest.NewTLSServer(nil)
	t.Cleanup(untrusted.Close)
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	broken := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(broken.Close)
	for rawURL, want := range map[string]string{
		closed.URL:    "connection refused",
		untrusted.URL: "certificate is not trusted",
		broken.URL:    "connection closed",
		strings.Replace(base, "http://", "https://", 1): "not a TLS server; try http://",
	} {
		_, trail, err := discovery.TraceServer(t.Context(), client(t), rawURL)
		if len(trail) == 0 || len(trail) > 1 && rawURL != broken.URL || !strings.Contains(trail[0].Result, want) || strings.Contains(trail[0].Result, "refused: ") {
			t.Errorf("%s: %+v, %v, want %q", rawURL, trail, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	left := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	t.Cleanup(left.Close)
	if _, trail, err := discovery.TraceServer(ctx, client(t), left.URL); len(trail) != 1 || trail[0].Result != "interrupted" || !errors.Is(err, context.Canceled) {
		t.Errorf("%+v, %v", trail, err)
	}
}

// An unknown host is reported as such for every resolver.
func TestTrailNamesUnknownHosts(t *testing.T) {
	c := &safehttp.Client{Transport: failing{&net.DNSError{Name: "auth.example", IsNotFound: true}}}
	_, trail, err := discovery.TraceServer(t.Context(), c, "https://auth.example")
	if len(trail) != 1 || !strings.Contains(trail[0].Result, "no such host") {
		t.Errorf("%+v, %v", trail, err)
	}
}

type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

func TestCompleteURL(t *testing.T) {
	for text, want := range map[string]string{
		"auth.example.com":       "https://auth.example.com",
		"auth.example.com/t/1":   "https://auth.example.com/t/1",
		"localhost:9000":         "http://localhost:9000",
		"127.0.0.1:9000/api":     "http://127.0.0.1:9000/api",
		"[::1]:9000":             "http://[::1]:9000",
		"api.localhost:8080":     "http://api.localhost:8080",
		"https://a.example":      "https://a.example",
		"http://a.example":       "http://a.example",
		"":                       "",
		"/api":                   "/api",
		"localhost.example.com":  "https://localhost.example.com",
		"ftp://auth.example.com": "ftp://auth.example.com",

		"127.example.com":                     "https://127.example.com",
		"127.8.9.1/x":                         "http://127.8.9.1/x",
		"localhost:9000/x?next=https://a.com": "http://localhost:9000/x?next=https://a.com",
	} {
		if got := discovery.CompleteURL(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
