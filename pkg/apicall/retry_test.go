package apicall_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/apicall"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

func TestRetries(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		method     string
		status     int
		retryAfter string
		times      int // how often the API fails
		stream     bool
		final      int
		waits      []time.Duration // -1: by chance
	}{
		"good at once":        {method: "GET", final: 200},
		"503 once":            {method: "GET", status: 503, times: 1, final: 200, waits: []time.Duration{-1}},
		"429 with seconds":    {method: "GET", status: 429, retryAfter: "7", times: 1, final: 200, waits: []time.Duration{7 * time.Second}},
		"429 with a date":     {method: "GET", status: 429, retryAfter: "Tue, 24 Nov 2026 12:00:09 GMT", times: 1, final: 200, waits: []time.Duration{9 * time.Second}},
		"a date gone by":      {method: "GET", status: 429, retryAfter: "Tue, 24 Nov 2026 11:00:00 GMT", times: 1, final: 200, waits: []time.Duration{0}},
		"minutes":             {method: "GET", status: 503, retryAfter: "120", times: 1, final: 200, waits: []time.Duration{2 * time.Minute}},
		"a day":               {method: "GET", status: 429, retryAfter: "86400", times: 1, final: 429},
		"endless":             {method: "GET", status: 429, retryAfter: strings.Repeat("9", 40), times: 1, final: 429},
		"negative":            {method: "GET", status: 429, retryAfter: "-5", times: 1, final: 200, waits: []time.Duration{-1}},
		"timeout":             {method: "GET", status: 408, times: 1, final: 200, waits: []time.Duration{-1}},
		"too early":           {method: "GET", status: 425, times: 1, final: 200, waits: []time.Duration{-1}},
		"403 of a rate limit": {method: "GET", status: 403, retryAfter: "3", times: 1, final: 200, waits: []time.Duration{3 * time.Second}},
		"403 alone":           {method: "GET", status: 403, times: 1, final: 403},
		"nonsense":            {method: "GET", status: 429, retryAfter: "soon", times: 1, final: 200, waits: []time.Duration{-1}},
		"as often as asked":   {method: "DELETE", status: 502, times: 9, final: 502, waits: []time.Duration{-1, -1}},
		"PUT":                 {method: "PUT", status: 504, times: 1, final: 200, waits: []time.Duration{-1}},
		"not POST":            {method: "POST", status: 503, times: 1, final: 503},
		"not PATCH":           {method: "PATCH", status: 503, times: 1, final: 503},
		"not a stream":        {method: "PUT", status: 503, times: 1, stream: true, final: 503},
		"not what is its own": {method: "GET", status: 500, times: 1, final: 500},
		"not 401":             {method: "GET", status: 401, times: 2, final: 401},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			left := tt.times
			api := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
				if left--; left >= 0 {
					w.Header().Set("Date", now.Format(http.TimeFormat))
					w.Header().Set("Retry-After", tt.retryAfter)
					w.WriteHeader(tt.status)
				}
			})
			c := newClient(t, api.URL)
			var waits []time.Duration
			told := 0
			c.Retries, c.Now = 2, func() time.Time { return now }
			c.Wait = func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil }
			c.Retrying = func(time.Duration, error) { told++ }
			r := apicall.Request{Method: tt.method, Target: "/x"}
			if tt.stream {
				r.Body = apicall.Stream(strings.NewReader("x"))
			}
			status, err := do(t, c, r)
			if err != nil || status != tt.final || told != len(tt.waits) {
				t.Errorf("%d, %v, told %d times", status, err, told)
			}
			for i, d := range waits {
				if i < len(tt.waits) && tt.waits[i] == -1 && d > 0 && d <= time.Minute {
					waits[i] = -1
				}
			}
			if diff := cmp.Diff(tt.waits, waits); diff != "" {
				t.Errorf("waits (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRetriesUnreachableServers(t *testing.T) {
	api := newReceiver(t, ok)
	c := newClient(t, api.URL)
	api.Close()
	waits := 0
	c.Retries, c.Wait = 3, func(context.Context, time.Duration) error { waits++; return nil }
	if _, err := do(t, c, apicall.Request{Target: "/x"}); !isUnreachable(err) || waits != 3 {
		t.Errorf("%v after %d waits", err, waits)
	}
	stop := errors.New("enough")
	c.Wait = func(context.Context, time.Duration) error { return stop }
	if _, err := do(t, c, apicall.Request{Target: "/x"}); !errors.Is(err, stop) {
		t.Errorf("a wait that is given up: %v", err)
	}
}

// A file is opened again for each attempt, and its length is sent.
func TestOpenedBody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(path, []byte("whole"), 0o600); err != nil {
		t.Fatal(err)
	}
	var lengths []int64
	api := newReceiver(t, func(w http.ResponseWriter, r *http.Request) {
		lengths = append(lengths, r.ContentLength)
		if r.Header.Get("Authorization") != "Bearer "+canary+"-2" {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	body, err := apicall.File(path)
	if err != nil {
		t.Fatal(err)
	}
	r := apicall.Request{Method: "POST", Target: "/x", Body: body}
	if status, err := do(t, newClient(t, api.URL), r); err != nil || status != http.StatusOK {
		t.Errorf("%d, %v", status, err)
	}
	if diff := cmp.Diff([]string{"whole", "whole"}, api.bodies); diff != "" {
		t.Errorf("bodies (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int64{5, 5}, lengths); diff != "" {
		t.Errorf("lengths (-want +got):\n%s", diff)
	}
	r.Body = &apicall.Body{Length: 5, Open: func() (io.ReadCloser, error) { return os.Open(path + "x") }}
	if _, err := do(t, newClient(t, api.URL), r); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// stubborn returns the same token, or an error after a rejection.
type stubborn struct{ err error }

func (s stubborn) Token(_ context.Context, rejected secret.String) (apicall.AccessToken, error) {
	if !rejected.IsZero() && s.err != nil {
		return apicall.AccessToken{}, s.err
	}
	return apicall.AccessToken{Type: "Bearer", Value: secret.New(canary)}, nil
}

// The reason why a request was not repeated is reported, and the API's response
// is returned.
func TestNotRepeated(t *testing.T) {
	gone := &diagnosis.Diagnosis{ID: diagnosis.GrantInvalid}
	for name, tt := range map[string]struct {
		source apicall.TokenSource
		stream bool
		want   error
	}{
		"body from a pipe": {&tokens{}, true, apicall.ErrBodySpent},
		"renewal fails":    {stubborn{gone}, false, gone},
		"no other token":   {stubborn{}, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			api := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
				w.WriteHeader(http.StatusUnauthorized)
				_, _ = io.WriteString(w, "why")
			})
			c := newClient(t, api.URL)
			c.Source = tt.source
			var told []error
			c.NotRepeated = func(why error) { told = append(told, why) }
			r := apicall.Request{Method: "POST", Target: "/x"}
			if tt.stream {
				r.Body = apicall.Stream(strings.NewReader("x"))
			}
			res, err := c.Do(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if body, err := io.ReadAll(res.Body); err != nil || string(body) != "why" || res.StatusCode != http.StatusUnauthorized {
				t.Errorf("the answer: %q, %v", body, err)
			}
			if len(told) != 1 || tt.want != nil && !errors.Is(told[0], tt.want) || len(api.seen()) != 1 {
				t.Errorf("told %v after %d requests", told, len(api.seen()))
			}
		})
	}
}

func isUnreachable(err error) bool {
	var d *diagnosis.Diagnosis
	return errors.As(err, &d) && d.ID == diagnosis.Unreachable
}

// The wait doubles up to a minute, whatever the number of the attempt, and a pause
// reports what it waits for.
func TestPause(t *testing.T) {
	for attempt := range 200 {
		longest := time.Minute
		if attempt < 7 {
			longest = min(500*time.Millisecond<<attempt, time.Minute)
		}
		wait := apicall.Backoff(attempt)
		if wait < longest/2 || wait > longest {
			t.Errorf("%d: %s, want %s to %s", attempt, wait, longest/2, longest)
		}
		var waited, reported time.Duration
		var why error
		cause := errors.New("the stream ended")
		c := &apicall.Client{
			Wait:     func(_ context.Context, d time.Duration) error { waited = d; return nil },
			Retrying: func(after time.Duration, err error) { reported, why = after, err },
		}
		if err := c.Pause(t.Context(), wait, cause); err != nil || waited != wait || reported != wait || why != cause {
			t.Errorf("%d: %s waited, %s reported, %v, %v", attempt, waited, reported, why, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := new(apicall.Client).Pause(ended, time.Hour, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
}
