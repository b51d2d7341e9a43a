package bearer_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/problem"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// An API can choose the body of a refusal, but not its status and header.
func TestRefusalBody(t *testing.T) {
	key, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	v, err := token.NewVerifier("https://login.example", []string{"api"}, jwks.NewSet(key.Public()), token.Options{})
	if err != nil {
		t.Fatal(err)
	}
	api := bearer.Require(v, bearer.RefusalBody(func(r *http.Request, p problem.Problem) (string, []byte) {
		return "application/vnd.acme+json", []byte(`{"errors":["` + string(p.ID) + " at " + r.URL.Path + `"]}`)
	}))(http.NotFoundHandler())
	for name, tt := range map[string]struct {
		method, credentials string
		status              int
		body                string
	}{
		"no credentials": {"GET", "", 401, `{"errors":["CREDENTIALS_MISSING at /a"]}`},
		"malformed":      {"GET", "Bearer", 400, `{"errors":["CREDENTIALS_INVALID at /a"]}`},
		"HEAD":           {"HEAD", "", 401, ""},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(tt.method, "/a", http.NoBody)
		if tt.credentials != "" {
			r.Header.Set("Authorization", tt.credentials)
		}
		api.ServeHTTP(w, r)
		h := w.Header()
		if w.Code != tt.status || w.Body.String() != tt.body || h.Get("Content-Type") != "application/vnd.acme+json" || h.Get("Cache-Control") != "no-store" || !strings.HasPrefix(h.Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("%s: %d %v %s", name, w.Code, h, w.Body)
		}
	}
}
