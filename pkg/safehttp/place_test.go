package safehttp_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// An error contains the URL once, without the query. Callers do not add it.
func TestErrorsContainTheURLOnce(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/large":
			_, _ = w.Write(make([]byte, 100))
		case "/aborted":
			panic(http.ErrAbortHandler)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/slow":
			<-r.Context().Done()
		}
	}))
	defer s.Close()
	ended, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for name, tt := range map[string]struct {
		ctx context.Context
		url string
	}{
		"nothing listens":   {t.Context(), "http://127.0.0.1:1/none"},
		"not TLS":           {t.Context(), strings.Replace(s.URL, "http:", "https:", 1) + "/plain"},
		"too large":         {t.Context(), s.URL + "/large"},
		"aborted":           {t.Context(), s.URL + "/aborted"},
		"redirects":         {t.Context(), s.URL + "/loop"},
		"slow":              {t.Context(), s.URL + "/slow"},
		"context has ended": {ended, s.URL + "/good"},
		"not https":         {t.Context(), "http://as.example/keys"},
	} {
		c := &safehttp.Client{Timeout: 100 * time.Millisecond}
		_, err := c.Get(tt.ctx, tt.url+"?key=canary", "*/*", 10)
		if err == nil || strings.Count(err.Error(), tt.url) != 1 || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want %s once", name, err, tt.url)
		}
		if isEnded := tt.ctx == ended; isEnded != errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := (&safehttp.Client{}).Get(t.Context(), s.URL+"/good", "*/*", 10); err != nil {
		t.Errorf("positive control: %v", err)
	}
}
