package bearer_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

func TestMetadata(t *testing.T) {
	const root = "/.well-known/oauth-protected-resource"
	for resource, want := range map[string]struct {
		url   string
		paths []string
	}{
		"https://api.example.com":         {"https://api.example.com" + root, []string{root}},
		"https://api.example.com/":        {"https://api.example.com" + root, []string{root}},
		"https://api.example.com/tenant":  {"https://api.example.com" + root + "/tenant", []string{root + "/tenant", root}},
		"https://api.example.com/a/b/":    {"https://api.example.com" + root + "/a/b/", []string{root + "/a/b/", root + "/a/b", root}},
		"https://api.example.com/%7Bx%7D": {"https://api.example.com" + root + "/%7Bx%7D", []string{root + "/%7Bx%7D", root}},
		"https://api.example.com/x?v=1":   {"https://api.example.com" + root + "/x?v=1", []string{root + "/x?v=1", root}},
	} {
		mux := http.NewServeMux()
		m := bearer.Metadata{Resource: resource, AuthorizationServers: []string{issuer}, ScopesSupported: []string{"items:read"}}
		if err := m.Handle(mux); err != nil {
			t.Fatal(err)
		}
		if got, err := m.URL(); err != nil || got != want.url {
			t.Errorf("URL of %s = %q, %v, want %q", resource, got, err, want.url)
		}
		for _, path := range want.paths {
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
			wantBody := fmt.Sprintf(`{"resource":%q,"authorization_servers":[%q],"scopes_supported":["items:read"],"bearer_methods_supported":["header"]}`, resource, issuer)
			if diff := cmp.Diff(wantBody, w.Body.String()); diff != "" || w.Code != 200 || w.Header().Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s: %d %v (-want +got):\n%s", path, w.Code, w.Header(), diff)
			}
			w = httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequest("OPTIONS", path, nil))
			if w.Code != 204 || w.Header().Get("Access-Control-Allow-Headers") != "*" {
				t.Errorf("preflight %s: %d %v", path, w.Code, w.Header())
			}
		}
	}
	for _, wrong := range []string{"api", "http://api.example.com", "https://api.example.com#x"} {
		if err := (bearer.Metadata{Resource: wrong}).Handle(http.NewServeMux()); err == nil {
			t.Errorf("the resource %q is accepted", wrong)
		}
	}
}

// Our own client must find the metadata from what an API serves and writes in
// its challenge.
func TestMetadataIsFound(t *testing.T) {
	f := newFixture(t, "ES256")
	for _, path := range []string{"", "/v1"} {
		mux := http.NewServeMux()
		server := httptest.NewServer(mux)
		m := bearer.Metadata{Resource: server.URL + path, AuthorizationServers: []string{server.URL + "/as"}, ScopesSupported: []string{"items:read"}}
		place, err := m.URL()
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Handle(mux); err != nil {
			t.Fatal(err)
		}
		mux.Handle("/", bearer.Require(f.verifier, bearer.Scopes("items:read"), bearer.ResourceMetadata(place))(http.HandlerFunc(items)))
		got, trail, err := discovery.FindResource(t.Context(), &safehttp.Client{}, server.URL+path)
		if err != nil || got.Resource != m.Resource || !cmp.Equal(got.ChallengeScope, []string{"items:read"}) {
			t.Errorf("FindResource(%q) = %+v, %v, %v", path, got, trail, err)
		}
		server.Close()
	}
}
