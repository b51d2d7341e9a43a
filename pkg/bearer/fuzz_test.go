package bearer_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/bearer"
)

// Whatever a header or a query contains, only the one good token in the one
// right place lets a request through, and each refusal is one of the table's.
func FuzzCredentials(f *testing.F) {
	x := newFixture(f, "EdDSA")
	raw := x.token(f, nil)
	for _, value := range []string{"", "Bearer", "Bearer TOKEN", "bearer  TOKEN", "Bearer TOKEN,", "Basic YTpi", "Bearer\tTOKEN", "DPoP TOKEN"} {
		f.Add(value, "a=b")
	}
	f.Add("Bearer TOKEN", "access_token=x")
	h := bearer.Require(x.verifier)(http.HandlerFunc(items))
	f.Fuzz(func(t *testing.T, value, query string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.RawQuery = query
		r.Header["Authorization"] = []string{strings.ReplaceAll(value, "TOKEN", raw)}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		scheme, rest, _ := strings.Cut(value, " ")
		good := strings.EqualFold(scheme, "Bearer") && strings.TrimLeft(rest, " ") == "TOKEN"
		switch {
		case w.Code == 200 && !good:
			t.Errorf("%q was let through", value)
		case w.Code != 200 && w.Code != 400 && w.Code != 401:
			t.Errorf("%q: status %d", value, w.Code)
		case w.Code == 400 && !strings.Contains(w.Header().Get("WWW-Authenticate"), "invalid_request"):
			t.Errorf("%q: challenge %q", value, w.Header().Get("WWW-Authenticate"))
		}
	})
}
