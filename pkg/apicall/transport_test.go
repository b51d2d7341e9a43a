package apicall_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/apicall"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// An http.Client sends the token only to the API, and refreshes it once.
func TestRoundTripper(t *testing.T) {
	elsewhere := newReceiver(t, ok)
	api := newReceiver(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/away":
			http.Redirect(w, r, elsewhere.URL+"/x", http.StatusFound)
		case r.URL.Path == "/moved":
			http.Redirect(w, r, "/new", http.StatusTemporaryRedirect)
		case r.Header.Get("Authorization") != "Bearer "+canary+"-2":
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	client := &http.Client{Transport: newClient(t, api.URL+"/v1").RoundTripper()}
	send := func(method, url string, body io.Reader) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Mine", "kept")
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if len(req.Header) != 1 {
			t.Errorf("the caller's request was changed: %v", req.Header)
		}
		return res.StatusCode
	}
	if status := send("POST", api.URL+"/x", strings.NewReader("body")); status != http.StatusOK {
		t.Errorf("refreshed: %d", status)
	}
	if diff := cmp.Diff([]string{"body", "body"}, api.bodies); diff != "" {
		t.Errorf("bodies (-want +got):\n%s", diff)
	}
	if status := send("PUT", api.URL+"/moved", strings.NewReader("again")); status != http.StatusOK || api.bodies[len(api.bodies)-1] != "again" {
		t.Errorf("a redirect within: %d", status)
	}
	if send("GET", api.URL+"/away", nil); len(elsewhere.seen()) != 1 || elsewhere.seen()[0] != "" {
		t.Errorf("elsewhere: %q", elsewhere.seen())
	}
	if send("GET", elsewhere.URL+"/direct", nil); elsewhere.seen()[1] != "" {
		t.Errorf("elsewhere: %q", elsewhere.seen())
	}
	if _, err := client.Get("http://plain.example/"); err == nil {
		t.Error("plain http is refused")
	}
}

// counting returns a token and counts its calls.
type counting struct{ n atomic.Int64 }

func (c *counting) Token(context.Context, secret.String) (apicall.AccessToken, error) {
	return apicall.AccessToken{Type: "Bearer", Value: secret.New(strings.Repeat("x", int(c.n.Add(1))))}, nil
}

func TestRecent(t *testing.T) {
	now := time.Now()
	var source counting
	recent := apicall.Recent(&source, apicall.RecentOptions{Age: time.Second, Now: func() time.Time { return now }})
	get := func(rejected secret.String) secret.String {
		t.Helper()
		token, err := recent.Token(t.Context(), rejected)
		if err != nil {
			t.Fatal(err)
		}
		return token.Value
	}
	first := get(secret.String{})
	if !get(secret.String{}).Equal(first) || source.n.Load() != 1 {
		t.Error("within the second the token is kept")
	}
	second := get(first)
	if second.Equal(first) || !get(first).Equal(second) || source.n.Load() != 2 {
		t.Error("a rejected token is replaced once")
	}
	now = now.Add(time.Second)
	if get(secret.String{}).Equal(second) {
		t.Error("after a second the source is asked again")
	}
}

// The headers of a rate limit determine when to retry.
func TestRateLimitFields(t *testing.T) {
	reset := time.Now().Add(90 * time.Second)
	for name, tt := range map[string]struct {
		header http.Header
		least  time.Duration
		most   time.Duration
	}{
		"RateLimit":                 {http.Header{"Ratelimit": {`"default";r=0;t=30`}}, 30 * time.Second, 30 * time.Second},
		"RateLimit not used up":     {http.Header{"Ratelimit": {`"default";r=5;t=30`}}, 0, time.Second},
		"RateLimit-Reset":           {http.Header{"Ratelimit-Remaining": {"0"}, "Ratelimit-Reset": {"12"}}, 12 * time.Second, 12 * time.Second},
		"X-RateLimit-Reset, a time": {http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {fmt.Sprint(reset.Unix())}}, 85 * time.Second, 91 * time.Second},
		"Retry-After goes first":    {http.Header{"Retry-After": {"3"}, "Ratelimit": {`"default";r=0;t=30`}}, 3 * time.Second, 3 * time.Second},
	} {
		failed := false
		api := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
			if !failed {
				failed = true
				for name, values := range tt.header {
					w.Header()[name] = values
				}
				w.WriteHeader(http.StatusTooManyRequests)
			}
		})
		c := newClient(t, api.URL)
		c.Retries = 1
		var waited time.Duration
		c.Wait = func(_ context.Context, d time.Duration) error { waited = d; return nil }
		if status, err := do(t, c, apicall.Request{Target: "/x"}); err != nil || status != http.StatusOK || waited < tt.least || waited > tt.most {
			t.Errorf("%s: %d, %v, waited %s", name, status, err, waited)
		}
	}
}
