package safehttp_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// Equal secrets have equal labels and different secrets different ones,
// wherever they appear.
func TestTraceLabels(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Echo", "you sent "+strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		_, _ = w.Write([]byte(`{"access_token":"abcdefgh-1234","refresh_token":"ijklmnop-5678","expires_in":1,"client_secret":""}`))
	}))
	t.Cleanup(server.Close)
	var shown []safehttp.Exchange
	client := &safehttp.Client{Trace: &safehttp.Trace{Labels: &safehttp.Labels{}, Show: func(e safehttp.Exchange) { shown = append(shown, e) }}}
	for _, token := range []string{"abcdefgh-1234", "ijklmnop-5678", "abcdefgh-1234"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/?code=xyz", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		if _, err := client.Do(req, 1<<10); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []string{"Bearer token-1", "Bearer token-2", "Bearer token-1"} {
		e := shown[i]
		if got := e.RequestHeader.Get("Authorization"); got != want {
			t.Errorf("request %d: %s, want %s", i, got, want)
		}
		if echo := e.ResponseHeader.Get("X-Echo"); echo != "you sent "+strings.TrimPrefix(want, "Bearer ") {
			t.Errorf("request %d: %s", i, echo)
		}
		if !strings.HasSuffix(e.URL, "?code=code-1") || !strings.Contains(e.ResponseBody, `"refresh_token":"token-2"`) {
			t.Errorf("request %d: %s %s", i, e.URL, e.ResponseBody)
		}
	}
}
