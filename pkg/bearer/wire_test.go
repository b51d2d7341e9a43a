package bearer_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// never answers that no token is revoked.
type never struct{}

func (never) Revoked(context.Context, *token.Token) (bool, error) { return false, nil }

// watched records whether a body was read.
type watched struct {
	io.ReadCloser
	read bool
}

func (w *watched) Read(p []byte) (int, error) {
	w.read = true
	return w.ReadCloser.Read(p)
}

// A refused HEAD request is answered with a header and no body.
func TestHeadHasNoBody(t *testing.T) {
	f := newFixture(t, "ES256")
	h := bearer.Require(f.verifier)(http.HandlerFunc(items))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("HEAD", "/", nil))
	if w.Code != 401 || w.Body.Len() > 0 || w.Header().Get("WWW-Authenticate") != `Bearer realm="api"` {
		t.Errorf("%d %v %q", w.Code, w.Header(), w.Body)
	}
}

// Other middleware may set header fields too: those are kept.
func TestOtherHeadersStay(t *testing.T) {
	f := newFixture(t, "ES256")
	guarded := bearer.Require(f.verifier)(http.HandlerFunc(items))
	w := httptest.NewRecorder()
	w.Header().Set("Access-Control-Expose-Headers", "X-Request-ID")
	w.Header().Set("Access-Control-Allow-Origin", "*")
	guarded.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if got := w.Header().Values("Access-Control-Expose-Headers"); len(got) != 2 || got[0] != "X-Request-ID" || got[1] != "WWW-Authenticate" {
		t.Errorf("exposed %q", got)
	}
}
