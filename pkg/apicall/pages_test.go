package apicall_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/apicall"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// hourly returns tokens that are valid for an hour of a clock that the test
// sets.
type hourly struct{ now time.Time }

func (h *hourly) Token(context.Context, secret.String) (apicall.AccessToken, error) {
	return apicall.AccessToken{Type: "Bearer", Value: secret.New(h.now.Format("15"))}, nil
}

// 3,000 pages of two seconds each take longer than the lifetime of a token.
func TestPagesOutliveTheToken(t *testing.T) {
	const pages = 3000
	clock := &hourly{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	used := map[string]int{}
	api := newReceiver(t, func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if token != clock.now.Format("15") {
			t.Errorf("page %s: the token has expired", r.URL.Query().Get("page"))
		}
		used[token]++
		clock.now = clock.now.Add(2 * time.Second)
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		if page < pages-1 {
			w.Header().Set("Link", fmt.Sprintf(`<?page=%d>; rel="next", </x>; rel=last`, page+1))
		}
		fmt.Fprint(w, page)
	})
	c := newClient(t, api.URL)
	c.Source = clock
	n := 0
	for res, err := range c.Pages(t.Context(), apicall.Request{Method: "GET", Target: "/x?page=0"}, nil) {
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(res.Body); string(body) != strconv.Itoa(n) {
			t.Fatalf("page %d is %s", n, body)
		}
		n++
	}
	if n != pages || len(used) != 2 {
		t.Errorf("%d pages with %d tokens", n, len(used))
	}
}

func TestPagesEnd(t *testing.T) {
	elsewhere := newReceiver(t, ok)
	tests := map[string]struct {
		link   func(r *http.Request) string
		status int
		pages  int
		err    diagnosis.ID
	}{
		"no link":          {func(*http.Request) string { return "" }, 200, 1, ""},
		"back to the same": {func(*http.Request) string { return "</x>; rel=next" }, 200, 1, diagnosis.APIError},
		"another origin":   {func(*http.Request) string { return "<" + elsewhere.URL + "/>; rel=next" }, 200, 1, diagnosis.OriginRefused},
		"whole URL": {func(r *http.Request) string {
			if r.URL.RawQuery != "" {
				return ""
			}
			return "<http://" + r.Host + "/x?2>; rel=next"
		}, 200, 2, ""},
		"an error": {func(*http.Request) string { return "</y>; rel=next" }, 500, 1, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			api := newReceiver(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Link", tt.link(r))
				w.WriteHeader(tt.status)
			})
			pages := 0
			var last error
			for res, err := range newClient(t, api.URL).Pages(t.Context(), apicall.Request{Method: "GET", Target: "/x"}, nil) {
				if last = err; err == nil {
					pages++
					_ = res
				}
			}
			var d *diagnosis.Diagnosis
			if errors.As(last, &d) != (tt.err != "") || d != nil && d.ID != tt.err || pages != tt.pages || len(api.seen()) != pages {
				t.Errorf("%d pages, %v", pages, last)
			}
		})
	}
	if n := len(elsewhere.seen()); n != 0 {
		t.Errorf("%d requests arrived elsewhere", n)
	}
	for _, err := range newClient(t, elsewhere.URL).Pages(t.Context(), apicall.Request{Method: "POST", Target: "/x"}, nil) {
		if err == nil {
			t.Error("POST goes from page to page")
		}
	}
}

func TestNextPage(t *testing.T) {
	for value, want := range map[string]string{
		`</2>; rel="next"`:                      "/2",
		`</1>; rel="prev", </2>; rel="next"`:    "/2",
		`</2>; rel=next; title="a, b; c\""`:     "/2",
		`</2>;title=",<x>;rel=next";rel="last"`: "",
		`</2>; rel="last NEXT"`:                 "/2",
		`</2>; rel=prev; rel=next`:              "",
		`</2>; rel=next; anchor="/other"`:       "",
		`</a,b;c>; rel=next`:                    "/a,b;c",
		`rel=next`:                              "",
		`<`:                                     "",
		`</2>`:                                  "",
		`</2>; rel`:                             "",
		`</2>; rel="next`:                       "/2",
		`, ,</2> ; rel = "next"`:                "/2",
		`</2>; rel="https://example.com/next", </3>;;`: "",
	} {
		if got := apicall.NextPage([]string{value}); got != want {
			t.Errorf("NextPage(%s) = %q, want %q", value, got, want)
		}
	}
	if got := apicall.NextPage([]string{"</1>; rel=prev", "</2>; rel=next"}); got != "/2" {
		t.Errorf("two fields: %q", got)
	}
}

func FuzzNextPage(f *testing.F) {
	f.Add(`</1>; rel="prev", </2>; rel="next"; title="\""`)
	f.Add(`<>;;=,"`)
	f.Fuzz(func(t *testing.T, value string) {
		if next := apicall.NextPage([]string{value}); next != "" && !strings.Contains(value, next) {
			t.Errorf("%q is not of %q", next, value)
		}
	})
}
